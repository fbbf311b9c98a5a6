"""Each way to go wrong is found in the events of the run that is broken so, and in no recorded run that is sound."""
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from lab import catalogue
from lab.diagnosed import Diagnosis, diagnose
from lab.events import Evaluated, Failed, Finished, Observed, RunResult, Started, Stepped, fold
from lab.museum import exhibits, spec_of
from lab.recording import shelf
from lab.spec import RunSpec
from lab.ui.learn.halls import CHOICES, labels

ROOT = Path(__file__).parent.parent
DIAGNOSES: dict[str, type[Diagnosis]] = catalogue.entries("diagnoses")


def run_of(spec: RunSpec, *, losses: tuple[float, float] = (0.7, 0.4), tuned: float = 0.8, base: float = 0.7, said: str = "01" * 50,
           **seen: object) -> RunResult:
    """A finished run whose numbers are chosen."""
    started = Started(spec.to_dict(), spec.fingerprint, "w", "d", {}, spec.counts.to_dict(), "cpu", "float32", 2, {"train": spec.train_items or 1000})
    steps = [[step, losses[0] * (losses[1] / losses[0]) ** (step / 100)] for step in range(1, 101)]
    scores = [Evaluated(0, who, "test", "accuracy", score, 0.02, 100) for who, score in (("majority", 0.5), ("base", base), ("tuned", tuned))]
    observed = [Observed(100, "answers", {"tuned": said}), *(Observed(100, lens, value) for lens, value in seen.items())]
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
        assert len(offered) == CHOICES and right & set(offered) == {each["key"]}


LORA = {"model": "minilm-l6", "task": "movies", "method": "lora"}


@pytest.mark.parametrize(("key", "spec", "numbers"), [
    ("steps-too-large", {**LORA, "lr": 0.1}, {"losses": (0.7, 0.9), "tuned": 0.51}),
    ("steps-too-small", {**LORA, "lr": 0.00001}, {"tuned": 0.71}),
    ("nothing-frozen", {**LORA, "method": "full", "lr": 0.001}, {"memory": {"peak_bytes": 10, "parts": {"gradients": 2, "optimizer": 4, "weights": 2}}}),
    ("by-heart", {**LORA, "train_items": 16, "steps": 400}, {"losses": (0.7, 0.01)}),
    ("nothing-to-learn", {**LORA, "shuffle_labels": True}, {"tuned": 0.5}),
    ("one-answer", LORA, {"tuned": 0.5, "said": "1" * 99 + "0"}),
    ("cut-off", {**LORA, "tokens": 8}, {"read": {"tokens_per_answer": 7.9, "longest": 8}}),
    ("above-break-even", {**LORA, "method": {"name": "lora", "rank": 250}}, {}),
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
