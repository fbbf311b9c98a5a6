"""Five rules by which a run can contradict a claim: above, below, within noise, order, equal. No other language, nothing is evaluated."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from lab.compare.paired import FEWEST
from lab.lessons.known import NORMAL, Known, Sample
from lab.lessons.lesson import Claim
from lab.lessons.measures import said

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


def contradicted_if(claim: Claim) -> str:
    """The rule in words."""
    match claim.rule:
        case "above" | "below":
            other = f"that of {claim.than}" if isinstance(claim.than, str) else f"{claim.than:g}"
            return f"Contradicted if it is {'below' if claim.rule == 'above' else 'above'} {other} by more than the noise of these runs."
        case "within noise":
            return f"Contradicted if {claim.pair[0]} and {claim.pair[1]} differ by more than the noise of these runs."
        case "order":
            return "Contradicted if any neighbours in this order come out the other way round by more than the noise of these runs."
        case _:
            return f"Contradicted if it differs by more than {claim.tolerance:g}."


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
    limit = f"{said(other.mean, value.unit)}" if arm else said(float(claim.than), value.unit)
    told = f"{said(value.mean, value.unit)} against {limit}"
    if found.low is None or (arm and not apart.exact and len(apart.values) < FEWEST):
        return Outcome(CANNOT_TELL, f"{told}, but {_seeds(apart)} cannot tell: it takes {FEWEST} at least.")
    spread = "" if apart.exact else f" (difference {said(found.low, value.unit)} to {said(found.high, value.unit)}{_over(apart)})"
    if (found.low if sign > 0 else -found.high) > 0:
        return Outcome(HOLDS, f"{told}{spread}.")
    if (found.high if sign > 0 else -found.low) < 0:
        return Outcome(CONTRADICTED, f"{told}{spread}.")
    if apart.exact:
        return Outcome(CONTRADICTED, f"{told}: they are equal.")
    return Outcome(CANNOT_TELL, f"{told}{spread}: the interval has 0 in it.")


def _noise(claim: Claim, known: Known) -> Outcome:
    one, other = (known.sample(claim.measure, arm) for arm in claim.pair)
    if not one or not other:
        return Outcome(MISSING, "This has not been run yet.")
    apart = one.against(other)
    gap = apart.gap()
    told = f"{said(one.mean, one.unit)} and {said(other.mean, one.unit)}"
    if gap is None:
        return Outcome(CANNOT_TELL, f"{told}, but {_seeds(apart)} cannot tell: it takes {FEWEST} at least.")
    spread = f"(difference {said(gap.low, one.unit)} to {said(gap.high, one.unit)}{_over(apart)})"
    if gap.told:
        return Outcome(CONTRADICTED, f"{told} {spread}: 0 is not in it.")
    return Outcome(HOLDS, f"{told} {spread}: a gap within this interval cannot be told from none.")


def _order(claim: Claim, known: Known) -> Outcome:
    samples = [known.sample(claim.measure, arm) for arm in claim.arms]
    if not all(samples):
        return Outcome(MISSING, "This has not been run yet.")
    told = ", ".join(f"{arm.rpartition('/')[2]} {said(sample.mean, sample.unit)}" for arm, sample in zip(claim.arms, samples, strict=True))
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
    told = f"{said(value.mean, value.unit)} against {said(other.mean if arm else float(claim.than), value.unit)}"
    if abs(found.middle) <= claim.tolerance:
        return Outcome(HOLDS, f"{told}.")
    if found.low is not None and (found.low > claim.tolerance or found.high < -claim.tolerance):
        return Outcome(CONTRADICTED, f"{told}.")
    return Outcome(CANNOT_TELL, f"{told}: within the noise of these runs.")


def _seeds(sample: Sample) -> str:
    return "one seed" if len(sample.values) == 1 else f"{len(sample.values)} seeds"


def _over(sample: Sample) -> str:
    return f", over {len(sample.values)} seeds" if len(sample.values) > 1 else ", over its items"


RULES: dict[str, Callable[[Claim, Known], Outcome]] = {"above": _sided, "below": _sided, "within noise": _noise, "order": _order, "equal": _equal}
