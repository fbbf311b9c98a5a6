"""Each way to go wrong is found in the events of the run that is broken so, and in no recorded run that is sound."""
from __future__ import annotations

import json
import re
from math import hypot
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab import catalogue
from lab.diagnosed import Diagnosis, diagnose
from lab.events import Evaluated, Failed, Finished, Observed, RunResult, Started, Stepped, fold
from lab.museum import exhibits, spec_of
from lab.recording import read, shelf
from lab.spec import RunSpec
from lab.ui.learn.halls import labels, shown

ROOT = Path(__file__).parent.parent
BY_ARITHMETIC = {"above-break-even", "cut-off", "nothing-frozen"}
DIAGNOSES: dict[str, type[Diagnosis]] = catalogue.entries("diagnoses")


def run_of(spec: RunSpec, *, losses: tuple[float, float] = (0.7, 0.4), tuned: float = 0.8, base: float = 0.7, said: str = "01" * 50,
           scores: tuple[tuple[str, str, float], ...] = (), **seen: object) -> RunResult:
    """A finished run whose numbers are chosen; `scores` are further ones: who, of which split, how good."""
    started = Started(spec.to_dict(), spec.fingerprint, "w", "d", {}, spec.counts.to_dict(), "cpu", "float32", 2, {"train": spec.train_items or 1000})
    steps = [[step, losses[0] * (losses[1] / losses[0]) ** (step / 100)] for step in range(1, 101)]
    told = (("majority", "test", 0.5), ("base", "test", base), ("tuned", "test", tuned), *scores)
    scores = [Evaluated(0, who, split, "accuracy", score, 0.02, 100) for who, split, score in told]
    observed = [Observed(100, "answers", {"tuned": said}), *(Observed(step, lens, value) for step in (50, 100) for lens, value in seen.items())]
    return fold([started, Stepped(100, losses[1], 0.1, 5.0, steps), *scores, *observed, Finished(100, {"training": 5.0}, 20.0)])


def test_what_is_broken_on_purpose_is_diagnosed_as_that() -> None:
    """The recorded exhibits, all of them."""
    found = exhibits(ROOT / "assets" / "museum")
    assert set(found) == set(DIAGNOSES) and len(found) >= 8
    for key, recorded in found.items():
        assert key in [each.key for each in diagnose(recorded.result)], key


def test_no_sound_run_is_diagnosed() -> None:
    """All recorded ones; a prompt that starts as random numbers is not sound."""
    for recorded in shelf(ROOT / "assets" / "recorded"):
        found = [each.key for each in diagnose(recorded.result)]
        assert not found or (found == ["left-the-words"] and recorded.spec.method.init == "random"), (recorded.key, found)


def test_no_run_of_a_comparison_with_a_good_score_is_said_to_have_failed() -> None:
    """All that are recorded. What is so by arithmetic, a rank or all numbers trained, is said whatever the score is."""
    good, found = 0, {}
    for path in sorted((ROOT / "assets" / "comparisons" / "runs").glob("*.jsonl.gz")):
        recorded = read(path)
        scores, spec = recorded.result.scores, recorded.spec
        keys = {each.key for each in diagnose(recorded.result)}
        assert "adapter-not-loaded" not in keys, path.name
        assert "nothing-to-learn" not in keys or spec.shuffle_labels, path.name
        assert "wrong-template" not in keys or spec.method.key == "in_context", path.name
        if not {"tuned", "base", "majority"} <= set(scores):
            continue
        tuned, base, majority = scores["tuned"], scores["base"], scores["majority"]
        if tuned.score - base.score > 2 * hypot(tuned.standard_error, base.standard_error) and base.score - majority.score > 2 * base.standard_error:
            good += 1
            found |= {path.name: keys - BY_ARITHMETIC} if keys - BY_ARITHMETIC else {}
    assert good > 30 and found == {}


def test_the_labels_tell_the_rates_that_were_taken() -> None:
    for key, times, words in (("steps-too-large", 33, "33 times"), ("steps-too-small", 1 / 100, "a hundredth")):
        spec = spec_of(DIAGNOSES[key])
        assert words in DIAGNOSES[key].about
        assert spec.lr / RunSpec.parse({**spec.to_dict(), "lr": None}).lr == pytest.approx(times, rel=0.02)


