"""What frozen lower blocks give is kept: the same numbers, in less time, and nothing where it would not be the same."""
from __future__ import annotations

from typing import Any

import pytest
import torch

from lab.engine import Workshop, train
from lab.engine.fast import frozen
from lab.engine.job import Job, prepare
from lab.events import Finished, fold
from lab.spec import RunSpec

TOP = {"model": "seed-llama", "task": "toy", "method": {"name": "top_layers", "layers": 1}, "dtype": "float32", "steps": 6, "batch": 4, "eval_items": 20}


def result(workshop: Workshop, **changes: Any) -> Any:
    events = list(train(RunSpec.parse({**TOP, **changes}), workshop))
    assert isinstance(events[-1], Finished), events[-1]
    return fold(events)


def job_of(workshop: Workshop, finish: Any, **changes: Any) -> Job:
    return finish(prepare(RunSpec.parse({**TOP, **changes}), workshop))[1]


def test_a_second_run_reads_what_the_first_has_kept_and_learns_the_same(workshop: Workshop, finish: Any) -> None:
    job = job_of(workshop, finish)
    kept = workshop.kept(job.pristine, job.dtype)
    kept.clear()
    first = result(workshop)
    assert kept
    calls = []
    job = job_of(workshop, finish)
    block = job.module.get_submodule(job.spec.shape.blocks)[0]
    inner = block.mlp.register_forward_hook(lambda *_: calls.append(1))
    batch = job.batch(job.texts.test[:4])
    with torch.no_grad():
        job.module.eval()
        job.learner.scores(batch)
    inner.remove()
    assert not calls, "the lowest block was computed for texts that were known"
    second = result(workshop)
    assert [loss for _, loss in second.losses] == pytest.approx([loss for _, loss in first.losses], abs=1e-6)


def test_kept_values_change_no_score_and_no_gradient(workshop: Workshop, finish: Any) -> None:
    job = job_of(workshop, finish)
    kept = workshop.kept(job.pristine, job.dtype)
    kept.clear()
    for rows in (job.texts.train[:3], job.texts.train[3:6]):  # kept in one padding, read in another
        job.learner.loss(job.batch(rows))
    batch = job.batch([job.texts.train[place] for place in (5, 0, 3)])
    known = job.learner.loss(batch)
    known.backward()
    gradients = [weight.grad.clone() for weight in job.trained()]
    job.module.zero_grad()
    kept.clear()
    anew = job.learner.loss(batch)
    anew.backward()
    assert float(known.detach()) == pytest.approx(float(anew.detach()), abs=1e-6)
    for before, weight in zip(gradients, job.trained(), strict=True):
        assert torch.allclose(before, weight.grad, rtol=1e-4, atol=1e-6)


def test_dropout_below_keeps_training_texts_out(workshop: Workshop, finish: Any) -> None:
    job = job_of(workshop, finish, model="seed-bert")
    kept = workshop.kept(job.pristine, job.dtype)
    kept.clear()
    batch = job.batch(job.texts.train[:4])
    noisy = any(part.p > 0 for part in job.module.modules() if isinstance(part, torch.nn.Dropout))
    job.module.train()
    job.learner.loss(batch)
    assert bool(kept) is not noisy
    job.module.eval()
    job.learner.loss(batch)
    assert len(kept) == 4


@pytest.mark.parametrize("method", ["lora", "prompt_tuning", "full", "houlsby"])
def test_methods_that_start_at_the_bottom_have_nothing_to_keep(workshop: Workshop, finish: Any, method: str) -> None:
    job = job_of(workshop, finish, method=method)
    assert frozen.keep(job.module, job.spec.shape, {}) == 0


def test_the_oldest_texts_go_first(workshop: Workshop, finish: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of(workshop, finish)
    kept = workshop.kept(job.pristine, job.dtype)
    kept.clear()
    job.learner.loss(job.batch(job.texts.train[:2]))
    room = sum(row.numel() * row.element_size() for row in kept.values())
    oldest = next(iter(kept))
    monkeypatch.setattr(frozen, "LARGEST_BYTES", room)
    job.learner.loss(job.batch(job.texts.train[2:4]))
    assert oldest not in kept
    assert sum(row.numel() * row.element_size() for row in kept.values()) <= room
