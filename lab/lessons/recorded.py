"""What comes recorded with the lab of a lesson's runs, comparisons and measurements."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lab import comparing, measuring, recording
from lab.compare.comparison import Comparison
from lab.events import RunResult
from lab.lessons.known import Known
from lab.lessons.lesson import Lesson
from lab.measurement import named
from lab.spec import RunSpec


def known(lesson: Lesson, assets: Path) -> Known:
    """As far as it was recorded: `assets` has the folders recorded, comparisons and measurements."""
    runs = {spec.fingerprint: found for spec in lesson.runs.values() if (found := run(spec, assets)) is not None}
    for comparison in lesson.comparisons.values():
        runs |= whole(comparison, comparing.results(comparison, assets / "comparisons"))
    return Known(lesson, runs, dict(measured(lesson, measuring.recorded(assets / "measurements"))))


def whole(comparison: Comparison, found: Mapping[str, RunResult]) -> dict[str, RunResult]:
    """Those of arms whose seeds are all there: what some of its seeds say is not what the question was planned to be answered with."""
    arms: dict[str, list[str]] = {}
    for (arm, _), spec in comparison.runs.items():
        arms.setdefault(arm, []).append(spec.fingerprint)
    return {each: found[each] for seeds in arms.values() if all(seed in found for seed in seeds) for each in seeds}


def run(spec: RunSpec, assets: Path) -> RunResult | None:
    found = find(spec, assets)
    return found.result if found else None


def find(spec: RunSpec, assets: Path) -> recording.Recorded | None:
    """Among the recorded runs, or those of a comparison."""
    for path in (assets / "recorded").glob(f"*_{spec.fingerprint[:8]}.jsonl.gz"):
        found = recording.read(path)
        if found.result.started is not None and found.result.started.fingerprint == spec.fingerprint:
            return found
    path = comparing.path_of(spec, assets / "comparisons")
    return recording.read(path) if path.exists() else None


def measured(lesson: Lesson, known: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(the lesson's own name, {quantity: [value, standard error]})."""
    for name, asked in lesson.matter.measurements.items():
        found = known.get(named(asked.name, asked.knobs))
        if found is not None:
            yield name, found["values"]
