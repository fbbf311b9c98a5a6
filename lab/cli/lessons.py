"""Lessons: whether they are written rightly, and whether their claims hold on their runs."""
from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.cli.commands import Commands
from lab.cli.printing import printed
from lab.contracts import LabError
from lab.events import RunResult, fold
from lab.lessons import Lesson, folders, lessons
from lab.lessons.asking import unobserved
from lab.lessons.claims import MISSING, outcome
from lab.lessons.known import Known
from lab.lessons.recorded import known as recorded
from lab.measuring import measure
from lab.spec import RunSpec
from lab.supply import default_cache
from lab.waiting import spin_briefly


def add(commands: Commands) -> None:
    said = commands.add("lessons", _lessons, "check lessons: `lessons check` reads every one and holds its claims against recorded runs", cache=True)
    said.add_argument("what", choices=["check"])
    said.add_argument("keys", nargs="*", metavar="KEY", help="lessons; left out: all")
    said.add_argument("--run", action="store_true", help="run everything again, here, instead of reading what was recorded; takes long")
    said.add_argument("--folder", type=Path, action="append", help="folder of lessons (default: lessons, and LAB_LESSONS); may be given more than once")
    said.add_argument("--assets", type=Path, default=Path("assets"), help="folder of recorded runs")


def _lessons(options: argparse.Namespace) -> int:
    """0 where every claim comes out as its lesson says, those left aside of which nothing is recorded; 1 where one does not; 2 for a lesson that cannot be
    read. Results after which nobody is asked what was seen are mentioned: not every result needs a question."""
    found = lessons(options.folder or folders(Path("lessons")), options.assets / "comparisons")
    unknown = next((key for key in options.keys if key not in found), None)
    if unknown is not None:
        raise LabError(f'unknown lesson "{unknown}": there are {", ".join(found)}')
    wanted = [lesson for key, lesson in found.items() if key in options.keys or not options.keys]
    runner = _Runner(options.cache or default_cache()) if options.run else None
    rows = [row for lesson in wanted for row in _checked(lesson, runner.known(lesson) if runner else recorded(lesson, options.assets))]
    silent = [{"lesson": lesson.key, "kind": place.kind, "name": place.name, "line": place.line} for lesson in wanted for place in unobserved(lesson)]
    printed({"lessons": [lesson.key for lesson in wanted], "claims": rows, "unobserved": silent}, options.json, _lines)
    return 0 if all(row["verdict"] == row["here"] or (row["verdict"] == MISSING and not options.run) for row in rows) else 1


def _checked(lesson: Lesson, known: Known) -> Iterator[dict[str, Any]]:
    for name, claim in lesson.matter.claims.items():
        found = outcome(claim, known)
        yield {"lesson": lesson.key, "claim": name, "number": claim.number, "sentence": claim.sentence, "here": claim.here, "verdict": found.verdict,
               "says": found.says}


def _lines(found: dict[str, Any]) -> Iterator[str]:
    waiting = sum(row["verdict"] == MISSING for row in found["claims"])
    yield (f"{len(found['lessons'])} lessons are well written; of their {len(found['claims'])} claims {len(found['claims']) - waiting} were run"
           + (f", {waiting} still have to be recorded" if waiting else ""))
    for row in found["claims"]:
        as_said = "" if row["verdict"] in (row["here"], MISSING) else f"  THE LESSON SAYS: {row['here']}"
        yield f"{row['lesson']:24} {row['claim']:28} {row['verdict']:12} {row['says']}{as_said}"
    silent: dict[str, list[str]] = {}
    for each in found["unobserved"]:
        silent.setdefault(each["lesson"], []).append(f"{each['name']} (line {each['line']})")
    if silent:
        yield f"{len(found['unobserved'])} runs and comparisons are followed by no **Observe** question about what was seen:"
    for lesson, names in silent.items():
        yield f"{lesson:24} {', '.join(names)}"


class _Runner:
    """Trains and measures what a lesson asks for, each thing once."""

    def __init__(self, cache: Path) -> None:
        spin_briefly(os.environ)
        from lab.engine import Workshop

        self.workshop = Workshop(cache)
        self.runs: dict[str, RunResult] = {}

    def known(self, lesson: Lesson) -> Known:
        specs = [*lesson.runs.values(), *(spec for comparison in lesson.comparisons.values() for spec in comparison.runs.values())]
        runs = {spec.fingerprint: self.run(spec) for spec in specs}
        measured = {}
        for name, asked in lesson.matter.measurements.items():
            *_, found = measure(asked.name, asked.knobs, self.workshop)
            measured[name] = found["values"]
        return Known(lesson, runs, measured)

    def run(self, spec: RunSpec) -> RunResult:
        from lab.engine import train

        if spec.fingerprint not in self.runs:
            print(f"{spec.model} {spec.task} {spec.method.key}, seed {spec.seed} …", file=sys.stderr, flush=True)
            self.runs[spec.fingerprint] = fold(train(spec, self.workshop))
        return self.runs[spec.fingerprint]
