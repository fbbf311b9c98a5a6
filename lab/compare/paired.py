"""Statistics of paired runs: is one arm better than another over seeds, and are two single runs apart on their items?

Over seeds: a paired t for each pair of arms; over all pairs Holm's step-down (Holm 1979), with intervals at the very level at which each pair was judged,
so that an interval leaves 0 out exactly where a difference is told. With the looks Bonferroni over those that were planned: by the union bound the
chance of a false "better" stays below 5 %, however many seeds come between two looks and whatever decides to add them. Looks beyond the plan get a quarter
of the one before: in all below 5 % + 1.7 % (Armitage et al. 1969: five looks at 5 % each make 14 %).
Within one pair of runs: McNemar's exact test on right and wrong, a paired bootstrap on other scores of items (Koehn 2004). It answers for these weights
on new items, never for the method: pooled over seeds it says "better" falsely in 10 to 54 % of null cases. There is one for each pair and seed, and Holm
over all of them.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt

ALPHA = 0.05  # chance of any false "better" in a comparison
POWER = 0.8
FEWEST = 3  # paired seeds behind a verdict
MOST_MORE = 200  # more seeds than that are not asked for
RESAMPLES = 10_000  # so that the least p, 2 in 10,001, can still be told among 200 tests
RESAMPLE_SEED = 0  # equal answers have an equal interval


@dataclass(frozen=True)
class Gap:
    """The mean difference of a pair over its seeds. `low`, `high` and `p` carry all corrections and agree: p is at most 0.05 where 0 is left out. The
    `alone` ones are those of an ordinary paired t."""

    seeds: int
    difference: float
    spread: float = 0.0  # standard deviation of the differences, never below what rounding to whole items does
    rounded: bool = False  # it would have been below
    strictness: float = ALPHA  # the p that was asked of this pair
    low: float | None = None
    high: float | None = None
    p: float | None = None
    alone_low: float | None = None
    alone_high: float | None = None
    alone_p: float | None = None

    @property
    def judged(self) -> bool:
        return self.p is not None

    @property
    def told(self) -> bool:
        return self.judged and self.p <= ALPHA


def alpha_of(look: int, planned: int = 1) -> float:
    """The chance of a false "better" that a look may spend; looks are counted from 1."""
    return ALPHA / planned / 4 ** max(0, look - planned)


def spent(looks: int, planned: int = 1) -> float:
    return sum(alpha_of(look, planned) for look in range(1, looks + 1))


def judged(pairs: Sequence[Sequence[float]], alpha: float = ALPHA, grain: float = 0.0) -> list[Gap]:
    """A gap for each list of paired differences, all pairs held to `alpha` together.

    `grain` is the smallest step of a score, such as one item of all: two scores rounded to it differ by chance with a standard deviation of
    grain / sqrt(6), and a smaller spread over seeds is taken for that.
    """
    import numpy
    from scipy import special

    gaps = [Gap(len(each), float(sum(each) / len(each)) if len(each) else 0.0) for each in pairs]
    tested = [place for place, each in enumerate(pairs) if len(each) >= FEWEST]
    if not tested:
        return gaps
    seeds = numpy.array([len(pairs[place]) for place in tested])
    means = numpy.array([gaps[place].difference for place in tested])
    found = numpy.array([sqrt(sum((value - gaps[place].difference) ** 2 for value in pairs[place]) / (len(pairs[place]) - 1)) for place in tested])
    spreads = numpy.maximum(found, max(grain / sqrt(6), 1e-12))
    errors = spreads / numpy.sqrt(seeds)
    p = 2 * special.stdtr(seeds - 1, -numpy.abs(means) / errors)
    adjusted, divisors = holm(p, alpha)
    reach, alone = (special.stdtrit(seeds - 1, 1 - level / 2) * errors for level in (alpha / numpy.array(divisors), ALPHA))
    for row, place in enumerate(tested):
        mean = gaps[place].difference
        gaps[place] = Gap(int(seeds[row]), mean, float(spreads[row]), bool(found[row] < spreads[row]), float(alpha / divisors[row]),
                          mean - float(reach[row]), mean + float(reach[row]), min(1.0, adjusted[row] * ALPHA / alpha),
                          mean - float(alone[row]), mean + float(alone[row]), float(p[row]))
    return gaps


def holm(p: Sequence[float], alpha: float = ALPHA) -> tuple[list[float], list[int]]:
    """Holm's adjusted p of each test, and the number by which `alpha` was divided for it: of those that are told their own step's, of all others that of
    the step at which the testing stopped."""
    order = sorted(range(len(p)), key=lambda place: p[place])
    adjusted, divisors, running, stopped = [1.0] * len(p), [1] * len(p), 0.0, 0
    for step, place in enumerate(order):
        divisor = len(p) - step
        running = max(running, min(1.0, divisor * float(p[place])))
        if not stopped and running > alpha:
            stopped = divisor
        adjusted[place], divisors[place] = running, stopped or divisor
    return adjusted, divisors


def more_seeds(gap: Gap, strictness: float) -> int | None:
    """About how many seeds must be added for 80 % power, if the gap and its spread are as they were seen; None where MOST_MORE would not do.
    `strictness` is the p that will be asked for."""
    wanted = needed(abs(gap.difference) / gap.spread if gap.spread > 0 else 0.0, strictness, max(FEWEST, gap.seeds + 1), gap.seeds + MOST_MORE)
    return None if wanted is None else wanted - gap.seeds


def more_items(gap: Gap, strictness: float) -> int | None:
    """As `more_seeds`, of test items: there are so many that the normal distribution does. None where there is no gap."""
    from scipy import special

    if not gap.difference:
        return None
    reach = (float(special.ndtri(1 - strictness / 2)) + float(special.ndtri(POWER))) * gap.spread / abs(gap.difference)
    return max(1, ceil(reach**2) - gap.seeds)


def needed(effect: float, strictness: float, fewest: int = FEWEST, most: int = FEWEST + MOST_MORE) -> int | None:
    """The fewest pairs with which a paired t finds a mean of `effect` standard deviations four times in five; None if more than `most`."""
    from scipy import special

    def enough(pairs: int) -> bool:
        bar, away = float(special.stdtrit(pairs - 1, 1 - strictness / 2)), effect * sqrt(pairs)
        power = 1 - float(special.nctdtr(pairs - 1, away, bar))  # that the wrong side is told has no weight here
        return power >= POWER if power == power else away > bar  # not counted where it is 1 to all digits

    if effect <= 0 or not enough(most):
        return None
    low, high = fewest, most  # power grows with the pairs
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


# ── within one pair of runs ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class OnItems:
    """Two runs on the same items. `difference` is the mean over items, the first minus the second."""

    test: str
    items: int
    only_a: int  # items that only the first has right, or does better
    only_b: int
    difference: float
    low: float
    high: float
    p: float


def mcnemar(a: Sequence[bool], b: Sequence[bool]) -> OnItems:
    """McNemar's exact test: of the items that only one has right, is it as often the one as the other? The interval is Wald's with half an item added on
    either side (Agresti and Min 2005)."""
    from scipy import special

    _checked(a, b)
    items = len(a)
    only_a, only_b = (sum(bool(x) and not y for x, y in zip(one, other, strict=True)) for one, other in ((a, b), (b, a)))
    apart = only_a + only_b
    p = min(1.0, 2 * float(special.bdtr(min(only_a, only_b), apart, 0.5))) if apart else 1.0
    x, y, n = only_a + 0.5, only_b + 0.5, items + 2
    middle, reach = (x - y) / n, 1.959964 * sqrt(x + y - (x - y) ** 2 / n) / n
    return OnItems("McNemar, exact", items, only_a, only_b, (only_a - only_b) / items, middle - reach, middle + reach, p)


def bootstrap(a: Sequence[float], b: Sequence[float]) -> OnItems:
    """Items drawn again with replacement, both runs' scores of an item together; the p is two-sided and never 0."""
    import numpy

    _checked(a, b)
    apart = numpy.asarray(a, float) - numpy.asarray(b, float)
    random = numpy.random.default_rng(RESAMPLE_SEED)
    values, times = numpy.unique(apart, return_counts=True)
    means = random.multinomial(len(apart), times / len(apart), RESAMPLES) @ values / len(apart)  # the same as drawing places, and faster
    low, high = numpy.quantile(means, [ALPHA / 2, 1 - ALPHA / 2])
    tail = min(int((means <= 0).sum()), int((means >= 0).sum()))
    return OnItems("paired bootstrap", len(apart), int((apart > 0).sum()), int((apart < 0).sum()), float(apart.mean()), float(low), float(high),
                   min(1.0, 2 * (tail + 1) / (RESAMPLES + 1)))


def _checked(a: Sequence[float], b: Sequence[float]) -> None:
    from lab.contracts import LabError

    if len(a) != len(b) or not len(a):
        raise LabError(f"one run has {len(a):,} items and the other {len(b):,}: both must have been asked the same, at least one")
