"""Each measurement, on tiny seeded models: what it gives, as it says, and that its numbers are what they are called."""
from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch

from lab import catalogue
from lab.contracts import LabError
from lab.engine import Workshop
from lab.engine import measure as job
from lab.measurement import MEASURED, Measurement, Measuring, named
from lab.measurements._halves import unpicked
from lab.measurements.number_formats import BLOCK, _error, _whole_numbers
from lab.measuring import measure, record, recorded
from tests.test_measured_runs import SMALL as OF_RUNS

MEASUREMENTS: dict[str, type[Measurement]] = catalogue.entries("measurements")
SMALL = {
    "first-step": {"model": "seed-llama", "task": "toy", "rank": 2}, "number-formats": {"model": "seed-llama"},
    "longer-texts": {"model": "smollm2-135m", "batch": 1}, "rank-scaling": {"model": "seed-bert", "task": "toy", "steps": 2},
    "merging": {"model": "seed-llama", "task": "toy", "method": "ia3", "steps": 3}, "step-times": {"model": "seed-llama", "task": "toy", "turns": 5},
    "example-orders": {"model": "seed-llama", "task": "toy", "sets": 2, "items": 10}, "wordings": {"model": "seed-llama", "task": "toy", "items": 20},
}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("cache"), offline=True)


@pytest.mark.slow
@pytest.mark.parametrize("key", SMALL)
def test_a_measurement_gives_what_it_says(key: str, workshop: Workshop) -> None:
    *progress, found = measure(key, SMALL[key], workshop)
    assert set(found["values"]) == set(MEASUREMENTS[key].gives) and all(len(row) == len(found["columns"]) for row in found["rows"])
    assert all(done < of for done, of in progress) and progress
    assert all(value == value and error >= 0 for value, error in found["values"].values())


def test_each_has_a_test() -> None:
    assert set(SMALL) | set(OF_RUNS) == set(MEASUREMENTS)


def test_the_first_step_of_lora_is_the_base(workshop: Workshop) -> None:
    *_, found = measure("first-step", SMALL["first-step"], workshop)
    values = {key: value for key, (value, _) in found["values"].items()}
    assert values["change"] == 0 and values["gradient_a"] == 0 and values["gradient_b"] > 0  # exactly, by design
    assert values["both_zero_gradient"] == 0 and values["neither_zero_change"] > 0


def test_whole_numbers_round_to_fifteen_levels() -> None:
    block = torch.linspace(-1, 1, BLOCK)
    back = _whole_numbers(block)
    assert torch.allclose(back, (7 * block).round() / 7) and len(back.unique()) == 15
    uneven = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))  # 150 numbers: the last block is filled up
    assert _whole_numbers(uneven).shape == uneven.shape and (_whole_numbers(uneven) - uneven).abs().max() <= uneven.abs().max() / 14 + 1e-6
    assert _error(block, "int4") == pytest.approx(float((block - back).norm() / block.norm()))


def test_nf4_fits_gaussian_numbers_best(workshop: Workshop) -> None:
    """Dettmers et al. 2023: it is made for them."""
    *_, found = measure("number-formats", SMALL["number-formats"], workshop)
    values = {key: value for key, (value, _) in found["values"].items()}
    assert values["gaussian_nf4"] < min(values["gaussian_fp4"], values["gaussian_int4"])


@pytest.mark.slow
def test_activations_grow_with_the_texts_and_the_trained_share_does_not(workshop: Workshop) -> None:
    *_, found = measure("longer-texts", SMALL["longer-texts"], workshop)
    values = {key: value for key, (value, _) in found["values"].items()}
    assert values["activations_64"] < values["activations_512"] < values["activations_2048"] and values["trainable_64"] == values["trainable_2048"]
    for row in found["rows"]:
        assert sum(row[2:]) == row[1]


@pytest.mark.slow
def test_rslora_is_lora_with_another_alpha(workshop: Workshop) -> None:
    """To the last bit: 16 sqrt(r) / r and 16 / sqrt(r) are the same number where r is a square. Divided by r, a higher rank grows less."""
    *_, found = measure("rank-scaling", SMALL["rank-scaling"], workshop)
    values = {key: value for key, (value, _) in found["values"].items()}
    assert values["apart"] == 0 and 0 < values["plain_64"] < values["root_64"] and values["plain_ratio"] < values["root_ratio"]
    assert values["plain_ratio"] == values["plain_64"] / values["plain_4"]


