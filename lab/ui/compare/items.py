"""Test items on which arms disagree: the text, its true label, and what each arm answered with one seed."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping, Sequence
from threading import Lock
from typing import Any

from lab.compare import Comparison
from lab.contracts import Item, LabError, Task
from lab.owndata.shelf import is_own
from lab.ui.bench import Bench
from lab.ui.compare.parts import Part

PAGE = 20
MOST_READ = 12  # tasks whose test items stay read
MIXED = "These arms learn different tasks, and each keeps the answers to its own test: there are no items that all have answered."
Read = Callable[[Task], Generator[Any, None, Any]]


class TestItems:
    """Of tasks whose data lie here; they are read once and never fetched."""

    __test__ = False  # no test of pytest's

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._read: OrderedDict[str, tuple[Item, ...]] = OrderedDict()
        self._lock = Lock()

    def of(self, comparison: Comparison) -> tuple[Item, ...]:
        """Those that the arms were asked; nothing where the data do not lie here."""
        base = comparison.base_spec
        if self.bench.data is None or base.goal.gone or not self.bench.hashes(base)[1]:
            return ()
        with self._lock:
            if is_own(base.goal.key):  # kept nowhere but where its owner can remove it
                return _test_items(self.bench.data, base.goal)[:base.eval_items]
            if base.goal.key not in self._read:
                while len(self._read) >= MOST_READ:
                    self._read.popitem(last=False)
                self._read[base.goal.key] = _test_items(self.bench.data, base.goal)
            return self._read[base.goal.key][:base.eval_items]

    def labels(self, comparison: Comparison) -> list[int] | None:
        items = () if comparison.base_spec.goal.writes else self.of(comparison)
        return [item.label for item in items] or None


def _test_items(read: Read, task: Task) -> tuple[Item, ...]:
    reading = read(task)
    try:
        while True:
            next(reading)
    except StopIteration as end:
        return tuple(end.value.splits.test)
    except LabError:
        return ()


def disagreements(items: Sequence[Item], comparison: Comparison, found: Sequence[Part], seed: int, start: int) -> dict[str, Any]:
    """A page of them, and how many there are. Raises LabError for a seed that was not run."""
    if seed not in comparison.seeds:
        raise LabError(f"seed {seed} is none of this comparison: choose one of {', '.join(map(str, comparison.seeds))}")
    goal = comparison.base_spec.goal
    answers = {part.arm: letters for part in found if part.seed == seed and part.state == "finished"
               and (letters := (part.result.seen("answers") or {}).get("tuned", "")) and len(letters) == len(items)}
    if comparison.mixed:
        answers = {}
    apart = [place for place in range(len(items)) if len({letters[place] for letters in answers.values()}) > 1] if len(answers) > 1 else []
    start = max(0, min(start, len(apart) - 1)) // PAGE * PAGE
    rows = [_row(items[place], {name: letters[place] for name, letters in answers.items()}, goal) for place in apart[start:start + PAGE]]
    return {"seed": seed, "arms": list(answers), "rows": rows, "count": len(apart), "of": len(items), "start": start, "page": PAGE,
            "says": MIXED if comparison.mixed else _says(len(apart), len(items), seed, answers)}


def _says(apart: int, of: int, seed: int, answers: Mapping[str, str]) -> str:
    if not of:
        return "The test items of this task do not lie here, so answers cannot be shown beside them."
    if len(answers) < 2:
        return f"Fewer than two arms have answered with seed {seed}."
    return f"With seed {seed} the {len(answers)} arms that have answered disagree on {apart:,} of {of:,} test items."


def _row(item: Item, answers: Mapping[str, str], goal: Task) -> dict[str, Any]:
    """A written answer is only known to be right or not, word for word; of a label it is known which."""
    if goal.writes:
        said = {name: {"answer": "right" if letter == "1" else "not right", "right": letter == "1"} for name, letter in answers.items()}
        return {"text": item.text, "pixels": [], "label": item.answers[0] if item.answers else "", "answers": said}
    said = {name: {"answer": _label(goal, int(letter, 36)), "right": int(letter, 36) == item.label} for name, letter in answers.items()}
    return {"text": item.text, "pixels": [list(row) for row in item.pixels], "label": _label(goal, item.label), "answers": said}


def _label(goal: Task, place: int) -> str:
    return goal.labels[place] if place < len(goal.labels) else "no label"


