"""Neighbours, nulls and places of soft prompts, against brute force in float64 and on vectors whose answer is known."""
from __future__ import annotations

from collections.abc import Callable
from math import acos, degrees
from typing import Any

import pytest
import torch
from torch.nn import functional

from lab.engine import Workshop
from lab.engine.job import prepare
from lab.engine.scoring import finished
from lab.lenses import _neighbourhood, _nulls, _started, _tokens
from lab.lenses._places import Places, measured
from lab.lenses._vocabulary import METRICS, Vocabulary
from lab.spec import RunSpec

ROWS, WIDTH = 3000, 48
TOKENIZERS = ("seed-llama", "seed-bert", "seed-gpt2", "seed-t5", "seed-opt")
KS_AT_1_PERCENT = 1.63  # of the largest gap times the root of the number of values


def words_of(table: torch.Tensor, **banned: list[int]) -> Vocabulary:
    """Two rows a word: a capital one with a space in front, and a plain one."""
    return Vocabulary(table, [f"w{row // 2}" if row % 2 else f" W{row // 2}" for row in range(len(table))], banned)


@pytest.fixture(scope="module")
def table() -> torch.Tensor:
    """Rows of unequal length around a mean that is longer than they are: where plain cosine misleads."""
    chance = torch.Generator().manual_seed(3)
    return torch.randn(ROWS, WIDTH, generator=chance) * (0.2 + torch.rand(ROWS, 1, generator=chance)) + 1.5


@pytest.fixture(scope="module")
def words(table: torch.Tensor) -> Vocabulary:
    return words_of(table, special=[0, 1, 2, 3], unused=list(range(2000, 2040)))


@pytest.fixture(scope="module")
def around(words: Vocabulary) -> Places:
    note = measured(words)
    return Places(words, note["spacing"], torch.tensor(note["axes"]), note["explained"])


def brute(table: torch.Tensor, allowed: torch.Tensor, vector: torch.Tensor, metric: str) -> tuple[torch.Tensor, torch.Tensor]:
    """All rows, nearest first, and their values, by the definition."""
    rows, point = table.double(), vector.double()
    mean = rows[allowed].mean(0)
    values = {"dot": rows @ point, "cosine": functional.cosine_similarity(rows, point.unsqueeze(0), dim=1),
              "centred": functional.cosine_similarity(rows - mean, (point - mean).unsqueeze(0), dim=1), "l2": (rows - point).norm(dim=1)}[metric]
    order = (values if metric == "l2" else -values).masked_fill(~allowed, float("inf")).argsort()
    return order, values[order]


