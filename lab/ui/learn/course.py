"""Lessons with what is known of their runs: what was recorded, and what this student has run."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from lab import measuring
from lab.contracts import LabError, shorten
from lab.events import RunResult
from lab.lessons import Lesson
from lab.lessons.known import Known
from lab.lessons.lesson import Place
from lab.lessons.recorded import find as recorded_run
from lab.lessons.recorded import known as recorded
from lab.lessons.recorded import whole
from lab.measurement import MEASURED, Measuring, named
from lab.spec import RunSpec
from lab.ui.bench import Bench
from lab.ui.compare.sources import machine

KEPT = 8  # lessons whose recorded runs stay read
KEPT_RUNS = 200  # of students, for whom a lesson shows a comparison that they have run


class Course:
    """What questions about lessons are answered from."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.lessons, self.assets = bench, bench.lessons, bench.assets
        self._recorded = lru_cache(KEPT)(self._read)
        self._made = lru_cache(KEPT_RUNS)(self._read_made)
        self._result = lru_cache(KEPT_RUNS)(self.bench.store.result)  # of runs that have finished: they change no more
        self.measured = measuring.recorded(self.assets / "measurements") if self.assets else {}

    def find(self, key: Any) -> Lesson:
        """Raises LabError for a lesson that there is not."""
        if key not in self.lessons:
            raise LabError(f'there is no lesson "{shorten(key)}": open the map of lessons')
        return self.lessons[key]

    def place(self, lesson: Lesson, kind: str, name: Any) -> Place:
        """Where something stands in a lesson. Raises LabError."""
        found = next((place for step in lesson.steps for place in step.places if (place.kind, place.name) == (kind, name)), None)
        if found is None:
            raise LabError(f'{lesson.key} has no {kind} "{shorten(name)}"')
        return found

    def known(self, lesson: Lesson, live: Any, owner: str) -> Known:
        """`live` is {name of a run: id}; a run that has not finished, or is of another spec, counts for nothing. Of a comparison that was not recorded whole,
        the owner's own runs count as well."""
        found = self._recorded(lesson.key)
        runs = {**found.runs, **self._own(lesson, owner)}
        own: dict[str, Any] = {}
        for name, identity in (live.items() if isinstance(live, Mapping) else ()):
            if name in lesson.runs or name in lesson.matter.measurements:
                run = self.bench.store.run(str(identity))
                self.bench.check_reader(run, owner)
                if run.state != "finished":
                    continue
                if name in lesson.runs and run.fingerprint == lesson.runs[name].fingerprint:
                    runs[run.fingerprint] = self.bench.store.result(run.id)
                    own[name] = {}
                elif name in lesson.matter.measurements and run.fingerprint == measuring_of(lesson, name).fingerprint:
                    own[name] = self._result(run.id).seen(MEASURED)
        return Known(lesson, runs, {**found.measured, **{name: each["values"] for name, each in own.items() if each}}, own)

    def _read(self, key: str) -> Known:
        """What comes with the lab, and what its host has recorded."""
        lesson = self.lessons[key]
        found = recorded(lesson, self.assets)
        runs = dict(found.runs)
        for comparison in lesson.comparisons.values() if self.bench.ready else ():
            missing = [spec for spec in comparison.runs.values() if spec.fingerprint not in runs]
            kept = {spec.fingerprint: kept.result for spec in missing if (kept := self.bench.ready.of(spec)) is not None}
            runs |= whole(comparison, {**runs, **kept})
        return Known(lesson, runs, found.measured)

    def recorded(self, lesson: Lesson, fingerprint: str) -> bool:
        return fingerprint in self._recorded(lesson.key).runs

    def _own(self, lesson: Lesson, owner: str) -> dict[str, RunResult]:
        """Runs that this owner has made of comparisons here, arm by arm once all seeds are there."""
        if not owner:
            return {}
        known = self._recorded(lesson.key).runs
        missing = {spec.fingerprint for comparison in lesson.comparisons.values() for spec in comparison.runs.values()} - set(known)
        ids = {run.fingerprint: run.id for run in self.bench.store.finished(owner, missing)} if missing else {}
        made = {fingerprint: self._result(run) for fingerprint, run in ids.items()}
        there = {**known, **made}
        arms = (each for comparison in lesson.comparisons.values() for each in whole(comparison, there).items())
        return {fingerprint: result for fingerprint, result in arms if fingerprint in made}

    def made(self, lesson: Lesson, name: str) -> Mapping[str, Any] | None:
        """When and where a run that comes with the lab was recorded, and the `seconds` that it took; None of one that does not."""
        return self._made(lesson.key, name)

    def _read_made(self, key: str, name: str) -> Mapping[str, Any] | None:
        found = recorded_run(self.lessons[key].runs[name], self.assets)
        return {**found.made, "seconds": found.result.seconds.get("total")} if found else None

    def machines(self, specs: Iterable[RunSpec]) -> set[str]:
        """Those on which runs were made that a comparison shows: an equal run that was recorded by itself is not the one that it shows."""
        kept = [self.bench.ready.of(spec) if self.bench.ready else None for spec in specs]
        return {machine(each.made if each else None) for each in kept}

    def can_measure(self, lesson: Lesson, name: str) -> bool:
        """Whether it can be made here, by whoever looks at the lesson."""
        try:
            self.bench.check_measurement(measuring_of(lesson, name))
        except LabError:
            return False
        return True

    def measuring_seconds(self, lesson: Lesson, name: str) -> float | None:
        """What it takes: here, else where it was recorded; None where neither is known."""
        return self.measured_here(lesson, name) or (self.measurement(lesson, name) or {}).get("seconds")

    def measured_here(self, lesson: Lesson, name: str) -> float | None:
        """The seconds that it took on this machine; None where it was never measured here."""
        return self.bench.measuring_seconds(measuring_of(lesson, name))

    def measurement(self, lesson: Lesson, name: str) -> dict[str, Any] | None:
        asked = lesson.matter.measurements[name]
        return self.measured.get(named(asked.name, asked.knobs))


def measuring_of(lesson: Lesson, name: str) -> Measuring:
    """A lesson's measurement as a job."""
    asked = lesson.matter.measurements[name]
    return Measuring.parse({"measurement": asked.name, "knobs": dict(asked.knobs)})
