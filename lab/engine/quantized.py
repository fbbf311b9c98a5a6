"""A frozen base in 4 or 8 bits, by bitsandbytes: how it is loaded, and the numbers that its layers keep beside their weights.

What transformers turns into such layers are the linears of the blocks; embeddings, norms, biases and the output layer keep the run's number format.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from lab.supply.weights import QUANTIZED as FORMATS


def loading(quantization: str, dtype: torch.dtype, device: str) -> dict[str, Any]:
    """What `from_pretrained` has to be told. `dtype` is that of the arithmetic: weights are turned back into it where they are used."""
    from transformers import BitsAndBytesConfig

    settings = FORMATS[quantization]
    if "load_in_4bit" in settings:
        settings = {**settings, "bnb_4bit_compute_dtype": dtype}
    return {"quantization_config": BitsAndBytesConfig(**settings), "device_map": {"": device}}


def settle(module: nn.Module) -> None:
    """Keep the layers from rewriting themselves when they are used: a base is shared by all runs.

    On a CPU with AVX512-BF16 a 4-bit layer that is asked outside training repacks its weight in place, and from then on computes in
    bfloat16 and passes no gradient back; an 8-bit layer moves its scales elsewhere when it is first called.
    """
    for layer in _layers(module):
        if _four_bits(layer):
            layer.support_avx512bf16_for_cpu = False
        else:
            layer.init_8bit_state()


def beside(module: nn.Module) -> list[torch.Tensor]:
    """Scales and tables of the quantised weights, which are neither parameters nor buffers."""
    return [found for layer in _layers(module) for found in _held(layer)]


def shared(module: nn.Module) -> dict[int, Any]:
    """For a deepcopy's memo: everything of the quantised layers that copies use together."""
    layers = _layers(module)
    kept = [part for layer in layers for part in (layer.weight, *_held(layer))]
    kept += [layer.weight.quant_state if _four_bits(layer) else layer.state.CB for layer in layers]
    return {id(part): part for part in kept}


def _held(layer: Any) -> Iterator[torch.Tensor]:
    """A scale for each row of an 8-bit layer; for each block of a 4-bit one, with double quantisation those of the scales too."""
    if not _four_bits(layer):
        yield layer.state.SCB
        return
    state = layer.weight.quant_state
    for level in (state, state.state2):
        if level is not None:
            yield from (value for value in vars(level).values() if isinstance(value, torch.Tensor))


def _four_bits(layer: Any) -> bool:
    return layer.weight.dtype == torch.uint8


def _layers(module: nn.Module) -> list[Any]:
    if all(weight.is_floating_point() for weight in module.parameters()):
        return []  # bitsandbytes takes a second to import
    from bitsandbytes.nn import Linear4bit, Linear8bitLt

    return [layer for layer in module.modules() if isinstance(layer, Linear4bit | Linear8bitLt)]
