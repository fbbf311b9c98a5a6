"""Test items to ask with: texts the run never trained on, with the label or the answer that counts as right."""
from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Generator
from typing import Any

from lab.contracts import Item, LabError, Task
from lab.owndata.shelf import is_own
from lab.spec import RunSpec
from lab.store import Run
from lab.ui.bench import Bench

KEPT = 4  # tasks whose items stay read
NO_ITEMS = "the test items of this run are not on this machine: type a text of your own"


class Examples:
    """Reads a task's items from the files that lie here. Where there are none, the few that the run kept with its answers."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._splits: OrderedDict[str, Any] = OrderedDict()

    def one(self, run: Run, number: int | None = None, owner: str = "") -> dict[str, Any]:
        """A test item by its number, or another one each time; of somebody's own data only the few that the run shows, unless it is theirs. Raises LabError
        where there is none."""
        foreign = is_own(run.spec.goal.key) and owner != run.owner
        found = ([] if foreign else self._items(run.spec)) or self._kept(run)
        if not found:
            raise LabError(NO_ITEMS)
        place = random.randrange(len(found)) if number is None else number % len(found)
        text, answer = found[place]
        return {"text": text, "answer": answer, "number": place, "of": len(found)}

    def _items(self, spec: RunSpec) -> list[tuple[str, str]]:
        """The items behind the run's score, as far as they lie here."""
        task = spec.goal
        try:
            splits = self._read(task)
        except LabError:
            return []
        known = {item.document for item in splits.train[:spec.train_items]} if task.recalls else None
        test = [item for item in splits.test if known is None or item.document in known]
        return [(item.text, _right(task, item)) for item in test[:spec.eval_items]]

    def _read(self, task: Task) -> Any:
        if self.bench.data is None:
            raise LabError(NO_ITEMS)
        if task.gone:
            raise LabError(task.gone)
        if task.key not in self._splits:
            while len(self._splits) >= KEPT:
                self._splits.popitem(last=False)
            self._splits[task.key] = _returned(self.bench.data(task)).splits
        return self._splits[task.key]

    def _kept(self, run: Run) -> list[tuple[str, str]]:
        return [(sample["text"], sample["label"]) for sample in self.bench.store.result(run.id).seen("samples") or ()]


def _right(task: Task, item: Item) -> str:
    return item.answers[0] if task.writes else task.labels[item.label]


def _returned(steps: Generator[Any, None, Any]) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
