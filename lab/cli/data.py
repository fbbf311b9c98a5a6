"""Own data from the command line: add a file as a task, list what is kept, remove it."""
from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from lab.cli.commands import Commands
from lab.cli.printing import printed
from lab.contracts import LabError
from lab.owndata import columns, making, reading
from lab.owndata.shelf import Kept, Shelf
from lab.ui.wording import size

OWNER = "command-line"


def add(commands: Commands) -> None:
    own = commands.add("data", _data, "own data as tasks: add FILE, list, remove KEY", data=True)
    own.add_argument("what", choices=("add", "list", "remove"))
    own.add_argument("file", nargs="?", metavar="FILE|KEY", help="a CSV, TSV or JSONL file to add; the key of the set to remove")
    own.add_argument("--text", metavar="COLUMN", help="column of the texts, or prompts (default: guessed)")
    kinds = own.add_mutually_exclusive_group()
    kinds.add_argument("--label", metavar="COLUMN", help="column of the labels (default: guessed)")
    kinds.add_argument("--answer", metavar="COLUMN", help="column of answers to write, in place of labels")
    own.add_argument("--split", metavar="COLUMN", help="column that says train, validation or test (default: guessed; \"\" for none)")
    own.add_argument("--name", metavar="LABEL=NAME", action="append", default=[], help="call a label otherwise; LABEL= leaves its rows out")
    own.add_argument("--title", help="what the set is called (default: the file's name)")
    header = own.add_mutually_exclusive_group()
    header.add_argument("--header", dest="header", action="store_true", default=None, help="the first row names the columns (default: guessed)")
    header.add_argument("--no-header", dest="header", action="store_false", help="the first row is a row like the others")


def _data(options: argparse.Namespace) -> int:
    shelf = Shelf(options.data)
    if options.what == "list":
        return printed({"sets": [_row(kept) for kept in shelf.of(OWNER)]}, options.json, _listed)
    if not options.file:
        raise LabError(f"data {options.what} needs {'a file' if options.what == 'add' else 'a key'}: see python -m lab data --help")
    if options.what == "remove":
        return printed(_row(shelf.remove(options.file, OWNER)), options.json, lambda row: (f"removed {row['title']} ({row['key']})",))
    path = Path(options.file)
    made = _made(options, path)
    kept = shelf.keep(made, options.title or path.stem, OWNER)
    return printed({**_row(kept), **making.report(made)}, options.json, _added)


def _made(options: argparse.Namespace, path: Path) -> making.Made:
    try:
        reading.check_size(path.stat().st_size)
        content = path.read_bytes()
    except OSError as error:
        raise LabError(f"cannot read {path}: {error.strerror}") from None
    table = reading.read(content, path.name, options.header)
    wrong = next((said for said in options.name if "=" not in said), None)
    if wrong is not None:
        raise LabError(f'name is "{wrong}": must be LABEL=NAME, or LABEL= to leave it out')
    kind = "answers" if options.answer else "labels" if options.label else ""
    choice = {"text": options.text, "answer": options.answer or options.label, "kind": kind, "names": dict(said.split("=", 1) for said in options.name)}
    return making.made(table, columns.Choice.parse(choice | ({} if options.split is None else {"split": options.split}), table))


def _row(kept: Kept) -> dict[str, Any]:
    return {"key": kept.key, "title": kept.title, "kind": kept.kind, "labels": list(kept.labels), "splits": kept.sizes, "bytes": kept.bytes,
            "sha256": kept.sha256, "until": _date(kept.expires), "gone": kept.gone}


def _date(when: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(when))


def _listed(found: dict[str, Any]) -> list[str]:
    rows = [f"{row['key']}  {row['title']}: {sum(row['splits'].values()):,} texts, {size(row['bytes'])}, kept until {row['until']}" for row in found["sets"]]
    return rows or ["none"]


def _added(row: dict[str, Any]) -> list[str]:
    """The key first: it is what a spec names."""
    sizes = ", ".join(f"{count:,} {split}" for split, count in row["splits"].items())
    labels = [f"  {each['label']}: {each['train']:,} / {each['validation']:,} / {each['test']:,}" for each in row["counts"]]
    return [f"{row['key']}  {row['title']}: {sizes}; kept until {row['until']}", *labels, *(f"  note: {note}" for note in row["notes"]),
            f"  in a spec: \"task\": \"{row['key']}\""]
