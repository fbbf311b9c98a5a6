"""The swap test, the examined neighbours and the traces of soft prompts, on runs that were trained, saved and opened again."""
from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from lab.contracts import LabError
from lab.engine import look
from lab.engine.job import prepare
from lab.engine.scoring import finished
from lab.engine.specimen import Opened, reopened
from lab.events import fold
from lab.lens import Look, Scored, Seen
from lab.lenses import _neighbourhood, _prompt, _swapping
from lab.lenses._vocabulary import vocabulary
from lab.lenses.prompt_drift import PromptDrift
from lab.lenses.prompt_map import PromptMap
from lab.lenses.prompt_neighbours import PromptNeighbours
from lab.lenses.prompt_river import PromptRiver
from lab.lenses.swap_test import SwapTest
from lab.spec import RunSpec

SOFT = {"name": "prompt_tuning", "virtual_tokens": 5}
FORMS = [("seed-llama", SOFT), ("seed-bert", {**SOFT, "position": "end"}), ("seed-gpt2", {**SOFT, "position": "middle"}), ("seed-t5", SOFT),
         ("seed-bert", {"name": "p_tuning", "virtual_tokens": 3}), ("seed-llama", {"name": "multitask_prompt", "virtual_tokens": 1})]
STACKS = [("seed-llama", SOFT), ("seed-bert", {**SOFT, "position": "middle"})]
WORDS = {**SOFT, "init": "text", "text": " the film was very good"}  # of the seeded vocabularies, each one token
TINY = {"task": "toy", "steps": 12, "batch": 2, "tokens": 24, "eval_items": 12, "eval_every": 0, "dtype": "float32"}


@pytest.mark.slow
@pytest.mark.parametrize(("model", "method"), FORMS)
def test_each_arm_scores_what_the_model_it_stands_for_scores(model: str, method: dict[str, Any], opened_again: Callable[..., Opened]) -> None:
    specimen = opened_again(model, method)
    scores = finished(_swapping.swapped(specimen, 12))["scores"]
    assert scores["prompt"] == finished(specimen.scored()).to_dict()
    assert scores["none"] == finished(specimen.scored(specimen.base)).to_dict()
    assert scores["before"]["loss"] == pytest.approx(finished(specimen.scored(specimen.before)).loss, abs=2e-4)
    assert set(scores) == {"none", "prompt", "nearest", "before", "random", "written", "labels"} and {each["items"] for each in scores.values()} == {12}


@pytest.mark.parametrize(("model", "part"), STACKS)
def test_other_parts_of_a_combination_stay_when_the_vectors_go(model: str, part: dict[str, Any], opened_again: Callable[..., Opened]) -> None:
    specimen = opened_again(model, {"name": "stack", "parts": [part, {"name": "lora", "rank": 4}]})
    with _swapping.without(specimen.module) as bare:
        found = finished(specimen.scored(bare)).loss
    assert found != pytest.approx(finished(specimen.scored(specimen.base)).loss, abs=1e-5), "LoRA still answers"
    assert found != pytest.approx(finished(specimen.scored()).loss, abs=1e-5), "the vectors do not"


@pytest.mark.parametrize(("model", "method"), FORMS)
def test_a_swap_leaves_the_model_as_it_was(model: str, method: dict[str, Any], opened_again: Callable[..., Opened]) -> None:
    specimen = opened_again(model, method)
    before, weights = finished(specimen.scored()).logits, [weight.clone() for weight in specimen.module.parameters()]
    finished(_swapping.swapped(specimen, 4))
    assert torch.equal(before, finished(specimen.scored()).logits)
    assert all(torch.equal(one, other) for one, other in zip(weights, specimen.module.parameters(), strict=True))


@pytest.mark.parametrize(("model", "method"), FORMS[:2])
def test_a_prompt_that_is_made_of_words_loses_nothing(model: str, method: dict[str, Any], opened_again: Callable[..., Opened]) -> None:
    specimen = opened_again(model, method)
    words = vocabulary(specimen)
    ids = words.ids[20:25]
    with _prompt.replaced(specimen.module, words.rows(ids)):
        value = finished(_swapping.swapped(specimen, 12))
    assert value["words"] == [words.shown(token) for token in ids.tolist()]
    assert value["kl"]["nearest"] == 0 and value["scores"]["nearest"] == value["scores"]["prompt"]
    assert value["kl"]["random"] > 0


def test_a_hand_written_prompt_is_cut_and_repeated_to_the_same_length(opened_again: Callable[..., Opened]) -> None:
    specimen = opened_again("seed-llama", SOFT)
    swap = _swapping.Swap(specimen, vocabulary(specimen), _prompt.vectors(specimen.module))
    assert all(len(ids) == 5 for ids in swap.ids.values())
    assert specimen.tokenizer.decode(swap.ids["labels"]).split() == ["negative", "positive", "negative", "positive", "negative"]


