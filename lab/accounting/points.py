"""A recorded step as rows of bytes, put together for any depth, batch and length. No torch: the page computes with it.

A step is cut into sections: each block of each phase, and what lies outside the blocks. In a section every row (bytes of each part after one event)
grows by the same amount with each further block in the model, and from one block to the next; and each row is a polynomial of batch and tokens,
because every tensor's size is. So a few recorded steps of two and three blocks give all others, row by row, and the highest row is the exact peak.
"""
from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

PARTS = ("weights", "gradients", "optimizer", "activations", "temporary")
MIDDLE = "middle"
Rows = np.ndarray  # (events, parts), bytes


@dataclass(frozen=True)
class Section:
    """A stretch of the step: `place` says where in a stack of blocks (`first`, `middle`, `next`, or counted from the end) or which stretch outside."""

    phase: str  # forward, forward_end, backward, optimizer
    stack: int  # -1 outside the blocks
    place: str
    block: int  # its number in the model it was recorded in; -1 outside
    names: tuple[str, ...]  # what each row's tensor was made by
    rows: Rows

    @property
    def key(self) -> tuple[str, int, str]:
        return self.phase, self.stack, self.place


@dataclass(frozen=True)
class Recording:
    """One step of a model with so many blocks in each stack; `saved` are the activations left by the forward pass, by module."""

    depths: tuple[int, ...]
    sections: tuple[Section, ...]
    saved: dict[str, int]

    @property
    def bytes(self) -> np.ndarray:
        """Every number, one after another: recordings that differ in batch and tokens alone agree in all else."""
        rows = [section.rows.ravel() for section in self.sections]
        return np.concatenate([*rows, np.array([self.saved[name] for name in sorted(self.saved)], dtype=np.float64)])

    def described(self) -> dict[str, Any]:
        """The outline as JSON values."""
        return {"depths": self.depths, "saved": sorted(self.saved),
                "sections": [[section.phase, section.stack, section.place, section.block, section.names] for section in self.sections]}

    @classmethod
    def restored(cls, about: dict[str, Any]) -> Recording:
        """From an outline, every number 0."""
        sections = tuple(Section(phase, stack, place, block, tuple(names), np.zeros((len(names), len(PARTS))))
                         for phase, stack, place, block, names in about["sections"])
        return cls(tuple(about["depths"]), sections, dict.fromkeys(about["saved"], 0))

    def filled(self, numbers: np.ndarray) -> Recording:
        """The same outline with other numbers."""
        sections, at = [], 0
        for section in self.sections:
            size = section.rows.size
            sections.append(replace(section, rows=numbers[at:at + size].reshape(section.rows.shape)))
            at += size
        return Recording(self.depths, tuple(sections), dict(zip(sorted(self.saved), numbers[at:].tolist(), strict=True)))


def place_of(block: int, depth: int, tail: int) -> str:
    """Blocks of a reduced stack by what they stand for: the first, those that repeat, and the last `tail`."""
    if block == 0:
        return "first"
    if block >= depth - tail:
        return f"last-{depth - 1 - block}"
    return MIDDLE if block == 1 else f"{MIDDLE}-{block - 1}"


# ── depth ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Deep:
    """A recording of a short model, with one block that repeats, and, for each stack that is really longer, one without that block."""

    short: Recording
    fewer: dict[int, Recording]  # by stack

    @property
    def corresponds(self) -> bool:
        """Whether the recordings have the same sections, but for the block that repeats: without, nothing follows from them."""
        def keys(recording: Recording, stack: int) -> set[tuple[str, int, str]]:
            return {section.key for section in recording.sections if (section.stack, section.place) != (stack, MIDDLE)}

        return all(keys(self.short, stack) == keys(fewer, stack) for stack, fewer in self.fewer.items())

    def sections(self, depths: Sequence[int], every_block: bool = False) -> Iterator[Section]:
        """The step of a model of these depths, in order. Of the repeated blocks only the first and the last, unless every one is asked for:
        what lies between them lies between them in bytes too."""
        repeated: list[Section] = []
        for section in self.short.sections:
            if section.place == MIDDLE:
                repeated = self._repeated(section, depths, every_block)
                yield from reversed(repeated) if section.phase == "backward" else repeated
            else:
                yield self._grown(section, depths, 0)

    def _repeated(self, section: Section, depths: Sequence[int], every_block: bool) -> list[Section]:
        more = depths[section.stack] - self.short.depths[section.stack]
        numbers = range(more + 1) if every_block else sorted({0, more})
        return [self._grown(section, depths, number) for number in numbers]

    def _grown(self, section: Section, depths: Sequence[int], number: int) -> Section:
        """`number` counts the repeated blocks from the first of them."""
        rows = section.rows
        for stack, fewer in self.fewer.items():
            more = depths[stack] - self.short.depths[stack]
            if section.place == MIDDLE and section.stack == stack:
                rows = rows + (more - number) * self._beyond(section, "first") + number * self._beyond(section, "last-0")
                continue
            rows, short, less = _alike(rows, section.rows, _found(fewer, section.key))
            rows = rows + more * (short - less)
        names = section.names if len(rows) == len(section.names) else (section.names[int(section.rows.sum(1).argmax())],)
        return replace(section, rows=rows, names=names, block=_number(section, self.short.depths, depths, number))

    def _beyond(self, section: Section, place: str) -> Rows:
        """What one block more adds at any time while it is not itself at work: one behind, as the first block sees it, or one before, as the last does.
        Where the way back ends before the first block, all blocks behind have their gradients when the optimizer begins."""
        keys = [each.key for each in self.short.sections]
        key = (section.phase, section.stack, place)
        if key not in keys:
            key = next(each for each in keys if each[0] == "optimizer")
        with_it, without = (_found(recording, key)[0] for recording in (self.short, self.fewer[section.stack]))
        return with_it - without


