"""From items to token ids (or pixels), once per run, and from these to padded batches."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch

from lab.contracts import Item, Kind, LabError, Task
from lab.owndata.shelf import is_own

UNSAID = -100  # torch's cross-entropy passes over it
POOL = 8  # batches that share one sorting by length: large enough to help, small enough to stay random


@dataclass(frozen=True)
class Encoded:
    """One item as the model reads it: token ids, or the pixels of an image. For a decoder the last id is where the (first) answer is predicted from."""

    ids: tuple[int, ...]
    label: int
    answer: tuple[int, ...] = ()  # of a written answer, its end included; a decoder's `ids` then hold all of it but that end as well


@dataclass(frozen=True)
class Batch:
    """Padded on the right, so that a text's positions do not depend on its neighbours."""

    ids: torch.Tensor  # (batch, tokens), or (batch, pixels)
    mask: torch.Tensor  # (batch, tokens), 1 for real tokens
    labels: torch.Tensor  # (batch,)
    answers: torch.Tensor | None = None  # (batch, longest answer), UNSAID behind the end of each

    @property
    def last(self) -> torch.Tensor:
        """(batch,) index of the last real token."""
        return self.mask.sum(dim=1) - 1

    def sizes(self) -> dict[str, int]:
        """What its memory goes by: texts, tokens with and without padding, and of written answers the longest and all together."""
        found = {"batch": self.ids.shape[0], "tokens": self.ids.shape[1], "real_tokens": int(self.mask.sum())}
        if self.answers is not None:
            found |= {"longest_answer": self.answers.shape[1], "answer_tokens": int((self.answers != UNSAID).sum())}
        return found


def unaided(text: str) -> tuple[Item, ...]:
    """No solved example."""
    return ()


class Reader:
    """Turns items into ids for one model and task. `shots` gives the solved examples that are shown with a text."""

    def __init__(
        self, tokenizer: Any, kind: Kind, task: Task, tokens: int, window: int, shots: Callable[[str], tuple[Item, ...]] = unaided,
    ) -> None:
        self.tokenizer, self.kind, self.task = tokenizer, kind, task
        self.tokens, self.window, self.shots = tokens, window, shots

    def encode(self, items: Sequence[Item], answered: bool = False) -> list[Encoded]:
        """`answered`: with the written answer behind each prompt, to learn from; otherwise the prompt alone."""
        if not items:
            return []
        if self.kind == "vision":
            return [Encoded(tuple(chain.from_iterable(item.pixels)), item.label) for item in items]
        if self.kind == "encoder":
            rows = self.tokenizer([item.text for item in items], truncation=True, max_length=self.tokens)["input_ids"]
        else:
            rows = self._prompts(items)
        plain = [Encoded(tuple(ids), item.label) for ids, item in zip(rows, items, strict=True)]
        return [self.answered(row, answer) for row, answer in zip(plain, self._answers(items), strict=True)] if answered else plain

    def answered(self, row: Encoded, answer: tuple[int, ...]) -> Encoded:
        """The row with an answer to learn from, in place of the one it has."""
        prompt = row.ids[:len(row.ids) - max(0, len(row.answer) - 1)] if self.kind == "decoder" else row.ids
        return Encoded((*prompt, *answer[:-1]) if self.kind == "decoder" else prompt, row.label, answer)

    def _answers(self, items: Sequence[Item]) -> list[tuple[int, ...]]:
        """Ids of the first right answer, cut to the longest that the task allows, and the end of a text."""
        rows = self.tokenizer([self.task.answer(item) for item in items], add_special_tokens=False)["input_ids"]
        return [(*ids[:self.task.answer_tokens - 1], self.tokenizer.eos_token_id) for ids in rows]

    def _prompts(self, items: Sequence[Item]) -> list[list[int]]:
        """Prompt ids; a text that is too long loses its own end, never the question that follows it."""
        rows = self.tokenizer([self.task.ask(item.text) for item in items])["input_ids"]
        changed = [place for place, ids in enumerate(rows) if self.shots is not unaided or len(ids) > self.tokens]  # the others are not read twice
        texts = [items[place].text if len(rows[place]) <= self.tokens else self.shortened(items[place].text) for place in changed]
        shown = [self.shots(text) for text in texts]
        asked = [self.task.ask(text, shots) for text, shots in zip(texts, shown, strict=True)]
        for place, ids in zip(changed, self.tokenizer(asked)["input_ids"] if texts else (), strict=True):
            rows[place] = ids
        longest, window = max(map(len, rows)), self.window - (self.task.answer_tokens if self.kind == "decoder" else 0)
        if longest > window:
            most = max(map(len, shown), default=0)
            raise LabError(f"shots is {most}: a prompt of {longest} tokens does not fit the model's window of {window}; use fewer shots")
        return rows

    def shortened(self, text: str) -> str:
        """As much of a text as leaves room for the question around it."""
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
            way_out = "give the labels other names where you upload them, or choose another model" if is_own(self.task.key) else "choose another model"
            raise LabError(f"the label words {', '.join(self.task.words)} of {self.task.key} cannot be told apart by their first token in this vocabulary: "
                           f"{way_out}")
        return first

    def shown(self, row: Encoded) -> str:
        """What the model reads, special tokens included; of an image nothing."""
        return "" if self.kind == "vision" else self.tokenizer.decode(row.ids)


def collate(rows: Sequence[Encoded], pad: int, device: str) -> Batch:
    ids = _padded([row.ids for row in rows], pad)
    mask = _padded([(1,) * len(row.ids) for row in rows], 0)
    labels = torch.tensor([row.label for row in rows], dtype=torch.long)
    answers = _padded([row.answer for row in rows], UNSAID).to(device) if rows[0].answer else None
    return Batch(ids.to(device), mask.to(device), labels.to(device), answers)


def _padded(rows: Sequence[tuple[int, ...]], filler: int) -> torch.Tensor:
    """(rows, longest)"""
    longest = max(map(len, rows))
    return torch.tensor([(*row, *[filler] * (longest - len(row))) for row in rows], dtype=torch.long)


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