@pytest.mark.slow
def test_written_answers_are_swapped_too(opened_again: Callable[..., Opened]) -> None:
    value = finished(_swapping.swapped(opened_again("seed-llama", SOFT, task="table_to_text", eval_items=6), 6))
    assert "labels" not in value["scores"] and value["kl"] == {} and value["scores"]["nearest"]["items"] == 6
    assert SwapTest.says(value) and len(SwapTest.table(value).rows) == 6


def test_what_is_kept_is_a_share_of_the_gain_with_its_interval() -> None:
    labels = [0, 1] * 200

    def scored(right: int) -> Scored:
        """The first `right` answers are right, for sure."""
        truth = torch.nn.functional.one_hot(torch.tensor(labels), 2)
        logits = torch.where((torch.arange(400) < right).unsqueeze(1), truth, 1 - truth).double() * 2
        return Scored(right / 400, 0.0, 0.0, 400, logits)

    value = _swapping.told({"none": scored(200), "prompt": scored(300), "nearest": scored(220), "before": scored(300), "random": scored(160)}, labels)
    assert value["kept"] == {"nearest": 0.2, "before": 1.0, "random": -0.4} and value["gain"]["score"] == 0.25
    low, high = value["between"]["nearest"]
    assert 0.1 < low < 0.2 < high < 0.3 and value["between"]["before"] == [1.0, 1.0]
    assert value["gain"]["standard_error"] == pytest.approx((0.25 * 0.75 / 400) ** 0.5, rel=0.01)
    assert value["kl"]["before"] == 0
    share = 1 / (1 + torch.tensor(-2.0).double().exp())  # of the answer that is sure: 80 of 400 answers are turned round
    assert value["kl"]["nearest"] == pytest.approx(float(80 / 400 * (2 * share - 1) * 2), rel=1e-3)
    assert "keeps 20%" in SwapTest.says({**value, "words": []})[0] and "are not the prompt" in SwapTest.says({**value, "words": []})[0]
    worse = _swapping.told({"none": scored(200), "prompt": scored(300), "nearest": scored(160), "random": scored(180)}, labels)
    first, second = SwapTest.says({**worse, "words": []})
    assert "worse than without any prompt, 0.400 against 0.500" in first and "random words do worse than no prompt, too, 0.450" in second
    assert "%" not in first + second


def test_without_a_gain_nothing_is_said_to_be_kept() -> None:
    same = Scored(0.5, 0.1, 0.7, 4, torch.tensor([[1.0, 0], [1, 0], [1, 0], [1, 0]]))
    value = _swapping.told({"none": same, "prompt": same, "nearest": same}, [0, 1, 0, 1])
    assert value["kept"] == {"nearest": None} and value["between"] == {"nearest": None}
    assert "too little to say" in SwapTest.says(value)[0]


# ── neighbours ────────────────────────────────────────────────────────────────────────────────────────────────────────


def examined(specimen: Opened, vectors: torch.Tensor, draws: int = 200) -> dict[str, Any]:
    """With these vectors as the trained ones, and no swap."""
    with _prompt.replaced(specimen.module, vectors):
        return finished(_neighbourhood.examined(specimen, draws, 0))


@pytest.mark.parametrize("model", ["seed-llama", "seed-bert", "seed-t5"])
def test_a_prompt_that_began_as_words_is_recognised_before_training(model: str, opened_again: Callable[..., Opened]) -> None:
    specimen = opened_again(model, WORDS)
    value = examined(specimen, _prompt.vectors(specimen.before))
    assert value["persistence"] == 1 and [position["init"][0]["text"].strip("␣") for position in value["positions"]] == WORDS["text"].split()
    for position in value["positions"]:
        nearest, first = position["neighbours"]["centred"][0], position["init"][0]
        assert nearest["id"] == first["id"] and nearest["value"] == pytest.approx(1, abs=1e-3) and position["kept"]
        assert position["p"] < 0.05 and position["nulls"]["noise"]["p"] > 0.5, "near to a word, and so is any word that has not moved"
        assert position["drift"] == {"distance": 0, "natural": 0, "angle": 0}


def test_an_untrained_random_prompt_lies_near_to_nothing(opened_again: Callable[..., Opened]) -> None:
    specimen = opened_again("seed-llama", {**SOFT, "virtual_tokens": 40, "init": "random"})
    value = examined(specimen, _prompt.vectors(specimen.before))
    assert min(position["p"] for position in value["positions"]) > 0.05
    assert sum(position["alone"] for position in value["positions"]) / 40 == pytest.approx(0.5, abs=0.17)
    assert value["draws"] >= 200 and value["draws"] % specimen.shape.embedding_width == 0, "whole turns of the coordinates"