def test_no_name_that_is_right_as_well_is_offered_beside_the_right_one() -> None:
    found = exhibits(ROOT / "assets" / "museum")
    shown = labels(SimpleNamespace(museum=found))
    assert {each["key"] for each in shown} == set(found)
    for each in shown:
        right = {seen.key for seen in diagnose(found[each["key"]].result)}
        offered = [name["key"] for name in each["names"]]
        assert len(set(offered)) == 4 and right & set(offered) == {each["key"]}


def test_a_wrong_name_is_answered_with_a_number_of_the_run_that_speaks_against_it() -> None:
    found = exhibits(ROOT / "assets" / "museum")
    for key, recorded in found.items():
        for other in DIAGNOSES[key].mistaken:
            said = DIAGNOSES[other].against(recorded.spec, recorded.result)
            assert said.endswith(".") and re.search(r"\d", said), (key, other, said)
    assert "26.6" in DIAGNOSES["cut-off"].against(found["nothing-moves"].spec, found["nothing-moves"].result)
    assert "143 of 200" in DIAGNOSES["one-answer"].against(found["wrong-template"].spec, found["wrong-template"].result)


def test_the_first_exhibit_shows_one_fault_alone() -> None:
    """A rank above break-even does no harm by itself: the run learns, and only the count is odd."""
    result = exhibits(ROOT / "assets" / "museum")["above-break-even"].result
    assert [each.key for each in diagnose(result)] == ["above-break-even"]
    assert result.scores["tuned"].score - result.scores["base"].score > 2 * hypot(result.scores["tuned"].standard_error, result.scores["base"].standard_error)


def test_a_label_does_not_tell_what_was_turned() -> None:
    found = exhibits(ROOT / "assets" / "museum")
    said = {each["key"]: each["says"] for each in labels(SimpleNamespace(museum=found))}
    assert "rank" not in said["above-break-even"] and "zero" not in said["nothing-moves"] and "rank 8" in said["steps-too-large"]
    assert len(set(said.values())) == len(said) and said["cut-off"].startswith("LoRA · MiniLM-L6 · ") and "tokens" not in said["cut-off"]
    for key in found:
        before = shown(SimpleNamespace(museum=found, recorded=()), key)
        assert "loaded" not in json.dumps([before["figure"], before["learned"]]).lower(), key


def test_a_learning_rate_of_nothing_is_told_as_that() -> None:
    found = {each.key: each.says for each in diagnose(run_of(RunSpec.parse({**LORA, "lr": 0.0}), tuned=0.7))}
    assert "The learning rate is 0" in found["steps-too-small"]


def test_the_labels_of_ones_own_data_are_doubted_with_care() -> None:
    """No setting says that they are wrong. What the same score is where something else explains it: labels that the untouched model finds sense in, few
    texts, few steps, a rate out of the usual, a run that did well until it was asked in other words."""
    spec = RunSpec.parse(LORA)
    blind, by_heart = {"losses": (0.7, 0.69), "tuned": 0.51, "base": 0.5}, {"losses": (0.7, 0.05), "tuned": 0.51, "base": 0.7}
    for numbers in (blind, by_heart):
        said = {each.key: each.says for each in diagnose(run_of(spec, **numbers))}
        assert "Perhaps labels and texts do not belong together" in said["nothing-to-learn"]
    for change, numbers in (({}, {**blind, "base": 0.7}), ({}, {**blind, "tuned": 0.6}), ({}, {**blind, "tuned": 0.4}), ({"steps": 40}, blind),
                            ({"train_items": 16}, by_heart), ({"lr": 0.1}, blind), ({}, {**blind, "scores": (("tuned", "validation", 0.9),)})):
        assert "nothing-to-learn" not in {each.key for each in diagnose(run_of(RunSpec.parse({**LORA, **change}), **numbers))}, (change, numbers)


def test_an_answer_that_never_changes_is_not_the_learning_rates_where_nothing_is_trained() -> None:
    spec = RunSpec.parse({"model": "smollm2-135m", "task": "movies", "method": "in_context"})
    found = {each.key: each for each in diagnose(run_of(spec, tuned=0.5, said="0" * 100))}
    assert "learning rate" not in found["one-answer"].advice and "examples" in found["one-answer"].advice


