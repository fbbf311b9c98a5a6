"""Perplexity of general English before and after: by hand, paired, and told in a run."""
from __future__ import annotations

from math import exp, log
from typing import Any

import pytest
import torch

from lab.engine import Workshop, forgetting
from lab.engine.job import prepare
from lab.engine.scoring import finished
from lab.spec import RunSpec
from lab.tasks._general_text import paragraphs

WRITING = {"model": "seed-llama", "task": "random_pairs", "dtype": "float32", "steps": 2, "eval_items": 4, "train_items": 4}


@pytest.mark.parametrize("task", ["random_pairs", "toy"])
@pytest.mark.parametrize("method", ["lora", "prompt_tuning"])
def test_the_loss_of_a_paragraph_is_that_of_its_tokens_one_by_one(method: str, task: str, workshop: Workshop, finish: Any) -> None:
    """Also where a decoder is trained to give labels."""
    job = finish(prepare(RunSpec.parse({**WRITING, "task": task, "method": method}), workshop))[1]
    found = finished(job.general(job.module))
    assert len(found) == forgetting.PARAGRAPHS
    window = 256 - job.spec.method.virtual_tokens_used()
    ids = torch.tensor([job.reader.tokenizer(paragraphs()[5].text)["input_ids"][:window]])
    with torch.no_grad():
        logits = job.module.eval()(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -ids.shape[1]:]
    expected = -logits[:-1].log_softmax(1).gather(1, ids[0, 1:, None]).sum()
    assert found[5] == (pytest.approx(float(expected), rel=1e-5), ids.shape[1] - 1)


def test_the_same_model_has_forgotten_nothing_and_twice_the_loss_is_a_ratio() -> None:
    before = [(30.0, 10), (20.0, 10), (40.0, 15)]
    assert forgetting.forgotten(before, before) == {"before": exp(90 / 35), "after": exp(90 / 35), "ratio": 1.0, "standard_error": 0.0, "paragraphs": 3}
    after = [(loss + count * log(2), count) for loss, count in before]
    seen = forgetting.forgotten(before, after)
    assert seen["ratio"] == pytest.approx(2) and seen["standard_error"] == pytest.approx(0, abs=1e-6)


def test_the_error_is_that_of_a_paired_draw_of_paragraphs() -> None:
    """Against many redraws of the paragraphs."""
    torch.manual_seed(0)
    before = [(float(loss), 80) for loss in 250 + 40 * torch.randn(24)]
    after = [(loss + float(shift), count) for (loss, count), shift in zip(before, 8 * torch.randn(24), strict=True)]
    ratios = []
    for _ in range(2000):
        drawn = torch.randint(24, (24,)).tolist()
        ratios.append(forgetting.forgotten([before[place] for place in drawn], [after[place] for place in drawn])["ratio"])
    assert forgetting.forgotten(before, after)["standard_error"] == pytest.approx(float(torch.tensor(ratios).std()), rel=0.15)


@pytest.mark.parametrize("task", ["random_pairs", "toy"])
def test_every_run_of_a_decoder_tells_what_it_forgot(task: str, workshop: Workshop, run: Any) -> None:
    seen = run(workshop, **{**WRITING, "task": task}, method="full").seen("general_text")
    assert seen["after"] != seen["before"] and seen["ratio"] == pytest.approx(seen["after"] / seen["before"]) and seen["paragraphs"] == 24
    again = run(workshop, **{**WRITING, "task": task}, method="full").seen("general_text")
    assert again == seen, "what the base makes of it is kept in a note, and is the same"


def test_an_encoder_foretells_no_next_word(workshop: Workshop, run: Any) -> None:
    assert run(workshop, model="seed-bert", task="toy", method="lora", steps=2).seen("general_text") is None
