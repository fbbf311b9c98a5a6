"""What there is: the catalogues, the devices, the runs of a data folder."""
from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from lab import catalogue, describe
from lab.accounting.devices import GPUS
from lab.cli.commands import Commands
from lab.cli.printing import printed, said_score
from lab.contracts import LabError
from lab.events import RunResult
from lab.supply import Supply, default_cache


def add(commands: Commands) -> None:
    for folder in ("models", "methods", "tasks", "lenses"):
        commands.add(folder, _list, f"list the {folder} of the catalogue")
    commands.add("devices", _devices, "list what this machine can run on, and the GPUs that memory can be foretold for")
    commands.add("runs", _runs, "list the runs in a data folder", data=True)


def _list(options: argparse.Namespace) -> int:
    rows = describe.catalogue_rows(options.name)
    if options.name == "models":
        supply = Supply(default_cache())
        for row in rows:
            row["here"] = row["seeded"] or supply.known_sha256(catalogue.find("models", row["key"])) is not None
    return printed(rows, options.json, _titles)


def _titles(rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield f"{row['key']:16} {row['title']}"
        if row.get("about"):
            yield f"{'':16} {row['about']}"
        if "here" in row:
            yield f"{'':16} {'Lies on this machine.' if row['here'] and not row['seeded'] else row['origin']}"


def _devices(options: argparse.Namespace) -> int:
    """This machine's, to run on, and then the GPUs that memory can be foretold for."""
    rows = [{**row, "here": True} for row in describe.devices()] + [{**gpu.to_dict(), "title": gpu.key, "here": False} for gpu in GPUS]
    return printed(rows, options.json, lambda rows: (
        f"{row['key']:8} {row['title']}, {row['bytes'] / 1e9:.1f} GB" if row["here"] else f"{row['key']}, {row['bytes'] / 1e9:.0f} GB, for `memory` only"
        for row in rows))


def _runs(options: argparse.Namespace) -> int:
    from lab.store import Store

    if not options.data.is_dir():
        raise LabError(f"there is no folder {options.data}: give the data folder of a lab with --data")
    with Store(options.data) as store:
        rows = [_row(run, store.result(run.id)) for run in store.history(None, limit=1000)]
    return printed(rows, options.json, lambda rows: map(_line, rows))


def _row(run: Any, result: RunResult) -> dict[str, Any]:
    return {"id": run.id, "kind": run.kind, "state": run.state, "title": run.title, "owner": run.owner, "created": run.created, "reason": run.reason,
            "spec": run.settings, "scores": result.to_dict()["scores"]}


def _line(row: dict[str, Any]) -> str:
    spec, tuned = row["spec"], row["scores"].get("tuned")
    score = said_score(tuned["score"], tuned["standard_error"], tuned["metric"]) if tuned else ""
    when = datetime.fromtimestamp(row["created"]).isoformat(" ", "minutes")
    return f"{row['id']}  {when}  {row['state']:9} {score:13}  {spec['model']} {spec['task']} {spec['method']['name']} {row['title']}".rstrip()
