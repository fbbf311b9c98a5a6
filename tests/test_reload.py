"""A finished run taken up again: it answers as it did, and what cannot be asked is refused in words."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.cli import main
from lab.contracts import LabError
from lab.diagnosed import diagnose
from lab.engine import Workshop
from lab.engine.job import prepare
from lab.engine.reload import reload
from lab.spec import RunSpec

SHORT = {"steps": 4, "batch": 4, "eval_items": 8, "eval_every": 0, "dtype": "float32"}


@pytest.mark.parametrize(("model", "method"), [
    ("seed-bert", "lora"), ("seed-llama", "full"), ("seed-llama", "prompt_tuning"), ("seed-t5", "houlsby"), ("seed-llama", {"name": "in_context", "shots": 2}),
    ("seed-llama", {"name": "in_context", "shots": 3, "examples": "nearest", "order": "nearest_last"}),
    ("seed-llama", {"name": "in_context", "shots": 2, "wording": 1})])
def test_it_gives_the_probabilities_that_the_run_gave(model: str, method: Any, workshop: Workshop, run: Any, finish: Any, tmp_path: Path) -> None:
    steps = {} if isinstance(method, dict) else SHORT
    spec = {"model": model, "task": "toy", "method": method, **{key: value for key, value in {**SHORT, **steps}.items() if key != "steps" or steps}}
    result = run(workshop, tmp_path, **spec)
    (tmp_path / "spec.json").write_text(json.dumps(RunSpec.parse(spec).to_dict()))
    tuned = finish(reload(tmp_path, workshop))[1]
    for sample in result.seen("samples")[:3]:
        chances = tuned.chances(sample["text"])
        assert max(chances.values()) == pytest.approx(sample["after"]["probability"], abs=2e-4)
        assert max(chances, key=chances.__getitem__) == sample["after"]["answer"]
    assert tuned.pristine.intact


TAUGHT = {"model": "seed-llama", "task": "toy", "method": {"name": "lora", "targets": ["all"]}, "lr": 0.01, "steps": 70, "eval_items": 60, "eval_every": 20,
          "dtype": "float32"}


@pytest.mark.slow
@pytest.mark.parametrize("spec", [TAUGHT, {**SHORT, "model": "seed-bert", "task": "toy", "method": "full"}], ids=["a decoder's", "an encoder's"])
def test_each_run_ends_with_a_look_whether_what_it_saved_is_what_it_trained(spec: dict[str, Any], workshop: Workshop, run: Any, tmp_path: Path) -> None:
    result = run(workshop, tmp_path, **spec)
    seen = result.seen("reloaded")
    assert seen["items"] == seen["same"] == min(32, spec["eval_items"])
    assert seen["missing"] < 1e-3 < 10 * seen["moved"] and "reloaded" not in result.scores


@pytest.mark.slow
def test_a_fresh_adapter_in_place_of_the_saved_one_is_noticed(workshop: Workshop, run: Any, tmp_path: Path) -> None:
    """The run itself is as good as without the mistake, its folder too: only what is loaded is the base."""
    result, sound = (run(workshop, tmp_path / name, **TAUGHT, **more) for name, more in (("wrong", {"mistake": "fresh_adapter"}), ("sound", {})))
    assert result.losses == sound.losses and result.scores["tuned"].score == sound.scores["tuned"].score > result.scores["base"].score
    seen = result.seen("reloaded")
    assert seen["items"] == seen["untrained"] == 60 > seen["same"] and result.scores["reloaded"].score == result.scores["base"].score
    told = [each for each in diagnose(result) if each.key == "adapter-not-loaded"]
    assert "All its answers are those of the model before training" in told[0].says and not diagnose(sound)
    saved = [(tmp_path / name / "adapter" / "adapter_model.safetensors").read_bytes() for name in ("wrong", "sound")]
    assert saved[0] == saved[1]


@pytest.mark.slow
def test_texts_asked_in_other_words_than_were_learned_are_noticed(workshop: Workshop, run: Any) -> None:
    result, sound = (run(workshop, **TAUGHT, **more) for more in ({"mistake": "other_wording"}, {}))
    assert result.losses == sound.losses and [seen.score for seen in result.evaluations if seen.split == "validation"] == \
        [seen.score for seen in sound.evaluations if seen.split == "validation"]
    told, task = result.seen("template"), RunSpec.parse(TAUGHT).goal
    assert told == {"learned": task.prompt, "asked": task.wordings[0]} and sound.seen("template") is None
    assert result.seen("samples")[0]["read"] != sound.seen("samples")[0]["read"] and result.scores["tuned"].score < sound.scores["tuned"].score - 0.2


@pytest.mark.parametrize(("change", "why"), [
    ({"model": "seed-bert", "mistake": "other_wording"}, "no other wording"), ({"method": "in_context", "mistake": "fresh_adapter"}, "nothing is trained"),
    ({"task": "random_pairs", "mistake": "fresh_adapter"}, "no labels"), ({"model": "seed-vit", "task": "digits", "mistake": "fresh_adapter"}, "images"),
    ({"mistake": "typing"}, "must be one of"),
])
def test_a_mistake_that_would_not_show_is_refused(change: dict[str, str], why: str) -> None:
    spec = {"model": "seed-llama", "task": "toy", "method": "lora"}
    with pytest.raises(LabError, match=why):
        RunSpec.parse({**spec, **change})
    assert "mistake" not in RunSpec.parse(spec).to_dict()


@pytest.mark.slow
def test_a_written_answer_streams_to_what_the_run_wrote(workshop: Workshop, run: Any, finish: Any, tmp_path: Path) -> None:
    spec = {"model": "seed-llama", "task": "random_pairs", "method": "lora", **SHORT, "steps": 20, "lr": 3e-2}
    result = run(workshop, tmp_path, **spec)
    (tmp_path / "spec.json").write_text(json.dumps(RunSpec.parse(spec).to_dict()))
    tuned = finish(reload(tmp_path, workshop))[1]
    for sample in result.seen("samples")[:3]:
        assert "".join(tuned.streamed(sample["text"])) == sample["after"]["answer"]
        assert "".join(tuned.streamed(sample["text"], base=True)) == sample["before"]["answer"]
    drawn = ["".join(tuned.streamed("abc", sampled=True, seed=seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    with pytest.raises(LabError, match="has no labels"):
        tuned.chances("abc")


def test_the_command_asks_both_models(workshop: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"model": "seed-llama", "task": "random_pairs", "method": "lora", **SHORT}))
    cache = str(workshop.supply.cache)
    assert main(["train", str(spec), "--out", str(tmp_path / "run"), "--cache", cache]) == 0
    capsys.readouterr()
    assert main(["ask", str(tmp_path / "run"), "abc", "--json", "--cache", cache]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["text"] == "abc" and set(answer) == {"text", "untouched", "trained"}
    assert main(["ask", str(tmp_path / "run"), "abc", "--sampled", "0", "--cache", cache]) == 2
    assert "temperature is 0" in capsys.readouterr().err


def test_a_folder_without_a_finished_run_is_refused(workshop: Workshop, tmp_path: Path, finish: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", str(tmp_path / "nothing"), "abc"]) == 2
    assert "there is no folder" in capsys.readouterr().err
    with pytest.raises(LabError, match="holds no finished run"):
        finish(reload(tmp_path, workshop))


def test_features_are_not_a_text(workshop: Workshop, run: Any, finish: Any, tmp_path: Path) -> None:
    spec = {"model": "seed-bert", "task": "toy", "method": "head", **SHORT}
    run(workshop, tmp_path, **spec)
    (tmp_path / "spec.json").write_text(json.dumps(RunSpec.parse(spec).to_dict()))
    tuned = finish(reload(tmp_path, workshop))[1]
    with pytest.raises(LabError, match="gives features and writes no text"):
        next(tuned.streamed("abc"))
    with pytest.raises(LabError, match="no trained head"):
        tuned.chances("abc", base=True)


def test_a_job_decodes_as_the_plain_model_does(workshop: Workshop, finish: Any) -> None:
    """The fast blocks and what is kept of frozen ones step aside where a text is written."""
    from lab.engine.scoring import finished

    for method in ("lora", {"name": "top_layers", "layers": 1}):
        spec = {"model": "seed-llama", "task": "random_pairs", "method": method, "dtype": "float32", "eval_items": 12}
        job = finish(prepare(RunSpec.parse(spec), workshop))[1]
        assert finished(job.asking()).texts == finished(job.untouched()).texts
