"""Verdicts on simulated scores: how often a difference is told that is none, and whether the seeds that were asked for find one that is real."""
from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy
import pytest
from scipy import stats

from lab.compare import Comparison, paired, report, says
from lab.compare.report import judged_by
from lab.contracts import LabError
from lab.events import Evaluated, Finished, Observed, RunResult, Started, Stepped, fold
from lab.spec import RunSpec

TIMES = 1000


def told(scores: numpy.ndarray, alpha: float = paired.ALPHA, grain: float = 0.0) -> list[bool]:
    """Of (arms, seeds) scores: for each pair whether a difference is told."""
    return [gap.told for gap in paired.judged([a - b for a, b in combinations(scores, 2)], alpha, grain)]


def simulated(arms: int, seeds: int, times: int = TIMES, number: int = 0) -> numpy.ndarray:
    """(times, arms, seeds) scores without a true difference: a part that all arms share in a seed, and as much of each arm's own."""
    random = numpy.random.default_rng(number)
    return 0.8 + 0.02 * random.standard_normal((times, 1, seeds)) + 0.02 * random.standard_normal((times, arms, seeds))


@pytest.mark.parametrize(("arms", "seeds"), [(4, 3), (2, 3), (4, 10)])
def test_without_a_difference_none_is_told(arms: int, seeds: int) -> None:
    false = sum(any(told(scores)) for scores in simulated(arms, seeds))
    assert false / TIMES <= 0.065


def test_without_a_difference_none_is_told_of_accuracies_of_few_items() -> None:
    """Rounded to whole items of 50, differences are often equal in all seeds, which is no certainty."""
    for spread in (0.002, 0.01, 0.03):
        random = numpy.random.default_rng(1)
        scores = numpy.round((0.8 + spread * random.standard_normal((TIMES, 4, 3))) * 50) / 50
        assert sum(any(told(each, grain=1 / 50)) for each in scores) / TIMES <= 0.065, spread


@pytest.mark.parametrize("effect", [0.8, 1.2, 2.5])
@pytest.mark.parametrize("strictness", [0.05, 0.0125, 0.05 / 6])
def test_the_seeds_asked_for_find_a_true_gap_four_times_in_five(effect: float, strictness: float) -> None:
    seeds = paired.needed(effect, strictness)
    apart = numpy.random.default_rng(2).standard_normal((20_000, seeds)) + effect
    found = (stats.ttest_1samp(apart, 0, axis=1).pvalue <= strictness).mean()
    fewer = (stats.ttest_1samp(apart[:, :-1], 0, axis=1).pvalue <= strictness).mean()
    assert 0.79 <= found <= 0.93 and fewer < 0.81 and found > fewer, (seeds, found, fewer)


def test_more_seeds_after_a_first_look_find_the_gap_that_was_seen() -> None:
    """Three seeds show a gap of one standard deviation; with the seeds that are asked for, at the next look's strictness, a true one is found."""
    gap = paired.judged([[0.0, 0.01, 0.02]])[0]
    assert not gap.told and gap.difference / gap.spread == pytest.approx(1)
    strictness = paired.alpha_of(2)
    more = paired.more_seeds(gap, strictness)
    random = numpy.random.default_rng(3)
    found = [paired.judged([0.01 + 0.01 * random.standard_normal(3 + more)], strictness)[0].told for _ in range(TIMES)]
    assert 0.76 <= numpy.mean(found) <= 0.86


@pytest.mark.slow
@pytest.mark.parametrize(("planned", "sizes", "most"), [(3, (3, 6, 12), 0.05), (2, (3, 20), 0.05), (1, (3, 6, 12), 0.065)])
def test_adding_seeds_after_looks_keeps_false_verdicts_rare(planned: int, sizes: tuple[int, ...], most: float) -> None:
    """Whoever stops at the first "better" of any look; without the correction it is told in 10 % of cases."""
    false = uncorrected = 0
    for scores in simulated(2, sizes[-1], 2000, number=4):
        false += any(any(told(scores[:, :size], paired.alpha_of(look, planned))) for look, size in enumerate(sizes, 1))
        uncorrected += any(any(told(scores[:, :size])) for size in sizes)
    assert false / 2000 <= most + 0.01, "two standard errors of the simulation"
    assert uncorrected > false and (len(sizes) < 3 or uncorrected / 2000 > 0.08)
    assert sum(paired.alpha_of(look, planned) for look in range(1, 50)) < 0.05 / 0.75 + 1e-9
    assert paired.spent(planned, planned) == pytest.approx(0.05)


