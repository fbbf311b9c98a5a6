"""Intrinsic dimension: all weights move together, in the few directions of a random subspace.

    theta = theta_0 + P z,  P: (D, d) random and fixed, z: (d,) trained from 0; with scales, theta_l = theta_l0 + s_l (P z)_l for each layer l (SAID)

Each row of P has a single number, +c or -c at a place that a hash draws, with c such that the columns have length 1: z then moves the weights by just its own
length. Li et al. 2018 allow such sparse projections; Aghajanyan et al. take Fastfood, a structured dense one. Ours needs O(D) time and 4 bytes a weight.
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lab.contracts import Base, Format, Latency, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods._targets import Targets, supported


def save(module: Any, folder: Path) -> None:
    """z, the scales if there are any, and what P is made from again: where each layer begins in the hash's row of numbers."""
    from safetensors.torch import save_file

    from lab.methods import _parametrized

    found = [(name, part) for name, _, part in _parametrized.parts(module)]
    part = found[0][1]
    tensors = {"z": part.z} | ({"scales": part.scales} if part.scales is not None else {})
    save_file({name: value.detach().cpu() for name, value in tensors.items()}, folder / "intrinsic.safetensors", metadata={"format": "pt"})
    about = {"factor": part.factor, "layers": [[name, part.layer, part.first] for name, part in found]}
    (folder / "intrinsic.json").write_text(json.dumps(about, indent=1))


def load(model, folder):
    import json
    from pathlib import Path

    import torch
    from safetensors.torch import load_file

    saved = load_file(f"{folder}/intrinsic.safetensors")
    about = json.loads(Path(folder, "intrinsic.json").read_text())
    both = torch.cat((saved["z"], -saved["z"])) * about["factor"]
    model = model.float()  # as it was trained: 16 bits would round the smaller moves away
    with torch.no_grad():
        for name, layer, first in about["layers"]:
            weight = model.get_submodule(name).weight
            x = torch.arange(first, first + weight.numel()) & 0xFFFFFFFF
            for _ in range(2):
                x = ((x >> 16) ^ x) * 0x45D9F3B & 0xFFFFFFFF
            shift = both[((x >> 16) ^ x) % len(both)]
            if "scales" in saved:
                shift = shift * saved["scales"][layer]
            weight += shift.view_as(weight).to(weight.dtype)
    return model


class Intrinsic(Method):
    """Move all weights at once, but only along d random directions, so that d numbers say where the model went.
    How few directions still reach a good score is called the intrinsic dimension of the task."""

    key = "intrinsic"
    title = "Intrinsic dimension"
    paper = Paper("Intrinsic Dimensionality Explains the Effectiveness of Language Model Fine-Tuning", "Aghajanyan, Zettlemoyer and Gupta", 2020,
                  "https://arxiv.org/abs/2012.13255")
    formula = "theta = theta_0 + P z"
    family = "reparameterised"
    composition = "parameter"
    strengths = "Run with several dimensions, it says how few directions a task needs; and a tuned model is kept in d numbers, 1,000 by default."
    weaknesses = "A way to measure rather than to save: the gradients of all chosen matrices are computed as in full fine-tuning."
    rates = {"encoder": Rate(1e-1, 3e-2, 3e-1), "decoder": Rate(1e-2, 1e-3, 1e-1)}
    format = Format(key="intrinsic", save=save, load=load)
    trains_base = True  # in 16 bits moves this small would be rounded away
    merges = True

    dimension: int = knob(1000, "trained numbers, d: the directions in which the weights can move", low=1, high=1_000_000)
    scales: bool = knob(False, "let each layer scale its own part of the move, with numbers taken out of the dimension (the paper's SAID)")
    targets: Targets = knob(("all",), "which matrices move; the papers move every weight", advanced=True)

    @classmethod
    def latency(cls) -> Latency:
        return "none"  # it is loaded into the base's own weights

    def attach(self, base: Base) -> Any:
        import torch

        from lab.methods import _parametrized

        module, chosen = base.module.requires_grad_(False), base.shape.select(self.targets)
        layers = _layers(base.shape, self.targets)
        z = torch.nn.Parameter(torch.zeros(self._coordinates(base.shape)))
        scales = torch.nn.Parameter(torch.ones(len(layers))) if self.scales else None
        first, counts = int(torch.randint(2**31, ())), [linear.inputs * linear.outputs for linear in chosen]
        factor = (len(z) / sum(counts)) ** 0.5
        for linear, count in zip(chosen, counts, strict=True):
            _parametrized.add(module, linear, _parametrized.Projected(z, scales, layers.index(linear.layer), first, count, factor))
            first += count
        return module

    def places(self, shape: Shape) -> tuple[Place, ...]:
        scales = (("s", (len(_layers(shape, self.targets)),)),) if self.scales else ()
        return (Place("coordinates", None, (("z", (self._coordinates(shape),)), *scales)),)

    def added(self, shape: Shape) -> int:
        return self.dimension

    def supports(self, shape: Shape) -> Support:
        support = supported(self.targets, shape)
        if support.ok and self._coordinates(shape) < 1:
            return Support(False, f"dimension is {self.dimension}: with scales it must be more than {len(_layers(shape, self.targets))}, one for each layer")
        return support

    def _coordinates(self, shape: Shape) -> int:
        return self.dimension - (len(_layers(shape, self.targets)) if self.scales else 0)


def _layers(shape: Shape, targets: tuple[str, ...]) -> list[int | None]:
    return sorted({linear.layer for linear in shape.select(targets)})


entry = Intrinsic
