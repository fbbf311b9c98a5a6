"""Recorded runs that come with the lab: event streams in files, read through the same fold as a live run.

A file is gzipped JSON lines: first where and how it was made, then one event a line.
"""
from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lab.contracts import LabError
from lab.events import Event, RunResult, fold, from_json, to_json
from lab.spec import RunSpec

FORMAT = 1


@dataclass(frozen=True)
class Recorded:
    """One recorded run. `made` says on what machine and with what command."""

    key: str
    made: dict[str, Any]
    events: tuple[Event, ...]

    @cached_property
    def result(self) -> RunResult:
        return fold(self.events)

    @cached_property
    def spec(self) -> RunSpec:
        if self.result.started is None:
            raise LabError(f"the recorded run {self.key} has no beginning: record it again")
        return RunSpec.parse(self.result.started.spec)


def write(path: Path, made: dict[str, Any], events: Iterable[Event]) -> None:
    header = json.dumps({"recording": FORMAT, **made}, ensure_ascii=False)
    text = "\n".join([header, *(to_json(event) for event in events)]) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))  # no time stamp: equal runs give equal files


def read(path: Path) -> Recorded:
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    made = json.loads(lines[0])
    if made.pop("recording", None) != FORMAT:
        raise LabError(f"{path.name} is not a recorded run of this lab: record it again")
    return Recorded(path.name.removesuffix(".jsonl.gz"), made, tuple(from_json(line) for line in lines[1:]))


def shelf(folder: Path) -> tuple[Recorded, ...]:
    """All recorded runs of a folder; those whose spec the catalogue no longer knows are left out."""
    found = (read(path) for path in sorted(folder.glob("*.jsonl.gz")))
    return tuple(recorded for recorded in found if _known(recorded))


def _known(recorded: Recorded) -> bool:
    try:
        return recorded.result.state == "finished" and bool(recorded.spec.fingerprint)
    except LabError:
        return False


def find(shelf: Sequence[Recorded], model: str, task: str, method: str) -> Recorded | None:
    return next((each for each in shelf if (each.spec.model, each.spec.task, each.spec.method.key) == (model, task, method)), None)
