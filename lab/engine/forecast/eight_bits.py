"""AdamW with states in 8 bits, as bitsandbytes keeps them on a GPU: their sizes, and nothing of their arithmetic."""
from __future__ import annotations

from typing import Any

import torch

BLOCK = 256  # numbers that share a scale
SMALLEST = 4096  # numbers from which a tensor's states are kept in 8 bits
SMALLEST_PAGED = 100_000  # and from which they may move to the host


class EightBits(torch.optim.Optimizer):
    """`paged` states lie in memory that moves to the host when the GPU is full: they are not counted as the GPU's."""

    def __init__(self, groups: list[dict[str, Any]], paged: bool) -> None:
        super().__init__(groups, {})
        self.paged = paged
        self.codes = [torch.empty(256, dtype=torch.float32) for _ in range(2)]  # the values that 8 bits stand for, the same for all

    def step(self, closure: Any = None) -> None:
        """The kernel changes weights and states in place and needs no room of its own."""
        for group in self.param_groups:
            for weight in group["params"]:
                if not self.state[weight]:
                    self.state[weight] = dict(zip(("codes", "squared codes"), self.codes, strict=True)) | self._states(weight)

    def _states(self, weight: torch.Tensor) -> dict[str, torch.Tensor]:
        names, small = ("exp_avg", "exp_avg_sq"), weight.numel() < SMALLEST
        scales = {} if small else {f"{name} scales": torch.empty(-(-weight.numel() // BLOCK), dtype=torch.float32) for name in names}
        if self.paged and weight.numel() >= SMALLEST_PAGED:
            return scales
        return scales | {name: torch.empty_like(weight, dtype=torch.float32 if small else torch.uint8) for name in names}
