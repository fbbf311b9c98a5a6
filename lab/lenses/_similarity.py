"""Linear CKA of two sets of states of the same words, added up batch by batch, without the bias that few words and wide states bring.

    CKA = HSIC(X, Y) / sqrt(HSIC(X, X) HSIC(Y, Y)),  X: (n, p), Y: (n, q)
    HSIC with K = X X', L = Y Y' and zeros on both diagonals, Song et al. 2012, equation 4; Kornblith et al. 2019 for CKA
"""
from __future__ import annotations

from torch import Tensor

FEWEST = 4  # rows that the estimate takes


class Product:
    """HSIC of X and Y from sums over rows: neither the states nor (n, n) tables are kept."""

    def __init__(self) -> None:
        self.rows = 0
        self.sums: list[Tensor] = []

    def add(self, x: Tensor, y: Tensor) -> None:
        """(rows, p) and (rows, q), float32, shifted to about mean 0: a shift changes nothing but what rounding does."""
        xx, yy = x.square().sum(1), y.square().sum(1)  # (rows,)
        sums = [x.t() @ y, x.sum(0), y.sum(0), yy @ x, xx @ y, xx @ yy, xx.sum(), yy.sum()]
        sums = [each.double() for each in sums]
        self.sums = [one + other for one, other in zip(self.sums, sums, strict=True)] if self.sums else sums
        self.rows += len(x)

    @property
    def value(self) -> float:
        """0 of fewer rows than it takes."""
        if self.rows < FEWEST:
            return 0.0
        cross, sx, sy, x_yy, xx_y, both, xx, yy = self.sums
        n, trace, through = self.rows, cross.square().sum() - both, sx @ cross @ sy - sx @ x_yy - xx_y @ sy + both
        return float((trace + (sx @ sx - xx) * (sy @ sy - yy) / ((n - 1) * (n - 2)) - 2 / (n - 2) * through) / (n * (n - 3)))


class Similarity:
    """CKA of some models' states with the base's, layer by layer."""

    def __init__(self, models: int) -> None:
        self.base, self.others, self.cross = Product(), [Product() for _ in range(models)], [Product() for _ in range(models)]
        self.shifts: list[Tensor] = []

    def add(self, base: Tensor, others: list[Tensor]) -> None:
        """(words, width) of the base and of each other model."""
        states = [each.float() for each in (base, *others)]
        self.shifts = self.shifts or [each.mean(0) for each in states]
        x, *ys = [each - shift for each, shift in zip(states, self.shifts, strict=True)]
        self.base.add(x, x)
        for y, own, cross in zip(ys, self.others, self.cross, strict=True):
            own.add(y, y)
            cross.add(x, y)

    @property
    def values(self) -> list[float | None]:
        """One for each other model; None where states do not differ from word to word, or are too few."""
        return [_ratio(cross.value, self.base.value, own.value) for own, cross in zip(self.others, self.cross, strict=True)]


def _ratio(cross: float, one: float, other: float) -> float | None:
    return cross / (one * other) ** 0.5 if one > 0 and other > 0 else None
