"""What a block computes, apart from the numbers: from flat lists of tensors, as autograd and the compiler want them."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.engine.fast.bert import Bert
from lab.engine.fast.linear import Group, Part, Parts
from lab.engine.fast.llama import Llama


@dataclass(frozen=True)
class Plan:
    """Tensors go in as x, extras (cos, sin, mask, seeds), norms, and for each group its weight and the bias, A and B of each role, as far as there are."""

    block: Llama | Bert
    extras: int
    norms: int
    groups: tuple[tuple[tuple[str, int, bool, bool], ...], ...]  # of roles whose weights are one matrix: role, width, has a bias, has a LoRA
    scale: float  # LoRA's alpha / r
    leaf: bool = False  # x needs no gradient: compiled code leaves out all that leads to it alone

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """(output, saved …)."""
        x, extras, norms, parts = self._sorted(tensors)
        out, saved = self.block.forward(x, extras, parts, norms)
        return out, *saved, *parts.middles

    def backward(self, grad: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        """(gradient of x unless it is a leaf, those of A and B …) from what went in and what was saved."""
        x, extras, norms, parts = self._sorted(tensors[:self.inputs])
        saved = tensors[self.inputs:]
        parts.middles += saved[self.block.saved:]
        dx = self.block.backward(grad, x, saved[:self.block.saved], extras, parts, norms)
        return *(() if self.leaf else (dx,)), *(found for role in self.adapted for found in parts.grads[role])

    @property
    def adapted(self) -> tuple[str, ...]:
        return tuple(role for group in self.groups for role, _, _, adapted in group if adapted)

    @property
    def inputs(self) -> int:
        return 1 + self.extras + self.norms + sum(1 + sum(bias + 2 * adapted for _, _, bias, adapted in group) for group in self.groups)

    @property
    def places(self) -> list[int]:
        """Where what has a gradient stands among what goes in."""
        places, at = [] if self.leaf else [0], 1 + self.extras + self.norms
        for group in self.groups:
            at += 1
            for _, _, bias, adapted in group:
                at += bias
                places += [at, at + 1] if adapted else []
                at += 2 * adapted
        return places

    def _sorted(self, tensors: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...], Parts]:
        rest = iter(tensors)
        x, extras, norms = next(rest), _take(rest, self.extras), _take(rest, self.norms)
        groups = []
        for group in self.groups:
            weight = next(rest)
            groups.append(Group(weight, {role: Part(size, next(rest) if bias else None, *(_take(rest, 2) if adapted else ()))
                                         for role, size, bias, adapted in group}))
        return x, extras, norms, Parts(groups, self.scale)


def _take(rest: Any, count: int) -> tuple[Tensor, ...]:
    return tuple(islice(rest, count))


class Functions(NamedTuple):
    """The two halves of a plan."""

    forward: Callable[..., tuple[Tensor, ...]]
    backward: Callable[..., tuple[Tensor, ...]]


class Code:
    """The functions that run a plan: as written, until compiled ones take their place between two steps."""

    def __init__(self, plan: Plan, fixed: Sequence[Tensor], trains: bool = True) -> None:
        """`fixed` are the norms and weights of one block that follows the plan; `trains` is False for code that only evaluation uses."""
        self.plan, self.trains = plan, trains
        self.written = Functions(plan.forward, plan.backward)
        self.compiled: Functions | None = None
        self.sizes = tuple(tuple(tensor.shape) for tensor in fixed)
        self.dtypes = tuple(tensor.dtype for tensor in fixed)

    def functions(self, x: Tensor) -> Functions:
        """Compiled code knows no single row and no single token, as tracing takes a size of 1 for a constant, and checks no number format."""
        fits = x.shape[0] > 1 and x.shape[1] > 1 and x.dtype == self.dtypes[0]
        return self.compiled if self.compiled is not None and fits else self.written


class Through(torch.autograd.Function):
    """One block as one node for autograd: gradients for x and for each A and B."""

    @staticmethod
    def forward(ctx: Any, code: Code, *tensors: Tensor) -> Tensor:
        functions = code.functions(tensors[0])
        out, *saved = functions.forward(*tensors)
        ctx.save_for_backward(*tensors, *saved)
        ctx.plan, ctx.backward_function = code.plan, functions.backward
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        found = ctx.backward_function(grad.contiguous(), *ctx.saved_tensors)
        grads: list[Tensor | None] = [None] * (1 + ctx.plan.inputs)
        for place, value in zip(ctx.plan.places, found, strict=True):
            grads[1 + place] = value
        return tuple(grads)
