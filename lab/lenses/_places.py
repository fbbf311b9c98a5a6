"""Where vectors lie among the words: how long they are, how far from the nearest word, how usual, and on a map of two axes."""
from __future__ import annotations

from functools import cached_property
from typing import Any

import torch

from lab.lens import Specimen
from lab.lenses._vocabulary import Neighbour, Vocabulary, vocabulary

SAMPLED = 500  # words behind the median distance to the nearest other word
PER_AXIS = 4  # words for each axis of the space, behind the covariance, and as many to compare with
RIDGE = 1e-3  # of the mean variance, added to each axis: with few words some axes have none
COMMON_WORDS = 400  # on the map


class Places:
    """Of one vocabulary. `spacing` is the median distance from a word to the nearest other word; `axes` are (2, width) unit vectors."""

    def __init__(self, words: Vocabulary, spacing: float, axes: torch.Tensor, explained: list[float]) -> None:
        self.words, self.spacing, self.axes, self.explained = words, spacing, axes, explained
        self.lengths = words.norms[words.allowed].sort().values

    def norm_percentile(self, vectors: torch.Tensor) -> torch.Tensor:
        """(n,) how many of a hundred words are shorter."""
        return 100 * torch.searchsorted(self.lengths, vectors.norm(dim=1).contiguous()) / len(self.lengths)

    def mahalanobis_percentile(self, vectors: torch.Tensor) -> torch.Tensor:
        """(n,) how many of a hundred words lie nearer to the mean, distances taken in standard deviations along the axes of the words' own spread."""
        return 100 * torch.searchsorted(self._usual, self._distances(vectors)) / len(self._usual)

    def margins(self, vectors: torch.Tensor, starts: torch.Tensor, by_distance: list[list[Neighbour]]) -> torch.Tensor:
        """(n,) how far each vector still is from the border of the cell of its first nearest token, `starts`; below 0: how far it has left it.

        The border to word w is the plane halfway between: ((|p - w|^2 - |p - s|^2) / 2|w - s|). Looked at are the nearest few words, `by_distance`.
        """
        own = self.words.words[starts]
        found = vectors.new_empty(len(vectors))
        for position, near in enumerate(by_distance):
            point, start = vectors[position].double(), self.words.rows(starts[position:position + 1])[0].double()
            others = self.words.rows([each.token for each in near if self.words.words[each.token] != own[position]]).double()
            away = ((others - point).square().sum(1) - (start - point).square().sum()) / (2 * (others - start).norm(dim=1)).clamp(min=1e-30)
            found[position] = away.min()
        return found

    def on_map(self, vectors: torch.Tensor) -> torch.Tensor:
        """(n, 2)"""
        return (vectors - self.words.mean) @ self.axes.T

    def common(self) -> list[int]:
        """The first whole words of the vocabulary: tokenizers number common ones first."""
        marked = any(text[:1] == " " and text[1:].isalpha() for text in self.words.texts)
        whole = (token for token in self.words.ids.tolist() if self.words.texts[token].strip().isalpha() and len(self.words.texts[token].strip()) > 2
                 and (not marked or self.words.texts[token].startswith(" ")))
        first = {int(self.words.words[token]): token for token in reversed(list(whole))}
        return sorted(first.values())[:COMMON_WORDS]

    @cached_property
    def _halves(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Words to fit the spread on, and others to compare with: the distances of those it was fitted on would be too short."""
        ids = self.words.ids
        many = min(len(ids) // 2, PER_AXIS * self.words.width)
        chosen = ids[torch.randperm(len(ids), generator=torch.Generator().manual_seed(0)).to(ids.device)]
        return self.words.rows(chosen[:many]), self.words.rows(chosen[many:2 * many])

    @cached_property
    def _spread(self) -> torch.Tensor:
        """(width, width) lower triangle L with L L^T the words' covariance."""
        away = self._halves[0] - self.words.mean
        covariance = (away.T @ away / len(away)).double()
        covariance.diagonal().add_(RIDGE * covariance.diagonal().mean())
        return torch.linalg.cholesky(covariance).float()

    @cached_property
    def _usual(self) -> torch.Tensor:
        return self._distances(self._halves[1]).sort().values

    def _distances(self, vectors: torch.Tensor) -> torch.Tensor:
        return torch.linalg.solve_triangular(self._spread, (vectors - self.words.mean).T, upper=False).norm(dim=0)


def places(specimen: Specimen) -> Places:
    """Of the run's base model; what takes long is kept in a note."""
    words = vocabulary(specimen)
    note = specimen.noted("places of words", lambda: measured(words))
    return Places(words, note["spacing"], torch.tensor(note["axes"], device=words.table.device), note["explained"])


def measured(words: Vocabulary) -> dict[str, Any]:
    """{"spacing", "axes": [[…], […]], "explained": share of the variance along each axis}: of the model alone, as JSON values."""
    axes, explained = _principal(words)
    return {"spacing": _spacing(words), "axes": [[round(number, 6) for number in axis] for axis in axes.tolist()], "explained": explained}


def _spacing(words: Vocabulary) -> float:
    ids = words.ids[torch.randperm(len(words.ids), generator=torch.Generator().manual_seed(0))[:SAMPLED].to(words.ids.device)]
    near = words.nearest(words.rows(ids), 2, ("l2",))["l2"]  # first itself
    return float(torch.tensor([line[-1].value for line in near]).median())


def _principal(words: Vocabulary) -> tuple[torch.Tensor, list[float]]:
    """Principal components of all words. The sign is free: the largest number of an axis is positive."""
    covariance = torch.zeros(words.width, words.width, device=words.table.device)
    for first, rows in words.blocks():
        away = (rows - words.mean)[words.allowed[first:first + len(rows)]]
        covariance += away.T @ away
    values, vectors = torch.linalg.eigh(covariance)
    axes = vectors[:, -2:].flip(1).T
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    return axes * largest.sign(), [round(float(value / values.sum()), 4) for value in values.flip(0)[:2]]
