"""Optimizers by name, and the learning-rate schedule: a linear rise, then a linear fall to 0."""
from __future__ import annotations

from typing import Any

import torch

from lab.contracts import LabError


def make(name: str, groups: list[dict[str, Any]], weight_decay: float, device: str) -> torch.optim.Optimizer:
    """`groups` are torch parameter groups, each with its own lr. Raises LabError where the machine lacks what it needs."""
    match name:
        case "adamw":
            return torch.optim.AdamW(groups, weight_decay=weight_decay, foreach=False)
        case "adamw_foreach":
            return torch.optim.AdamW(groups, weight_decay=weight_decay, foreach=True)
        case "adamw_fused":
            return torch.optim.AdamW(groups, weight_decay=weight_decay, fused=True)
        case "sgd":
            return torch.optim.SGD(groups, weight_decay=weight_decay)
        case "adafactor":
            return torch.optim.Adafactor(groups, weight_decay=weight_decay)
        case "adamw_8bit" | "paged_adamw_8bit":
            if device == "cpu":
                raise LabError(f"optimizer is {name}: its 8-bit states need a GPU, and this run is on the CPU; choose adamw")
            import bitsandbytes

            return {"adamw_8bit": bitsandbytes.optim.AdamW8bit, "paged_adamw_8bit": bitsandbytes.optim.PagedAdamW8bit}[name](
                groups, weight_decay=weight_decay)
    raise LabError(f'optimizer is "{name}": there is no such optimizer')


def factor(step: int, steps: int, warmup: float) -> float:
    """What the learning rate of step 1 … steps is multiplied by: up to 1 over the first `warmup` share, then down towards 0."""
    rise = max(1, round(steps * warmup)) if warmup else 0
    if step <= rise:
        return step / rise
    return (steps - step + 1) / max(1, steps - rise)
