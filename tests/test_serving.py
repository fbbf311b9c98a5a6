"""A finished run answers a question as it answered its test items, whichever form its trained part has; and what cannot be asked is refused in words."""
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lab.contracts import LabError
from lab.engine import Shelf, Workshop, answer
from lab.engine.job import prepare
from lab.engine.scoring import finished
from lab.engine.specimen import reopened
from lab.events import Cancelled, Failed, Finished, Observed, fold
from lab.serving import LONGEST_TEXT, PIECE, Question, askable, forms, prompts, told
from lab.spec import RunSpec
from tests._patience import within

SHORT = {"steps": 6, "batch": 4, "eval_items": 8, "eval_every": 0, "dtype": "float32"}
TEXT = "a warm and clever film"


@pytest.fixture
def trained(workshop: Workshop, run: Any, tmp_path: Path) -> Callable[..., Any]:
    """A finished run in the test's folder, and its result."""

    def make(model: str, method: Any, task: str = "toy", **more: Any) -> Any:
        name = method if isinstance(method, str) else method["name"]
        settings = {key: value for key, value in {**SHORT, **more}.items() if key != "steps" or name != "in_context"}
        result = run(workshop, tmp_path, model=model, task=task, method=method, **settings)
        assert result.state == "finished", result.reason
        return result

    return make


@pytest.fixture
def ask(workshop: Workshop, tmp_path: Path) -> Callable[..., Any]:
    shelf = Shelf(workshop)

    def asked(text: str = TEXT, **more: Any) -> dict[str, Any]:
        result = fold(answer(Question.parse({"run": "one", "text": text, "dtype": "float32", **more}), tmp_path, shelf))
        assert result.state == "finished", result.reason
        return told(result)

    asked.shelf = shelf  # type: ignore[attr-defined]
    return asked


def near(found: list[float], wanted: torch.Tensor) -> bool:
    return float((torch.tensor(found) - wanted).abs().max()) <= 1e-5 * float(wanted.abs().max())


@pytest.mark.parametrize(("model", "method"), [
    ("seed-bert", "lora"), ("seed-bert", {"name": "prompt_tuning", "virtual_tokens": 3}), ("seed-bert", "full"),
    ("seed-llama", "lora"), ("seed-llama", "houlsby"),
    ("seed-llama", {"name": "prefix_tuning", "virtual_tokens": 3, "init": "random"}), ("seed-t5", "lora"), ("seed-gpt2", {"name": "in_context", "shots": 2})])