@pytest.mark.parametrize("method", ["lora", "ia3"])
def test_merging_leaves_the_answers_and_no_parameter(method: str, workshop: Workshop) -> None:
    *_, found = measure("merging", SMALL["merging"] | {"method": method}, workshop)
    values = {key: value for key, (value, _) in found["values"].items()}
    assert values["moved"] > 1e-4 > values["apart"] and values["before"] > 0 == values["left"]


def test_the_best_is_judged_on_items_that_did_not_pick_it() -> None:
    first = unpicked(torch.tensor([[1.0] * 8, [0.0] * 8]))
    assert first.tolist() == [1] * 8, "who is best on either half is best"
    half = torch.randperm(8, generator=torch.Generator().manual_seed(0)) < 4
    lucky = torch.stack([half, ~half]).double()  # each is best on one half and worst on the other
    assert unpicked(lucky).mean() == -1


def test_two_constant_answers_are_no_better_than_each_other_on_items_with_their_labels_in_turn() -> None:
    """Always the one label against always the other: each half holds about as many of both."""
    labels = torch.arange(400) % 2
    assert abs(unpicked(torch.stack([labels == 0, labels == 1]).double()).mean()) < 0.2


def test_four_examples_are_read_with_every_text(workshop: Workshop) -> None:
    """A sentence of the toy language and an example of it are about as long, so a prompt with four is between three and eight times as long."""
    *_, found = measure("example-orders", SMALL["example-orders"], workshop)
    values = {key: value for key, (value, _) in found["values"].items()}
    assert 3 < values["longer"] < 8 and values["worst"] <= values["middle"] <= values["best"]
    assert values["range"] == pytest.approx(values["best"] - values["worst"]) and len(found["rows"]) == 2


def test_a_measurement_is_recorded_and_found_again(workshop: Workshop, tmp_path: Path) -> None:
    path = record("first-step", {"rank": 2, "task": "toy", "model": "seed-llama"}, workshop, tmp_path)
    found = recorded(tmp_path)[named("first-step", {"model": "seed-llama", "task": "toy", "rank": 2})]
    assert path.parent == tmp_path and found["made"]["date"] and found["values"]["change"] == [0.0, 0.0]


def test_bad_knobs_are_refused(workshop: Workshop) -> None:
    bad = (("first-step", {"rank": 0}, "rank is 0"), ("first-step", {"ranks": 2}, 'unknown key "ranks"'), ("first", {}, "there are .*first-step"))
    for key, knobs, complaint in bad:
        with pytest.raises(LabError, match=complaint):
            list(measure(key, knobs, workshop))


def test_a_measurement_is_a_job_that_tells_how_far_it_is_and_can_be_stopped(workshop: Workshop) -> None:
    asked = Measuring.parse({"measurement": "merging", "knobs": {"model": "seed-llama", "task": "toy", "steps": 3}})
    assert Measuring.from_json(asked.to_json()) == asked and asked.knobs["method"] == "lora"
    assert Measuring.parse({"measurement": "merging", "knobs": asked.knobs}).fingerprint == asked.fingerprint, "a default that is said changes nothing"
    events = list(job(asked, workshop))
    assert [getattr(each, "lens", each.name) for each in events] == ["progress", "progress", "measured", "finished"]
    assert events[-2].value["values"]["left"] == [0, 0.0] and workshop.check_all(), "what was merged was not the base that others read"
    looks = iter([False, False, False])
    stopped = list(job(asked, workshop, lambda: next(looks, True)))
    assert stopped[-1].name == "cancelled" and not any(getattr(each, "lens", "") == MEASURED for each in stopped)
    wrong = list(job(Measuring.parse({"measurement": "merging", "knobs": {"model": "seed-llama", "task": "no-such-task"}}), workshop))
    assert wrong[-1].name == "failed" and "no-such-task" in wrong[-1].reason


@pytest.mark.parametrize("key", catalogue.entries("measurements"))
def test_a_measurement_says_what_it_trains(key: str) -> None:
    """Whether it is allowed in a class is told from that before anything is trained."""
    kind = catalogue.find("measurements", key)
    trains = "trained(" in inspect.getsource(inspect.getmodule(kind))
    assert bool(kind.made({}).specs()) == trains
