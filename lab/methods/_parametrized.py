"""Weights of the base written as W + something trained, with torch's own `parametrize`: imported only while a method is attached.

Whoever reads `layer.weight` gets the sum; W itself stays where it was, frozen. The sum is made anew at each forward pass and kept for the backward pass,
and autograd forms the gradient of the whole matrix, one matrix at a time, before it is reduced to that of the few trained numbers: such methods save
optimizer states and the file, not activations or time.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import MethodType

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lab.contracts import Linear

MIX = 0x45D9F3B  # an odd constant that spreads the bits of a 32-bit number


class Sparse(nn.Module):
    """W + D, where D is 0 but for k places; `places` number the entries of W row by row."""

    def __init__(self, places: Tensor) -> None:
        super().__init__()
        self.register_buffer("places", places.to(torch.int32), persistent=False)  # (k,)
        self.values = nn.Parameter(torch.zeros(len(places)))  # (k,)

    def forward(self, weight: Tensor) -> Tensor:
        return weight.flatten().index_add(0, self.places, self.values.to(weight.dtype)).view_as(weight)


class Projected(nn.Module):
    """W + P z: each weight moves with one of the d coordinates, forwards or backwards, as its number and a hash say. `z` is the same for all layers."""

    def __init__(self, z: nn.Parameter, scales: nn.Parameter | None, layer: int, first: int, count: int, factor: float) -> None:
        super().__init__()
        self.z, self.scales = z, scales
        self.layer, self.first, self.factor = layer, first, factor
        self.register_buffer("rows", hashed(first, count, 2 * len(z)).to(torch.int32), persistent=False)  # below d: +z, from d on: -z

    def forward(self, weight: Tensor) -> Tensor:
        shift = (torch.cat((self.z, -self.z)) * self.factor).index_select(0, self.rows)
        if self.scales is not None:
            shift = shift * self.scales[self.layer]
        return weight + shift.view_as(weight).to(weight.dtype)


def hashed(first: int, count: int, choices: int) -> Tensor:
    """(count,) numbers 0 … choices-1 that look random and are the same on every machine; `first` is where to begin in their endless row."""
    x = torch.arange(first, first + count) & 0xFFFFFFFF
    for _ in range(2):
        x = ((x >> 16) ^ x) * MIX & 0xFFFFFFFF
    return ((x >> 16) ^ x) % choices


def add(model: nn.Module, linear: Linear, part: nn.Module) -> None:
    """The layer's weight is now the sum; the model can be merged under the name that peft gives to that."""
    parametrize.register_parametrization(model.get_submodule(linear.module), "weight", part, unsafe=True)
    model.merge_and_unload = MethodType(merge, model)


def parts(model: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Module]]:
    """(name, layer, what is added to its weight) of each layer that has something."""
    for name, layer in list(model.named_modules()):
        if parametrize.is_parametrized(layer, "weight"):
            yield name, layer, layer.parametrizations.weight[0]


def merge(model: nn.Module) -> nn.Module:
    """Each sum becomes the weight itself: the plain model again, of the same size and speed, and with the same outputs to the last bit."""
    for _, layer, _ in parts(model):
        shared = type(layer)  # a deep copy has its original's class, and the weight is taken off the class
        own = {name: value for name, value in vars(shared).items() if name not in ("__dict__", "__weakref__")}
        layer.__class__ = type(shared.__name__, shared.__bases__, own)
        parametrize.remove_parametrizations(layer, "weight")
    return model


def largest(scores: Tensor, count: int) -> Tensor:
    """(count,) places of the largest scores, in ascending order."""
    return scores.flatten().topk(count).indices.sort().values


def squared_gradients(model: nn.Module, losses: Iterable[Tensor]) -> dict[str, Tensor]:
    """The sum over batches of each weight's squared gradient, float32: how much the loss cares. Holds one number for each weight looked at."""
    found = {name: torch.zeros_like(layer.parametrizations.weight.original, dtype=torch.float32) for name, layer, _ in parts(model)}
    hooks = []
    for name, layer, _ in parts(model):
        weight = layer.parametrizations.weight.original.requires_grad_(True)
        hooks.append(weight.register_post_accumulate_grad_hook(lambda weight, name=name: _take(weight, found[name])))
    for loss in losses:
        loss.backward()
    for hook in hooks:
        hook.remove()
    for _, layer, _ in parts(model):
        layer.parametrizations.weight.original.requires_grad_(False)
    return found


def _take(weight: Tensor, into: Tensor) -> None:
    into.addcmul_(weight.grad.float(), weight.grad.float())
    weight.grad = None
