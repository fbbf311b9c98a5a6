"""The pull towards a text, the runs planned around it, and twins on shuffled labels: arithmetic by hand, and real runs of seeded models."""
from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
import torch

from lab import export
from lab.contracts import LabError
from lab.engine.job import prepare
from lab.engine.scoring import finished
from lab.events import Evaluated, Observed, RunResult
from lab.lens import Experiment, Trace, fitting, made
from lab.lenses import prompt_pull, twins
from lab.spec import RunSpec

TEXT = "good film"
TINY: dict[str, Any] = {"model": "seed-llama", "task": "toy", "steps": 40, "batch": 4, "eval_items": 20, "eval_every": 0, "dtype": "float32"}
PROMPT = {"name": "prompt_tuning", "virtual_tokens": 5}


def spec(**method: Any) -> RunSpec:
    return RunSpec.parse({**TINY, "method": {**PROMPT, **method}})


# ── the pull ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("position", ["front", "middle", "end"])
@pytest.mark.parametrize("model", ["seed-bert", "seed-llama", "seed-t5"])
@pytest.mark.parametrize("stacked", [False, True], ids=["alone", "in a combination"])
def test_what_is_added_to_the_loss_is_the_papers_formula(stacked: bool, model: str, position: str, workshop: Any) -> None:
    if model == "seed-t5" and position != "front":
        return
    method = {**PROMPT, "position": position, "pull": 2.0, "pull_text": TEXT}
    asked = RunSpec.parse({**TINY, "model": model, "method": {"name": "stack", "parts": [method, "lora"]} if stacked else method})
    job = finished(prepare(asked, workshop))
    ids = job.reader.tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    table = job.pristine.module.get_input_embeddings().weight
    prompt = next(weight for name, weight in job.module.named_parameters() if "prompt" in name)
    expected = sum((prompt[place] - table[ids[place % len(ids)]]).square().sum() for place in range(5)) * 2.0 / 5
    found = job.spec.method.penalty(job.module)
    torch.testing.assert_close(found, expected)
    found.backward()
    assert prompt.grad[:5].abs().sum() > 0 and all(weight.grad is None for weight in job.pristine.module.parameters())
    if model == "seed-t5":
        assert not prompt.grad[5:].any(), "what is read by nothing is pulled nowhere"


def test_without_a_pull_nothing_is_added(workshop: Any) -> None:
    job = finished(prepare(spec(pull_text=TEXT), workshop))
    assert job.spec.method.penalty(job.module) is None
    assert spec(pull=1.0, pull_text=TEXT).counts == spec().counts


@pytest.mark.parametrize(("knobs", "message"), [
    ({"pull": 1.0}, "pull is 1 and pull_text is empty: type the text"), ({"pull": 1.0, "pull_text": "  "}, "pull_text is empty"),
    ({"pull": 1.0, "pull_text": TEXT, "position": "added"}, "position is added"), ({"pull": -1.0}, "pull is -1.0: must be 0 to 1,000"),
    ({"pull": 1001.0, "pull_text": TEXT}, "pull is 1001.0: must be 0 to 1,000")])
