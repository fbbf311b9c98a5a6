"""Measurements that train runs of their own, on tiny seeded models: what each gives, and that its numbers are what they are called."""
from __future__ import annotations

from typing import Any

import pytest

from lab import catalogue
from lab.compare.paired import judged
from lab.contracts import LabError
from lab.engine import Workshop
from lab.measurements._trained import NORMAL, over_seeds
from lab.measurements.answer_times import _ratio
from lab.measurements.vote import voted
from lab.measuring import measure

TINY = {"model": "seed-bert", "task": "toy"}
SMALL = {
    "deleted-layers": TINY, "like-the-base": TINY, "nearest-words": {"model": "seed-llama", "task": "toy", "init": "labels", "items": 40},
    "answer-times": {"model": "seed-bert", "tokens": 16, "many": 4, "calls": 5},
    "mixed-batch": {"model": "seed-bert", "tasks": "toy toy", "steps": 5, "calls": 4},
    "mixed-experts": {"model": "seed-bert", "tasks": "toy toy", "items": 40}, "vote": TINY | {"members": 3},
}


@pytest.fixture(scope="module")
def found(workshop: Workshop) -> dict[str, Any]:
    """Each measured once, for all tests that look at it."""
    return {key: list(measure(key, knobs, workshop)) for key, knobs in SMALL.items()}


@pytest.mark.slow
@pytest.mark.parametrize("key", SMALL)
def test_a_measurement_gives_what_it_says(key: str, found: dict[str, Any]) -> None:
    *progress, seen = found[key]
    assert set(seen["values"]) == set(catalogue.find("measurements", key).gives) and all(len(row) == len(seen["columns"]) for row in seen["rows"])
    assert progress and all(done < of for done, of in progress)
    assert all(value == value and error >= 0 for value, error in seen["values"].values())


def values(seen: list[Any]) -> dict[str, float]:
    return {key: value for key, (value, _) in seen[-1]["values"].items()}


@pytest.mark.slow
def test_layers_are_taken_out(found: dict[str, Any]) -> None:
    """Of two blocks the lower and the upper third are one each; nothing is in the middle, so nothing is lost there."""
    lost, rows = values(found["deleted-layers"]), found["deleted-layers"][-1]["rows"]
    assert lost["middle"] == 0 and lost["upper_more"] == pytest.approx(lost["upper"] - lost["lower"])
    scores = {(row[0], row[1]): row[2] for row in rows}
    assert len(scores) == 15 and any(scores[seed, "all"] != scores[seed, "none out"] for seed in range(3))


@pytest.mark.slow
def test_similarity_is_at_most_one_and_the_difference_is_paired(found: dict[str, Any]) -> None:
    like = values(found["like-the-base"])
    assert all(0 < like[method] <= 1 for method in ("houlsby", "lora", "prompt_tuning", "full"))
    assert like["adapter_nearer"] == pytest.approx(like["houlsby"] - like["full"])
    assert len(found["like-the-base"][-1]["rows"]) == 12


@pytest.mark.slow
def test_words_take_the_vectors_place(found: dict[str, Any]) -> None:
    seen = values(found["nearest-words"])
    assert seen["lost"] == pytest.approx(seen["prompt"] - seen["nearest"]) and seen["words_gain"] == pytest.approx(seen["nearest"] - seen["none"])
    assert 0 <= seen["stayed"] <= 1 and len(found["nearest-words"][-1]["rows"]) == 20


@pytest.mark.slow
def test_times_are_multiples_of_the_base(found: dict[str, Any]) -> None:
    rows = found["answer-times"][-1]["rows"]
    assert [row[1] for row in rows] == 2 * ["base", "lora_merged", "lora", "adapter", "prompt"] and all(row[2] > 0 for row in rows)
    assert rows[0][3] == rows[5][3] == 1.0 and _ratio([1.0, 2.0, 3.0])[0] == 2.0 and _ratio([2.0, 2.0, 2.0]) == [2.0, 0.0]


@pytest.mark.slow
def test_a_mixed_batch_answers_as_its_runs_do(found: dict[str, Any]) -> None:
    """Claim 21, exactly this on tiny models."""
    seen = values(found["mixed-batch"])
    assert seen["far"] < 1e-5 and seen["whole_copies"] == pytest.approx(4 * seen["base_bytes"] / (seen["base_bytes"] + seen["parts_bytes"]))


@pytest.mark.slow
def test_experts_are_mixed(found: dict[str, Any]) -> None:
    seen, rows = values(found["mixed-experts"]), found["mixed-experts"][-1]["rows"]
    assert seen["over_best"] == pytest.approx(seen["mix"] - seen["best"])
    assert {row[0] for row in rows} == {"expert for toy", "uniform", "mix", "sum"}  # of one domain there is no own


@pytest.mark.slow
def test_a_vote_counts_ties_by_share(found: dict[str, Any]) -> None:
    assert voted("1", "110") == 1 and voted("0", "110") == 0 and voted("0", "01") == 0.5 and voted("2", "012") == pytest.approx(1 / 3)
    seen = values(found["vote"])
    assert seen["gain"] == pytest.approx(seen["vote"] - seen["mean"]) and seen["best"] >= seen["mean"]


def test_the_error_over_seeds_reaches_as_far_as_a_t(workshop: Workshop) -> None:
    mean, error = over_seeds([0.1, 0.2, 0.6])
    gap = judged([[0.1, 0.2, 0.6]])[0]
    assert mean - NORMAL * error == pytest.approx(gap.low) and mean + NORMAL * error == pytest.approx(gap.high)
    assert over_seeds([0.3]) == [0.3, 0.0]
    with pytest.raises(LabError, match="items is 5"):
        list(measure("nearest-words", {"items": 5}, workshop))
