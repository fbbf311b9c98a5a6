"""Comparisons that come with the lab: questions as files, and the runs that answer them, one file a run, read through the same fold as a live one.

    python -m lab.comparing [KEY …] [--seconds N]    runs what is missing of these questions, or of all, seed by seed
"""
from __future__ import annotations

import argparse
import os
import sys
import time
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

from lab.compare.comparison import Comparison
from lab.contracts import LabError
from lab.events import Event, Failed, Finished, Observed, RunResult, Started
from lab.recording import provenance, read, write
from lab.spec import RunSpec
from lab.waiting import spin_briefly

KEPT = ("memory", "answers", "general_text", "read", "transfer", "one_text")  # of what was observed; lenses have runs of their own


def questions(folder: Path) -> dict[str, Comparison]:
    """Comparisons that are ready to be run, by their file's name."""
    return {path.stem: Comparison.read(path) for path in sorted(folder.glob("*.json"))}


def results(comparison: Comparison, folder: Path) -> dict[str, RunResult]:
    """What was recorded of its runs, by fingerprint, as far as it was; runs that several questions share are recorded once."""
    found = {}
    for spec in comparison.runs.values():
        path = path_of(spec, folder)
        if path.exists():
            found[spec.fingerprint] = read(path).result
    return found


@dataclass(frozen=True)
class Kept:
    """A recorded run, and where and how it was made."""

    made: Mapping[str, Any]
    result: RunResult


class Shelf:
    """Ready questions and what was recorded of their runs; a file is read when somebody first asks for its run. One that cannot be read is as good as none."""

    def __init__(self, *folders: Path, most: int = 640) -> None:
        """Of questions with one name in several folders the last folder's counts."""
        self.folders, self._most = folders, most
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._lock = Lock()
        self._files: tuple[tuple[Path, int], ...] = ()
        self._questions: dict[str, Comparison] = {}
        self.broken: dict[str, str] = {}

    @property
    def questions(self) -> dict[str, Comparison]:
        """Read again where a file has changed. One that is no comparison is left out, and told in `broken`."""
        files = tuple((path, path.stat().st_mtime_ns) for folder in self.folders for path in sorted(folder.glob("*.json")))
        with self._lock:
            if files != self._files:
                self._files, self._questions, self.broken = files, {}, {}
                for path, _ in files:
                    try:
                        self._questions[path.stem] = Comparison.read(path)
                    except LabError as error:
                        self.broken[path.name] = str(error)
            return self._questions

    def of(self, spec: RunSpec) -> Kept | None:
        """The recorded run of these very settings."""
        with self._lock:
            found = self._kept.get(spec.fingerprint) or self._read(spec)
            if found is not None:
                while len(self._kept) >= self._most:
                    self._kept.popitem(last=False)
                self._kept[spec.fingerprint] = found
            return found

    def _read(self, spec: RunSpec) -> Kept | None:
        path = self._path(spec)
        if path is None:
            return None
        try:
            recorded = read(path)
            result = recorded.result
        except (LabError, OSError, EOFError, ValueError, TypeError, zlib.error):
            return None
        if result.state not in ("finished", "failed") or result.started is None or result.started.fingerprint != spec.fingerprint:
            return None
        return Kept(recorded.made, replace(result, observed=tuple(seen for seen in result.observed if seen.lens in KEPT)))

    def recorded(self, comparison: Comparison) -> int:
        """How many of its runs lie here; equal ones count once."""
        return sum(self._path(spec) is not None for spec in {spec.fingerprint: spec for spec in comparison.runs.values()}.values())

    def _path(self, spec: RunSpec) -> Path | None:
        return next((path for folder in self.folders if (path := path_of(spec, folder)).exists()), None)


# ── making ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def record(specs: Iterable[RunSpec], workshop: object, folder: Path, seconds: float = float("inf")) -> int:
    """Run what is missing, and begin nothing new after so many seconds; returns how many were recorded. One that fails in training is recorded with its
    reason, and one that could not begin is told."""
    from lab.engine import train

    ends, count = time.monotonic() + seconds, 0
    for spec in specs:
        path = path_of(spec, folder)
        if path.exists():
            continue
        if time.monotonic() > ends:
            return count
        with TemporaryDirectory() as out:  # what is saved is weighed, and not kept
            events = list(train(spec, workshop, out=Path(out)))
        told = f"{spec.model}, {spec.task}, {spec.method.title}, seed {spec.seed}"
        end = events[-1]
        if not _tells(events):
            print(f"{told}: {end.name}, {getattr(end, 'reason', '')}; not recorded", file=sys.stderr)
            continue
        write(path, provenance("python -m lab.comparing"), _slim(events))
        count += 1
        print(f"{told}: recorded{'' if isinstance(end, Finished) else f', as one that failed: {end.reason}'}", file=sys.stderr, flush=True)
    return count


def _tells(events: Sequence[Event]) -> bool:
    """Whether this is what comes of these settings: one of its knobs made it fail, and not that something was missing here, or that it was stopped."""
    return isinstance(events[-1], Finished) or (isinstance(events[-1], Failed) and bool(events[-1].knob) and any(isinstance(each, Started) for each in events))


def _slim(events: Iterable[Event]) -> Iterator[Event]:
    return (event for event in events if not isinstance(event, Observed) or event.lens in KEPT)


def path_of(spec: RunSpec, folder: Path) -> Path:
    return folder / "runs" / f"{spec.model}_{spec.task}_{spec.method.key}_{spec.fingerprint[:12]}.jsonl.gz"


def _of_lessons(lessons: Path, folder: Path) -> list[RunSpec]:
    """Their runs that are not among the recorded ones."""
    from lab.lessons import lessons as read_lessons
    from lab.lessons import recorded

    specs = {spec.fingerprint: spec for lesson in read_lessons([lessons], folder).values() for spec in lesson.runs.values()}
    return sorted((spec for spec in specs.values() if recorded.run(spec, folder.parent) is None), key=lambda spec: spec.counts.total)


def main() -> int:
    spin_briefly(os.environ)
    from lab.engine import Workshop
    from lab.supply import default_cache

    parser = argparse.ArgumentParser(prog="python -m lab.comparing", description="Run comparisons and keep the events of their runs.")
    parser.add_argument("keys", nargs="*", metavar="KEY", help="names of files of the folder; left out: all")
    parser.add_argument("--folder", type=Path, default=Path("assets/comparisons"))
    parser.add_argument("--lessons", type=Path, default=None, metavar="FOLDER", help="first the single runs of these lessons")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no new run after so long")
    options = parser.parse_args()
    try:
        known = questions(options.folder)
        unknown = next((key for key in options.keys if key not in known), None)
        if unknown is not None:
            raise LabError(f'unknown comparison "{unknown}": there are {", ".join(known)}')
        specs = [spec for key in options.keys or known for spec in known[key].runs.values()]
        first = _of_lessons(options.lessons, options.folder) if options.lessons else []
        record([*first, *specs], Workshop(default_cache(), comparable=True), options.folder, options.seconds)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
