"""The first step of LoRA: whether its first output is the base's, and which of A and B has a gradient then."""
from __future__ import annotations

from collections.abc import Generator
from typing import Any

from lab.contracts import knob
from lab.measurement import Gives, Measurement, Progress

STARTS = {"as LoRA starts (B = 0)": ("kaiming", None), "A and B both 0": ("zero_a", None), "neither 0": ("kaiming", 0.01)}


class FirstStep(Measurement):
    """Hu et al. 2021, section 4.1: B = 0 and A random, so BA = 0 at the start. dL/dB = (alpha / r) dL/dh (A x)' and dL/dA = (alpha / r) B' dL/dh x'."""

    key = "first-step"
    title = "The first step of LoRA"
    about = ("One batch goes through the base and through three LoRAs that start differently. "
             "How far do their outputs lie from the base's, and where is a gradient?")
    source = "Hu et al. 2021, section 4.1"
    gives = {
        "change": Gives("loss", "largest change of an output at step 0, B = 0"),
        "gradient_a": Gives("loss", "norm of the gradient of all A at step 0, B = 0"),
        "gradient_b": Gives("loss", "norm of the gradient of all B at step 0, B = 0"),
        "both_zero_gradient": Gives("loss", "norm of all gradients where A and B are 0"),
        "neither_zero_change": Gives("loss", "largest change of an output where neither is 0"),
    }

    model: str = knob("minilm-l6", "base model")
    task: str = knob("movies", "task whose texts are read")
    rank: int = knob(8, "rank", low=1, high=64)

    def measure(self, workshop: Any) -> Generator[Progress, None, dict[str, Any]]:
        import torch

        rows = []
        for done, (name, (init, filled)) in enumerate(STARTS.items()):
            yield done, len(STARTS)
            job = _job(workshop, self, init)
            batch = job.batch(job.texts.train[:8])
            if filled is not None:
                drawn = torch.Generator().manual_seed(0)
                for part, weight in job.module.named_parameters():
                    if "lora_B" in part:
                        weight.data = filled * torch.randn(weight.shape, generator=drawn)
            job.module.eval()  # dropout would change an output as well
            with torch.no_grad():
                change = float((_hidden(job, job.module, batch) - _hidden(job, job.pristine.module, batch)).abs().max())
            job.loss(batch).backward()
            norms = {letter: _norm(job.module, f"lora_{letter}") for letter in "AB"}
            rows.append([name, change, norms["A"], norms["B"]])
        first, zero, neither = rows
        values = {"change": first[1], "gradient_a": first[2], "gradient_b": first[3],
                  "both_zero_gradient": zero[2] + zero[3], "neither_zero_change": neither[1]}
        return {"values": {key: [value, 0.0] for key, value in values.items()},
                "columns": ["start", "largest change of an output", "gradient of A", "gradient of B"], "rows": rows}


def _job(workshop: Any, asked: FirstStep, init: str) -> Any:
    from lab.engine.job import prepare
    from lab.engine.scoring import finished
    from lab.spec import RunSpec

    method = {"name": "lora", "rank": asked.rank, "init": init}
    spec = RunSpec.parse({"model": asked.model, "task": asked.task, "method": method, "dtype": "float32", "device": "cpu"})
    return finished(prepare(spec, workshop, plainly=True))


def _hidden(job: Any, module: Any, batch: Any) -> Any:
    """Last hidden states, (batch, tokens, width): what a head or the next token is made from."""
    out = module(input_ids=batch.ids, attention_mask=batch.mask, output_hidden_states=True)
    return out.hidden_states[-1]


def _norm(module: Any, name: str) -> float:
    grads = [weight.grad for part, weight in module.named_parameters() if name in part and weight.grad is not None]
    return sum(float(grad.double().square().sum()) for grad in grads) ** 0.5


entry = FirstStep
