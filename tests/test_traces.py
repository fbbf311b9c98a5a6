"""Traces: when they look, what they may cost, and that a run does not notice them."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lab.engine import Workshop, look, traces, train
from lab.engine.job import prepare
from lab.engine.scoring import finished
from lab.engine.traces import SHARE, Traces, looked_at
from lab.events import fold
from lab.lens import Look
from lab.spec import RunSpec

TINY = {"model": "seed-llama", "task": "toy", "method": "lora", "steps": 20, "batch": 2, "tokens": 24, "eval_items": 8, "eval_every": 0, "dtype": "float32"}


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 60, 100, 5000])
def test_looks_are_log_spaced_from_the_start_to_the_end(steps: int) -> None:
    found = looked_at(steps)
    assert found[0] == 0 and found[-1] == steps
    assert list(found) == sorted(set(found)) and len(found) <= 18


def test_a_run_tells_what_was_seen_at_each_look(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "SHARE", 1e9)  # on a busy machine a look may cost more than steps this short pay for
    result = fold(train(RunSpec.parse(TINY), workshop))
    seen = [each for each in result.observed if each.lens == "gradient_norms"]
    assert seen[0].step == 0 and seen[-1].step == 20
    assert seen[0].value["A"] == 0 and seen[0].value["B"] > 0  # B = 0 lets nothing through to A
    assert seen[1].value["A"] > 0


def test_looks_that_cost_too_much_are_left_out_but_for_the_first_and_the_last(workshop: Workshop) -> None:
    traces = Traces(finished(prepare(RunSpec.parse(TINY), workshop)))
    traces.paced(1.0)
    traces.spent = SHARE * 20 + 1e-9
    assert [each.step for step in range(21) for each in traces.look(step, gradients=False) if each.lens == "gradient_norms"] == [0, 20]


def test_what_is_asked_of_no_run_or_of_no_lens_is_explained(workshop: Workshop, tmp_path: Path) -> None:
    for lens, reason in (("nothing", 'unknown lens "nothing"'), ("gradient_norms", "it is a trace, not a probe")):
        ended = fold(look(Look.model_construct(run="x", lens=lens, knobs={}), tmp_path, workshop))
        assert ended.state == "failed" and reason in ended.reason


@pytest.mark.parametrize("method", ["lora", "prompt_tuning", "bitfit", "houlsby", "full"])
@pytest.mark.parametrize("model", ["seed-llama", "seed-bert"])
def test_looks_leave_random_generators_and_weights_alone(model: str, method: str, workshop: Workshop) -> None:
    """So a run with and without them has the same curve."""
    if (model, method) == ("seed-llama", "bitfit"):
        method = "norms"
    job = finished(prepare(RunSpec.parse({**TINY, "model": model, "method": method}), workshop))
    job.module.train()
    traces, state, weights = Traces(job), torch.get_rng_state(), [weight.clone() for weight in job.module.parameters()]
    for step in range(21):
        list(traces.look(step, gradients=False))
    assert torch.equal(state, torch.get_rng_state()) and job.module.training
    assert all(torch.equal(one, other) for one, other in zip(weights, job.module.parameters(), strict=True))
