"""Runs that are tested on other tasks as well, comparisons of what was learned where, and the vote of an arm's seeds."""
from __future__ import annotations

from typing import Any

import pytest

from lab.compare import Comparison, report, warnings
from lab.contracts import LabError
from lab.engine import train
from lab.events import Evaluated, Finished, Observed, RunResult, Started, fold
from lab.spec import RunSpec

SPEC = {"model": "seed-bert", "task": "movies", "method": "lora", "steps": 3, "batch": 4, "tokens": 24, "eval_items": 30, "eval_every": 0, "dtype": "float32",
        "tested_on": ["movies", "toy", "products"]}


def test_a_spec_without_further_tests_is_what_it_was_before_there_were_any() -> None:
    assert "tested_on" not in RunSpec.parse({"model": "minilm-l6", "method": "lora"}).to_dict()
    assert RunSpec.parse({"model": "minilm-l6", "method": "lora"}).fingerprint == "b241c2c366b4a0bb5121e3da0e13d3568fbec4d87969ba14b9b5a4900d387195"
    spec = RunSpec.parse(SPEC)
    assert spec.beyond == ("toy", "products") and RunSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(("tests", "task"), [(["digits"], "movies"), (["sst2"], "movies"), (["movies"], "rotten_tomatoes"), (["nowhere"], "movies"),
                                             (["movies"], "table_to_text")])
def test_only_tasks_with_the_same_labels_and_other_texts_are_tests(tests: list[str], task: str) -> None:
    model = "seed-llama" if task == "table_to_text" else "seed-bert"
    with pytest.raises(LabError, match=f'tested_on has "{tests[0]}": must be tasks with the labels of {task}'):
        RunSpec.parse({**SPEC, "model": model, "task": task, "tested_on": tests})


@pytest.mark.slow
@pytest.mark.parametrize("model", ["seed-bert", "seed-llama"])
def test_a_run_is_asked_the_other_tasks_after_its_own(model: str, kept_workshop: Any) -> None:
    result = fold(train(RunSpec.parse({**SPEC, "model": model, "tokens": 48}), kept_workshop))
    assert result.state == "finished", result.reason
    found = result.seen("transfer")
    assert list(found) == ["toy", "products"] and all(each["items"] == 30 and 0 <= each["score"] <= 1 for each in found.values())
    assert found["toy"]["data_sha256"] != found["products"]["data_sha256"] != result.started.data_sha256


# ── comparisons ───────────────────────────────────────────────────────────────────────────────────────────────────────

TESTS = ["movies", "products"]
DOMAINS = {"base": {"model": "seed-bert", "task": "movies", "method": "lora", "eval_items": 40, "tested_on": TESTS}, "seeds": [0, 1, 2],
           "arms": [{"name": "movies", "change": {}}, {"name": "products", "change": {"task": "products"}}]}


def test_arms_may_learn_different_tasks_only_where_all_are_tested_on_all() -> None:
    comparison = Comparison.parse(DOMAINS)
    assert comparison.mixed and [spec.task for spec in comparison.specs.values()] == TESTS and warnings(comparison) == []
    for wrong, words in (({"task": "tweets"}, "change has task"), ({"tested_on": ["toy"]}, "change has tested_on")):
        with pytest.raises(LabError, match=words):
            Comparison.parse({**DOMAINS, "arms": [DOMAINS["arms"][0], {"name": "other", "change": wrong}]})
    with pytest.raises(LabError, match="change has task"):
        Comparison.parse({**DOMAINS, "base": {**DOMAINS["base"], "tested_on": []}})


def ended(spec: RunSpec, score: float, other: float, answers: str = "") -> RunResult:
    """A result as the engine would tell it, with these scores on the run's own test and on the other one."""
    started = Started(spec.to_dict(), spec.fingerprint, "w", f"data of {spec.task}", {}, {}, "cpu", "float32", 1, {"train": 9, "test": 40})
    beyond = {key: {"score": other, "standard_error": 0.04, "items": 40, "data_sha256": f"data of {key}"} for key in spec.beyond}
    return fold([started, Evaluated(3, "tuned", "test", "accuracy", score, 0.03, 40, seconds=2.0), Observed(3, "transfer", beyond),
                 Observed(3, "answers", {"tuned": answers}), Finished(3, {"training": 1.0}, 3.0)])


def test_where_arms_learn_different_tasks_the_score_is_the_mean_over_all_tests() -> None:
    comparison = Comparison.parse(DOMAINS)
    high = {"movies": (0.9, 0.5), "products": (0.8, 0.9)}
    found = report(comparison, {spec.fingerprint: ended(spec, *high[name]) for (name, _), spec in comparison.runs.items()}, labels=[0] * 40)
    movies, products = found["arms"]
    assert movies["scores"] == pytest.approx([0.7] * 3) and products["scores"] == pytest.approx([0.85] * 3)
    assert movies["runs"][0]["standard_error"] == pytest.approx(0.05 / 2) and movies["runs"][0]["items"] == 80
    assert movies["runs"][0]["tests"]["products"]["score"] == 0.5 and movies["runs"][0]["answer_seconds"] == 0.05
    assert found["mixed"] and found["tests"] == TESTS and all(row["same"] for row in found["shared"]), "both are asked the same texts"
    assert "data order" not in found["shared"][0]["parts"] and found["pairs"][0]["items"] == [] and movies["vote"] is None


def test_a_missing_test_is_no_score() -> None:
    comparison = Comparison.parse(DOMAINS)
    results = {spec.fingerprint: ended(spec, 0.9, 0.5) for spec in comparison.runs.values()}
    first = comparison.run("movies", 0)
    results[first.fingerprint] = fold([
        Started(first.to_dict(), first.fingerprint, "w", "d", {}, {}, "cpu", "float32", 1, {}), Evaluated(3, "tuned", "test", "accuracy", 0.9, 0.03, 40),
        Finished(3, {}, 3.0)])
    assert report(comparison, results)["arms"][0]["scores"][0] is None


def test_the_seeds_of_an_arm_vote() -> None:
    asked = Comparison.parse({**DOMAINS, "base": {**DOMAINS["base"], "tested_on": []}, "arms": [{"name": "A"}, {"name": "B", "change": {"method": "head"}}]})
    labels = [0, 1, 1, 0]
    said = {("A", 0): "0110", ("A", 1): "0101", ("A", 2): "1110", ("B", 0): "0000", ("B", 1): "1111", ("B", 2): "0000"}
    found = report(asked, {spec.fingerprint: ended(spec, 0.5, 0.5, said[key]) for key, spec in asked.runs.items()}, labels)
    vote = found["arms"][0]["vote"]
    assert vote["members"] == [1.0, 0.5, 0.75] and vote["score"] == 1.0 and vote["mean"] == 0.75 and vote["gain"] == pytest.approx(0.25)
    assert found["arms"][1]["vote"]["score"] == 0.5 and found["arms"][1]["vote"]["best"] == 0.5
    assert report(asked, {spec.fingerprint: ended(spec, 0.5, 0.5, said[key]) for key, spec in asked.runs.items()})["arms"][0]["vote"] is None


def test_votes_that_tie_are_shared() -> None:
    asked = Comparison.parse({**DOMAINS, "seeds": [0, 1, 2, 3], "base": {**DOMAINS["base"], "tested_on": []},
                              "arms": [{"name": "A"}, {"name": "B", "change": {"method": "head"}}]})
    results = {spec.fingerprint: ended(spec, 0.5, 0.5, "10" if seed < 2 else "00") for (_, seed), spec in asked.runs.items()}
    assert report(asked, results, [1, 0])["arms"][0]["vote"]["score"] == 0.75
