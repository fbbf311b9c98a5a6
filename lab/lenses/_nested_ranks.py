"""A LoRA whose directions were trained to be cut, used at a smaller rank for a while."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import nn

from lab.methods import _lora


@contextmanager
def cut(module: nn.Module, rank: int, alpha: float) -> Iterator[None]:
    """Only the first `rank` rows of every A count, scaled by alpha / rank as they were trained."""
    with ExitStack() as undo:
        for _, layer in _lora.layers(module):
            for name, part in layer.lora_A.items():
                kept = part.weight.data
                undo.callback(setattr, part.weight, "data", kept)
                undo.callback(layer.scaling.__setitem__, name, layer.scaling[name])
                part.weight.data = kept.clone()
                part.weight.data[rank:] = 0
                layer.scaling[name] = alpha / rank
        yield
