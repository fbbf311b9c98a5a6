"""Several runs on one base: in one mixed batch each row is answered as its own run answers it alone, and what cannot share is refused in words."""
from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from lab.contracts import LabError
from lab.engine import Workshop
from lab.engine.learner import features, pooled, texts
from lab.engine.reload import reload
from lab.engine.scoring import finished
from lab.engine.sharing import Row, Shared, share
from lab.engine.sharing_words import write
from lab.engine.texts import Encoded, collate
from lab.serving import mixable, shares, together
from lab.spec import RunSpec

SHORT = {"steps": 2, "batch": 2, "eval_items": 4, "train_items": 40, "eval_every": 0, "dtype": "float32", "tokens": 24, "lr": 0.05}
TEXTS = ("a fine thing", "this was a long and very bad story and nobody liked it at all", "ok")  # of unequal length
PROMPT = {"name": "prompt_tuning", "virtual_tokens": 3}
MIX = ("lora", {"name": "lora", "rank": 2, "targets": ["attention"]}, PROMPT, {"name": "p_tuning", "virtual_tokens": 5}, "ia3")
PREFIXES = ({"name": "prefix_tuning", "virtual_tokens": 3, "init": "random"}, {"name": "prefix_tuning", "virtual_tokens": 6})
PLACED = tuple({"name": "prompt_tuning", "virtual_tokens": 4, "position": position} for position in ("middle", "end", "added"))
MORE = ({"name": "stack", "parts": [PROMPT, {"name": "lora", "rank": 3}]}, "rslora", "pissa", "dylora", "lora_fa", "lora_plus")


@pytest.fixture(scope="module")
def trained(workshop: Workshop, run: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[Path]]:
    """Folders of finished runs, one a method, each trained once for all the tests here."""
    known: dict[str, Path] = {}

    def make(model: str, *methods: Any, **more: Any) -> list[Path]:
        return [folder_of({"model": model, "task": "toy", "method": method, **SHORT, **more}) for method in methods]

    def folder_of(spec: dict[str, Any]) -> Path:
        key = json.dumps(spec, sort_keys=True)
        if key not in known:
            folder = tmp_path_factory.mktemp("run")
            result = run(workshop, folder, **spec)
            assert result.state == "finished", result.reason
            known[key] = folder
        return known[key]

    return make


def opened(folders: Sequence[Path], workshop: Workshop) -> Shared:
    return finished(share(folders, workshop, "float32"))


