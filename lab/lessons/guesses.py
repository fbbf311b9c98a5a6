"""A prediction against what came out: what was true, how far the guess was off, and what is said to whoever made it."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from lab.contracts import LabError, shorten
from lab.lessons.claims import about, bounds
from lab.lessons.known import Known, Sample
from lab.lessons.lesson import Choice, Curve, Number, Option, Order
from lab.lessons.measures import said


@dataclass(frozen=True)
class Answer:
    """`truth` is a number, an option (from 1), arms in order, or points; `shown` says it in words. `near` is whether the guess was close or right."""

    truth: Any
    shown: str
    near: bool
    says: str


def answer(prediction: Number | Choice | Order | Curve, guess: Any, known: Known) -> Answer | None:
    """None as long as what was predicted has not been run. Raises LabError for a guess that does not fit."""
    kind = {Number: _number, Choice: _choice, Order: _order, Curve: _curve}[type(prediction)]
    return kind(prediction, guess, known)


def _number(asked: Number, guess: Any, known: Known) -> Answer | None:
    _finite(guess)
    found = known.asked(asked.truth)
    if not found:
        return None
    truth = found.mean
    near = abs(guess - truth) <= max(asked.within * abs(truth), found.error)
    return Answer(truth, said(truth, found.unit), near, asked.close if near else asked.too_low if guess < truth else asked.too_high)


def _choice(asked: Choice, guess: Any, known: Known) -> Answer | None:
    if not isinstance(guess, int) or isinstance(guess, bool) or not 1 <= guess <= len(asked.options):
        raise LabError(f"the answer is {shorten(guess)}: choose 1 to {len(asked.options)}")
    right, shown = asked.answer, ""
    if asked.truth is not None:
        found = known.asked(asked.truth)
        if not found:
            return None
        right = next((place for place, option in enumerate(asked.options, 1) if option.until is None or found.mean <= option.until), len(asked.options))
        shown = said(found.mean, found.unit)
        if not (asked.truth.per or asked.truth.less):
            shown += f", the {about(known.lesson, asked.truth.measure, asked.truth.of)}"
    elif asked.pair is not None:
        one, other = (known.sample("score", arm) for arm in asked.pair)
        if not one or not other:
            return None
        gap = one.against(other).gap()
        right = 3 if gap is None or not gap.told else 1 if gap.difference > 0 else 2
        shown = f"{said(one.mean, one.unit)} and {said(other.mean, other.unit)}"
    chosen: Option = asked.options[guess - 1]
    return Answer(right, shown or asked.options[right - 1].text, guess == right, chosen.says)


def _order(asked: Order, guess: Any, known: Known) -> Answer | None:
    if not isinstance(guess, list | tuple) or sorted(map(str, guess)) != sorted(asked.arms):
        raise LabError(f"the order is {shorten(guess)}: put each of {', '.join(asked.arms)} into it once")
    samples = {arm: known.sample(asked.measure, arm) for arm in asked.arms}
    if not all(samples.values()):
        return None
    truth = sorted(asked.arms, key=lambda arm: -samples[arm].mean)
    wrong = [(upper, lower) for place, upper in enumerate(guess) for lower in guess[place + 1:] if _ahead(asked.measure, lower, upper, samples, known)]
    shown = ", ".join(f"{arm.rpartition('/')[2]} {said(samples[arm].mean, samples[arm].unit)}" for arm in truth)
    return Answer(truth, shown, not wrong, asked.wrong if wrong else asked.right)


def _ahead(measure: str, one: str, other: str, samples: Mapping[str, Sample], known: Known) -> bool:
    """Whether the one is above the other by more than noise: as the verdicts of their comparison say it, which judge all its pairs at once."""
    together = known.together(measure, one, other)
    if together is not None:
        return together[0].told and together[0].difference > 0
    found = bounds(samples[one].against(samples[other]))
    return found.low is not None and found.low > 0


def _curve(asked: Curve, guess: Any, known: Known) -> Answer | None:
    arms = list(known.lesson.comparisons[asked.over].specs)
    if not isinstance(guess, list | tuple) or len(guess) != len(arms):
        raise LabError(f"the curve has {len(guess) if isinstance(guess, Sequence) else 'no'} points: give {len(arms)}, one for each of {', '.join(arms)}")
    for point in guess:
        _finite(point)
    samples = [known.sample(asked.measure, f"{asked.over}/{arm}") for arm in arms]
    if not all(samples):
        return None
    truth = [sample.mean for sample in samples]
    off = fmean(abs(one - other) for one, other in zip(guess, truth, strict=True))
    shown = ", ".join(f"{arm} {said(value, samples[0].unit)}" for arm, value in zip(arms, truth, strict=True))
    return Answer(truth, shown, off <= asked.within, asked.close if off <= asked.within else asked.apart)


def _finite(guess: Any) -> None:
    if not isinstance(guess, int | float) or isinstance(guess, bool) or guess - guess != 0:
        raise LabError(f"the guess is {shorten(guess)}: give a number")
