"""How large LoRA's correction grows at different ranks, scaled by alpha / r and by alpha / sqrt(r)."""
from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab.contracts import knob
from lab.measurement import Gives, Measurement, Progress
from lab.measurements._trained import last, trained
from lab.spec import RunSpec

RANKS = (4, 16, 64)  # squares, so that alpha sqrt(r) / r and alpha / sqrt(r) are the same number to the last bit
ALPHA = 16.0
SCALINGS = {"alpha / r": ("lora", 0.0), "alpha / sqrt(r)": ("rslora", 0.0), "alpha sqrt(r) / r": ("lora", 0.5)}


class RankScaling(Measurement):
    """Kalajdzievski 2023, section 3: |s B A x| should neither vanish nor explode as r grows, s = alpha / r or alpha / sqrt(r). Told as a share of |W x|,
    over held-out texts and all matrices, after equally many steps of equal size. LoRA with alpha sqrt(r) is rsLoRA by another name."""

    key = "rank-scaling"
    title = "The size of the correction against the rank"
    about = ("LoRA is trained for a few steps at rank 4, 16 and 64, with alpha 16 throughout, once divided by r and once by its root. "
             "How large is what is added to W x, and does plain LoRA with alpha · sqrt(r) give the same as rsLoRA?")
    source = "Kalajdzievski 2023, rsLoRA, section 3"
    gives = {
        **{f"{name}_{rank}": Gives("share", f"size of the correction beside W x, rank {rank}, {said}")
           for name, said in (("plain", "alpha / r"), ("root", "alpha / sqrt(r)")) for rank in RANKS},
        "plain_ratio": Gives("times", "size at rank 64 as a multiple of that at rank 4, alpha / r"),
        "root_ratio": Gives("times", "size at rank 64 as a multiple of that at rank 4, alpha / sqrt(r)"),
        "apart": Gives("loss", "largest difference between rsLoRA and LoRA with alpha · sqrt(r)"),
    }

    model: str = knob("minilm-l6", "base model")
    task: str = knob("movies", "task that is learned")
    steps: int = knob(30, "steps of training", low=1, high=500)
    lr: float = knob(0.001, "learning rate", low=0.0, high=1.0)

    def specs(self) -> dict[str, RunSpec]:
        return {f"{place} {rank}": self._spec({"name": method, "rank": rank, "alpha": ALPHA * rank ** power})
                for place, (method, power) in enumerate(SCALINGS.values()) for rank in RANKS}

    def measure(self, workshop: Any) -> Generator[Progress, None, dict[str, Any]]:
        from lab.engine.specimen import reopened

        specs = self.specs()
        with TemporaryDirectory() as home:
            yield from trained(specs, workshop, Path(home), len(specs))
            sizes = {name: _beside(last(reopened(Path(home) / name, workshop)).job) for name in specs}
        plain, root, same = ({rank: sizes[f"{place} {rank}"] for rank in RANKS} for place in range(len(SCALINGS)))
        values = {**{f"plain_{rank}": plain[rank] for rank in RANKS}, **{f"root_{rank}": root[rank] for rank in RANKS},
                  "plain_ratio": plain[64] / plain[4], "root_ratio": root[64] / root[4], "apart": max(abs(root[rank] - same[rank]) for rank in RANKS)}
        return {"values": {key: [value, 0.0] for key, value in values.items()}, "columns": ["rank", *SCALINGS],
                "rows": [[rank, plain[rank], root[rank], same[rank]] for rank in RANKS]}

    def _spec(self, method: dict[str, Any]) -> RunSpec:
        return RunSpec.parse({"model": self.model, "task": self.task, "method": method, "steps": self.steps, "lr": self.lr, "dtype": "float32",
                              "device": "cpu", "eval_items": 20, "eval_every": 0})


def _beside(job: Any) -> float:
    """|s B A x| / |W x|, mean over the matrices that have a correction."""
    import torch

    shares: list[float] = []

    def look(layer: Any, inputs: tuple[Any, ...], _: Any) -> None:
        x, name = inputs[0], "default"
        added = layer.scaling[name] * layer.lora_B[name](layer.lora_A[name](x))
        shares.append(float(added.norm() / layer.base_layer(x).norm()))

    hooks = [layer.register_forward_hook(look) for layer in job.module.modules() if hasattr(layer, "lora_A") and hasattr(layer, "base_layer")]
    job.module.eval()
    with torch.no_grad():
        job.learner.scores(job.batch(job.texts.validation[:16]))
    for hook in hooks:
        hook.remove()
    return sum(shares) / len(shares)


entry = RankScaling
