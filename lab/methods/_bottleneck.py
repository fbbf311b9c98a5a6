"""The bottleneck adapter itself, a torch module: imported only while a method is attached."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

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

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.layer(x)
        return h + self.up(self.bend(self.down(h.to(self.down.weight.dtype)))).to(h.dtype)


def insert(model: nn.Module, modules: Iterable[str], middle: int, activation: str) -> Any:
    """Put a bottleneck behind each named linear layer of the model; returns the model."""
    for name in modules:
        layer = model.get_submodule(name)
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, Bottleneck(layer, layer.out_features, middle, activation))
    return model
