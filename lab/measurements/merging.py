"""What becomes of a trained part when it is merged: whether the answers stay, and how many parameters are left over."""
from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab.contracts import knob
from lab.measurement import Gives, Measurement, Progress
from lab.measurements._trained import last, trained
from lab.spec import RunSpec


class Merging(Measurement):
    """LoRA: W' = W + (alpha / r) B A (Hu et al. 2021, section 4.1). IA3: W' = diag(l) W for keys and values, W' = W diag(l) in front of the second
    feed-forward matrix (Liu et al. 2022, section 3.3). Hidden states of held-out texts in float32; differences as a share of the largest number."""

    key = "merging"
    title = "A trained part becomes part of the weights"
    about = ("A method is trained for a few steps, and then its numbers are put into the base's own matrices. How far had it moved the outputs from the "
             "base's, how far does merging move them, and how many parameters remain beside the base's?")
    source = "Hu et al. 2021, section 4.1; Liu et al. 2022, section 3.3"
    gives = {
        "moved": Gives("share", "how far training moved the outputs from the base's"),
        "apart": Gives("share", "how far merging moves the outputs"),
        "before": Gives("count", "parameters beside the base's before merging"),
        "left": Gives("count", "parameters beside the base's after merging"),
    }

    model: str = knob("minilm-l6", "base model")
    task: str = knob("movies", "task that is learned")
    method: str = knob("lora", "method at its defaults")
    steps: int = knob(30, "steps of training", low=1, high=500)

    def specs(self) -> dict[str, RunSpec]:
        return {"run": RunSpec.parse({"model": self.model, "task": self.task, "method": self.method, "steps": self.steps, "dtype": "float32", "device": "cpu",
                                      "eval_items": 20, "eval_every": 0})}

    def measure(self, workshop: Any) -> Generator[Progress, None, dict[str, Any]]:
        from lab.engine.specimen import reopened

        with TemporaryDirectory() as home:
            yield from trained(self.specs(), workshop, Path(home), 2)
            job = last(reopened(Path(home) / "run", workshop)).job
        yield 1, 2
        batch, base = job.batch(job.texts.validation[:16]), job.pristine.module
        beside = _count(job.module) - _count(base)
        plain, tuned = _states(base, batch), _states(job.module, batch)
        merged = job.module.merge_and_unload()
        together = _states(merged, batch)
        values = {"moved": _far(tuned, plain), "apart": _far(together, tuned), "before": beside, "left": _count(merged) - _count(base)}
        return {"values": {key: [value, 0.0] for key, value in values.items()}, "columns": ["what", "from the base", "parameters beside the base"],
                "rows": [["trained, beside the base", values["moved"], beside], ["merged", _far(together, plain), values["left"]]]}


def _states(module: Any, batch: Any) -> Any:
    """Last hidden states, (batch, tokens, width)."""
    import torch

    module.eval()
    with torch.no_grad():
        return module(input_ids=batch.ids, attention_mask=batch.mask, output_hidden_states=True).hidden_states[-1]


def _far(one: Any, other: Any) -> float:
    return float((one - other).abs().max() / other.abs().max())


def _count(module: Any) -> int:
    return sum(weight.numel() for weight in module.parameters())


entry = Merging
