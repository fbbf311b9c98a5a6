"""The words around a vector: exact nearest rows of the embedding table under four metrics, read from the table as it lies, without a second one.

    E: (rows, width) the table, mu the mean of the rows that words stand behind, p a vector
    dot p.e   cosine p.e / |p||e|   centred (p - mu).(e - mu) / |p - mu||e - mu|   l2 |p - e|

All four come from one product p.e a block of rows at a time, with two norms a row; the best candidates are then computed again in float64.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import torch

from lab.lens import Specimen
from lab.lenses import _tokens

METRICS = ("centred", "cosine", "l2", "dot")
ROWS = 4096  # of the table at once: a block in float32 and its products stay within a few MB
FEW_ROWS = 512  # where each block is gone through several times: it stays in a core's cache
VECTORS = 32  # computed again in float64 at once
CANDIDATES = 4  # for each word wanted, since several tokens may be the same word, and float32 may confuse near ties
FAINT = 1e-3  # of the median norm: a row shorter than that is no place among the words
SAME = 1e-6  # of the mean's and the vector's length together: nearer than that to the mean, a vector has no direction from it


@dataclass(frozen=True)
class Neighbour:
    """A token near a vector. `also` are tokens further away that are the same word."""

    token: int
    text: str
    value: float
    also: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {"id": self.token, "text": self.text, "value": round4(self.value)}


def round4(value: float) -> float:
    """Four significant digits: what JSON is given."""
    return float(f"{value:.4g}")


class Vocabulary:
    """An embedding table with what its rows stand for. `texts`, `banned` and `words`, a number for each row that rows of the same word share, are what
    `_tokens.read` gives."""

    def __init__(self, table: torch.Tensor, texts: Sequence[str], banned: dict[str, list[int]], words: Sequence[int] | None = None) -> None:
        self.table, self.texts, self.banned = table.detach(), texts, dict(banned)
        self.words = torch.tensor(_tokens.numbered(list(texts)) if words is None else words, device=table.device)  # (rows,)
        self.allowed = torch.ones(len(table), dtype=torch.bool, device=table.device)
        for rows in banned.values():
            self.allowed[rows] = False
        self.norms = torch.cat([rows.norm(dim=1) for _, rows in self.blocks(FEW_ROWS)])  # (rows,)
        faint = self.norms < FAINT * self.norms[self.allowed].median()
        self.banned["zero"] = (faint & self.allowed).nonzero().flatten().tolist()
        self.allowed &= ~faint
        self.mean = self._mean()
        sums = [(rows @ self.mean, (rows - self.mean).norm(dim=1)) for _, rows in self.blocks(FEW_ROWS)]
        self.toward, self.apart = (torch.cat(parts) for parts in zip(*sums, strict=True))  # (rows,) e.mu and |e - mu|
        self.barred = torch.zeros(len(table), device=table.device).masked_fill(~self.allowed, float("-inf"))

    @property
    def considered(self) -> int:
        return int(self.allowed.sum())

    @property
    def width(self) -> int:
        return self.table.shape[1]

    @cached_property
    def ids(self) -> torch.Tensor:
        """(considered,) the rows that words stand behind."""
        return self.allowed.nonzero().flatten()

    def shown(self, token: int) -> str:
        return _tokens.shown(self.texts[token])

    def rows(self, ids: Sequence[int] | torch.Tensor) -> torch.Tensor:
        """(len(ids), width) float32, copied from the table."""
        return self.table[torch.as_tensor(ids, dtype=torch.long, device=self.table.device)].float()

    def blocks(self, size: int = ROWS) -> Iterator[tuple[int, torch.Tensor]]:
        """The table from its top: where a block begins, and the block in float32."""
        for first in range(0, len(self.table), size):
            yield first, self.table[first:first + size].float()

    def directions(self, size: int = ROWS) -> Iterator[torch.Tensor]:
        """(at most `size`, width) unit vectors from the mean to the rows that words stand behind, block after block."""
        for first, rows in self.blocks(size):
            allowed = self.allowed[first:first + size]
            yield ((rows - self.mean) / self.apart[first:first + size].clamp(min=1e-30).unsqueeze(1))[allowed]

    def offsets(self, vectors: torch.Tensor) -> torch.Tensor:
        """(n, width) from the mean to each vector; exactly zero where the vector is the mean."""
        away = vectors - self.mean
        return away * (away.norm(dim=1) > SAME * (vectors.norm(dim=1) + self.mean.norm())).unsqueeze(1)

    def nearest(self, vectors: torch.Tensor, top: int = 5, metrics: Sequence[str] = METRICS) -> dict[str, list[list[Neighbour]]]:
        """The `top` nearest words of each vector under each metric, nearest first; each word once, however many tokens are that word."""
        return self.nearest_and_ranks(vectors, top, metrics, None)[0]

    def nearest_and_ranks(self, vectors: torch.Tensor, top: int, metrics: Sequence[str],
                          tokens: Sequence[int] | None) -> tuple[dict[str, list[list[Neighbour]]], list[int]]:
        """With the rank of one token for each vector: how many rows lie nearer to it by centred cosine, and one."""
        found: dict[str, list[list[Neighbour]]] = {}
        wanted, missing = CANDIDATES * top, list(metrics)
        watched = None if tokens is None else torch.as_tensor(tokens, device=vectors.device).unsqueeze(1)
        ranks = torch.ones(0 if watched is None else len(vectors), dtype=torch.long, device=vectors.device)
        while missing:
            candidates, nearer = self._candidates(vectors.float(), min(wanted, self.considered), missing, watched)
            ranks, watched = ranks if watched is None else ranks + nearer, None
            for metric in missing:
                found[metric] = self._ranked(vectors, candidates[metric], metric, top)
            missing = [metric for metric in missing if wanted < self.considered and any(len(line) < top for line in found[metric])]
            wanted *= 4
        return found, ranks.tolist()

    def _mean(self) -> torch.Tensor:
        total = torch.zeros(self.width, dtype=torch.float64, device=self.table.device)
        for first, rows in self.blocks(FEW_ROWS):
            total += self.allowed[first:first + FEW_ROWS].float() @ rows
        return (total / max(1, self.considered)).float()

    def _products(self, vectors: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        for first, rows in self.blocks():
            yield first, vectors @ rows.T  # (n, rows of the block)

    def _scores(self, metric: str, vectors: torch.Tensor, products: torch.Tensor, first: int) -> torch.Tensor:
        """(n, rows of the block), larger is nearer, in the order of the metric; rows that no word stands behind are at minus infinity."""
        part = slice(first, first + products.shape[1])
        barred = self.barred[part]
        if metric == "dot":
            return products + barred
        if metric == "cosine":
            return (products / self.norms[part].clamp(min=1e-30)).add_(barred)
        if metric == "l2":
            return (2 * products).add_(barred - self.norms[part].square())
        shifted = products - (vectors @ self.mean).unsqueeze(1)
        return shifted.sub_(self.toward[part] - self.mean.square().sum()).div_(self.apart[part].clamp(min=1e-30)).add_(barred)

    def _candidates(self, vectors: torch.Tensor, wanted: int, metrics: Sequence[str],
                    watched: torch.Tensor | None) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """(n, wanted) rows for each metric, by float32 arithmetic; and (n,) how many rows lie nearer by centred cosine than `watched`, (n, 1) tokens."""
        best: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        nearer = torch.zeros(len(vectors), dtype=torch.long, device=vectors.device)
        if watched is not None:
            own = (self._exactly(vectors, watched, "centred") * self.offsets(vectors).double().norm(dim=1, keepdim=True)).float()
        for first, products in self._products(vectors):
            for metric in metrics:
                scores = self._scores(metric, vectors, products, first)
                values, places = scores.topk(min(wanted, scores.shape[1]), dim=1)
                best[metric] = _better(best.get(metric), values, places + first, wanted)
                if watched is not None and metric == "centred":
                    others = watched != torch.arange(first, first + scores.shape[1], device=scores.device)
                    nearer += ((scores > own) & others).sum(1)
        return {metric: places for metric, (_, places) in best.items()}, nearer

    def _exactly(self, vectors: torch.Tensor, ids: torch.Tensor, metric: str) -> torch.Tensor:
        """(n, k) the metric itself between each vector and its k rows, in float64."""
        rows, points = self.table[ids].double(), vectors.double().unsqueeze(1)
        if metric == "l2":
            return (rows - points).norm(dim=2)
        if metric == "centred":
            rows, points = rows - self.mean.double(), self.offsets(vectors).double().unsqueeze(1)
        products = (rows @ points.mT).squeeze(2)
        return products if metric == "dot" else products / (rows.norm(dim=2) * points.norm(dim=2)).clamp(min=1e-30)

    def _ranked(self, vectors: torch.Tensor, candidates: torch.Tensor, metric: str, top: int) -> list[list[Neighbour]]:
        found = []
        for some, ids in zip(vectors.split(VECTORS), candidates.split(VECTORS), strict=True):
            values = self._exactly(some, ids, metric)
            order = values.argsort(dim=1, descending=metric != "l2", stable=True)
            ordered = ids.gather(1, order)
            lines = ordered.tolist(), values.gather(1, order).tolist(), self.words[ordered].tolist()
            found += [self._once(*line, top) for line in zip(*lines, strict=True)]
        return found

    def _once(self, tokens: list[int], values: list[float], words: list[int], top: int) -> list[Neighbour]:
        """Each word by its nearest token."""
        same: dict[int, list[int]] = {}
        for place, word in enumerate(words):
            same.setdefault(word, []).append(place)
        return [Neighbour(tokens[first], self.shown(tokens[first]), values[first], tuple(self.shown(tokens[place]) for place in others))
                for first, *others in list(same.values())[:top]]


def _better(known: tuple[torch.Tensor, torch.Tensor] | None, values: torch.Tensor, places: torch.Tensor, wanted: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest so far, and where they stand."""
    if known is None:
        return values, places
    values, places = torch.cat([known[0], values], 1), torch.cat([known[1], places], 1)
    values, chosen = values.topk(min(wanted, values.shape[1]), dim=1)
    return values, places.gather(1, chosen)


OPENED: WeakKeyDictionary[Specimen, Vocabulary] = WeakKeyDictionary()  # several lenses look at one run: its table is gone through once


def vocabulary(specimen: Specimen) -> Vocabulary:
    """That of the run's base model."""
    if specimen not in OPENED:
        table = specimen.base.get_submodule(specimen.shape.embedding).weight
        known = specimen.noted("tokens and words", lambda: _tokens.read(specimen.tokenizer, len(table)))
        OPENED[specimen] = Vocabulary(table, known["texts"], known["banned"], known["words"])
    return OPENED[specimen]
