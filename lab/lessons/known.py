"""What is known of a lesson's runs and measurements, recorded or live, and the quantities read from it: over seeds, paired, with their spread."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from lab.compare import says
from lab.compare.paired import FEWEST, Gap, judged
from lab.events import RunResult
from lab.lessons import measures
from lab.lessons.lesson import Asked, Lesson
from lab.metrics import METRICS

NORMAL = 1.96


@dataclass(frozen=True)
class Sample:
    """A quantity by seed, each with its standard error over items. `exact` where a seed cannot change it."""

    unit: str
    exact: bool
    values: Mapping[int, tuple[float, float]]
    grain: float = 0.0  # the smallest step it can have

    def __bool__(self) -> bool:
        return bool(self.values)

    @property
    def mean(self) -> float:
        return fmean(value for value, _ in self.values.values())

    @property
    def error(self) -> float:
        """Standard error: over seeds where there are two, else over items."""
        each = list(self.values.values())
        return stdev(value for value, _ in each) / sqrt(len(each)) if len(each) > 1 else each[0][1]

    def against(self, other: Sample | float, ratio: bool = False) -> Sample:
        """The difference or the ratio, seed by seed; of different seeds that of the means."""
        theirs = other.values if isinstance(other, Sample) else dict.fromkeys(self.values, (other, 0.0))
        exact = self.exact and (not isinstance(other, Sample) or other.exact)
        both = [seed for seed in self.values if seed in theirs]
        unit = "times" if ratio else self.unit
        if not both and isinstance(other, Sample) and self and other:
            return Sample(unit, exact, {0: _put((self.mean, self.error), (other.mean, other.error), ratio)}, self.grain)
        return Sample(unit, exact, {seed: _put(self.values[seed], theirs[seed], ratio) for seed in both}, 0.0 if ratio else self.grain)

    def gap(self) -> Gap | None:
        """How far from 0 it is: an interval over three seeds or more, or over the items of a single run that is a quantity of its own; None where neither is
        there."""
        each = [value for value, _ in self.values.values()]
        if self.exact:
            return Gap(len(each), self.mean, 0.0, low=self.mean, high=self.mean, p=1.0 if self.mean == 0 else 0.0)
        return judged([each], grain=self.grain)[0] if len(each) >= FEWEST else None


def _put(mine: tuple[float, float], theirs: tuple[float, float], ratio: bool) -> tuple[float, float]:
    (a, sa), (b, sb) = mine, theirs
    if not ratio:
        return a - b, sqrt(sa * sa + sb * sb)
    if not b:
        return float("nan"), 0.0
    return a / b, abs(a / b) * sqrt((sa / a) ** 2 + (sb / b) ** 2) if a else 0.0


@dataclass(frozen=True)
class Known:
    """`runs` by fingerprint; `measured` by the name a lesson gives it: {quantity: [value, standard error]}."""

    lesson: Lesson
    runs: Mapping[str, RunResult] = field(default_factory=dict)
    measured: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by name what somebody ran, {}, or measured: {"values", "columns", "rows"}

    def asked(self, asked: Asked) -> Sample:
        found = self.sample(asked.measure, asked.of)
        if asked.per or asked.less:
            found = found.against(self.sample(asked.measure, asked.per or asked.less), ratio=bool(asked.per))
        return found

    def together(self, measure: str, one: str, other: str) -> tuple[Gap, int] | None:
        """The gap of two arms where all pairs of their comparison are judged at once, as its verdicts do it, and how many pairs those are; None where they
        share no comparison, where it has one pair, and where nothing is left to chance."""
        (comparison, _), (theirs, _) = self.lesson.arm(one), self.lesson.arm(other)
        if not comparison or comparison != theirs:
            return None
        samples = {arm: found for name in self.lesson.comparisons[comparison].specs if (found := self.sample(measure, arm := f"{comparison}/{name}"))}
        pairs = list(combinations(samples, 2))
        if len(pairs) < 2 or samples[one].exact:
            return None
        place, sign = (pairs.index((one, other)), 1) if (one, other) in pairs else (pairs.index((other, one)), -1)
        gaps = judged([[sign * value for value, _ in samples[a].against(samples[b]).values.values()] for a, b in pairs], grain=samples[one].grain)
        return gaps[place], len(pairs)

    def sample(self, measure: str, reference: str) -> Sample:
        """By seed, of the runs that have finished; empty where there is none."""
        unit = self.lesson.unit(measure, reference)
        if reference in self.lesson.matter.measurements:
            value = self.measured.get(reference, {}).get(measure)
            return Sample(unit, value is not None and not value[1], {0: (value[0], value[1])} if value is not None else {})
        wanted = measures.find(measure)
        specs = self.specs(reference)
        runs = {seed: self.runs[spec.fingerprint] for seed, spec in specs.items() if spec.fingerprint in self.runs}
        values = {seed: value for seed, run in runs.items() if run.state == "finished" and (value := wanted.read(run)) is not None}
        return Sample(unit, wanted.exact, values, _grain(runs.values()) if unit == "points" else 0.0)

    def specs(self, reference: str) -> dict[int, Any]:
        """{seed: spec} of a run or an arm."""
        comparison, arm = self.lesson.arm(reference)
        if comparison:
            return {seed: spec for (name, seed), spec in self.lesson.comparisons[comparison].runs.items() if name == arm}
        spec = self.lesson.runs[arm]
        return {spec.seed: spec}


def _grain(runs: Any) -> float:
    tuned = next((run.scores["tuned"] for run in runs if "tuned" in run.scores), None)
    return says.grain(tuned.metric, tuned.items) if tuned and tuned.metric in METRICS else 0.0
