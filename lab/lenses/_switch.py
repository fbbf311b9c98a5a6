"""A method taken out of some blocks of a model and put back: its layers step aside, and weights that moved are the base's again meanwhile."""
from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from lab.contracts import Shape
from lab.lenses import _matrices


@contextmanager
def without(module: nn.Module, base: nn.Module, shape: Shape, layers: Collection[int]) -> Iterator[None]:
    """Inside, the blocks of these numbers compute as those of the base."""
    model = _matrices.plain(module)
    with ExitStack() as undo:
        for layer in layers:
            block, untouched = model.get_submodule(shape.block(layer)), base.get_submodule(shape.block(layer))
            _unwrap(block, undo)
            for linear in shape.linears:
                if linear.layer == layer:
                    _silence(model.get_submodule(linear.module), undo)
            _reset(block, untouched, undo)
        yield


def _silence(layer: nn.Module, undo: ExitStack) -> None:
    """Nothing that stands behind the layer changes what it gives: bottleneck adapters are such hooks."""
    if not layer._forward_hooks:
        return
    for take_off in bypassed(layer, lambda given, added: given):
        undo.callback(take_off)


def bypassed(layer: nn.Module, combined: Callable[[Any, Any], Any]) -> list[Callable[[], None]]:
    """What the layer gives is `combined`(before its hooks, behind them); returns how to undo that."""
    kept: list[Any] = []
    first = layer.register_forward_hook(lambda part, inputs, given: kept.append(given), prepend=True)
    last = layer.register_forward_hook(lambda part, inputs, added: combined(kept.pop(), added))
    return [first.remove, last.remove]


def _unwrap(block: nn.Module, undo: ExitStack) -> None:
    """peft's layers are replaced by what they stand around; an attention with an adapter of its own as well."""
    inside = [(parent, name, _matrices.innermost(layer)) for parent, name, layer in _matrices.layers_of(block)]
    inside += [(block, name, part.model) for name, part in block.named_children() if type(part).__name__.startswith("AdaptedAttention")]
    for parent, name, layer in inside:
        undo.callback(setattr, parent, name, getattr(parent, name))
        setattr(parent, name, layer)


def _reset(block: nn.Module, untouched: nn.Module, undo: ExitStack) -> None:
    """Weights of the base that moved themselves."""
    moved = dict(block.named_parameters())
    for name, weight in untouched.named_parameters():
        if name in moved and not torch.equal(moved[name], weight):
            undo.callback(setattr, moved[name], "data", moved[name].data)
            moved[name].data = weight.data.to(moved[name].dtype)
