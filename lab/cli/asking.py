"""A finished run: asked, and looked into."""
from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.cli.commands import Commands, run_folder
from lab.cli.printing import printed, table_lines
from lab.contracts import LabError
from lab.events import fold, from_json
from lab.lens import Experiment, Look, Seen, Trace, made
from lab.supply import default_cache
from lab.waiting import spin_briefly


def add(commands: Commands) -> None:
    ask = commands.add("ask", _ask, "ask a trained model and the untouched one, side by side", data=True, cache=True)
    ask.add_argument("run", type=Path, metavar="RUN_DIR", help="a folder that `train --out` has filled")
    ask.add_argument("text")
    ask.add_argument("--sampled", type=float, metavar="TEMPERATURE", help="draw the words of a written answer instead of taking the likeliest")
    ask.add_argument("--seed", type=int, default=0, help="start of that drawing")
    inspect = commands.add("inspect", _inspect, "look inside a finished run through a lens", data=True, cache=True)
    inspect.add_argument("run", type=Path, metavar="RUN_DIR", help="a folder that `train --out` has filled")
    inspect.add_argument("--lens", required=True, metavar="NAME", help="one of `python -m lab lenses`")
    inspect.add_argument("--knobs", default="{}", metavar="JSON", help='the knobs of the lens, for instance {"items": 100}')


def _ask(options: argparse.Namespace) -> int:
    """Written answers appear as they come; a label with the probability of each."""
    run_folder(options.run)
    spin_briefly(os.environ)
    from lab.engine import Workshop
    from lab.engine.reload import reload
    from lab.engine.scoring import finished

    tuned = finished(reload(options.run, Workshop(options.cache or default_cache())))
    how = {"sampled": True, "temperature": options.sampled, "seed": options.seed} if options.sampled is not None else {}
    answers: dict[str, Any] = {}
    for who in ("untouched", "trained"):
        base = who == "untouched"
        if not tuned.spec.goal.writes and base and tuned.head is not None:
            continue  # an encoder without a head has no answer
        print("" if options.json else f"{who:9} ", end="", flush=True)
        if tuned.spec.goal.writes:
            answers[who] = "".join(_passed_on(tuned.streamed(options.text, base, **how), options.json))
        else:
            answers[who] = tuned.chances(options.text, base)
            print("" if options.json else ", ".join(f"{label} {chance:.1%}" for label, chance in answers[who].items()), end="")
        print(end="" if options.json else "\n")
    if options.json:
        print(json.dumps({"text": options.text, **answers}, ensure_ascii=False))
    return 0


def _passed_on(pieces: Iterator[str], quiet: bool) -> Iterator[str]:
    for piece in pieces:
        if not quiet:
            print(piece, end="", flush=True)
        yield piece


def _inspect(options: argparse.Namespace) -> int:
    """A trace was recorded while the run trained and is read from its events; a probe is computed now."""
    run_folder(options.run)
    try:
        knobs = json.loads(options.knobs)
    except json.JSONDecodeError as error:
        raise LabError(f"knobs is not JSON: {error.msg} in column {error.colno}") from None
    if not isinstance(knobs, dict):
        raise LabError(f"knobs is {options.knobs[:40]}: give an object of knobs and values")
    lens = made(options.lens, knobs)
    if isinstance(lens, Experiment):
        raise LabError(f'lens is "{lens.key}": it takes several runs, which the page makes and shows together')
    seen = _recorded(options.run, lens) if isinstance(lens, Trace) else _probed(options, knobs)
    said = {"lens": lens.key, "says": lens.says(seen), **({"looks": [vars(each) for each in seen]} if isinstance(lens, Trace) else seen)}
    return printed(said, options.json, lambda said: table_lines(said["says"], lens.table(seen)))


def _recorded(folder: Path, lens: Trace) -> list[Seen]:
    try:
        events = [from_json(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise LabError(f"cannot read {folder / 'events.jsonl'}: {error.strerror}; train the run again with --out") from None
    looks = [Seen(seen.step, seen.value) for seen in fold(events).observed if seen.lens == lens.key]
    if not looks:
        raise LabError(f"nothing was recorded for {lens.key} in this run: it applies to other methods, or the run is older than the lens")
    return looks


def _probed(options: argparse.Namespace, knobs: dict[str, Any]) -> Any:
    asked = Look.parse({"run": options.run.name or "here", "lens": options.lens, "knobs": knobs})
    spin_briefly(os.environ)
    from lab.engine import Workshop, look

    result = fold(look(asked, options.run, Workshop(options.cache or default_cache())))
    if result.state != "finished":
        raise LabError(f"{result.reason} {result.advice}".rstrip())
    return result.seen(asked.lens)
