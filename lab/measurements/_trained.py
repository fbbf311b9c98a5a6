"""Runs that a measurement trains for itself, and what is known of a quantity over their seeds."""
from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.compare.paired import FEWEST, judged
from lab.contracts import LabError
from lab.events import RunResult, fold
from lab.measurement import Progress
from lab.spec import RunSpec

NORMAL = 1.96


def trained(specs: Mapping[str, RunSpec], workshop: Any, home: Path, of: int) -> Generator[Progress, None, dict[str, RunResult]]:
    """Each in the folder of its name; yields how many are done, of `of`, also while one goes on, so that it can be stopped. Raises LabError where one
    fails."""
    from lab.engine import train

    found: dict[str, RunResult] = {}
    for name, spec in specs.items():
        events = []
        for event in train(spec, workshop, out=home / name):
            events.append(event)
            yield len(found), of
        found[name] = fold(events)
        if found[name].state != "finished":
            raise LabError(f"{spec.method.title} on {spec.task}: {found[name].reason}")
    return found


def asked(events: Iterator[Any], lens: str) -> Any:
    """What a question or a look saw. Raises LabError where it fails."""
    result = fold(events)
    if result.state != "finished":
        raise LabError(result.reason)
    return result.seen(lens)


def over_seeds(values: Sequence[float]) -> list[float]:
    """Mean and standard error, widened so far that 1.96 of it reach as far as a t over so few seeds does; of one seed nothing is known of the spread."""
    mean = sum(values) / len(values)
    gap = judged([values])[0]
    return [mean, (gap.high - gap.low) / 2 / NORMAL if len(values) >= FEWEST else 0.0]


def last(generator: Generator[Any, None, Any], told: Callable[[], None] = lambda: None) -> Any:
    """What a generator returns."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value