# ── outcomes beside the score ─────────────────────────────────────────────────────────────────────────────────────────

OUTCOMES = ("forgetting", "gap", "elsewhere", "drop", "step_seconds", "peak_bytes")


def ended(spec: RunSpec) -> RunResult:
    """A run in which everything was measured."""
    started = Started(spec.to_dict(), spec.fingerprint, "w", "d", {}, {}, "cpu", "float32", 1, {"train": 10, "validation": 10, "test": 200})
    more = {"accuracy (seen)": [0.8, 0.04], "accuracy (unseen)": [0.7, 0.046]}
    return fold([started, Stepped(1, 0.5, 0.1, 0.1), Observed(3, "general_text", {"before": 50.0, "after": 55.0, "ratio": 1.1}),
                 Observed(3, "memory", {"peak_bytes": 1000, "parts": {}}),
                 Observed(3, "transfer", {"products": {"score": 0.7, "standard_error": 0.03, "items": 200, "data_sha256": "p"}}),
                 Evaluated(3, "tuned", "test", "accuracy", 0.8, 0.03, 200, loss=0.6, more=more), Finished(3, {"training": 1.0}, 3.0, 10)])


def told_by(times: int, seeds: int, gap: float = 0.0) -> tuple[dict[str, int], dict[str, int]]:
    """Of so many comparisons of four arms whose runs are drawn anew: in how many anything is told, by outcome; and in how many the first arm, which is better
    by `gap` standard deviations in everything, beats the second."""
    arms = [{"name": name, "change": {"batch": place + 2}} for place, name in enumerate("abcd")]
    asked = Comparison.parse({"base": {"model": "seed-bert", "task": "movies", "method": "lora", "eval_items": 200, "tested_on": ["movies", "products"],
                                       "dtype": "float32"}, "arms": arms, "seeds": list(range(seeds))})
    made = report(asked, {spec.fingerprint: ended(spec) for spec in asked.runs.values()})
    random, any_, first = numpy.random.default_rng(8), dict.fromkeys(OUTCOMES, 0), dict.fromkeys(OUTCOMES, 0)
    for _ in range(times):
        for number, arm in enumerate(made["arms"]):
            draw = random.standard_normal((len(OUTCOMES), seeds)) - (gap if number == 0 else 0.0)
            for seed, run in enumerate(arm["runs"]):
                drawn(run, *(float(value) for value in draw[:, seed]))
        for key, pairs in judged_by(asked, made, OUTCOMES).items():
            any_[key] += any(pair["verdict"] != "cannot_tell" for pair in pairs)
            first[key] += pairs[0]["verdict"] == "a_better"
    return any_, first


def drawn(run: dict[str, Any], forgetting: float, gap: float, elsewhere: float, drop: float, step: float, peak: float) -> None:
    """Scores are rounded to whole items of 200; what is told in times is spread in times. The lower a draw, the better."""
    run |= {"forgetting": float(numpy.exp(0.3 + 0.2 * forgetting)), "test_loss": 0.6 + 0.05 * gap, "last_loss": 0.4,
            "step_seconds": float(numpy.exp(0.1 * step)), "peak_bytes": 1e8 * float(numpy.exp(0.01 * peak))}
    run["tests"]["products"]["score"] = round(200 * (0.7 - 0.02 * elsewhere)) / 200
    run["more"]["accuracy (unseen)"] = [round(200 * (0.7 - 0.02 * drop)) / 200, 0.03]


@pytest.mark.slow
def test_without_a_difference_none_is_told_by_any_outcome() -> None:
    false, _ = told_by(TIMES, 3)
    assert all(0 < count / TIMES <= 0.065 for count in false.values()), false


