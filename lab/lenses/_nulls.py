"""How near to some word a vector lies by chance alone. The measure is its largest centred cosine to any row, and there are three kinds of chance:

    permuted   the vector's own coordinates in another order: its length and its values are kept, its direction is not
    noise      a random word, moved in a random direction as far as this vector has moved since before training
    direction  a random direction; for one row of width d its cosine c has the density (1 - c^2)^((d - 3) / 2), a Beta law

The first two are drawn. The law of the third is exact for one row; the maximum over V rows is taken as if they were independent, which is never too
small a p by more than its square.
"""
from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from math import ceil

import torch

from lab.lens import Progress
from lab.lenses._vocabulary import Vocabulary

BLOCK = 1024  # rows of the table at once
POINTS = 2 ** 16  # of the Beta law's density between -1 and 1
CLOSE = 1e-6  # cosines of float32 arithmetic nearer than that are equal


@dataclass(frozen=True)
class Null:
    """What chance gives at each of n positions. `draws` is (n, B): largest cosines."""

    draws: torch.Tensor

    def z(self, values: torch.Tensor) -> torch.Tensor:
        """(n, k) values in standard deviations of their position's draws above their mean."""
        return (values - self._mean) / self._spread

    def p(self, values: torch.Tensor) -> torch.Tensor:
        """(n, k) share of draws at least as near, for a position looked at alone."""
        return self._share(self.draws, values)

    def corrected(self, values: torch.Tensor) -> torch.Tensor:
        """(n, k) the same with all positions looked at: the largest standardised draw of any position has to be beaten (Westfall and Young)."""
        largest = self.z(self.draws).amax(0).expand(len(values), -1)
        return self._share(largest, self.z(values))

    @property
    def _mean(self) -> torch.Tensor:
        return self.draws.mean(1, keepdim=True)

    @property
    def _spread(self) -> torch.Tensor:
        return self.draws.std(1, keepdim=True).clamp(min=CLOSE)

    @staticmethod
    def _share(draws: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        below = torch.searchsorted(draws.sort(1).values.contiguous(), (values - CLOSE).contiguous())
        return (1 + draws.shape[1] - below) / (1 + draws.shape[1])


def drawn(draws: int, width: int) -> int:
    """At least so many, in whole turns of the coordinates."""
    return ceil(draws / width) * width


def permuted(vocabulary: Vocabulary, vectors: torch.Tensor, draws: int, chance: torch.Generator) -> Generator[Progress, None, Null]:
    """`width` draws at a time: each permutation is also turned around by 1, 2 … places, every one of which is a uniformly random permutation as well.
    The products of a row with all turns are a circular correlation, which the fast Fourier transform takes 2 log2(width) operations a draw for."""
    ahead = vocabulary.offsets(vectors)
    ahead = ahead / ahead.norm(dim=1, keepdim=True).clamp(min=1e-30)
    n, width = ahead.shape
    orders = torch.stack([torch.randperm(width, generator=chance) for _ in range(n * (drawn(draws, width) // width))]).view(n, -1, width)
    waves = torch.fft.rfft(ahead.unsqueeze(1).expand(orders.shape).gather(2, orders.to(ahead.device))).conj()  # (n, turns, width / 2 + 1)
    best = ahead.new_full(orders.shape, -1.0)
    for block, rows in enumerate(vocabulary.directions(BLOCK), start=1):
        spectrum = torch.fft.rfft(rows)
        for position in range(n):
            for turn in range(orders.shape[1]):
                found = torch.fft.irfft(spectrum * waves[position, turn], n=width).amax(0)
                torch.maximum(best[position, turn], found, out=best[position, turn])
        yield block, _blocks(vocabulary)
    return Null(best.flatten(1))


def noise(vocabulary: Vocabulary, drifts: torch.Tensor, draws: int, chance: torch.Generator) -> Generator[Progress, None, Null]:
    """(n,) `drifts`: how far each vector moved. Words and directions are drawn once and paired anew for each position, so that two products with the
    table serve them all: (q + drift u).e = q.e + drift u.e"""
    many = drawn(draws, vocabulary.width)
    ids = vocabulary.ids[torch.randint(len(vocabulary.ids), (many,), generator=chance).to(vocabulary.ids.device)]
    words = vocabulary.offsets(vocabulary.rows(ids))  # (draws, width)
    moves = torch.randn(words.shape, generator=chance).to(words)
    moves = moves / moves.norm(dim=1, keepdim=True)
    shifts = [int(shift) for shift in torch.randint(many, (len(drifts),), generator=chance)]
    best = words.new_full((len(drifts), many), float("-inf"))
    for block, rows in enumerate(vocabulary.directions(BLOCK), start=1):
        of_words, of_moves = words @ rows.T, (moves @ rows.T).repeat(2, 1)
        room = torch.empty_like(of_words)
        for position, (drift, shift) in enumerate(zip(drifts.tolist(), shifts, strict=True)):
            torch.add(of_words, of_moves[shift:shift + many], alpha=drift, out=room)
            torch.maximum(best[position], room.amax(1), out=best[position])
        yield block, _blocks(vocabulary)
    for position, (drift, shift) in enumerate(zip(drifts.tolist(), shifts, strict=True)):
        lengths = (words + drift * moves.roll(-shift, 0)).norm(dim=1).clamp(min=1e-30)
        order = torch.randperm(many, generator=chance).to(lengths.device)  # else draw b would be the same word at every position
        best[position] = (best[position] / lengths)[order]
    return Null(best)


def _blocks(vocabulary: Vocabulary) -> int:
    return ceil(len(vocabulary.table) / BLOCK)


class Direction:
    """The third kind, by its law: (n, k) values in, z and p out."""

    def __init__(self, width: int, rows: int) -> None:
        self.points = torch.linspace(-1, 1, POINTS + 1, dtype=torch.float64)
        density = ((max(width, 3) - 3) / 2 * torch.log1p(-self.points[1:-1].square())).exp()
        ends = 1.0 if width <= 3 else 0.0
        density = torch.cat([density.new_tensor([ends]), density, density.new_tensor([ends])])
        areas = (density[1:] + density[:-1]) / 2
        tails = torch.cat([areas.flip(0).cumsum(0).flip(0), areas.new_zeros(1)]) / areas.sum()
        self.tails = -torch.expm1(rows * torch.log1p(-tails.clamp(max=1 - 1e-16)))  # P(the largest of all rows is at least c)
        weights = self.tails[:-1] - self.tails[1:]
        middles = (self.points[1:] + self.points[:-1]) / 2
        self.mean = float((weights * middles).sum() / weights.sum())
        self.spread = float((weights * (middles - self.mean).square()).sum() / weights.sum()) ** 0.5

    def z(self, values: torch.Tensor) -> torch.Tensor:
        return (values - self.mean) / self.spread

    def p(self, values: torch.Tensor) -> torch.Tensor:
        place = (values.double().clamp(-1, 1) + 1) / 2 * POINTS
        low = place.floor().long().clamp(max=POINTS - 1)
        share = place - low
        return self.tails[low] * (1 - share) + self.tails[low + 1] * share

    def corrected(self, values: torch.Tensor) -> torch.Tensor:
        """With as many positions looked at as there are values."""
        return -torch.expm1(len(values) * torch.log1p(-self.p(values).clamp(max=1 - 1e-16)))
