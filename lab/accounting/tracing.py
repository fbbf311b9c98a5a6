"""Where the bytes of one training step go: every storage's birth and death, told apart by what it holds. Needs torch.

Works on real tensors (a run measures its own step) and on fake ones (a step nobody could afford is predicted).
"""
from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lab.accounting.points import PARTS


@dataclass
class Storage:
    """One block of memory. What it holds may be learned later than its birth: `part` is then corrected in place."""

    bytes: int
    part: str


class Watching(TorchDispatchMode):
    """A mode that sees every operation of code that is never compiled: torch then need not guard each of its calls against its compiler, 10 % of a trace."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


class Timeline(Watching):
    """Used as a context around one step. Call `hold` for storages that were there before, `name` to say what new ones hold."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, Storage] = {}
        self.peaks: dict[str, list[Storage]] = {}  # moment → what was alive when most was
        self._now = self._highest = 0
        self._moment, self._at_peak = "forward", False
        self._guards: dict[int, Any] = {}

    def hold(self, tensors: Iterable[torch.Tensor], part: str) -> None:
        for tensor in tensors:
            self._born(tensor, part)

    def name(self, tensors: Iterable[torch.Tensor], part: str) -> None:
        for tensor in tensors:
            known = self.alive.get(tensor.untyped_storage()._cdata)
            if known:
                known.part = part

    def keep(self) -> None:
        """The forward pass has ended: what it leaves behind are the activations saved for the backward pass."""
        for storage in self.alive.values():
            if storage.part == "temporary":
                storage.part = "activations"

    def enter(self, moment: str) -> None:
        """From here on a new part of the step, with a peak of its own."""
        self._settle()
        self._moment, self._highest, self._at_peak = moment, self._now, True

    def __torch_dispatch__(self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._born(leaf, "temporary")
        return result

    def _born(self, tensor: torch.Tensor, part: str) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self.alive or not size:
            return
        self.alive[key] = self.kept(size, part)
        self._guards[key] = weakref.finalize(storage, self._died, key)
        self._now += self.alive[key].bytes
        if self._now > self._highest:
            self._highest, self._at_peak = self._now, True

    def _died(self, key: int) -> None:
        self._settle()
        self._guards.pop(key, None)
        gone = self.alive.pop(key)
        self._now -= gone.bytes
        self.freed(gone)

    def kept(self, size: int, part: str) -> Storage:
        """A new storage; who records more than peaks takes it from here."""
        return Storage(size, part)

    def freed(self, storage: Storage) -> None:
        """A storage has gone."""

    def _settle(self) -> None:
        """Remember what is alive at the highest point, just before it goes down: once a summit, not once a birth."""
        if self._at_peak and self._now == self._highest:
            self.peaks[self._moment] = list(self.alive.values())
        self._at_peak = False

    def close(self) -> None:
        self._settle()
        for guard in self._guards.values():
            guard.detach()
        self._guards.clear()


def split(storages: Iterable[Storage]) -> dict[str, int]:
    """Bytes by part."""
    sums = dict.fromkeys(PARTS, 0)
    for storage in storages:
        sums[storage.part] += storage.bytes
    return sums


def report(timeline: Timeline, forward_end: list[Storage]) -> dict[str, Any]:
    """{"peak_bytes", "peak_moment", "parts", "moments"}: `parts` is the split at the peak and sums to `peak_bytes`."""
    ends = {"forward_end": forward_end, **{f"{moment}_peak": alive for moment, alive in timeline.peaks.items()}}
    moments = [{"name": name, "bytes": sum(each.bytes for each in alive), "parts": split(alive)} for name, alive in ends.items()]
    peak = max(moments, key=lambda each: each["bytes"])
    return {"peak_bytes": peak["bytes"], "peak_moment": peak["name"], "parts": peak["parts"], "moments": moments}