def test_the_tuned_answer_is_the_one_the_run_is_scored_with(model: str, method: Any, trained: Any, ask: Any, workshop: Workshop, tmp_path: Path) -> None:
    result = trained(model, method)
    specimen = finished(reopened(tmp_path, workshop))
    scored = finished(specimen.scored())
    for place, sample in enumerate(result.seen("samples")[:3]):
        said = ask(sample["text"])["answers"]["tuned"]
        assert near(said["logits"], scored.logits[place])
        assert said["labels"][max(range(len(said["labels"])), key=said["chances"].__getitem__)] == sample["after"]["answer"]
        assert sum(said["chances"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("model", ["seed-bert", "seed-llama", "seed-t5"])
def test_the_base_answers_as_if_nothing_had_been_trained(model: str, trained: Any, ask: Any, workshop: Workshop) -> None:
    result = trained(model, "lora", lr=0.05)
    untouched = finished(finished(prepare(RunSpec.parse(result.started.spec), workshop)).untouched())
    for place, sample in enumerate(result.seen("samples")[:3]):
        said = ask(sample["text"])["answers"]["base"]
        assert near(said["logits"], untouched.logits[place])
        assert ("chances" in said) == (model != "seed-bert"), "an encoder's base has no head: how near a text lies is no probability"


def test_of_an_untouched_encoder_the_class_means_are_read_once(trained: Any, ask: Any) -> None:
    trained("seed-distilbert", "lora", seed=3)
    first, again = ask()["answers"]["base"], ask()["answers"]["base"]
    assert first["logits"] == again["logits"] and again["seconds"] < first["seconds"] + within(0.05)


@pytest.mark.parametrize(("model", "method"), [("seed-bert", "lora"), ("seed-llama", "ia3"), ("seed-gpt2", "lora"), ("seed-llama", "dora")])
def test_merged_answers_are_the_unmerged_ones(model: str, method: str, trained: Any, ask: Any) -> None:
    trained(model, method, lr=0.02)
    plain, merged = ask(), ask(form="merged")
    assert near(merged["answers"]["tuned"]["logits"], torch.tensor(plain["answers"]["tuned"]["logits"]))
    assert merged["answers"]["base"]["logits"] == plain["answers"]["base"]["logits"], "merging wrote into the base"
    assert plain["answers"]["tuned"]["logits"] != plain["answers"]["base"]["logits"]


@pytest.mark.slow
def test_a_written_answer_streams_to_the_whole(trained: Any, ask: Any, workshop: Workshop, tmp_path: Path) -> None:
    result = trained("seed-llama", "lora", "random_pairs", steps=20, lr=3e-2)
    for sample in result.seen("samples")[:2]:
        events = list(answer(Question(run="one", text=sample["text"], dtype="float32"), tmp_path, Shelf(workshop)))
        pieces = "".join(event.value["text"] for event in events if isinstance(event, Observed) and event.lens == PIECE and event.value["who"] == "tuned")
        said = told(fold(events))["answers"]
        assert pieces == said["tuned"]["text"] == sample["after"]["answer"] and said["base"]["text"] == sample["before"]["answer"]
        half = [event for event in events if isinstance(event, Observed)][:2]
        begun = told(fold(half))["answers"]["tuned"]
        assert begun["going"] and said["tuned"]["text"].startswith(begun["text"])


def test_the_base_can_be_shown_examples_and_asked_in_other_words(trained: Any, ask: Any) -> None:
    trained("seed-llama", "lora")
    plain = ask()["answers"]
    assert set(plain) == {"tuned", "base"}
    shown = ask(shots=2)["answers"]["prompted"]
    assert shown["tokens"] > 2 * plain["base"]["tokens"] and shown["logits"] != plain["base"]["logits"]
    worded = ask(wording="Text: {text}\nIs it good or bad?")["answers"]["prompted"]
    assert worded["logits"] != plain["base"]["logits"] and worded["labels"] == plain["base"]["labels"]


def test_a_prompt_that_does_not_fit_takes_no_answer_from_the_others(trained: Any, ask: Any) -> None:
    trained("seed-llama", "lora")
    said = ask("so " * 20, wording="x " * 400 + "{text}")["answers"]
    assert said["prompted"]["kind"] == "refused" and "does not fit the model's window" in said["prompted"]["reason"]
    assert said["tuned"]["logits"] and said["base"]["logits"]


def test_tokens_are_shown_as_the_model_reads_them(trained: Any, ask: Any) -> None:
    trained("seed-llama", {"name": "prompt_tuning", "virtual_tokens": 3}, tokens=32)
    seen = ask("so so " * 60)
    assert seen["tokens"]["virtual"] == 3 and seen["tokens"]["cut"] > 0 and seen["tokens"]["total"] == len(seen["tokens"]["tokens"]) <= 32
    assert seen["answers"]["tuned"]["tokens"] == seen["tokens"]["total"] + 3
    assert ask("so")["tokens"]["cut"] == 0 and "so" in "".join(ask("so")["tokens"]["tokens"])


def test_every_form_is_timed_and_a_form_that_is_not_there_has_its_reason(trained: Any, ask: Any) -> None:
    trained("seed-llama", "lora")
    found = ask(calls=3)["latency"]
    rows = {row["form"]: row for row in found["rows"]}
    assert {"base", "adapter", "merged"} <= set(rows) and all(row["calls"] == 3 and 0 < row["low"] <= row["median"] <= row["high"] for row in rows.values())
    assert rows["adapter"]["far"] == 0 and rows["merged"]["far"] <= 1e-5
    assert ("nf4" in rows) != ("nf4" in found["missing"]) and found["threads"] >= 1


def test_a_soft_prompt_has_nothing_to_merge(trained: Any, ask: Any, workshop: Workshop, tmp_path: Path) -> None:
    trained("seed-bert", {"name": "prompt_tuning", "virtual_tokens": 3})
    assert "cannot be written into" in ask(calls=1)["latency"]["missing"]["merged"]
    (failed,) = (event for event in answer(Question(run="one", text=TEXT, form="merged"), tmp_path, Shelf(workshop)) if isinstance(event, Failed))
    assert "cannot be merged" in failed.reason


@pytest.mark.slow
def test_runs_of_one_base_share_it_and_the_shelf_stays_small(workshop: Workshop, run: Any, tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("a", "b", "c")}
    for seed, folder in enumerate(folders.values()):
        run(workshop, folder, model="seed-bert", task="toy", method="lora", seed=seed, **SHORT)
    shelf = Shelf(workshop, most_bytes=1)
    opened = {name: finished(shelf.opened(Question(run=name, text=TEXT, dtype="float32"), folder)) for name, folder in folders.items()}
    assert opened["a"].pristine is opened["b"].pristine is opened["c"].pristine
    lies = {name: next(weight for key, weight in tuned.module.named_parameters() if key.endswith("word_embeddings.weight")).data_ptr()
            for name, tuned in opened.items()}
    assert len(set(lies.values())) == 1, "each run keeps a base of its own in memory"
    assert ("c", "float32", "adapter") in shelf and ("a", "float32", "adapter") not in shelf


def test_whoever_stops_asking_is_answered_no_further(trained: Any, workshop: Workshop, tmp_path: Path) -> None:
    trained("seed-llama", "lora", "random_pairs")
    events = list(answer(Question(run="one", text="abc", dtype="float32"), tmp_path, Shelf(workshop), lambda: True))
    assert isinstance(events[-1], Cancelled) and not any(isinstance(event, Finished) for event in events)


def test_a_run_without_its_adapter_says_so(workshop: Workshop, tmp_path: Path) -> None:
    (*_, last) = answer(Question(run="one", text=TEXT), tmp_path / "nothing", Shelf(workshop))
    assert isinstance(last, Failed) and "adapter is not on this machine" in last.reason
    (tmp_path / "adapter").mkdir()
    (*_, last) = answer(Question(run="one", text=TEXT), tmp_path, Shelf(workshop))
    assert isinstance(last, Failed) and "adapter is not on this machine" in last.reason and "/" not in last.reason


@pytest.mark.parametrize(("change", "words"), [
    ({"text": ""}, "text is empty"), ({"text": " \n"}, "text is empty"), ({"text": "x" * (LONGEST_TEXT + 1)}, "text has 4,001 characters: at most 4,000"),
    ({"text": 7}, "text is"), ({"shots": 17}, "shots is 17: must be 0 to 16"), ({"calls": 99}, "calls is 99: must be 0 to 25"),
    ({"form": "half"}, 'form is "half"'), ({"more": 1}, 'unknown key "more"'),
    ({"wording": "no place for it"}, "wording must have {text} once"), ({"wording": "{text.__class__}"}, "wording must have {text} once"),
    ({"wording": "{text} {text}"}, "no other braces"), ({"wording": "{text}" + "x" * 1000}, "wording has 1,006 characters")])
def test_bad_questions_are_refused_in_words(change: dict[str, Any], words: str) -> None:
    with pytest.raises(LabError) as error:
        Question.parse({"run": "one", "text": TEXT, **change})
    assert words in str(error.value)


def test_a_question_survives_its_json() -> None:
    question = Question.parse({"run": "one", "text": "ä {b} ${c}\n", "shots": 2, "wording": "{text} ="})
    assert Question.from_json(question.to_json()) == question and Question.from_json(question.to_json()).fingerprint == question.fingerprint
    with pytest.raises(LabError, match="characters: at most"):
        Question.from_json(json.dumps({"run": "x" * 50_000, "text": "a"}))


def test_what_can_be_asked_is_known_before_it_is_asked() -> None:
    def spec(model: str, method: Any, **more: Any) -> RunSpec:
        return RunSpec.parse({"model": model, "method": method, **more})

    assert forms(spec("seed-bert", "lora"))["merged"].ok and not forms(spec("seed-bert", "full"))["merged"].ok
    assert "nothing to merge" in forms(spec("seed-bert", "full"))["merged"].reason
    assert "in nf4" in forms(spec("seed-llama", "lora", quantization="nf4"))["merged"].reason
    assert not forms(spec("seed-bert", "full"))["nf4"].ok and not prompts(spec("seed-bert", "lora")).ok and prompts(spec("seed-llama", "lora")).ok
    assert not askable(spec("seed-vit", "head", task="digits")).ok