def _found(recording: Recording, key: tuple[str, int, str]) -> Rows:
    return next(section.rows for section in recording.sections if section.key == key)


def _number(section: Section, short: Sequence[int], depths: Sequence[int], number: int) -> int:
    if section.stack < 0 or section.place == "first":
        return section.block
    if section.place == MIDDLE:
        return section.block + number
    return section.block + depths[section.stack] - short[section.stack]


def _alike(*many: Rows) -> list[Rows]:
    """The rows as they are where they correspond; where the events differ in number, as in an optimizer's loop over the weights, the highest of each."""
    return list(many) if len({len(rows) for rows in many}) == 1 else [rows[[int(rows.sum(1).argmax())]] for rows in many]


# ── batch and tokens ──────────────────────────────────────────────────────────────────────────────────────────────────


def terms(batch: float, tokens: float) -> list[float]:
    """What the sizes of tensors are made of."""
    return [1.0, batch, tokens, batch * tokens, tokens * tokens, batch * tokens * tokens]


@dataclass(frozen=True)
class Fit:
    """Deep recordings for any batch and length: each number is a polynomial through the recorded ones."""

    outline: Deep  # any of the recorded ones
    coefficients: dict[int, np.ndarray]  # stack, -1 for the short model → (terms, numbers)

    @classmethod
    def through(cls, grid: Sequence[tuple[int, int]], recorded: Sequence[Deep]) -> Fit | None:
        """None where the recorded steps differ in more than sizes, so that no polynomial goes through them."""
        first = recorded[0]
        outlines = [[deep.short.described(), {stack: each.described() for stack, each in deep.fewer.items()}] for deep in recorded]
        if any(outline != outlines[0] for outline in outlines):
            return None
        matrix = np.array([terms(*sizes) for sizes in grid])
        stacks = {-1: [deep.short for deep in recorded]} | {stack: [deep.fewer[stack] for deep in recorded] for stack in first.fewer}
        numbers = {stack: np.stack([each.bytes for each in all_of_it]) for stack, all_of_it in stacks.items()}
        return cls(first, {stack: np.linalg.lstsq(matrix, values, rcond=None)[0] for stack, values in numbers.items()})

    def at(self, batch: int, tokens: int) -> Deep:
        numbers = {stack: np.maximum(np.rint(np.array(terms(batch, tokens)) @ values), 0.0) for stack, values in self.coefficients.items()}
        fewer = {stack: each.filled(numbers[stack]) for stack, each in self.outline.fewer.items()}
        return Deep(self.outline.short.filled(numbers[-1]), fewer)

    def write(self, path: Path) -> None:
        """Into one file, whole or not at all."""
        about = {stack: each.described() for stack, each in {-1: self.outline.short, **self.outline.fewer}.items()}
        part = path.with_name(f"{path.name}.part")
        with part.open("wb") as file:
            np.savez_compressed(file, about=np.array(json.dumps(about)), **{f"stack{stack}": values for stack, values in self.coefficients.items()})
        part.replace(path)

    @classmethod
    def read(cls, path: Path) -> Fit:
        with np.load(path, allow_pickle=False) as file:
            about = {int(stack): value for stack, value in json.loads(str(file["about"])).items()}
            coefficients = {stack: file[f"stack{stack}"] for stack in about}
        recordings = {stack: Recording.restored(value) for stack, value in about.items()}
        return cls(Deep(recordings.pop(-1), recordings), coefficients)


# ── what a page asks ──────────────────────────────────────────────────────────────────────────────────────────────────

MOMENTS = {"forward": "forward_peak", "forward_end": "forward_end", "backward": "backward_peak", "optimizer": "optimizer_peak"}


def moments(sections: Sequence[Section]) -> list[dict[str, Any]]:
    """The highest row of each phase: {"name", "bytes", "parts", "module"}."""
    highest: dict[str, tuple[float, Rows, str]] = {}
    for section in sections:
        if not len(section.rows):
            continue
        totals = section.rows.sum(1)
        at = int(totals.argmax())
        if section.phase not in highest or totals[at] > highest[section.phase][0]:
            highest[section.phase] = (float(totals[at]), section.rows[at], section.names[at])
    found = []
    for phase, name in MOMENTS.items():
        if phase in highest:
            parts = {part: round(float(value)) for part, value in zip(PARTS, highest[phase][1], strict=True)}
            found.append({"name": name, "bytes": sum(parts.values()), "parts": parts, "module": highest[phase][2]})
    return found