def test_the_value_has_what_the_page_reads(opened_again: Callable[..., Opened]) -> None:
    specimen = opened_again("seed-bert", SOFT)
    seen = []
    looking = PromptNeighbours(draws=100, items=10).look(specimen)
    while True:
        try:
            seen.append(next(looking))
        except StopIteration as end:
            value = end.value
            break
    assert [done for done, _ in seen] == sorted(done for done, _ in seen) and {of for _, of in seen} == {3000} and seen[-1][0] == 3000
    assert json.loads(json.dumps(value)) == value
    position = value["positions"][0]
    assert set(position["neighbours"]) == {"centred", "cosine", "l2", "dot"} and all(len(line) == 5 for line in position["neighbours"].values())
    assert {"id", "text", "value", "z", "p"} <= set(position["neighbours"]["centred"][0]) and set(position["nulls"]) == {"permuted", "direction", "noise"}
    assert value["vocabulary"] + value["banned"] == len(specimen.base.get_input_embeddings().weight)
    assert value["swap"]["scores"]["prompt"]["items"] == 10
    assert len(PromptNeighbours.table(value).rows) == 5 * 5 * 5 and len(PromptNeighbours.says(value)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 200])
def test_one_vector_and_two_hundred(n: int, opened_again: Callable[..., Opened]) -> None:
    value = finished(PromptNeighbours(draws=100, items=10).look(opened_again("seed-llama", {**SOFT, "virtual_tokens": n})))
    assert [position["position"] for position in value["positions"]] == list(range(n)) and len(value["swap"]["words"]) == n


def test_what_there_is_no_neighbour_of_is_explained() -> None:
    for method, reason in (("prefix_tuning", "no nearest token"), ({**SOFT, "position": "added"}, "differences between places"), ("lora", "no soft prompt")):
        spec = RunSpec.parse({"model": "seed-llama", "method": method, **TINY})
        for lens in (PromptNeighbours, SwapTest, PromptRiver, PromptDrift, PromptMap):
            assert not lens.applies(spec).ok and reason in lens.applies(spec).reason


def test_the_cost_is_said_before() -> None:
    few, many = (PromptNeighbours.cost(RunSpec.parse({"model": "smollm2-135m", "method": {**SOFT, "virtual_tokens": n}})) for n in (20, 200))
    assert int(few.split()[1]) <= 15 < int(many.split()[1]) and "7 times 200 test items" in few


def test_an_interrupted_run_is_explained(workshop: Any, tmp_path: Any) -> None:
    with pytest.raises(LabError, match="holds no finished run"):
        finished(reopened(tmp_path, workshop))
    ended = fold(look(Look(run="x", lens="swap_test"), tmp_path, workshop))
    assert ended.state == "failed" and "holds no finished run" in ended.reason


# ── traces ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def seen(result: Any, lens: str) -> list[Seen]:
    return [Seen(each.step, each.value) for each in result.observed if each.lens == lens]


@pytest.mark.parametrize(("model", "method"), [*FORMS[:5], ("seed-llama", {"name": "stack", "parts": [SOFT, {"name": "lora"}]})])
def test_a_run_films_its_vectors(model: str, method: dict[str, Any], workshop: Any, run: Callable[..., Any]) -> None:
    result = run(workshop, model=model, method=method, **{**TINY, "lr": 0.05})
    river, drift, points = (seen(result, lens.key) for lens in (PromptRiver, PromptDrift, PromptMap))
    n = len(river[0].value["positions"])
    assert [each.step for each in river] == [each.step for each in drift] == [each.step for each in points] and river[-1].step == 12
    assert river[0].value["persistence"] == 1 and all(rank == 1 for _, rank in river[0].value["start"])
    assert set(drift[0].value["distance"]) == {0} and min(drift[-1].value["distance"]) > 0 and all(len(line) == n for line in drift[-1].value.values())
    named = [set(each.value["texts"]) for each in river]
    assert not any(one & other for place, one in enumerate(named) for other in named[:place]), "a text is told once"
    assert {str(token) for each in river for line in each.value["positions"] for token, _ in line} <= set().union(*named)
    assert "words" in points[0].value and "words" not in points[-1].value and len(points[-1].value["points"]) == n
    for lens, value in ((PromptRiver, river), (PromptDrift, drift), (PromptMap, points)):
        assert lens.says(value) and lens.table(value).rows and all(len(row) == len(lens.table(value).columns) for row in lens.table(value).rows)


def test_words_are_the_first_thing_a_film_shows(workshop: Any, run: Callable[..., Any]) -> None:
    """Each vector begins as a row of the table: the nearest word is that row, at no distance, inside its cell."""
    result = run(workshop, model="seed-llama", method=WORDS, **TINY)
    first, drift = seen(result, "prompt_river")[0].value, seen(result, "prompt_drift")[0].value
    assert all(line[0] == [token, 1.0] for line, (token, _) in zip(first["positions"], first["start"], strict=True))
    assert max(drift["nearest"]) < 1e-3 and min(drift["margin"]) > 0


def test_a_look_at_two_hundred_vectors_stays_small(workshop: Any) -> None:
    spec = RunSpec.parse({"model": "seed-llama", "method": {**SOFT, "virtual_tokens": 200}, **TINY})
    specimen = Opened(finished(prepare(spec, workshop)))
    for lens in (PromptRiver(), PromptDrift(), PromptMap()):
        assert len(json.dumps(lens.look(specimen, lens.begin(specimen), False))) < 40_000
