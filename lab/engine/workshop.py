"""What stays warm between runs: recently used bases, encoded texts, and small notes such as the scores of untouched models."""
from __future__ import annotations

import logging
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar

import torch

from lab.accounting.shapes import shape_of
from lab.contracts import Item, Model, Task
from lab.engine import bases
from lab.engine.fast.compiled import Compiler
from lab.engine.fast.frozen import Kept
from lab.engine.notes import Notes
from lab.engine.scoring import Answers
from lab.engine.texts import Encoded, Reader
from lab.events import Preparing
from lab.owndata.shelf import Shelf, is_own
from lab.supply import Supply, TaskData

KEPT_BASES = 3
KEPT_TEXTS = 8
KEPT_STARTS = 32
T = TypeVar("T")


def quieten() -> None:
    """Silence notices that are no news here, such as poolers we leave out on purpose; and keep bitsandbytes from the network."""
    sys.modules.setdefault("kernels", None)  # with this package, where it is installed, importing bitsandbytes fetches compiled code from the Hub
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")


class Workshop:
    """One per process. Nothing in it belongs to a run, so a run can end in any way and the next one starts from the same state."""

    def __init__(self, cache: Path, offline: bool | None = None, compiles: bool = False, shares: bool = False, comparable: bool = False) -> None:
        """`compiles`: have blocks compiled in the background when they are first used; what is compiled already is used anyway. `shares`: let the weights
        of bases lie in files that other processes map as well: less memory where there are several, steps a few percent slower. `comparable`: for
        runs that stand beside others made at another time or place. The number format `auto` is then float32 whatever is faster here, and no block is
        compiled: or else some arms would be quicker because others like them had run before."""
        quieten()
        self.comparable = comparable
        self.compiler = Compiler(cache / "compiled", compiles, uses=not comparable)
        self.supply, self.mapped = Supply(cache, offline), cache / "mapped" if shares else None
        self.notes = Notes(cache / "notes")
        self._bases: OrderedDict[tuple[Any, ...], bases.Pristine] = OrderedDict()
        self._kept: Kept = OrderedDict()
        self._kept_for: tuple[Any, ...] = ()
        self._data: dict[str, TaskData] = {}
        self._encoded: OrderedDict[tuple[Any, ...], list[Encoded]] = OrderedDict()
        self._starts: OrderedDict[tuple[Any, ...], Answers] = OrderedDict()

    def base(self, model: Model, dtype: torch.dtype, attention: str, device: str,
             quantization: str | None = None) -> Generator[Preparing, None, bases.Pristine]:
        """The untouched base, from memory if it was used recently."""
        key = (model.key, dtype, attention, device, quantization)
        if key not in self._bases:
            files = yield from self.supply.model(model)
            while len(self._bases) >= KEPT_BASES:
                self._bases.popitem(last=False)
            self._bases[key] = bases.load(files.folder, files.sha256, shape_of(model.config), dtype, attention, device, quantization,
                                          self.mapped)
        self._bases.move_to_end(key)
        return self._bases[key]

    def forget(self) -> None:
        """Give back the memory of all bases and of what they gave; they are read again when they are needed."""
        self._bases.clear()
        self._kept_for, self._kept = (), OrderedDict()
        self._starts.clear()

    def check(self, pristine: bases.Pristine) -> bool:
        """Whether a run left the base as it was, bit by bit; a damaged one is forgotten and read again from disk."""
        if pristine.intact:
            return True
        self._bases = OrderedDict((key, kept) for key, kept in self._bases.items() if kept is not pristine)
        return False

    def check_all(self) -> bool:
        """Whether all bases that are here are as they were; damaged ones are forgotten."""
        found = [self.check(each) for each in list(self._bases.values())]  # of each: what is damaged is forgotten
        return all(found)

    def kept(self, pristine: bases.Pristine, dtype: torch.dtype) -> Kept:
        """What frozen lower blocks of this base gave for texts, in this arithmetic."""
        key = (pristine.sha256, pristine.quantization, pristine.dtype, pristine.module.config._attn_implementation, dtype)
        if self._kept_for != key:
            self._kept_for, self._kept = key, OrderedDict()
        return self._kept

    def data(self, task: Task) -> Generator[Preparing, None, TaskData]:
        """Uploaded sets are read each time: what their owner removed is not to be found here."""
        if is_own(task.key):
            return (yield from self.supply.data(task))
        if task.key not in self._data:
            self._data[task.key] = yield from self.supply.data(task)
        return self._data[task.key]

    def notes_of(self, task: Task) -> Notes:
        """Where answers to a task's texts are noted: those to an uploaded set lie beside it, and go with it."""
        return Notes(Shelf().notes(task.key)) if is_own(task.key) else self.notes

    def start(self, key: tuple[Any, ...], asking: Callable[[], Generator[T, None, Answers]]) -> Generator[T, None, Answers]:
        """What the base answers through a fresh head, asked once for equal `key`s: arms of a comparison whose methods start as the base share it."""
        if key not in self._starts:
            found = yield from asking()
            while len(self._starts) >= KEPT_STARTS:
                self._starts.popitem(last=False)
            self._starts[key] = found
        return self._starts[key]

    def encoded(self, key: tuple[Any, ...], reader: Reader, items: tuple[Item, ...], answered: bool = False) -> list[Encoded]:
        """Token ids of the items, made once for equal `key`s."""
        if key not in self._encoded:
            while len(self._encoded) >= KEPT_TEXTS:
                self._encoded.popitem(last=False)
            self._encoded[key] = reader.encode(items, answered)
        self._encoded.move_to_end(key)
        return self._encoded[key]
