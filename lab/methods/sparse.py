"""Sparse fine-tuning: a few chosen weights of each matrix move, a fixed mask holds all others.

    W = W_0 + D, with D = 0 except at k = share * in * out places; their k values are trained and start at 0, so step 0 is the base

The gradient of the whole matrix is formed, one matrix at a time, and only k numbers of it are kept: optimizer states and the file are small, time is not saved.
"""
from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from lab.contracts import Base, Format, Latency, Linear, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods._targets import Targets, supported


def save(module: Any, folder: Path) -> None:
    """For each layer the places that may move, numbered row by row, and what was added there."""
    from safetensors.torch import save_file

    from lab.methods import _parametrized

    tensors = {}
    for name, _, part in _parametrized.parts(module):
        tensors |= {f"{name}.places": part.places.cpu(), f"{name}.values": part.values.detach().cpu()}
    save_file(tensors, folder / "sparse.safetensors", metadata={"format": "pt"})


def load(model, folder):
    import torch
    from safetensors.torch import load_file

    saved = load_file(f"{folder}/sparse.safetensors")
    with torch.no_grad():
        for name in {key.rpartition(".")[0] for key in saved}:
            weight = model.get_submodule(name).weight
            weight.view(-1).index_add_(0, saved[f"{name}.places"], saved[f"{name}.values"].to(weight.dtype))
    return model


class Sparse(Method):
    """Pick a few weights of every matrix before training and let only those move: a mask with holes in it lies over the model.
    They are those with the largest gradients (the paper's choice), the largest ones, or any: that is a knob."""

    key = "sparse"
    title = "Sparse fine-tuning (fixed mask)"
    paper = Paper("Training Neural Networks with Fixed Sparse Masks", "Sung, Nair and Raffel", 2021, "https://arxiv.org/abs/2111.09839")
    formula = "W = W_0 + D, D zero but at k places"
    family = "selective"
    composition = "parameter"
    strengths = (
        "The file holds the moved weights and their places only, and they cost nothing when it answers; its paper matches full fine-tuning on "
        "GLUE with 0.5 % of the weights.")
    weaknesses = "The gradient of each whole matrix is computed all the same, so steps are not faster than with full fine-tuning."
    rates = {"encoder": Rate(1e-3, 1e-4, 1e-2), "decoder": Rate(1e-3, 1e-4, 1e-2)}
    format = Format(key="sparse", save=save, load=load)
    exhibit = "pruning"
    merges = True

    share: float = knob(0.01, "part of each matrix that may move: 0.01 is one weight in 100", low=0.0001, high=0.2)
    choose: Literal["gradient", "magnitude", "random"] = knob(
        "gradient", "which weights: those with the largest squared gradients over a few batches (Fisher information), the largest ones, or any")
    batches: int = knob(4, "training batches whose gradients decide, where choose is gradient", low=1, high=64, advanced=True)
    targets: Targets = knob(("all",), "which matrices get a mask", advanced=True)

    @classmethod
    def latency(cls) -> Latency:
        return "none"  # it is loaded into the base's own weights

    def attach(self, base: Base) -> Any:
        """Where gradients decide, the largest weights stand in until `look` has seen some."""
        import torch

        from lab.methods import _parametrized

        module = base.module.requires_grad_(False)
        for linear in base.shape.select(self.targets):
            count, weight = self._count(linear), module.get_submodule(linear.module).weight
            drawn = torch.randperm(weight.numel())[:count].sort().values if self.choose == "random" else _parametrized.largest(weight.abs(), count)
            _parametrized.add(module, linear, _parametrized.Sparse(drawn))
        return module

    def look(self, module: Any, losses: Iterator[Any]) -> None:
        """The empirical Fisher information, batch by batch instead of text by text."""
        if self.choose != "gradient":
            return
        from lab.methods import _parametrized

        felt = _parametrized.squared_gradients(module, islice(losses, self.batches))
        for name, _, part in _parametrized.parts(module):
            part.places.copy_(_parametrized.largest(felt[name], len(part.places)))

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return tuple(Place(linear.role, linear.layer, (("values of D", (self._count(linear),)),)) for linear in shape.select(self.targets))

    def supports(self, shape: Shape) -> Support:
        return supported(self.targets, shape)

    def _count(self, linear: Linear) -> int:
        return max(1, round(self.share * linear.inputs * linear.outputs))


entry = Sparse
