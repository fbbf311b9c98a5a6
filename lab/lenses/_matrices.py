"""The matrix that a layer multiplies with, whatever a method put around it, in float64; and histograms of such numbers."""
from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from lab.lenses._parts import short

ROWS = 1024  # unit vectors asked for at once
BINS = 21


def plain(module: nn.Module) -> nn.Module:
    """The model itself, inside what peft wraps around it."""
    return module.get_base_model() if hasattr(module, "get_base_model") else module


def wrapped(part: nn.Module) -> bool:
    """Whether it is one of peft's layers around a layer of the base."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    return isinstance(part, BaseTunerLayer)


def innermost(part: nn.Module) -> nn.Module:
    return part.get_base_layer() if wrapped(part) else part


def own(layer: nn.Module) -> tuple[Tensor, Tensor | None]:
    """(outputs, inputs) and (outputs,), float64: a layer's own weight and bias; of a quantised one what its bits stand for."""
    from peft.utils.integrations import dequantize_module_weight
    from transformers.pytorch_utils import Conv1D

    bias = getattr(layer, "bias", None)
    plain_weight = isinstance(layer.weight, nn.Parameter)  # otherwise a parametrized one: the sum
    weight = (dequantize_module_weight(layer) if plain_weight else layer.weight).detach().double()
    return weight.t() if isinstance(layer, Conv1D) else weight, None if bias is None else bias.detach().double()


@torch.no_grad()
def effective(layer: nn.Module) -> tuple[Tensor, Tensor | None]:
    """The same as a method's layer computes it: the layer is asked for each unit vector and for zero, in float64.

    So one rule serves every method whose layers stay linear, and nothing is lost by rounding as it would be by merging into 16 bits.
    """
    if not wrapped(layer):
        return own(layer)
    try:
        return _asked(layer, torch.float64)
    except RuntimeError:  # a few of peft's layers make tensors of float32 themselves, and cannot mix
        return _asked(layer, torch.float32)


def _asked(layer: nn.Module, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
    base = innermost(layer)
    copied = deepcopy(layer, {id(base): _unquantised(base)}).to(dtype).eval()
    for part in copied.modules():
        part._forward_hooks.clear()  # adapters behind the layer are not its matrix
        part._forward_pre_hooks.clear()
    inputs, device = own(base)[0].shape[1], base.weight.device
    bias = copied(torch.zeros(1, inputs, dtype=dtype, device=device))[0].double()
    rows = [copied(torch.eye(inputs, dtype=dtype, device=device)[first:first + ROWS]).double() - bias for first in range(0, inputs, ROWS)]
    return torch.cat(rows).t(), bias if bool(bias.any()) or base.bias is not None else None


def _unquantised(base: nn.Module) -> nn.Module:
    """A copy with weights that can be computed with."""
    if base.weight.is_floating_point():
        return deepcopy(base)
    weight, bias = own(base)
    layer = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0], bias is not None, device=weight.device, dtype=torch.float64)  # draws nothing
    layer.weight.data = weight
    if bias is not None:
        layer.bias.data = bias
    return layer


def cosines(one: Tensor, other: Tensor) -> Tensor:
    """(rows,) cosine of each row of one matrix with the same row of another."""
    return nn.functional.cosine_similarity(one, other, dim=1, eps=1e-30)


def histogram(values: Tensor, low: float, high: float, bins: int = BINS) -> dict[str, list[float]]:
    """How many values lie in each of equal steps from low to high; those beyond are counted in the last ones."""
    high = high if high > low else low + 1e-12
    places = ((values.flatten().double() - low) / (high - low) * bins).floor().clamp(0, bins - 1).long()
    counts = torch.bincount(places, minlength=bins)
    return {"edges": [short(low + (high - low) * step / bins) for step in range(bins + 1)], "counts": counts.tolist()}


def around(values: Tensor, centre: float) -> dict[str, list[float]]:
    """The histogram with the same room on both sides of a centre."""
    far = float((values - centre).abs().max())
    return histogram(values, centre - far, centre + far)


def layers_of(block: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """(parent, name, layer) of peft's outermost layers inside a block."""
    for name, child in block.named_children():
        if wrapped(child):
            yield block, name, child
        else:
            yield from layers_of(child)


def found(module: nn.Module, path: str) -> Any:
    """A layer of the base by its own path, as the method left it."""
    return plain(module).get_submodule(path)
