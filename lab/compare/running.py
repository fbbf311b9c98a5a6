"""Running a comparison: seed by seed over all arms, so that one point of everything comes first; what has ended before is not run again.

    out/comparison.json         what was asked for, last
    out/result.json             `report`: arms, pairs, verdicts
    out/looks.json              the seeds behind each look at the verdicts
    out/runs/<fingerprint>/     spec.json, events.jsonl, result.json and adapter/ of each run, as of `train --out`
"""
from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from filelock import FileLock, Timeout

from lab.compare.comparison import Comparison
from lab.compare.report import ENDED, report
from lab.contracts import LabError, Task
from lab.events import Event, RunResult, fold, from_json, to_json
from lab.spec import RunSpec
from lab.supply import TaskData


@dataclass(frozen=True)
class Began:
    """A run of an arm begins; `number` counts from 1 to `of`."""

    name: ClassVar[str] = "began"
    arm: str
    seed: int
    number: int
    of: int


@dataclass(frozen=True)
class Happened:
    """An event of that run."""

    name: ClassVar[str] = "happened"
    arm: str
    seed: int
    event: Event


@dataclass(frozen=True)
class Ended:
    """A run is over, or was so already (`reused`)."""

    name: ClassVar[str] = "ended"
    arm: str
    seed: int
    number: int
    of: int
    result: RunResult
    reused: bool


@dataclass(frozen=True)
class Compared:
    """The last event. Its result is what lies in result.json."""

    name: ClassVar[str] = "compared"
    result: dict[str, Any]


Progress = Began | Happened | Ended | Compared


def compare(comparison: Comparison, workshop: Any, out: Path, *, cancelled: Callable[[], bool] = lambda: False,
            noting: Callable[[dict[str, Any]], None] = lambda found: None) -> Iterator[Progress]:
    """Run what is missing of a comparison and report. A run that failed in training stays with its reason; its folder taken away, it is run again.
    `noting` adds to the report what else is known, before it is written. Raises LabError where the folder cannot be written, or is another comparison's at
    the moment."""
    with _alone(out):
        _write(out / "comparison.json", comparison.to_dict())
        results = yield from _runs(comparison, workshop, out, cancelled)
        found = report(comparison, results, right_labels(comparison, workshop.data), looks_in(out))
        noting(found)
        if found["state"] == "running":
            found["state"] = "cancelled"
        _write(out / "result.json", found)
        if found["state"] == "finished":
            note_look(out, comparison.seeds)
        yield Compared(found)


def _runs(comparison: Comparison, workshop: Any, out: Path, cancelled: Callable[[], bool]) -> Generator[Progress, None, dict[str, RunResult]]:
    """Of a comparison that is stopped, what is there already is still taken in."""
    results: dict[str, RunResult] = {}
    stopped = False
    for number, ((name, seed), spec) in enumerate(comparison.runs.items(), 1):
        folder = out / "runs" / spec.fingerprint
        result = ended(folder)
        reused = result is not None
        if result is None:
            stopped = stopped or cancelled()
            if stopped:
                continue
            yield Began(name, seed, number, len(comparison.runs))
            events = []
            for event in _run(spec, workshop, folder, cancelled):
                events.append(event)
                yield Happened(name, seed, event)
            result = fold(events)
            stopped = result.state == "cancelled"
        results[spec.fingerprint] = result
        yield Ended(name, seed, number, len(comparison.runs), result, reused)
    return results


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """One comparison at a time in a folder: two would take each other's unfinished runs away."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with FileLock(out / "compare.lock", timeout=0):
            yield
    except Timeout:
        raise LabError(f"another comparison is running in {out}: wait for it, or give another folder") from None
    except OSError as error:
        raise LabError(f"cannot write {out}: {error.strerror}; give another folder") from None


def _run(spec: RunSpec, workshop: Any, folder: Path, cancelled: Callable[[], bool]) -> Iterator[Event]:
    from lab.engine import train

    if folder.exists():
        shutil.rmtree(folder)  # left by a run that was stopped
    _write(folder / "spec.json", spec.to_dict())
    events = []
    with (folder / "events.jsonl").open("w", encoding="utf-8") as file:
        for event in train(spec, workshop, out=folder, cancelled=cancelled):
            events.append(event)
            print(to_json(event), file=file, flush=True)
            yield event
    _write(folder / "result.json", fold(events).to_dict())  # last: a folder without it was left in the middle


def ended(folder: Path) -> RunResult | None:
    """The result of a run that ended here; None where it is to be run. What failed before it began, for want of its data for instance, is tried again."""
    if not (folder / "result.json").exists():
        return None
    try:
        result = fold(from_json(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError, TypeError, LabError):
        return None
    return result if result.state in ENDED and result.started is not None else None


def looks_in(out: Path) -> list[list[int]]:
    """The seeds behind each look at the verdicts of this folder."""
    try:
        return json.loads((out / "looks.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError):
        raise LabError(f"cannot read {out / 'looks.json'}, which says how often verdicts were read: give another folder, or delete it and say so") from None


def note_look(out: Path, seeds: Sequence[int]) -> None:
    looks = looks_in(out)
    if sorted(seeds) not in looks:
        _write(out / "looks.json", [*looks, sorted(seeds)])


def right_labels(comparison: Comparison, data: Callable[[Task], Generator[Any, None, TaskData]]) -> list[int] | None:
    """The right label of each test item, for the comparison of items; None where answers are written, or the data cannot be had. `data` is a workshop's
    or a supply's."""
    base = comparison.base_spec
    if base.goal.writes:
        return None
    asking = data(base.goal)
    try:
        while True:
            next(asking)
    except StopIteration as end:
        return [item.label for item in end.value.splits.test[:base.eval_items]]
    except LabError:
        return None  # then no run has begun either


def _write(path: Path, value: Any) -> None:
    """Whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise LabError(f"cannot write {path}: {error.strerror}; give another folder") from None
