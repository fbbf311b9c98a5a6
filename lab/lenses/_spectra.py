"""Singular values and vectors of a change and of the matrix it changes, as exact as a figure needs and as fast as a whole model needs.

    dW = S_i s_i u_i v_i';  effective rank: the fewest s_i whose squares add up to 90 % of |dW|^2
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

ENERGY = 0.9
THIN = 96  # a change of at most this rank is decomposed through its range, which is exact and takes a tenth of the time
SMALL = 160  # a matrix whose shorter side is at most this is decomposed by LAPACK directly
ZERO = 1e-6  # singular values below this part of the largest count as 0


@dataclass(frozen=True)
class Directions:
    """values: (k,) falling, left: (outputs, k), right: (inputs, k)."""

    values: Tensor
    left: Tensor
    right: Tensor


def directions(matrix: Tensor) -> Directions:
    """All of them. Of a large matrix through the smaller of its two products with itself, in float32: good to about 1e-3 of the largest value."""
    if min(matrix.shape) <= SMALL:
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        return Directions(values, left, right.t())
    matrix = matrix.float()
    tall = matrix.shape[0] > matrix.shape[1]
    squares, vectors = torch.linalg.eigh(matrix.t() @ matrix if tall else matrix @ matrix.t())
    values, vectors = squares.flip(0).clamp(min=0).sqrt(), vectors.flip(1)
    others = (matrix if tall else matrix.t()) @ vectors / values.clamp(min=1e-6 * float(values[0]) + 1e-30)
    return Directions(values, *((others, vectors) if tall else (vectors, others)))


def of_change(change: Tensor) -> Directions:
    """Those of a change, float64 where its rank is at most THIN; values that are 0 but for rounding are left out."""
    if not bool(change.any()):
        return Directions(change.new_zeros(0), change.new_zeros(len(change), 0), change.new_zeros(change.shape[1], 0))
    found = _thin(change) or directions(change)
    kept = int((found.values > ZERO * found.values[0]).sum())
    return Directions(found.values[:kept], found.left[:, :kept], found.right[:, :kept])


def _thin(change: Tensor) -> Directions | None:
    """Through an orthonormal basis of its range, if THIN random mixtures of its columns span that."""
    if min(change.shape) <= SMALL:
        return None
    mixed = change @ torch.randn(change.shape[1], THIN, generator=torch.Generator().manual_seed(0), dtype=change.dtype).to(change.device)
    basis = torch.linalg.qr(mixed).Q
    inside = basis.t() @ change
    if torch.linalg.norm(change - basis @ inside) > ZERO * torch.linalg.norm(change):
        return None
    left, values, right = torch.linalg.svd(inside, full_matrices=False)
    return Directions(values, basis @ left, right.t())


def strongest(matrix: Tensor, count: int, near: Tensor) -> Directions:
    """The `count` strongest, by iteration from a block of vectors, (inputs, more than count), that nearly span them."""
    if min(matrix.shape) <= max(SMALL, near.shape[1]):
        found = directions(matrix)
        return Directions(found.values[:count], found.left[:, :count], found.right[:, :count])
    matrix, block = matrix.float(), torch.linalg.qr(near.float()).Q
    for _ in range(4):
        block = torch.linalg.qr(matrix.t() @ (matrix @ block)).Q
    left, values, right = torch.linalg.svd(matrix @ block, full_matrices=False)
    return Directions(values[:count], left[:, :count], block @ right.t()[:, :count])


def effective_rank(values: Tensor, energy: float = ENERGY) -> int:
    if not len(values):
        return 0
    squares = values.double().square()
    return int((squares.cumsum(0) < energy * squares.sum() * (1 - 1e-12)).sum()) + 1


def aligned(change: Tensor, base: Directions, count: int) -> tuple[float, float]:
    """The share of a change's energy in the base's `count` strongest directions, the mean over outputs and inputs; and the share that a change in
    random directions would have there."""
    change = change.to(base.left.dtype)
    whole, (outputs, inputs) = change.square().sum(), change.shape
    inside = (base.left[:, :count].t() @ change).square().sum() + (change @ base.right[:, :count]).square().sum()
    return float(inside / whole / 2), (count / outputs + count / inputs) / 2


def intruders(tuned: Directions, base: Directions, threshold: float) -> int:
    """How many of the tuned matrix's directions are like none of the base's: no cosine on the output side reaches the threshold."""
    cosines = (tuned.left.to(base.left.dtype).t() @ base.left).abs()  # (k, all)
    return int((cosines.amax(1) < threshold).sum())
