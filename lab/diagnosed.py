"""What a diagnosis promises: a way in which a run goes wrong, found in its events, told by name with its numbers, and a run that is broken on purpose.

The same diagnoses speak of a museum's exhibit and of a student's own run.
"""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, ClassVar, Literal

from lab import catalogue
from lab.contracts import LabError
from lab.events import Evaluated, RunResult
from lab.spec import RunSpec

FEWEST = 50  # items behind a score that something is said about


class Diagnosis(ABC):
    """One way to go wrong. Nothing of it has a state."""

    key: ClassVar[str]
    title: ClassVar[str]  # its name: what is wrong, in few words
    about: ClassVar[str]  # what was done to the museum's run; what that shows is said by `found`
    knob: ClassVar[str] = ""
    shown: ClassVar[Literal["loss", "scores", "counts", "memory", "answers"]]  # where on the page it is to be seen
    broken: ClassVar[Mapping[str, Any]]  # the spec of the exhibit
    mistaken: ClassVar[tuple[str, str, str]]  # three others that one may take its exhibit for, and that do not fit it

    @classmethod
    @abstractmethod
    def found(cls, spec: RunSpec, result: RunResult) -> str | None:
        """What is wrong, with the numbers of this run; None where it is not so, or cannot be told."""

    @classmethod
    @abstractmethod
    def against(cls, spec: RunSpec, result: RunResult) -> str:
        """What in a finished run speaks against this name, with its numbers; asked only where it was not found."""

    @classmethod
    @abstractmethod
    def advice(cls, spec: RunSpec) -> str:
        """What to change."""


@dataclass(frozen=True)
class Found:
    key: str
    title: str
    says: str
    advice: str
    knob: str
    shown: str


def diagnose(result: RunResult) -> tuple[Found, ...]:
    """All that is wrong with a run that has ended; nothing for one that goes on, or whose settings the catalogue no longer knows."""
    if result.state not in ("finished", "failed") or result.started is None:
        return ()
    try:
        spec = RunSpec.parse(result.started.spec)
        spec.base, spec.goal  # noqa: B018  an uploaded set may be gone
    except LabError:
        return ()
    return tuple(_found(spec, result))


def _found(spec: RunSpec, result: RunResult) -> Iterator[Found]:
    for each in catalogue.entries("diagnoses").values():
        says = each.found(spec, result)
        if says:
            yield Found(each.key, each.title, says, each.advice(spec), each.knob, each.shown)


# ── what several look at ──────────────────────────────────────────────────────────────────────────────────────────────


def losses(result: RunResult, part: float = 0.2) -> tuple[float, float] | None:
    """Mean loss of the first and of the last steps; None for fewer than ten, or where one is no number."""
    known = [loss for _, loss in result.losses]
    if len(known) < 10 or None in known:
        return None
    few = max(2, int(part * len(known)))
    return fmean(known[:few]), fmean(known[-few:])


def above(result: RunResult, who: str) -> float | None:
    """By how many standard errors the trained model scores above `who`; None where one of them has no score."""
    one, other = result.scores.get("tuned"), result.scores.get(who)
    if one is None or other is None or one.score is None or one.items < FEWEST:
        return None
    error = (one.standard_error ** 2 + (other.standard_error if who != "majority" else 0.0) ** 2) ** 0.5
    return (one.score - other.score) / max(error, 1e-9)


def looked(result: RunResult) -> Evaluated | None:
    """The last score on validation texts, which are asked in the wording that is learned with."""
    return next((seen for seen in reversed(result.evaluations) if seen.split == "validation"), None)


def learned(result: RunResult) -> bool:
    """Whether the last look at validation texts is clearly above the commonest label: then the training did not fail, whatever came after it."""
    last, majority = looked(result), result.scores.get("majority")
    return last is not None and majority is not None and last.score - majority.score > 3 * max(last.standard_error, 0.02)


def rate(spec: RunSpec) -> Any:
    """The learning rates with which the method was seen to learn on such a model: default, low and high."""
    return spec.method.rates[spec.shape.kind]
