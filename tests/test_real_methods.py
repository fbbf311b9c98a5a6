"""The contract of the main methods on both real models, a few steps on short texts: what test_methods.py asks of every method on the seeded ones."""
from __future__ import annotations

from typing import Any

import pytest
import torch
from _trials import METHODS, OF_EACH_FAMILY, Trial, logits, spec_for

from tests._breadth import WHOLE

pytestmark = pytest.mark.slow
REAL = ("minilm-l6", "smollm2-135m")
PAIRS = [(method, model) for model in REAL for method in OF_EACH_FAMILY]
TWICE = [(method, model) for method, model in PAIRS if WHOLE or model == "minilm-l6" or method == "lora"]  # a decoder's two runs take long
CLOSE = 1e-5  # of the largest logit: the lab's faster blocks add in another order than the library's


@pytest.fixture(scope="module")
def tried(real_workshop: Any, finish: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One trial at a time is kept: a decoder's weights, its base's and its optimizer's are gigabytes."""
    folder, kept = tmp_path_factory.mktemp("trials"), {}

    def trial(method: str, model: str) -> Trial:
        if (method, model) not in kept:
            kept.clear()
            kept[method, model] = Trial(method, model, real_workshop, finish, folder / f"{method} {model}")
        return kept[method, model]

    return trial


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool((one - other).abs().max() <= CLOSE * other.abs().max())


@pytest.mark.parametrize(("method", "model"), PAIRS)
def test_the_contract_holds_on_a_real_model(method: str, model: str, tried: Any) -> None:
    """In one test a pair, since each stage is gone through once: start, gradients, base, folder, merging, and the next one's start."""
    trial = tried(method, model)
    job, same = trial.job, close(trial.start, trial.base)
    assert same == job.spec.method.starts_as_base()
    trained = {name for name, weight in job.module.named_parameters() if weight.requires_grad}
    assert sum(weight.numel() for weight in job.trained()) == job.spec.counts.method
    reached, changed = trial.training
    unused = {name for name in trained if name.startswith("embeddings.") and "word" not in name} if method == "full" else set()
    assert trained - unused <= reached and trained - unused <= changed <= trained
    assert not close(trial.trained, trial.start), "three steps change what it answers"
    assert close(trial.loaded, trial.trained)
    if METHODS[method].merges and hasattr(job.module, "merge_and_unload"):
        assert close(trial.merged, trial.trained) and torch.equal(logits(job), trial.trained)
    assert job.pristine.intact and close(trial.again, trial.start)


@pytest.mark.parametrize(("method", "model"), TWICE)
def test_the_same_seed_gives_the_same_curve_on_a_real_model(method: str, model: str, real_workshop: Any, run: Any) -> None:
    spec = spec_for(method, model, steps=3, batch=4, eval_items=8, eval_every=0).to_dict()
    first, second = (run(real_workshop, **spec) for _ in range(2))
    assert len(first.losses) == 3 and first.losses == second.losses
