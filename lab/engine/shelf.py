"""Finished runs that were asked lately, opened: each is its trained part alone, for all runs of one base share that base's memory."""
from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lab.contracts import LabError
from lab.engine import bases
from lab.engine.reload import Tuned, reload
from lab.engine.sharing import Shared, share
from lab.engine.workshop import Workshop
from lab.events import Preparing
from lab.serving import Form, Question

MOST_BYTES = 400_000_000  # of trained and merged parts; bases are kept by the workshop


class Shelf:
    """Holds what was asked last. A run that is not among it is read from its folder again, which takes a moment and no new base."""

    def __init__(self, workshop: Workshop, most_bytes: int = MOST_BYTES) -> None:
        self.workshop, self.most_bytes = workshop, most_bytes
        self._opened: OrderedDict[tuple[str, str, Form], tuple[Tuned, int]] = OrderedDict()  # with its bytes
        self._shared: tuple[tuple[Any, ...], Shared] | None = None  # the runs that were last asked together
        self.known: dict[tuple[Any, ...], Any] = {}  # what runs answered to sets of items, for mixes of them

    def opened(self, question: Question, folder: Path, form: Form | None = None) -> Generator[Preparing, None, Tuned]:
        """The run of a question in the wanted form. Raises LabError where its adapter is gone, or cannot be had in that form."""
        key = (question.run, question.dtype, form or question.form)
        if not (folder / "adapter" / "lab.json").is_file():
            raise LabError("this run's adapter is not on this machine any more: run it again to ask it")
        if key not in self._opened:
            found = yield from self._open(question, folder, key[2])
            self._opened[key] = found, bases.own_bytes(found.module, found.pristine)
        self._opened.move_to_end(key)
        while len(self._opened) > 1 and sum(size for _, size in self._opened.values()) > self.most_bytes:
            self._opened.popitem(last=False)
        return self._opened[key][0]

    def shared(self, folders: Sequence[Path], dtype: str) -> Generator[Preparing, None, Shared]:
        """Several runs on one base. Raises LabError where one is gone, or cannot share."""
        for folder in folders:
            if not (folder / "adapter" / "lab.json").is_file():
                raise LabError("the adapter of one of these runs is not on this machine any more: run it again, or leave it out")
        key = (tuple(folders), dtype)
        if self._shared is None or self._shared[0] != key:
            self._shared = None
            self._shared = key, (yield from share(folders, self.workshop, dtype))
        return self._shared[1]

    def clear(self) -> None:
        """Give all memory back that can be made again, the bases included."""
        self._opened.clear()
        self._shared = None
        self.known.clear()
        self.workshop.forget()

    def __contains__(self, key: tuple[str, str, Form]) -> bool:
        return key in self._opened

    def _open(self, question: Question, folder: Path, form: Form) -> Generator[Preparing, None, Tuned]:
        if form == "merged":
            plain = yield from self.opened(question, folder, "adapter")
            return merged(plain)
        change: dict[str, Any] = {"dtype": question.dtype, **({"quantization": "nf4"} if form == "nf4" else {})}
        try:
            found = yield from reload(folder, self.workshop, **change)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "memory" in str(error).lower():
                raise
            raise LabError(f"this run cannot be opened ({type(error).__name__}): run it again to ask it") from error
        if not self.workshop.check(found.pristine):
            raise LabError("the base model was changed while this run was opened: ask again, and it is read anew")
        return found


def merged(tuned: Tuned) -> Tuned:
    """With the trained part written into the base's own weights, and nothing beside them. What that leaves alone still lies where the base's lies."""
    if not tuned.spec.method.merges or not hasattr(tuned.module, "merge_and_unload"):
        raise LabError(f"what {tuned.spec.method.title} learned cannot be merged into the base's weights: ask it as it was trained")
    with torch.no_grad():
        module = copy.deepcopy(tuned.module).merge_and_unload().eval()  # a copy: merging writes into the weights
    originals = dict(tuned.pristine.module.named_parameters())
    bases.share((weight, originals[name]) for name, weight in module.named_parameters() if name in originals)
    return replace(tuned, module=module)