def test_a_pull_that_makes_no_sense_is_refused_in_words(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(LabError, match=message):
        spec(**knobs)


def test_the_script_says_it_on_models_that_write_and_on_others() -> None:
    for model in ("seed-bert", "seed-llama"):
        text = export.script(RunSpec.parse({**TINY, "model": model, "method": {**PROMPT, "pull": 2.0, "pull_text": TEXT}})).text
        assert "loss = loss + 2.0 / 5 * (prompt.embedding.weight - wanted).square().sum()" in text and f'"{TEXT}"' in text
    assert "square" not in export.script(spec(pull_text=TEXT)).text


@pytest.fixture(scope="module")
def pulled(run: Any, workshop: Any) -> list[tuple[RunSpec, RunResult]]:
    """The runs of the game, on a seeded model."""
    planned = game().specs(spec())
    return [(each, run(workshop, **each.to_dict())) for each in planned]


def game() -> Any:
    return made("waywardness", {"text": TEXT, "strongest": 100.0, "pulls": 2}, Experiment)


def test_the_game_plans_one_run_a_pull(pulled: Any) -> None:
    assert [each.method.pull for each, _ in pulled] == [0.0, 10.0, 100.0]
    assert all(each.method.pull_text == TEXT and each.seed == 0 and each.steps == 40 for each, _ in pulled)
    assert len({each.fingerprint for each, _ in pulled}) == 3


def test_a_harder_pull_brings_the_prompt_to_the_text(pulled: Any) -> None:
    value = game().shown(spec(), [result for _, result in pulled])
    free, _, hard = value["points"]
    assert hard["distance"] < free["distance"] / 4 and hard["kept"] == hard["f1"] == 1 > free["f1"]
    for point, (_, result) in zip(value["points"], pulled, strict=True):
        assert point["state"] == "finished" and point["score"] == result.scores["tuned"].score
    assert value["base"] is not None and len(hard["words"]) == 5 and json.loads(json.dumps(value)) == value
    said = type(game()).says(value)
    assert "spell 100% of your text" in said[0]
    table = type(game()).table(value)
    assert len(table.rows) == 3 and all(len(row) == len(table.columns) for row in table.rows)


def test_what_has_not_ended_is_shown_as_such(pulled: Any) -> None:
    value = game().shown(spec(), [pulled[0][1], None, RunResult(state="running")])
    assert [point["state"] for point in value["points"]] == ["finished", "queued", "running"]
    assert [point["score"] is None for point in value["points"]] == [False, True, True] and type(game()).says(value) == ()


def test_the_trace_of_the_pull_measures_what_it_says(pulled: Any, workshop: Any) -> None:
    looks = [seen for seen in pulled[2][1].observed if seen.lens == "prompt_pull"]
    assert looks[0].step == 0 and looks[-1].step == 40 and looks[-1].value["distance"] < looks[0].value["distance"]
    job = finished(prepare(pulled[2][0], workshop))
    ids = torch.tensor((job.reader.tokenizer(TEXT, add_special_tokens=False)["input_ids"] * 5)[:5])
    table, prompt = job.pristine.module.get_input_embeddings().weight, job.trained()[0]
    assert looks[0].value["distance"] == pytest.approx(float((prompt.detach() - table[ids]).norm(dim=1).mean()), rel=1e-3)
    assert len(looks[0].value["target"]) == 5 and looks[0].value["target"][0].strip("␣").startswith("g")


def test_only_a_run_with_a_text_is_traced() -> None:
    assert "prompt_pull" in fitting(spec(pull_text=TEXT), Trace) and "prompt_pull" not in fitting(spec(), Trace)
    assert "type one under pull_text" in prompt_pull.PromptPull.applies(spec()).reason


def test_bags_of_words_are_compared_with_their_counts() -> None:
    assert prompt_pull.f1([1, 1, 2], [1, 2, 2]) == pytest.approx(2 / 3)
    assert prompt_pull.f1([1, 2], [2, 1]) == 1 and prompt_pull.f1([1], [2]) == 0


def test_the_game_is_refused_where_it_cannot_be_played() -> None:
    kind = type(game())
    for method, reason in (("p_tuning", "not prompt tuning"), ({"name": "prompt_tuning", "position": "added"}, "lie at none")):
        fits = kind.applies(RunSpec.parse({**TINY, "method": method}))
        assert not fits.ok and reason in fits.reason
    with pytest.raises(LabError, match="text is empty"):
        made("waywardness", {"text": " "}, Experiment).specs(spec())


# ── twins ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_fishers_test_is_that_of_the_lady_who_tasted_tea() -> None:
    """Fisher 1935: of 4 cups named right out of 4, 1 in 70; of 3, 17 in 70."""
    assert twins.fisher(4, 4, 0, 4) == pytest.approx(1 / 70) and twins.fisher(3, 4, 1, 4) == pytest.approx(17 / 70)


@pytest.mark.parametrize(("of_one", "of_other"), [(3, 3), (2, 4), (5, 2)])
def test_fishers_test_counts_all_ways_of_dealing_the_marks(of_one: int, of_other: int) -> None:
    whole = range(of_one + of_other)
    for one in range(of_one + 1):
        for other in range(of_other + 1):
            ways = [sum(place < of_one for place in marks) >= one for marks in combinations(whole, one + other)]
            assert twins.fisher(one, of_one, other, of_other) == pytest.approx(sum(ways) / len(ways))


def test_holm_and_jaccard_by_hand() -> None:
    assert twins.holm([0.01, 0.02, 0.03, 0.5]) == pytest.approx([0.04, 0.06, 0.06, 0.5])
    assert twins.jaccard([{1, 2}, {2, 3}, {1, 2}]) == pytest.approx((1 / 3 + 1 + 1 / 3) / 3, abs=1e-4) and twins.jaccard([{1}]) is None


def ended(*looks: tuple[list[list[int]], dict[int, str]]) -> RunResult:
    """A finished run with these looks of its river: tokens of each position, and texts that are new."""
    values = [{"positions": [[[token, 0.5] for token in line] for line in positions], "texts": {str(token): text for token, text in texts.items()}}
              for positions, texts in looks]
    seen = tuple(Observed(step, "prompt_river", value) for step, value in enumerate(values))
    return RunResult(state="finished", observed=seen, scores={"tuned": Evaluated(1, "tuned", "test", "accuracy", 0.5, 0.1, 20)})


def trial(seeds: int = 5) -> Any:
    return made("twins", {"seeds": seeds, "top": 2}, Experiment)


def test_a_neighbour_counts_where_only_the_real_ones_have_it() -> None:
    real = [ended(([[9, 8]], {9: "nine", 8: "eight"}), ([[1, 2, 7]], {1: "one", 2: "two", 7: "seven"})) for _ in range(5)]
    shuffled = [ended(([[2, 3]], {2: "two", 3: "three"})) for _ in range(5)]
    value = trial().shown(spec(), [*real, *shuffled])
    found = {token["id"]: token for token in value["tokens"]}
    assert set(found) == {1, 2, 3}, "neither what was near before the end, nor what lies further than two words away"
    assert found[1] == {"id": 1, "text": "one", "real": 5, "shuffled": 0, "p": pytest.approx(1 / 252, rel=1e-3), "adjusted": pytest.approx(3 / 252, rel=1e-3),
                        "kept": True}
    assert found[2]["p"] == 1 and found[3]["p"] == 1 and not found[2]["kept"]
    assert value["jaccard"] == {"real": 1.0, "shuffled": 1.0} and value["done"] == 10 and value["seeds"] == 5
    assert "one is more frequent" in type(trial()).says(value)[0].lower()
    assert all(len(row) == len(type(trial()).table(value).columns) for row in type(trial()).table(value).rows)


def test_too_few_seeds_are_said_to_be_too_few() -> None:
    value = trial(2).shown(spec(), [ended(([[1, 4]], {1: "one", 4: "four"}))] * 2 + [ended(([[2, 3]], {2: "two", 3: "three"}))] * 2)
    assert not any(token["kept"] for token in value["tokens"]) and value["least"] == pytest.approx(1 / 6, rel=1e-3)
    assert "So few runs could not have shown it" in type(trial()).says(value)[0]


def test_runs_that_have_not_ended_are_waited_for() -> None:
    value = trial(2).shown(spec(), [ended(([[1]], {1: "one"})), None, RunResult(state="failed"), RunResult(state="running")])
    assert value["done"] == 1 and value["jaccard"] == {"real": None, "shuffled": None} and "1 of 4 runs" in type(trial()).says(value)[0]
    assert trial(2).shown(spec(), [None] * 4)["tokens"] == []


def test_twins_of_a_seeded_model(run: Callable[..., RunResult], workshop: Any) -> None:
    """Pairs share seed and start, and differ in their labels."""
    planned = trial(2).specs(RunSpec.parse({**TINY, "steps": 8, "seed": 7, "method": {**PROMPT, "init": "vocabulary"}}))
    assert [(each.seed, each.shuffle_labels) for each in planned] == [(7, False), (8, False), (7, True), (8, True)]
    results = [run(workshop, **each.to_dict()) for each in planned]
    value = trial(2).shown(planned[0], results)
    assert value["done"] == 4 and value["tokens"] and all(token["text"] for token in value["tokens"])
    assert results[0].losses != results[2].losses
    first = [next(seen.value["positions"] for seen in result.observed if seen.lens == "prompt_river") for result in results]
    assert first[0] == first[2] != first[1]


def test_twins_of_a_shuffled_run_are_refused() -> None:
    kind = type(trial())
    assert "itself trained on shuffled labels" in kind.applies(RunSpec.parse({**TINY, "method": PROMPT, "shuffle_labels": True})).reason
    assert not kind.applies(RunSpec.parse({**TINY, "method": "lora"})).ok and kind.applies(spec()).ok
