"""Which number format is faster on this machine: measured once per model size, not believed."""
from __future__ import annotations

import platform
import time

import torch

from lab.contracts import Shape
from lab.engine.notes import Notes

CLEARLY = 1.15  # bfloat16 must win by this much to be worth its coarser numbers


def choose(wanted: str, shape: Shape, rows: int, device: str, notes: Notes) -> torch.dtype:
    """The dtype of the forward pass: as the spec says, or for `auto` the measured winner. `rows` is batch x tokens."""
    if wanted != "auto":
        return getattr(torch, wanted)
    if device != "cpu":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    key = f"{platform.machine()} {torch.get_num_threads()} {torch.__version__} {shape.width}x{shape.ffn} {rows}"
    ratio = notes.get("bfloat16 speed", key)
    if ratio is None:
        ratio = notes.put("bfloat16 speed", key, _ratio(rows, shape.width, shape.ffn))
    return torch.bfloat16 if ratio >= CLEARLY else torch.float32


def _ratio(rows: int, width: int, ffn: int) -> float:
    """Seconds of a feed-forward pass and its backward in float32 over those in bfloat16; the best of a few interleaved tries."""
    best = {torch.float32: float("inf"), torch.bfloat16: float("inf")}
    for _ in range(5):
        for dtype in best:
            x = torch.randn(rows, width, dtype=dtype, requires_grad=True)
            up, down = torch.randn(ffn, width, dtype=dtype), torch.randn(width, ffn, dtype=dtype)
            began = time.perf_counter()
            for _ in range(2):
                torch.nn.functional.linear(torch.nn.functional.gelu(torch.nn.functional.linear(x, up)), down).sum().backward()
            best[dtype] = min(best[dtype], time.perf_counter() - began)
    return round(best[torch.float32] / best[torch.bfloat16], 3)
