"""Five rules by which a run can contradict a claim: above, below, within noise, order, equal. No other language, nothing is evaluated."""
from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lab import catalogue
from lab.compare.paired import FEWEST
from lab.lessons.known import NORMAL, Known, Sample
from lab.lessons.lesson import Claim, Lesson
from lab.lessons.measures import find, limit, said, span

NUMBER = re.compile(r"[\d.,]+")
HOLDS, CONTRADICTED, CANNOT_TELL, MISSING = "holds", "contradicted", "cannot tell", "not run"


@dataclass(frozen=True)
class Outcome:
    """What the runs say of a claim, in one sentence with their numbers."""

    verdict: str
    says: str


@dataclass(frozen=True)
class Bounds:
    """An interval of 95 %; None where there is too little to give one."""

    middle: float
    low: float | None
    high: float | None


def outcome(claim: Claim, known: Known) -> Outcome:
    return RULES[claim.rule](claim, known)


def contradicted_if(claim: Claim, lesson: Lesson) -> str:
    """The rule in words, with the names of what is held against each other."""
    noise = " by more than the noise of these runs"
    match claim.rule:
        case "above" | "below":
            other = "below" if claim.rule == "above" else "above"
            exact = claim.value.of not in lesson.matter.measurements and find(claim.value.measure).exact
            return f"Contradicted if {_quantity(claim, lesson)} is {f'not {claim.rule}' if exact else other} {_limit(claim, lesson)}{'' if exact else noise}."
        case "within noise":
            one, other = names(lesson, claim.pair)
            return f"Contradicted if {one} and {other} differ in “{about(lesson, claim.measure, claim.pair[0])}”{noise}."
        case "order":
            arms = names(lesson, claim.arms)
            listed = ("; " if any("," in arm for arm in arms) else ", ").join(arms)
            return (f"The order of “{about(lesson, claim.measure, claim.arms[0])}”, the largest first: {listed}. Contradicted if two neighbours come out the "
                    f"other way round{noise}.")
        case _:
            apart = f"differs from {_limit(claim, lesson)} by more than {limit(claim.tolerance, _unit(claim, lesson))}" if claim.tolerance else \
                f"is not exactly {_limit(claim, lesson)}"
            return f"Contradicted if {_quantity(claim, lesson)} {apart}."


def _quantity(claim: Claim, lesson: Lesson) -> str:
    """“score on the test items after training” of LoRA"""
    asked = claim.value
    of = _named(claim, lesson)[asked.of]
    quoted = f"“{about(lesson, asked.measure, asked.of)}”"
    if asked.less:
        return f"{quoted}{f' of {of}' if of else ''}, less that of {_named(claim, lesson)[asked.less]},"
    return f"{quoted}{f' of {of}' if of else ''}"


def _limit(claim: Claim, lesson: Lesson) -> str:
    """that of Head alone; 0.67 times that of full fine-tuning; 181 MB"""
    if isinstance(claim.than, str):
        return f"that of {_named(claim, lesson)[claim.than]}"
    amount = limit(float(claim.than), _unit(claim, lesson))
    if not claim.value.per:
        return amount
    return f"{'' if claim.than == 1 else f'{amount} '}that of {_named(claim, lesson)[claim.value.per]}"


def _unit(claim: Claim, lesson: Lesson) -> str:
    return "times" if claim.value.per else lesson.unit(claim.value.measure, claim.value.of)


def about(lesson: Lesson, measure: str, reference: str) -> str:
    """What a number is of, in words: score on the test items after training."""
    if reference in lesson.matter.measurements:
        return catalogue.find("measurements", lesson.matter.measurements[reference].name).gives[measure].about
    return find(measure).about


def _named(claim: Claim, lesson: Lesson) -> dict[str, str]:
    """The names of all that a claim with a value speaks of."""
    there = [each for each in (claim.value.of, claim.value.per, claim.value.less, claim.than) if isinstance(each, str)]
    return dict(zip(there, names(lesson, there), strict=True))


def names(lesson: Lesson, references: Sequence[str]) -> list[str]:
    """An arm by its name alone, a run by its method's; of equal names, and of bare numbers, each with what it belongs to. A measurement has none: what it
    gives says what it is of."""
    short = [_name(lesson, each) for each in references]
    return [_whole_name(lesson, each) if NUMBER.fullmatch(name) or (short.count(name) > 1 and references.count(each) == 1) else
            f"“{name}”" if name[:1].islower() else name for each, name in zip(references, short, strict=True)]


def _name(lesson: Lesson, reference: str) -> str:
    comparison, arm = lesson.arm(reference)
    return arm if comparison else "" if reference in lesson.matter.measurements else lesson.runs[reference].method.title


def _whole_name(lesson: Lesson, reference: str) -> str:
    comparison, arm = lesson.arm(reference)
    return f"{arm} (“{lesson.comparisons[comparison].title}”)" if comparison else f"“{arm.replace('-', ' ')}”"


def bounds(sample: Sample) -> Bounds:
    """Over three seeds or more by a t, of one run by its items; two seeds, or one without an error, give no interval."""
    if sample.exact:
        return Bounds(sample.mean, sample.mean, sample.mean)
    gap = sample.gap()
    if gap is not None:
        return Bounds(gap.difference, gap.low, gap.high)
    if len(sample.values) == 1 and sample.error:
        return Bounds(sample.mean, sample.mean - NORMAL * sample.error, sample.mean + NORMAL * sample.error)
    return Bounds(sample.mean, None, None)