# ── neighbours ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_neighbours_are_those_of_brute_force(table: torch.Tensor, dtype: torch.dtype, metric: str) -> None:
    stored = table.to(dtype)
    words = words_of(stored, special=[0, 1, 2, 3])
    vectors = torch.randn(40, WIDTH, generator=torch.Generator().manual_seed(1)) + 1
    found = words.nearest(vectors, 7, (metric,))[metric]
    for vector, near in zip(vectors, found, strict=True):
        order, values = brute(stored, words.allowed, vector, metric)
        expected: dict[int, tuple[int, float]] = {}
        for row, value in zip(order.tolist(), values.tolist(), strict=True):
            expected.setdefault(row // 2, (row, value))
        assert [each.token for each in near] == [row for row, _ in list(expected.values())[:7]]
        assert [each.value for each in near] == pytest.approx([value for _, value in list(expected.values())[:7]], rel=1e-5, abs=1e-6)


def test_a_block_of_the_table_is_enough_at_a_time() -> None:
    """More rows than one block: the best of all blocks are found, and their ranks counted over all."""
    large = torch.randn(9000, WIDTH, generator=torch.Generator().manual_seed(7)) + 1
    words = words_of(large)
    vectors = large[[5, 4500, 8000]] + 0.3
    near, ranks = words.nearest_and_ranks(vectors, 3, ("centred",), [5, 17, 8000])
    assert [line[0].token for line in near["centred"]] == [brute(large, words.allowed, vector, "centred")[0][0] for vector in vectors]
    orders = [brute(large, words.allowed, vector, "centred")[0] for vector in vectors]
    assert ranks == [1 + int((order == token).nonzero()) for order, token in zip(orders, (5, 17, 8000), strict=True)] and ranks[1] > 20


def test_rows_without_a_word_are_never_neighbours(words: Vocabulary, table: torch.Tensor) -> None:
    found = words.nearest(table[[0, 2, 2001, 2020]], 50)
    assert all(each.token > 3 and not 2000 <= each.token < 2040 for lines in found.values() for line in lines for each in line)
    assert words.considered == ROWS - 44


def test_rows_of_no_length_are_left_out() -> None:
    table = torch.randn(200, 8, generator=torch.Generator().manual_seed(0)) + 3
    table[[7, 8]] = 0
    words = words_of(table)
    assert words.banned["zero"] == [7, 8] and words.considered == 198
    assert words.mean == pytest.approx(table[words.allowed].mean(0), rel=1e-5)


def test_a_vector_that_is_a_tokens_embedding_has_that_token_first(words: Vocabulary, table: torch.Tensor) -> None:
    for metric, exact in (("centred", 1.0), ("cosine", 1.0), ("l2", 0.0)):
        near = words.nearest(table[[77, 1234]], 3, (metric,))[metric]
        assert [line[0].token for line in near] == [77, 1234]
        assert [line[0].value for line in near] == pytest.approx([exact] * 2, abs=1e-7)


def test_variants_of_a_word_are_listed_once_with_the_others_beside(table: torch.Tensor) -> None:
    stored = table.clone()
    stored[101] = stored[100] * 1.001
    near = words_of(stored).nearest(stored[[100]], 4, ("centred",))["centred"][0]
    assert near[0].token == 100 and near[0].text == "␣W50" and near[0].also == ("w50",)
    assert len({each.text.strip("␣").casefold() for each in near}) == 4


def test_where_one_word_has_most_of_the_nearest_tokens_others_are_still_found(table: torch.Tensor) -> None:
    stored = torch.cat([table[:1].repeat(60, 1) + 1e-4 * torch.arange(60).unsqueeze(1), table[100:]])
    words = Vocabulary(stored, ["same"] * 60 + [f"w{row}" for row in range(60, len(stored))], {})
    near = words.nearest(stored[[3]], 5, ("l2",))["l2"][0]
    assert near[0].text == "same" and len(near) == 5 and len(near[0].also) == 59


def test_a_hub_is_near_everything_until_the_mean_is_taken_off() -> None:
    """A common mean makes the row that lies along it every vector's neighbour; a long row wins every dot product."""
    chance = torch.Generator().manual_seed(5)
    table = torch.randn(1000, 32, generator=chance) + 4
    table[500], table[600] = 4.0, 20 * torch.ones(32) + torch.randn(32, generator=chance)
    words = Vocabulary(table, [f"w{row}" for row in range(1000)], {})
    asked = 4 + 0.3 * torch.randn(50, 32, generator=chance)
    near = words.nearest(asked, 1)
    assert sum(line[0].token == 500 for line in near["cosine"]) > 40 and all(line[0].token == 600 for line in near["dot"])
    assert len({line[0].token for line in near["centred"]}) > 40


def test_metrics_agree_where_all_rows_have_one_length_and_no_mean() -> None:
    half = functional.normalize(torch.randn(500, 24, generator=torch.Generator().manual_seed(2)), dim=1)
    words = Vocabulary(torch.cat([half, -half]), [f"w{row}" for row in range(1000)], {})
    near = words.nearest(3 * half[:9] + 0.2, 5)
    assert all(_neighbourhood.agreement(words, near, place) == 1 for place in range(9))


def test_disagreement_is_told(words: Vocabulary) -> None:
    near = words.nearest(torch.randn(9, WIDTH, generator=torch.Generator().manual_seed(0)), 5)
    for place in range(9):
        lists = [{each.token // 2 for each in near[metric][place]} for metric in METRICS]
        assert _neighbourhood.agreement(words, near, place) == pytest.approx(len(set.intersection(*lists)) / len(set.union(*lists)), abs=1e-4)
    assert any(_neighbourhood.agreement(words, near, place) < 0.5 for place in range(9))


# ── chance ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def gap_from_uniform(values: torch.Tensor) -> float:
    """Kolmogorov and Smirnov's: the largest gap between the shares below and the uniform law, times the root of their number."""
    ordered, n = values.flatten().double().sort().values, values.numel()
    steps = torch.arange(1, n + 1, dtype=torch.float64) / n
    return float(torch.maximum((steps - ordered).abs(), (steps - 1 / n - ordered).abs()).max()) * n ** 0.5


def directions(words: Vocabulary, many: int, seed: int) -> torch.Tensor:
    return words.mean + 2 * functional.normalize(torch.randn(many, words.width, generator=torch.Generator().manual_seed(seed)), dim=1)


def nearest_values(words: Vocabulary, vectors: torch.Tensor) -> torch.Tensor:
    return torch.tensor([[line[0].value] for line in words.nearest(vectors, 1, ("centred",))["centred"]])


@pytest.mark.slow
def test_p_of_random_directions_is_uniform(words: Vocabulary) -> None:
    vectors = directions(words, 300, 11)
    null = finished(_nulls.permuted(words, vectors, 200, torch.Generator().manual_seed(0)))
    p = null.p(nearest_values(words, vectors))
    assert gap_from_uniform(p) < KS_AT_1_PERCENT and 0.01 < float((p < 0.05).double().mean()) < 0.1


def test_the_law_of_a_direction_is_uniform_too_and_that_of_one_row_exact() -> None:
    spread = Vocabulary(torch.randn(2000, 32, generator=torch.Generator().manual_seed(8)), [f"w{row}" for row in range(2000)], {})
    law = _nulls.Direction(32, spread.considered)
    values = nearest_values(spread, directions(spread, 400, 12))
    assert gap_from_uniform(law.p(values)) < KS_AT_1_PERCENT
    assert float(law.z(values).mean()) == pytest.approx(0, abs=0.2) and float(law.z(values).std()) == pytest.approx(1, abs=0.15)
    cosines = torch.tensor([[-0.9], [-0.3], [0.0], [0.3], [0.8], [1.0]], dtype=torch.float64)
    assert _nulls.Direction(3, 1).p(cosines) == pytest.approx((1 - cosines) / 2, abs=1e-6)  # Archimedes: on a sphere caps are as large as they are high
    integral = (1 - cosines - (1 - cosines ** 3) / 3) * 0.75  # of 3/4 (1 - c²), the law in five dimensions
    assert _nulls.Direction(5, 1).p(cosines) == pytest.approx(integral, abs=1e-6)
    assert _nulls.Direction(5, 10).p(cosines) == pytest.approx(1 - (1 - integral) ** 10, abs=1e-5)


def test_permuted_draws_are_those_of_permuting_one_by_one(words: Vocabulary) -> None:
    """Circular correlations by Fourier transform against permutations multiplied out; a heavy coordinate makes the law unlike that of a direction."""
    vectors = words.mean + torch.cat([torch.tensor([6.0, -3.0]), 0.3 * torch.randn(WIDTH - 2, generator=torch.Generator().manual_seed(4))]).unsqueeze(0)
    null = finished(_nulls.permuted(words, vectors, 2000, torch.Generator().manual_seed(1)))
    chance, rows = torch.Generator().manual_seed(2), torch.cat(list(words.directions()))
    ahead = functional.normalize(vectors - words.mean, dim=1)[0]
    one_by_one = torch.stack([(rows @ ahead[torch.randperm(WIDTH, generator=chance)]).max() for _ in range(2000)])
    assert float(null.draws.mean()) == pytest.approx(float(one_by_one.mean()), abs=3e-3)
    assert float(null.draws.std()) == pytest.approx(float(one_by_one.std()), rel=0.1)
    assert null.draws.shape[1] == _nulls.drawn(2000, WIDTH) == 2016


def test_noise_draws_are_those_of_moving_words_one_by_one(words: Vocabulary, table: torch.Tensor) -> None:
    drifts = torch.tensor([0.5, 3.0, 40.0])
    null = finished(_nulls.noise(words, drifts, 2000, torch.Generator().manual_seed(1)))
    chance, rows = torch.Generator().manual_seed(9), torch.cat(list(words.directions()))
    start = table[words.allowed][torch.randint(words.considered, (2000,), generator=chance)]
    for place, drift in enumerate(drifts):
        moved = start + drift * functional.normalize(torch.randn(2000, WIDTH, generator=chance), dim=1)
        largest = (functional.normalize(moved - words.mean, dim=1) @ rows.T).amax(1)
        assert float(null.draws[place].mean()) == pytest.approx(float(largest.mean()), abs=4 * float(largest.std()) / 1000 ** 0.5 + 1e-5)
        assert float(null.draws[place].std()) == pytest.approx(float(largest.std()), rel=0.12, abs=1e-3)


@pytest.mark.parametrize("n", [1, 20, 200])
def test_the_maximum_over_positions_keeps_false_alarms_at_five_percent(n: int) -> None:
    """Positions whose value is one more draw of their own null: in 5 of 100 prompts, not positions, the least p is below .05."""
    chance = torch.Generator().manual_seed(n)
    draws = torch.randn(n, 400, generator=chance) * (1 + torch.rand(n, 1, generator=chance)) + torch.rand(n, 1, generator=chance)
    alarms = []
    for first in range(300):
        null = _nulls.Null(torch.cat([draws[:, :first], draws[:, first + 1:]], 1))
        alarms.append(float(null.corrected(draws[:, first:first + 1]).min()) < 0.05)
    assert 0.015 < sum(alarms) / len(alarms) < 0.1


def test_a_vector_that_is_a_word_is_nearer_than_any_draw_and_the_mean_than_none(words: Vocabulary, table: torch.Tensor) -> None:
    vectors = torch.stack([table[77], words.mean, *directions(words, 3, 0)])
    near = words.nearest(vectors, 5)["centred"]
    judged = finished(_neighbourhood.against_nulls(words, vectors, torch.zeros(5) + 0.1, near, 200, seed=0))
    assert judged["permuted"].p[0, 0] == pytest.approx(1 / (1 + _nulls.drawn(200, WIDTH))) and judged["direction"].p[0, 0] < 1e-12
    assert judged["noise"].alone[0, 0] > 0.9 or near[0][0].value > 0.999, "any word moved so little is as near to itself"
    assert near[1][0].value == 0 and judged["permuted"].p[1, 0] == 1 and judged["permuted"].z[1, 0] == 0


# ── places ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_spacing_is_the_median_distance_to_the_nearest_other_word(around: Places, words: Vocabulary, table: torch.Tensor) -> None:
    apart = torch.cdist(table[words.allowed].double(), table[words.allowed].double())
    same = words.words[words.allowed].unsqueeze(0) == words.words[words.allowed].unsqueeze(1)
    assert around.spacing == pytest.approx(float(apart.masked_fill(same, float("inf")).amin(1).median()), rel=0.03)


def test_percentiles_count_words(around: Places, words: Vocabulary, table: torch.Tensor) -> None:
    lengths = table[words.allowed].norm(dim=1)
    vectors = torch.stack([lengths.quantile(share) * functional.normalize(torch.ones(WIDTH), dim=0) for share in (0.1, 0.5, 0.9)])
    assert around.norm_percentile(vectors).tolist() == pytest.approx([10, 50, 90], abs=0.1)
    assert around.norm_percentile(torch.cat([0 * vectors[:1], 100 * vectors[:1]])).tolist() == [0, 100]
    others = table[torch.randperm(ROWS, generator=torch.Generator().manual_seed(1))[:600]]
    assert float(around.mahalanobis_percentile(others).mean()) == pytest.approx(50, abs=6)
    assert around.mahalanobis_percentile(torch.stack([words.mean, words.mean + 50])).tolist() == [0, 100]


def test_the_mahalanobis_distance_knows_along_which_axis_words_differ() -> None:
    table = torch.randn(4000, 8, generator=torch.Generator().manual_seed(1)) * torch.tensor([10.0, 1, 1, 1, 1, 1, 1, 0.1])
    words = Vocabulary(table, [f"w{row}" for row in range(4000)], {})
    around = Places(words, 1.0, torch.eye(8)[:2], [])
    along, across = (words.mean + 5 * torch.eye(8)[axis] for axis in (0, 7))
    assert around.mahalanobis_percentile(along.unsqueeze(0)) < 50 and around.mahalanobis_percentile(across.unsqueeze(0)) == 100


def test_the_map_shows_the_axes_of_most_variance(around: Places, words: Vocabulary, table: torch.Tensor) -> None:
    away = (table[words.allowed] - table[words.allowed].mean(0)).double()
    _, sizes, axes = torch.linalg.svd(away, full_matrices=False)
    assert around.explained == pytest.approx((sizes[:2].square() / sizes.square().sum()).tolist(), abs=1e-3)
    assert (around.axes.double() @ axes[:2].T).abs() == pytest.approx(torch.eye(2, dtype=torch.float64), abs=2e-2)
    assert around.on_map(words.mean.unsqueeze(0)).abs().max() < 1e-5


def test_margins_are_distances_to_the_border_of_the_first_words_cell(around: Places, words: Vocabulary, table: torch.Tensor) -> None:
    start, other = table[10], table[11 + int((table[12:1000] - table[10]).norm(dim=1).argmin()) + 1]
    middle, ahead = (start + other) / 2, functional.normalize(other - start, dim=0)
    vectors = torch.stack([start, middle - 0.01 * ahead, middle + 0.01 * ahead])
    near = words.nearest(vectors, 10, ("l2",))["l2"]
    found = around.margins(vectors, torch.tensor([10, 10, 10]), near)
    nearest = min(float((row - start).norm()) for place, row in enumerate(table) if words.allowed[place] and place // 2 != 5)
    assert float(found[0]) == pytest.approx(nearest / 2, rel=1e-4)
    assert float(found[1]) == pytest.approx(0.01, rel=0.01) or float(found[1]) < 0.01
    assert found[2] < 0


def test_angles_are_exact_where_they_are_small() -> None:
    one = torch.tensor([[1.0, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0]])
    other = torch.tensor([[2.0, 0, 0], [1, 1e-6, 0], [0, 3, 0], [-1, 0, 0]])
    assert _started.angles(one, other).tolist() == pytest.approx([0, degrees(1e-6), 90, degrees(acos(-1))], rel=1e-5)


# ── tokens ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def tokenizer(workshop: Workshop) -> Callable[[str], Any]:
    asked = {"task": "toy", "method": "prompt_tuning", "eval_items": 4}
    return lambda model: finished(prepare(RunSpec.parse({**asked, "model": model}), workshop)).reader.tokenizer


@pytest.mark.parametrize("model", TOKENIZERS)
def test_tokens_are_read_as_a_student_reads_them(model: str, tokenizer: Callable[[str], Any]) -> None:
    reads = tokenizer(model)
    known = _tokens.read(reads, len(reads) + 3)
    banned = {token for tokens in known["banned"].values() for token in tokens}
    assert set(reads.all_special_ids) <= banned and known["banned"]["beyond"] == [len(reads), len(reads) + 1, len(reads) + 2]
    good = reads(" good", add_special_tokens=False)["input_ids"][0]
    assert good not in banned and _tokens.shown(known["texts"][good]) == ("good" if model == "seed-bert" else "␣good")
    assert all(known["texts"][token] and "\ufffd" not in known["texts"][token] for token in range(len(reads)) if token not in banned)


def test_what_continues_a_word_stays_readable_and_is_the_same_word(tokenizer: Callable[[str], Any]) -> None:
    reads = tokenizer("seed-bert")
    known, (plain, goes_on) = _tokens.read(reads, len(reads)), reads.convert_tokens_to_ids(["k", "##k"])
    assert known["texts"][goes_on] == "##k" and known["words"][goes_on] == known["words"][plain]


@pytest.mark.parametrize(("text", "seen", "same"), [(" Good", "␣Good", "good"), ("\n\n", "⏎⏎", "\n\n"), ("\t", "⇥", "\t"), ("##ing", "##ing", "ing"),
                                                    ("##", "##", "##"), ("\x1bx", "\\x1bx", "\x1bx"), ("É", "É", "é")])
def test_spaces_can_be_seen_and_case_does_not_count(text: str, seen: str, same: str) -> None:
    assert _tokens.shown(text) == seen and _tokens.word(text) == same