def test_a_template_is_judged_by_what_the_same_model_can_do() -> None:
    asked = {"model": "smollm2-135m", "task": "movies", "method": {"name": "in_context", "shots": 0, "wording": 1}}
    best = {"wording": {"best": RunSpec.parse(asked).goal.prompt, "validation": {}}, "scores": (("prompt", "test", 0.8),)}
    assert "wrong-template" in [each.key for each in diagnose(run_of(RunSpec.parse(asked), tuned=0.6, **best))]
    for change, tuned in (({"shots": 4}, 0.6), ({"wording": 0}, 0.6), ({}, 0.75)):
        spec = RunSpec.parse({**asked, "method": {**asked["method"], **change}})
        assert "wrong-template" not in [each.key for each in diagnose(run_of(spec, tuned=tuned, **best))]


LORA = {"model": "minilm-l6", "task": "movies", "method": "lora"}


@pytest.mark.parametrize(("key", "spec", "numbers"), [
    ("steps-too-large", {**LORA, "lr": 0.1}, {"losses": (0.7, 0.9), "tuned": 0.51}),
    ("steps-too-small", {**LORA, "lr": 0.00001}, {"tuned": 0.71}),
    ("nothing-frozen", {**LORA, "method": "full", "lr": 0.001}, {"memory": {"peak_bytes": 10, "parts": {"gradients": 2, "optimizer": 4, "weights": 2}}}),
    ("by-heart", {**LORA, "train_items": 16, "steps": 400}, {"losses": (0.7, 0.01), "tuned": 0.71}),
    ("by-heart", {**LORA, "train_items": 16, "steps": 400}, {"losses": (0.7, 0.01), "base": 0.5}),
    ("nothing-to-learn", {**LORA, "shuffle_labels": True}, {"tuned": 0.5}),
    ("one-answer", LORA, {"tuned": 0.5, "said": "1" * 99 + "0"}),
    ("cut-off", {**LORA, "tokens": 8}, {"read": {"tokens_per_answer": 7.9, "longest": 8}}),
    ("above-break-even", {**LORA, "method": {"name": "lora", "rank": 250}}, {}),
    ("nothing-moves", {**LORA, "method": {"name": "lora", "init": "zero_a"}}, {"gradient_norms": {"A": 0.0, "B": 0.0}}),
    ("nothing-moves", {**LORA, "method": {"name": "lora", "alpha": 0.0}}, {"gradient_norms": {"A": 0.0, "B": 0.0}}),
    ("adapter-not-loaded", LORA, {"reloaded": {"items": 100, "same": 80, "untrained": 100, "moved": 0.3, "missing": 0.3},
                                  "scores": (("reloaded", "test", 0.7),)}),
    ("wrong-template", LORA, {"tuned": 0.6, "template": {"learned": "{text} Is", "asked": "{text} Says"}, "scores": (("tuned", "validation", 0.9),)}),
])
def test_numbers_decide(key: str, spec: dict[str, object], numbers: dict[str, object]) -> None:
    result = run_of(RunSpec.parse(spec), **numbers)
    found = {each.key: each for each in diagnose(result)}
    assert key in found and found[key].says.endswith(".") and found[key].advice
    usual = {"lr": RunSpec.parse(LORA).lr, "shuffle_labels": False, "train_items": 4000, "steps": 100, "tokens": 64, "method": "lora"}
    sound = run_of(RunSpec.parse({**spec, **usual}))
    assert diagnose(sound) == ()


def test_a_run_that_goes_on_is_not_judged() -> None:
    spec = RunSpec.parse({**LORA, "method": {"name": "lora", "rank": 250}})
    started = Started(spec.to_dict(), spec.fingerprint, "w", "d", {}, spec.counts.to_dict(), "cpu", "float32", 2, {})
    assert diagnose(fold([started])) == () and diagnose(RunResult()) == ()
    ran_away = fold([started, Failed("The loss ran away.", "Lower it.", "lr", 5)])
    assert [each.key for each in diagnose(ran_away)] == ["above-break-even", "steps-too-large"]


@pytest.mark.parametrize("key", DIAGNOSES)
def test_each_has_an_exhibit_that_can_be_run(key: str) -> None:
    diagnosis = DIAGNOSES[key]
    assert spec_of(diagnosis).base and diagnosis.title and diagnosis.about.endswith(".") and diagnosis.advice(spec_of(diagnosis))
