"""Every seeded model with every task that fits it and needs no download: it trains, answers, is scored and saved; what does not fit is refused in words."""
from __future__ import annotations

import json
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from lab import catalogue
from lab.contracts import LabError
from lab.engine import Workshop, train
from lab.events import Evaluated, Observed, fold
from lab.metrics import METRICS
from lab.spec import RunSpec
from tests._breadth import WHOLE

MODELS = [key for key, model in catalogue.entries("models").items() if model.seeded]
TASKS = {key: task for key, task in catalogue.entries("tasks").items() if not task.package and not task.hub}
CORE = ("lora", "full", "prompt_tuning", "houlsby", "top_layers")
FITTING = [(model, task) for model in MODELS for task in TASKS if TASKS[task].fits(catalogue.find("models", model).kind).ok]
QUICK = ("seed-bert", "seed-llama", "seed-vit")  # each of their tasks with one method; all other runs are among the slow tests
TRIALS = [pytest.param(*pair, method, id="-".join((*pair, method)), marks=() if pair[0] in QUICK and method == once else pytest.mark.slow)
          for pair, once, twice in zip(FITTING, cycle(CORE), cycle((*CORE[2:], *CORE[:2]))) for method in CORE if WHOLE or method in (once, twice)]
TINY = {"steps": 2, "batch": 2, "tokens": 24, "eval_items": 4, "eval_every": 2, "train_items": 8, "dtype": "float32"}


@pytest.mark.slow
@pytest.mark.parametrize(("model", "task", "method"), TRIALS)
def test_a_run_of_every_model_and_task(model: str, task: str, method: str, workshop: Workshop, tmp_path: Path) -> None:
    goal = TASKS[task]
    events = list(train(RunSpec.parse({"model": model, "task": task, "method": method, **TINY}), workshop, out=tmp_path))
    result = fold(events)
    assert result.state == "finished", result.reason
    assert {"base", "tuned", "untrained"} <= set(result.scores)
    for seen in result.scores.values():
        assert seen.metric == goal.metric and 0 <= seen.score <= METRICS[goal.metric].most and seen.items == 4
    looks = [seen for seen in events if isinstance(seen, Evaluated) and seen.split == "validation"]
    assert [seen.metric for seen in looks] == ["token accuracy" if goal.writes else goal.metric]
    if goal.writes:
        assert {name.partition(" (")[0] for name in result.scores["tuned"].more} == {*goal.metrics, *([goal.metric] if _grouped(goal) else [])}
    samples = next(seen.value for seen in events if isinstance(seen, Observed) and seen.lens == "samples")
    assert len(samples) == 4 and all({"label", "before", "after"} <= set(sample) for sample in samples)
    assert "def write(" if goal.writes else "def classify(" in (tmp_path / "adapter" / "README.md").read_text()
    json.dumps(result.to_dict(), allow_nan=False)


def _grouped(task: Any) -> bool:
    return any(item.group for item in task.read(None).test[:8])


@pytest.mark.parametrize("model", MODELS)
def test_what_does_not_fit_is_refused_with_the_reason(model: str) -> None:
    kind = catalogue.find("models", model).kind
    for key, task in catalogue.entries("tasks").items():
        fits = task.fits(kind)
        if fits.ok:
            continue
        with pytest.raises(LabError, match=f"task is {key}: ") as refused:
            RunSpec.parse({"model": model, "task": key, "method": "lora"})
        assert fits.reason in str(refused.value)


def test_an_encoder_asked_to_write_is_told_what_to_choose() -> None:
    with pytest.raises(LabError, match=r"an encoder writes none.*choose a decoder such as smollm2-135m"):
        RunSpec.parse({"model": "seed-bert", "task": "headline", "method": "lora"})


def test_a_prompt_in_the_middle_is_refused_where_a_text_is_written() -> None:
    middle = {"name": "prompt_tuning", "position": "middle"}
    assert RunSpec.parse({"model": "seed-llama", "task": "toy", "method": middle})
    for method in (middle, {"name": "stack", "parts": [middle, "lora"]}):
        with pytest.raises(LabError, match="written answers need position front"):
            RunSpec.parse({"model": "seed-llama", "task": "headline", "method": method})


@pytest.mark.parametrize("model", ["seed-llama", "seed-t5"])
def test_what_is_printed_writes_what_the_lab_wrote(model: str, workshop: Workshop, tmp_path: Path, finish: Any) -> None:
    """The README's lines, executed: the same answers from the saved adapter."""
    spec = RunSpec.parse({"model": model, "task": "random_pairs", "method": "lora", **TINY, "steps": 20, "lr": 3e-2})
    result = fold(train(spec, workshop, out=tmp_path))
    code = (tmp_path / "adapter" / "README.md").read_text().split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(compile(code, "README", "exec"), names)
    files = finish(workshop.supply.model(spec.base))[1]
    samples = result.seen("samples")
    written = names["write"]([sample["text"] for sample in samples], folder=str(tmp_path / "adapter"), base=str(files.folder))
    assert written == [sample["after"]["answer"] for sample in samples]


def test_only_what_was_trained_on_is_asked_where_a_task_recalls(workshop: Workshop, finish: Any) -> None:
    from lab.engine.job import prepare

    few = finish(prepare(RunSpec.parse({"model": "seed-llama", "task": "random_pairs", "method": "lora", "train_items": 6}), workshop))[1]
    assert [item.id for item in few.texts.asked] == [item.id for item in few.data.splits.train[:6]]
    facts = finish(prepare(RunSpec.parse({"model": "seed-llama", "task": "new_facts", "method": "lora", "train_items": 10}), workshop))[1]
    assert {item.document for item in facts.texts.asked} == {item.document for item in facts.data.splits.train[:10]}


def test_a_written_loss_counts_each_answer_token_once(workshop: Workshop, finish: Any) -> None:
    """The same number by hand, one text at a time and without padding."""
    import torch

    from lab.engine.job import prepare

    for model in ("seed-llama", "seed-t5"):
        job = finish(prepare(RunSpec.parse({"model": model, "task": "random_pairs", "method": "lora", "dtype": "float32"}), workshop))[1]
        rows = job.texts.train[:5]
        total, tokens = 0.0, 0
        module = job.module.eval()
        with torch.no_grad():
            for row in rows:
                if model == "seed-t5":
                    said = torch.tensor([[module.config.decoder_start_token_id, *row.answer[:-1]]])
                    logits = module(input_ids=torch.tensor([row.ids]), decoder_input_ids=said).logits[0]
                else:
                    logits = module(input_ids=torch.tensor([row.ids])).logits[0, -len(row.answer):]
                total -= float(logits.log_softmax(1).gather(1, torch.tensor(row.answer)[:, None]).sum())
                tokens += len(row.answer)
            assert float(job.learner.loss(job.batch(rows))) == pytest.approx(total / tokens, abs=1e-5)