@pytest.mark.slow
def test_a_true_gap_is_told_by_every_outcome_at_the_power_that_was_promised() -> None:
    """The difference of two arms has the standard deviation sqrt(2); the strictness is that of the first of six pairs, so that Holm tells it more often."""
    gap = 4.0
    seeds = paired.needed(gap / 2**0.5, 0.05 / 6)
    _, found = told_by(200, seeds, gap)
    assert all(count / 200 >= 0.72 for count in found.values()), (seeds, found)  # three standard errors of the simulation below 0.8


@pytest.mark.slow
def test_a_vote_of_coins_seldom_beats_their_mean() -> None:
    """Answers that know nothing: the vote of five is as often right as each. Of three arms, none may be told in 95 of 100."""
    random, false = numpy.random.default_rng(9), 0
    for _ in range(TIMES):
        right = random.random((3, 5, 300)) < 0.5
        leads = [(each.sum(0) >= 3) - each.mean(0) for each in right]
        false += any(gap.told for gap in paired.judged(leads))
    assert 0 < false / TIMES <= 0.065


def test_the_items_asked_for_would_tell_a_vote() -> None:
    random = numpy.random.default_rng(10)
    gap = paired.judged([random.normal(0.01, 0.2, 400)])[0]
    more, again = paired.more_items(gap, 0.05), 0
    for _ in range(400):
        again += paired.judged([random.normal(gap.difference, gap.spread, 400 + more)])[0].told
    assert 0.72 <= again / 400 <= 0.88
    assert paired.more_items(paired.judged([[0.0, 0.1, -0.1]])[0], 0.05) is None


@pytest.mark.slow
def test_mcnemar_of_all_pairs_and_seeds_seldom_parts_equal_runs() -> None:
    """Six pairs and three seeds of runs that are equally good: without Holm one of 18 tests is told far more often."""
    random, false, alone = numpy.random.default_rng(11), 0, 0
    for _ in range(TIMES):
        right = random.random((3, 4, 60)) < 0.5
        p = [paired.mcnemar(a, b).p for seed in right for a, b in combinations(seed.tolist(), 2)]
        false += min(paired.holm(p)[0]) <= 0.05
        alone += min(p) <= 0.05
    assert false / TIMES <= 0.065 < 0.2 < alone / TIMES, (false, alone)


def test_one_pair_is_an_ordinary_paired_t() -> None:
    a, b = [0.81, 0.84, 0.80, 0.86], [0.79, 0.80, 0.79, 0.81]
    gap = paired.judged([[x - y for x, y in zip(a, b, strict=True)]])[0]
    known = stats.ttest_rel(a, b)
    assert gap.p == gap.alone_p == pytest.approx(known.pvalue)
    assert (gap.low, gap.high) == pytest.approx(tuple(known.confidence_interval(0.95)))
    assert gap.told == (known.pvalue <= 0.05)


def test_holm_by_hand() -> None:
    """0.01 x 4, 0.02 x 3, 0.03 x 2, which may not fall below the one before, and 0.2."""
    assert paired.holm([0.03, 0.01, 0.2, 0.02])[0] == pytest.approx([0.06, 0.04, 0.2, 0.06])
    assert paired.holm([0.03, 0.01, 0.2, 0.02])[1] == [3, 4, 3, 3]
    assert paired.holm([])[0] == []


def test_interval_p_and_verdict_agree() -> None:
    random = numpy.random.default_rng(5)
    for scale in (0.0, 0.02, 0.1):
        for _ in range(50):
            scores = simulated(4, 4, 1, int(random.integers(10**6)))[0] + scale * numpy.arange(4)[:, None]
            for alpha in (0.05, 0.0125):
                for gap in paired.judged([a - b for a, b in combinations(scores, 2)], alpha):
                    assert gap.told == (gap.low > 0 or gap.high < 0) == (gap.p <= 0.05)
                    assert gap.low <= gap.alone_low <= gap.difference <= gap.alone_high <= gap.high and gap.alone_p <= gap.p + 1e-12


def test_equal_scores_are_no_certainty() -> None:
    none = paired.judged([[0.0, 0.0, 0.0]], grain=0.01)[0]
    assert none.p == 1 and not none.told and none.low < 0 < none.high and paired.more_seeds(none, 0.05) is None
    assert paired.judged([[0.0, 0.0, 0.0]])[0].p == 1, "also where nothing is known of rounding"
    small, large = paired.judged([[0.01] * 3], grain=0.01)[0], paired.judged([[0.3] * 3], grain=0.01)[0]
    assert small.rounded and not small.told and large.rounded and large.told
    assert large.low > 0.28


