"""Frozen linear layers with an optional LoRA beside them: one forward, one backward, in plain products.

    y = x Wᵀ + b + s (x Aᵀ) Bᵀ,   x: (rows, in), W: (out, in), A: (r, in), B: (out, r)

peft computes the second half in float32 on copies of x, matrix by matrix, with a separate product, scaling and sum, and autograd
takes the gradient of B in the slow order. Here layers that read the same x share one product with all their A, those whose weights lie
one below the other share every product, the small products join the large ones (`addmm`), and all is done in the arithmetic of the base.
A and B themselves stay float32.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad


class Part(NamedTuple):
    """One layer without its weight; A and B are None where nothing is trained."""

    size: int  # out
    bias: Tensor | None = None  # (out,)
    a: Tensor | None = None  # (r, in)
    b: Tensor | None = None  # (out, r)


class Group(NamedTuple):
    """Layers that read the same x and whose weights lie one below the other."""

    weight: Tensor  # (sum of out, in)
    parts: dict[str, Part]  # by role

    @property
    def adapted(self) -> list[Part]:
        return [part for part in self.parts.values() if part.a is not None]

    @property
    def rank(self) -> int:
        return sum(part.a.shape[0] for part in self.adapted)

    def all_b(self, dtype: torch.dtype) -> Tensor:
        """(sum of out, sum of r): each B in a corner of its own, 0 elsewhere."""
        if len(self.parts) == 1:
            return self.adapted[0].b.to(dtype)
        rows, before = [], 0
        for part in self.parts.values():
            own = part.a.shape[0] if part.a is not None else 0
            b = part.b.to(dtype) if own else self.weight.new_zeros(part.size, 0)
            rows.append(pad(b, (before, self.rank - before - own)))
            before += own
        return torch.cat(rows)


class Parts:
    """The linear layers of one block, for one pass through it."""

    def __init__(self, groups: list[Group], scale: float) -> None:
        self.groups, self.scale = groups, scale
        self.middles: list[Tensor] = []  # x Aᵀ of each x with a LoRA, (rows, sum of r): last in on the way forward, first out on the way back
        self.grads: dict[str, tuple[Tensor, Tensor]] = {}  # of A and B by role

    def forward(self, x: Tensor, *roles: str) -> list[Tensor]:
        """(rows, out) for each of the roles that read x."""
        groups, found = self._reading(roles), []
        ranks = [group.rank for group in groups]
        if sum(ranks):
            self.middles.append(x @ _all_a(groups, x.dtype).t())
        middles = self.middles[-1].split(ranks, 1) if sum(ranks) else groups
        for group, rank, middle in zip(groups, ranks, middles, strict=True):
            biases = [part.bias for part in group.parts.values() if part.bias is not None]
            weight = group.weight.t()
            whole = _plus(biases[0] if len(biases) == 1 else torch.cat(biases), x, weight) if biases else x @ weight
            if rank:
                whole = _plus(whole, middle, group.all_b(x.dtype).t(), self.scale)
            found += whole.split([part.size for part in group.parts.values()], 1)
        return found

    def backward(self, x: Tensor, **grads: Tensor) -> Tensor:
        """The gradient of x from those of each role that reads it; the gradients of A and B are kept in `grads`."""
        groups, dx, below = self._reading(tuple(grads)), None, []
        whole = [_beside([grads[role] for role in group.parts]) for group in groups]
        for group, grad in zip(groups, whole, strict=True):
            dx = grad @ group.weight if dx is None else _plus(dx, grad, group.weight)
            if group.rank:
                below.append(grad @ group.all_b(x.dtype))
        if not below:
            return dx
        below = _beside(below).mul_(self.scale)  # (rows, sum of r)
        da = (below.t() @ x).split([part.a.shape[0] for group in groups for part in group.adapted])
        self._keep(groups, list(da), whole)
        return _plus(dx, below, _all_a(groups, x.dtype))

    def _keep(self, groups: list[Group], da: list[Tensor], grads: list[Tensor]) -> None:
        """The gradients of all A and B of these groups."""
        middles = self.middles.pop().split([group.rank for group in groups], 1)
        for group, middle, grad in zip(groups, middles, grads, strict=True):
            if not group.rank:
                continue
            db = (middle.t() @ grad).mul_(self.scale)  # (sum of r, sum of out): the other order takes three times as long
            row = column = 0
            for role, part in group.parts.items():
                if part.a is not None:
                    own = db[row:row + part.a.shape[0], column:column + part.size]
                    self.grads[role] = da.pop(0).to(part.a.dtype).contiguous(), own.t().to(part.b.dtype).contiguous()
                    row += part.a.shape[0]
                column += part.size

    def _reading(self, roles: Sequence[str]) -> list[Group]:
        return [group for group in self.groups if next(iter(group.parts)) in roles]


def side_by_side(weights: list[Tensor]) -> Tensor | None:
    """The weights as the one matrix that they are in memory, (sum of out, in), or None where they lie apart."""
    first = weights[0].detach()
    end = first.storage_offset()
    for weight in weights:
        if (weight.untyped_storage().data_ptr() != first.untyped_storage().data_ptr() or weight.storage_offset() != end or not weight.is_contiguous()
                or weight.dtype != first.dtype or weight.shape[1:] != first.shape[1:]):
            return None
        end += weight.numel()
    return first if len(weights) == 1 else first.as_strided((sum(len(weight) for weight in weights), first.shape[1]), first.stride())


def lay_side_by_side(layers: list[nn.Linear]) -> None:
    """Move the weights of layers that read the same x into one piece of memory, one below the other; no number changes."""
    whole = torch.cat([layer.weight.data for layer in layers])
    for layer, weight in zip(layers, whole.split([layer.out_features for layer in layers]), strict=True):
        layer.weight.data = weight


def _all_a(groups: list[Group], dtype: torch.dtype) -> Tensor:
    """(sum of r, in)."""
    weights = [part.a.to(dtype) for group in groups for part in group.adapted]
    return weights[0] if len(weights) == 1 else torch.cat(weights)


def _beside(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def _plus(total: Tensor, left: Tensor, right: Tensor, scale: float = 1.0) -> Tensor:
    """total + scale left right. Compiled code adds in passing, in whatever reads the sum; as written the product adds, in place where it can."""
    if torch.compiler.is_exporting():
        return total + (left @ right if scale == 1 else (left * scale) @ right)
    return torch.addmm(total, left, right) if total.dim() == 1 else total.addmm_(left, right, alpha=scale)
