"""The best of several choices, judged on items that did not pick it: who is best on the items that picked it is best partly by luck."""
from __future__ import annotations

from typing import Any


def unpicked(right: Any) -> Any:
    """(items,) of a (choices, items) table of right answers: best choice less worst. Each half of the items is judged by the two that the other half
    picked, so the mean is that of a fair comparison. The halves are drawn by lot: items stand with their labels in turn, and of two labels every second item
    would be all of one."""
    import torch

    items = right.shape[1]
    one = torch.randperm(items, generator=torch.Generator().manual_seed(0)) < items // 2
    gaps = torch.zeros(items, dtype=right.dtype)
    for asked, picked_on in ((one, ~one), (~one, one)):
        picked = right[:, picked_on].mean(1)
        gaps[asked] = right[int(picked.argmax())][asked] - right[int(picked.argmin())][asked]
    return gaps


def mean(each: Any) -> list[float]:
    """Of a row of numbers, and its standard error."""
    return [float(each.mean()), float(each.std() / len(each) ** 0.5)]