def test_fewer_than_three_seeds_are_not_judged() -> None:
    assert [gap.judged for gap in paired.judged([[], [0.1], [0.1, 0.1], [0.1, 0.2, 0.1]])] == [False, False, False, True]
    assert paired.judged([]) == []


def test_a_gap_too_small_for_its_spread_asks_for_no_seeds() -> None:
    assert paired.needed(0.01, 0.05) is None and paired.needed(0, 0.05) is None
    assert paired.needed(1000, 0.05) == 3


def test_mcnemar_is_the_exact_binomial() -> None:
    a, b = [1] * 12 + [0] * 3 + [1] * 50 + [0] * 5, [0] * 12 + [1] * 3 + [1] * 50 + [0] * 5
    found = paired.mcnemar(a, b)
    assert (found.only_a, found.only_b, found.items) == (12, 3, 70) and found.p == pytest.approx(stats.binomtest(3, 15).pvalue)
    assert found.low < found.difference < found.high and found.difference == pytest.approx(9 / 70)
    assert paired.mcnemar(a, a).p == 1
    assert paired.mcnemar(b, a).difference == -found.difference


@pytest.mark.slow
def test_mcnemar_and_the_bootstrap_seldom_part_two_equal_runs() -> None:
    random, false = numpy.random.default_rng(6), numpy.zeros(2)
    for _ in range(300):
        a, b = random.random((2, 200)) < 0.8
        false += [paired.mcnemar(a, b).p <= 0.05, paired.bootstrap(a, b).p <= 0.05]
    assert (false / 300 <= 0.09).all(), false


def test_the_bootstrap_of_items_has_the_width_of_the_t_interval() -> None:
    random = numpy.random.default_rng(7)
    a, b = random.random(300) + 0.1, random.random(300)
    found, known = paired.bootstrap(a, b), stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(known), abs=0.006) and found.difference == pytest.approx(float((a - b).mean()))
    assert found == paired.bootstrap(a, b) and paired.bootstrap(b, b).p == 1


def test_other_items_are_refused() -> None:
    with pytest.raises(LabError, match="the same"):
        paired.mcnemar([1, 0], [1])


# ── in words ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_verdicts_in_words() -> None:
    told = paired.judged([[0.02, 0.021, 0.022]])[0]
    assert says.verdict("LoRA", "prompt tuning", told, "accuracy", 0) == "LoRA beats prompt tuning by 2.1 points (1.9 to 2.3), over 3 seeds."
    other = paired.judged([[-0.02, -0.021, -0.022]])[0]
    assert says.verdict("LoRA", "prompt tuning", other, "accuracy", 0) == "prompt tuning beats LoRA by 2.1 points (1.9 to 2.3), over 3 seeds."
    open_ = paired.judged([[0.0, 0.01, 0.02]])[0]
    assert says.verdict("A", "B", open_, "accuracy", 9) == (
        "Cannot tell: A is ahead of B by 1.0 points (−1.5 to 3.5), over 3 seeds; about 9 more seeds would be needed.")
    assert "about 1 more seed would" in says.verdict("A", "B", open_, "accuracy", 1)
    assert "even 200 more seeds" in says.verdict("A", "B", open_, "accuracy", None)
    assert "(−1.5 to 3.5, widened for 6 pairs and 2 looks)" in says.verdict("A", "B", open_, "accuracy", 9, says.corrected(6, 2))


def test_where_lower_is_better_the_lower_one_wins() -> None:
    gap = paired.judged([[-5.0, -5.2, -5.1]])[0]
    assert says.verdict("LoRA", "full", gap, "perplexity", 0) == "LoRA beats full by 5.10 perplexity (4.85 to 5.35), over 3 seeds."
    assert says.verdict("LoRA", "full", gap, "TER", 0).startswith("LoRA beats full by 5.1 TER")
    assert says.verdict("LoRA", "full", gap, "BLEU", 0).startswith("full beats LoRA by 5.1 BLEU")
    assert says.better("accuracy") == 1 and says.better("perplexity") == -1
