"""Scores on held-out items: accuracy with its standard error, and what was answered to each item."""
from __future__ import annotations

import string
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch.nn import functional

from lab.engine.texts import Batch, Encoded, by_length, collate
from lab.events import Evaluated
from lab.metrics import share_error

Result = TypeVar("Result")
DIGITS = string.digits + string.ascii_lowercase
MOST_AT_ONCE = 64  # rows in one batch of an evaluation
TOKENS_AT_ONCE = 2048  # real tokens in one batch of an evaluation: keeps the cores busy and the memory small


@dataclass(frozen=True)
class Answers:
    """One row per item, in the items' order."""

    logits: torch.Tensor  # (items, labels), float32
    labels: torch.Tensor  # (items,)
    seconds: float

    @property
    def predicted(self) -> torch.Tensor:
        return self.logits.argmax(dim=1)

    def evaluated(self, who: str, split: str, step: int, metric: str) -> Evaluated:
        """Binomial standard error: the uncertainty of these weights on new items of the same kind, not of another seed."""
        right, items = int((self.predicted == self.labels).sum()), len(self.labels)
        share = right / items
        return Evaluated(step, who, split, metric, share, share_error(share, items), items,
                         loss=float(functional.cross_entropy(self.logits, self.labels)), seconds=self.seconds)

    def to_note(self) -> dict[str, Any]:
        """Plain values for a note; `from_note` makes the same answers of them."""
        return {"logits": self.logits.tolist(), "labels": self.labels.tolist(), "seconds": self.seconds}

    @classmethod
    def from_note(cls, note: dict[str, Any]) -> Answers:
        return cls(torch.tensor(note["logits"]), torch.tensor(note["labels"]), note["seconds"])

    def letters(self) -> str:
        """The predicted label of each item as one character, for comparing two runs item by item."""
        return "".join(DIGITS[label] for label in self.predicted.tolist())

    def shown(self, place: int, labels: Sequence[str]) -> dict[str, Any]:
        """The answer to one item and its probability."""
        chance = self.logits[place].softmax(dim=0)
        return {"answer": labels[int(chance.argmax())], "probability": round(float(chance.max()), 4)}


def answer(
    scores: Callable[[Batch], torch.Tensor], module: Any, rows: Sequence[Encoded], pad: int, device: str, size: int = MOST_AT_ONCE,
) -> Generator[int, None, Answers]:
    """Ask for every row, batches of similar length; yields how many have been asked. The module is in eval mode meanwhile."""
    training, seconds, done = module.training, 0.0, 0
    module.eval()
    logits: list[torch.Tensor | None] = [None] * len(rows)
    longest = max(len(row.ids) for row in rows)
    try:
        for group in by_length(rows, max(1, min(size, TOKENS_AT_ONCE // longest))):
            began = time.perf_counter()
            with torch.no_grad():
                found = scores(collate([row for _, row in group], pad, device)).float().cpu()
            for (place, _), line in zip(group, found, strict=True):
                logits[place] = line
            done += len(group)
            seconds += time.perf_counter() - began
            yield done
    finally:
        module.train(training)
    return Answers(torch.stack(logits), torch.tensor([row.label for row in rows]), seconds)


def finished(asking: Generator[Any, None, Result]) -> Result:
    """What a generator returns in the end, for whoever need not tell how far it is."""
    while True:
        try:
            next(asking)
        except StopIteration as end:
            return end.value


def majority(rows: Sequence[Encoded], metric: str) -> Evaluated:
    """What always answering the most frequent label scores."""
    labels = [row.label for row in rows]
    share = max(labels.count(label) for label in set(labels)) / len(labels)
    return Evaluated(0, "majority", "test", metric, share, share_error(share, len(labels)), len(labels))


@torch.no_grad()
def nearest_mean(features: Callable[[Batch], torch.Tensor], train: Sequence[Encoded], test: Sequence[Encoded], pad: int, device: str) -> Answers:
    """What an untouched encoder already tells apart: each test text gets the label whose training texts it lies nearest to on average.

    No weight is trained; distances are cosines of mean-pooled features.
    """
    began = time.perf_counter()
    middle, means = class_means(features, train, pad, device)
    asked = _features(features, test, pad, device)
    return Answers(cosines(asked, middle, means), torch.tensor([row.label for row in test]), time.perf_counter() - began)


@torch.no_grad()
def class_means(features: Callable[[Batch], torch.Tensor], train: Sequence[Encoded], pad: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """(width,) the middle of all training texts' features, and (labels, width) where each label's texts lie from there."""
    known = _features(features, train, pad, device)
    middle, labels = known.mean(0), torch.tensor([row.label for row in train])
    return middle, torch.stack([known[labels == label].mean(0) - middle for label in range(int(labels.max()) + 1)])


def cosines(asked: torch.Tensor, middle: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
    """(texts, labels) how much a text lies in the direction of each label's mean."""
    return functional.normalize(asked - middle, dim=1) @ functional.normalize(means, dim=1).T


def _features(features: Callable[[Batch], torch.Tensor], rows: Sequence[Encoded], pad: int, device: str) -> torch.Tensor:
    found: list[torch.Tensor | None] = [None] * len(rows)
    for group in by_length(rows, 64):
        for (place, _), line in zip(group, features(collate([row for _, row in group], pad, device)).float().cpu(), strict=True):
            found[place] = line
    return torch.stack(found)
