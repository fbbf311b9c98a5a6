"""From items to token ids, once per run, and from token ids to padded batches."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from lab.contracts import Item, Kind, LabError, Task

POOL = 8  # batches that share one sorting by length: large enough to help, small enough to stay random


@dataclass(frozen=True)
class Encoded:
    """One item as the model reads it; for a decoder the last id is where the answer is predicted from."""

    ids: tuple[int, ...]
    label: int


@dataclass(frozen=True)
class Batch:
    """Padded on the right, so that a text's positions do not depend on its neighbours."""

    ids: torch.Tensor  # (batch, tokens)
    mask: torch.Tensor  # (batch, tokens), 1 for real tokens
    labels: torch.Tensor  # (batch,)

    @property
    def last(self) -> torch.Tensor:
        """(batch,) index of the last real token."""
        return self.mask.sum(dim=1) - 1


class Reader:
    """Turns items into ids for one model and task. `shots` are solved examples shown with every text."""

    def __init__(self, tokenizer: Any, kind: Kind, task: Task, tokens: int, window: int, shots: tuple[Item, ...] = ()) -> None:
        self.tokenizer, self.kind, self.task, self.tokens, self.window, self.shots = tokenizer, kind, task, tokens, window, shots

    def encode(self, items: Sequence[Item]) -> list[Encoded]:
        if not items:
            return []
        if self.kind == "encoder":
            rows = self.tokenizer([item.text for item in items], truncation=True, max_length=self.tokens)["input_ids"]
        else:
            rows = self._prompts(items)
        return [Encoded(tuple(ids), item.label) for ids, item in zip(rows, items, strict=True)]

    def _prompts(self, items: Sequence[Item]) -> list[list[int]]:
        """Prompt ids; a text that is too long loses its own end, never the question that follows it."""
        rows = self.tokenizer([self.task.ask(item.text) for item in items])["input_ids"]
        texts = [item.text if len(ids) <= self.tokens else self._shortened(item.text) for ids, item in zip(rows, items, strict=True)]
        rows = self.tokenizer([self.task.ask(text, self.shots) for text in texts])["input_ids"]
        longest = max(map(len, rows))
        if longest > self.window:
            raise LabError(f"shots is {len(self.shots)}: a prompt of {longest} tokens does not fit the model's window of {self.window}; use fewer shots")
        return rows

    def _shortened(self, text: str) -> str:
        around = len(self.tokenizer(self.task.ask(""))["input_ids"])
        room = max(1, self.tokens - around)
        while True:
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"][:room]
            shorter = self.tokenizer.decode(ids)
            if room == 1 or len(self.tokenizer(self.task.ask(shorter))["input_ids"]) <= self.tokens:
                return shorter
            room -= 1

    def answers(self) -> tuple[int, ...]:
        """The token id each label word begins with. Raises LabError where two labels begin alike, or a word is unknown."""
        first = tuple(self.tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in self.task.words)
        if len(set(first)) < len(first) or self.tokenizer.unk_token_id in first:
            raise LabError(f"the label words {', '.join(self.task.words)} of {self.task.key} cannot be told apart by their first token in this vocabulary")
        return first


def collate(rows: Sequence[Encoded], pad: int, device: str) -> Batch:
    longest = max(len(row.ids) for row in rows)
    ids = torch.tensor([(*row.ids, *[pad] * (longest - len(row.ids))) for row in rows], dtype=torch.long)
    mask = torch.tensor([[1] * len(row.ids) + [0] * (longest - len(row.ids)) for row in rows], dtype=torch.long)
    labels = torch.tensor([row.label for row in rows], dtype=torch.long)
    return Batch(ids.to(device), mask.to(device), labels.to(device))


def epochs(rows: Sequence[Encoded], size: int, order: torch.Generator) -> Iterator[list[Encoded]]:
    """Batches without end: each pass in a new random order, what is left of a pass is used first in the next.

    Within a pool of a few random batches texts are put together by length, and the batches drawn in random order: on the movie
    reviews (200 batches) that leaves 486 positions a step of 775 for MiniLM, 266 of 374 for SmolLM2; the rest was padding.
    """
    waiting: list[int] = []
    while True:
        waiting += torch.randperm(len(rows), generator=order).tolist()
        whole = len(waiting) // size * size
        ready, waiting = waiting[:whole], waiting[whole:]
        for start in range(0, whole, POOL * size):
            pool = sorted(ready[start:start + POOL * size], key=lambda place: len(rows[place].ids))
            for batch in torch.randperm(len(pool) // size, generator=order).tolist():
                yield [rows[place] for place in pool[batch * size:(batch + 1) * size]]


def by_length(rows: Iterable[Encoded], size: int) -> Iterator[list[tuple[int, Encoded]]]:
    """(place, row) in groups of similar length, so that little is padded; the place restores the order."""
    ranked = sorted(enumerate(rows), key=lambda pair: len(pair[1].ids))
    for start in range(0, len(ranked), size):
        yield ranked[start:start + size]