def far(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Of the largest logit; both up to a constant, as a softmax takes them."""
    return float(((found - found.mean()) - (wanted - wanted.mean())).abs().max() / wanted.abs().max())


def alone(folder: Path, text: str, workshop: Workshop) -> torch.Tensor:
    return torch.tensor(list(finished(reload(folder, workshop, dtype="float32")).chances(text).values())).log()


def check(folders: Sequence[Path], workshop: Workshop) -> Shared:
    """Every run with every text, all in one batch, against each run alone."""
    shared = opened(folders, workshop)
    found = shared.scores([row for place in range(len(folders)) for row in shared.rows(place, TEXTS)])
    answers = [found[place * len(TEXTS):(place + 1) * len(TEXTS)] for place in range(len(folders))]
    for folder, mine in zip(folders, answers, strict=True):
        for text, line in zip(TEXTS, mine, strict=True):
            assert far(line.log_softmax(0), alone(folder, text, workshop)) <= 1e-5, folder
    assert shared.pristine.intact
    distinct = {tuple(round(float(x), 4) for x in mine[0].log_softmax(0)) for mine in answers}
    assert len(distinct) == len(folders), "runs that answer alike cannot show that each row had its own parts"
    return shared


@pytest.mark.slow
@pytest.mark.parametrize("model", ["seed-bert", "seed-llama", *(pytest.param(model, marks=pytest.mark.slow) for model in (
    "seed-gpt2", "seed-neox", "seed-opt", "seed-qwen2", "seed-distilbert", "seed-t5"))])
def test_each_row_of_a_mixed_batch_is_answered_as_by_its_run_alone(model: str, trained: Any, workshop: Workshop) -> None:
    extra = ("head",) if model in ("seed-bert", "seed-distilbert") else ()
    check(trained(model, *MIX, *(PREFIXES if model not in ("seed-distilbert", "seed-t5") else ()), *extra), workshop)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["seed-bert", "seed-llama"])
def test_prompts_in_other_places_combinations_and_relatives_of_lora_share_too(model: str, trained: Any, workshop: Workshop) -> None:
    check(trained(model, *PLACED, *MORE), workshop)


@pytest.mark.parametrize("model", ["seed-bert", "seed-llama"])
@pytest.mark.slow
def test_rows_of_the_base_stand_between_the_others(model: str, trained: Any, workshop: Workshop) -> None:
    folders = trained(model, *MIX)
    shared = opened(folders, workshop)
    base = [Row(ids, own) for own in [shared.runs[0].untouched()] for ids in own.read(TEXTS)]
    rows = [row for pair in zip(base, shared.rows(0, TEXTS), shared.rows(2, TEXTS), strict=True) for row in pair]
    found = shared.seen(rows)[::3]
    pad = shared.pristine.tokenizer.pad_token_id
    for row, line in zip(base, found, strict=True):
        batch = collate([Encoded(row.ids, 0)], pad, "cpu")
        with torch.no_grad():
            wanted = pooled(*features(shared.pristine.module, texts, batch))[0] if model == "seed-bert" else shared.pristine.module(
                input_ids=batch.ids, attention_mask=batch.mask).logits[0, -1]
        assert far(line, wanted) <= 1e-5


@pytest.mark.slow
def test_tasks_with_other_labels_share_a_base(trained: Any, kept_workshop: Workshop, run: Any, tmp_path: Path) -> None:
    """Each row has the head and the labels of its own run."""
    folders = []
    for task, method in (("toy", "lora"), ("movies", PROMPT)):
        folders.append(tmp_path / task)
        run(kept_workshop, folders[-1], model="seed-bert", task=task, method=method, **SHORT)
    shared = opened(folders, kept_workshop)
    found = shared.scores([shared.rows(0, TEXTS[:1])[0], shared.rows(1, TEXTS[:1])[0]])
    for folder, line in zip(folders, found, strict=True):
        assert far(line.log_softmax(0), alone(folder, TEXTS[0], kept_workshop)) <= 1e-5


@pytest.mark.slow
def test_factors_really_differ_row_by_row_where_a_model_lays_rows_together(trained: Any, workshop: Workshop) -> None:
    """OPT flattens rows and positions in its feed-forward part."""
    check(trained("seed-opt", "ia3", {"name": "ia3", "targets": ["ffn_out"]}, PROMPT), workshop)


def spec(model: str = "seed-llama", method: Any = "lora", **more: Any) -> RunSpec:
    return RunSpec.parse({"model": model, "task": "toy", "method": method, **more})


@pytest.mark.parametrize(("refused", "why"), [
    (spec(method="full"), "whole copy of the model"), (spec(method="houlsby"), "no path in a mixed batch"), (spec(method="dora"), "peft refuses it"),
    (spec(quantization="nf4"), "rounded weights"), (spec("seed-opt", {"name": "lora", "targets": ["all"]}), "cannot tell rows apart"),
    (spec("seed-t5", {"name": "prefix_tuning"}), "encoder-decoder"), (spec("seed-gpt2", "bitfit"), "whole copy"),
    (spec(method={"name": "stack", "parts": [{"name": "houlsby"}, PROMPT]}), "no path")])
def test_what_cannot_share_is_told_why(refused: RunSpec, why: str) -> None:
    fits = shares(refused)
    assert not fits.ok and why in fits.reason
    assert why in together([refused, refused]).reason


@pytest.mark.slow
def test_runs_of_two_bases_do_not_meet(trained: Any, workshop: Workshop) -> None:
    folders = [*trained("seed-llama", "lora"), *trained("seed-gpt2", "lora")]
    with pytest.raises(LabError, match="different bases, seed-llama and seed-gpt2"):
        opened(folders, workshop)
    with pytest.raises(LabError, match="choose at least two"):
        opened(folders[:1], workshop)
    with pytest.raises(LabError, match="holds no finished run"):
        opened([folders[0], folders[0].parent / "nothing"], workshop)


def test_what_can_be_mixed() -> None:
    low, high = spec(method={"name": "lora", "rank": 2}), spec(method={"name": "lora", "rank": 4})
    assert mixable([low, low], "linear").ok and mixable([low, high], "sum").ok and mixable([low, spec(method="ia3")], "posterior").ok
    assert "must be of one size" in mixable([low, high], "ties").reason
    assert "only the matrices of LoRA" in mixable([low, spec(method="ia3")], "sum").reason
    assert "different labels" in mixable([low, RunSpec.parse({"model": "seed-llama", "task": "trec", "method": "lora"})], "average").reason
    assert "writes texts" in mixable([low, RunSpec.parse({"model": "seed-llama", "task": "random_pairs", "method": "lora"})], "average").reason


@pytest.mark.slow
@pytest.mark.parametrize("model", ["seed-llama", pytest.param("seed-gpt2", marks=pytest.mark.slow), pytest.param("seed-t5", marks=pytest.mark.slow)])
def test_written_answers_of_one_batch_are_those_of_each_run_alone(model: str, trained: Any, workshop: Workshop) -> None:
    """Prompts of unequal length, a soft prompt among them: every row continues its own text, until its own stop."""
    folders = trained(model, "lora", PROMPT, "ia3", task="random_pairs", steps=12, lr=3e-2, tokens=32)
    shared = opened(folders, workshop)
    rows = [row for place in range(3) for row in shared.rows(place, ("abc", "a longer question than that", "q"))]
    untouched = shared.runs[0].untouched()
    found = write(shared, [*rows, Row(untouched.read(["abc"])[0], untouched)])
    wanted = []
    for folder in folders:
        tuned = finished(reload(folder, workshop, dtype="float32"))
        wanted += ["".join(tuned.streamed(text)) for text in ("abc", "a longer question than that", "q")]
    assert found[:-1] == [text.strip() for text in wanted]
    assert found[-1] == "".join(finished(reload(folders[0], workshop, dtype="float32")).streamed("abc", base=True)).strip()
    assert len(set(found)) > 1, "answers that are all alike show nothing"