def _sided(claim: Claim, known: Known) -> Outcome:
    """above and below."""
    sign = 1 if claim.rule == "above" else -1
    value = known.asked(claim.value)
    arm = isinstance(claim.than, str)
    other = known.sample(claim.value.measure, claim.than) if arm else float(claim.than)
    if not value or (arm and not other):
        return Outcome(MISSING, "This has not been run yet.")
    apart = value.against(other)
    found = bounds(apart)
    told = _told(claim, known.lesson, value, other)
    if found.low is None or (arm and not apart.exact and len(apart.values) < FEWEST):
        return Outcome(CANNOT_TELL, f"{told}, but {_seeds(apart)} cannot tell: at least {FEWEST} are needed.")
    spread = "" if apart.exact else f" (difference {span(found.low, found.high, value.unit)}{_over(apart)})"
    if (found.low if sign > 0 else -found.high) > 0:
        return Outcome(HOLDS, f"{told}{spread}.{_stricter(claim, known)}")
    if (found.high if sign > 0 else -found.low) < 0:
        return Outcome(CONTRADICTED, f"{told}{spread}.{_stricter(claim, known)}")
    if apart.exact:
        return Outcome(CONTRADICTED, f"{told}: they are equal.")
    return Outcome(CANNOT_TELL, f"{told}{spread}: the interval has 0 in it.")


def _stricter(claim: Claim, known: Known) -> str:
    """Where the verdicts of the comparison leave open what the claim, one question that was chosen beforehand, can tell."""
    if not isinstance(claim.than, str) or claim.value.per or claim.value.less:
        return ""
    together = known.together(claim.value.measure, claim.value.of, claim.than)
    if together is None or together[0].told:
        return ""
    return f" This is one question, asked by itself. Among all {together[1]} pairs at once it would not be told: the more one asks, the easier one is fooled."


def _noise(claim: Claim, known: Known) -> Outcome:
    one, other = (known.sample(claim.measure, arm) for arm in claim.pair)
    if not one or not other:
        return Outcome(MISSING, "This has not been run yet.")
    apart = one.against(other)
    gap = apart.gap()
    told = " and ".join(f"{name} {said(each.mean, one.unit)}" for name, each in zip(names(known.lesson, claim.pair), (one, other), strict=True))
    if gap is None:
        return Outcome(CANNOT_TELL, f"{told}, but {_seeds(apart)} cannot tell: at least {FEWEST} are needed.")
    spread = f"(difference {span(gap.low, gap.high, one.unit)}{_over(apart)})"
    if gap.told:
        return Outcome(CONTRADICTED, f"{told} {spread}: 0 is not in it.")
    return Outcome(HOLDS, f"{told} {spread}: a gap within this interval cannot be told from none.")


def _order(claim: Claim, known: Known) -> Outcome:
    samples = [known.sample(claim.measure, arm) for arm in claim.arms]
    if not all(samples):
        return Outcome(MISSING, "This has not been run yet.")
    told = ", ".join(f"{name} {said(sample.mean, sample.unit)}" for name, sample in zip(names(known.lesson, claim.arms), samples, strict=True))
    steps = [bounds(one.against(other)) for one, other in pairwise(samples)]
    if any(step.high is not None and step.high < 0 for step in steps):
        return Outcome(CONTRADICTED, f"{told}: not in this order.")
    if all(step.low is not None and step.low > 0 for step in steps):
        return Outcome(HOLDS, f"{told}.")
    return Outcome(CANNOT_TELL, f"{told}: not every step can be told from noise.")


def _equal(claim: Claim, known: Known) -> Outcome:
    value = known.asked(claim.value)
    arm = isinstance(claim.than, str)
    other = known.sample(claim.value.measure, claim.than) if arm else float(claim.than)
    if not value or (arm and not other):
        return Outcome(MISSING, "This has not been run yet.")
    found = bounds(value.against(other))
    told = _told(claim, known.lesson, value, other)
    if abs(found.middle) <= claim.tolerance:
        return Outcome(HOLDS, f"{told}.")
    if found.low is not None and (found.low > claim.tolerance or found.high < -claim.tolerance):
        return Outcome(CONTRADICTED, f"{told}.")
    return Outcome(CANNOT_TELL, f"{told}: within the noise of these runs.")


def _told(claim: Claim, lesson: Lesson, value: Sample, other: Sample | float) -> str:
    """LoRA 0.842 against Head alone 0.765; of a number to be passed only what came out has a name."""
    called = _named(claim, lesson)
    mine = f"{called[claim.value.of]} {said(value.mean, value.unit)}".strip()
    if isinstance(other, Sample):
        return f"{mine} against {called[claim.than]} {said(other.mean, value.unit)}"
    of = f" that of {called[claim.value.per]}," if claim.value.per and called[claim.value.per] else ""
    return f"{mine}{of} against {limit(other, value.unit).removesuffix(' times')}"


def _seeds(sample: Sample) -> str:
    return "one seed" if len(sample.values) == 1 else f"{len(sample.values)} seeds"


def _over(sample: Sample) -> str:
    return f", over {len(sample.values)} seeds" if len(sample.values) > 1 else ", over its items"


RULES: dict[str, Callable[[Claim, Known], Outcome]] = {"above": _sided, "below": _sided, "within noise": _noise, "order": _order, "equal": _equal}
