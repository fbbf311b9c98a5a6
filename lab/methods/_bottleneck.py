"""The bottleneck adapter itself, a torch module: imported only while a method is attached."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from lab.contracts import Linear

ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU, "silu": nn.SiLU, "tanh": nn.Tanh}


class Bottleneck(nn.Module):
    """z = h + U f(D h) behind a frozen layer that gives h: (…, d). U starts at 0 (Houlsby et al. start near 0), so z = h at first."""

    def __init__(self, layer: nn.Module, width: int, middle: int, activation: str) -> None:
        super().__init__()
        self.layer = layer
        self.down = nn.Linear(width, middle)  # (…, d) → (…, m)
        self.bend = ACTIVATIONS[activation]()
        self.up = nn.Linear(middle, width)  # (…, m) → (…, d)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    @property
    def weight(self) -> torch.Tensor:
        """The frozen layer's own: T5 looks up its number format before it calls the layer."""
        return self.layer.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.layer(x)
        return h + self.up(self.bend(self.down(h.to(self.down.weight.dtype)))).to(h.dtype)


def insert(model: nn.Module, linears: Iterable[Linear], middle: int, activation: str) -> Any:
    """Put a bottleneck behind each of these linear layers of the model; returns the model."""
    for linear in linears:
        layer = model.get_submodule(linear.module)
        parent, _, child = linear.module.rpartition(".")
        setattr(model.get_submodule(parent), child, Bottleneck(layer, linear.outputs, middle, activation))
    return model
