"""Memory of one training step from sizes alone: what is exact without a trace, and a quick estimate, enough to refuse what cannot fit.

Weights, gradients and optimizer states are exact; activations follow the published bytes per token, width and layer
(34 where every linear's weight trains, 20 where only the gradient passes, as measured for 16-bit), scaled by the number format.
"""
from __future__ import annotations

from typing import Any

from lab.accounting.counts import Counts
from lab.contracts import Method, Shape

STATES = {"adamw": 8, "adamw_foreach": 8, "adamw_fused": 8, "adamw_8bit": 2, "paged_adamw_8bit": 2, "sgd": 0, "adafactor": 1}  # bytes a parameter
EIGHT_BITS = tuple(name for name in STATES if name.endswith("8bit"))  # bitsandbytes runs them on a GPU only
BITS = {"nf4": 4 + 32 / 64, "nf4_double": 4 + 8 / 64 + 32 / (64 * 256), "fp4": 4 + 32 / 64, "int8": 8}  # a weight, with the scale of its block
TRAINED, PASSING, CHECKPOINTED = 46, 30, 2  # bytes per token, width and layer in 16 bits, with the norms' float32 copies


def estimate(method: Method, shape: Shape, counts: Counts, *, batch: int, tokens: int, dtype: str, optimizer: str, checkpointing: bool,
             quantization: str | None = None) -> dict[str, Any]:
    """{"peak_bytes", "parts", "assumptions"}; `parts` sums to `peak_bytes`. `auto` counts as float32, the larger."""
    size = 2 if dtype == "bfloat16" else 4
    parts = static_parts(shape, counts, base_size=4 if method.needs_float32() else size, trained_size=4, optimizer=optimizer, quantization=quantization) | {
        "activations": _activations(method, shape, batch, tokens, checkpointing) * size // 2 if counts.method else 0,
        "temporary": batch * shape.vocabulary * 8 if shape.writes else 0,
    }
    return {"peak_bytes": sum(parts.values()), "parts": parts,
            "assumptions": "weights and states exactly, activations by a rule of thumb, all texts at full length"}


def in_float32(method: Method, way: str, adapter_dtype: str) -> bool:
    """Whether a base is kept in float32 though the arithmetic has 16 bits: in the lab where its matrices move, by the libraries alone where asked for."""
    return method.needs_float32() if way == "lab" else method.trains_base and adapter_dtype == "float32"


def static_parts(shape: Shape, counts: Counts, *, base_size: int, trained_size: int, optimizer: str, quantization: str | None) -> dict[str, int]:
    """Weights, gradients and optimizer states: known without a trace. Sizes are bytes a number."""
    return {
        "weights": _weights(shape, counts.frozen, base_size, quantization) + counts.trainable * trained_size,
        "gradients": counts.trainable * trained_size,
        "optimizer": counts.trainable * STATES[optimizer] * (trained_size if STATES[optimizer] == 8 else 4) // 4,
    }


def _weights(shape: Shape, frozen: int, size: int, quantization: str | None) -> int:
    """Bytes of the frozen base. Quantised are the matrices of the blocks; embeddings, norms, biases and the output layer keep their format."""
    if quantization is None:
        return frozen * size
    matrices = sum(linear.inputs * linear.outputs for linear in shape.linears if linear.layer is not None)
    scales = 4 * sum(linear.outputs for linear in shape.linears if linear.layer is not None) if quantization == "int8" else 0  # one a row
    return (frozen - matrices) * size + int(matrices * BITS[quantization] / 8) + scales


def _activations(method: Method, shape: Shape, batch: int, tokens: int, checkpointing: bool) -> int:
    """Bytes in a 16-bit format that the forward pass keeps for the backward pass."""
    length = shape.positions if shape.kind == "vision" else tokens + method.virtual_tokens_used()  # an image has its number of patches
    per = CHECKPOINTED if checkpointing else (TRAINED if method.trains_base else PASSING)
    attention = 0 if checkpointing else 5 * shape.heads * length * length
    return batch * shape.layers * (per * length * shape.width + attention)
