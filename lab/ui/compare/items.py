"""Test items on which arms disagree: the text, its true label, and what each arm answered with one seed."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from lab.compare import Comparison
from lab.contracts import Item, LabError, Task
from lab.owndata.shelf import is_own
from lab.spec import RunSpec
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

    def here(self, base: RunSpec) -> bool:
        """Whether the data lie here: until then neither votes nor answers to single items can be told."""
        return self.bench.data is not None and not base.goal.gone and bool(self.bench.hashes(base)[1])

    def of(self, comparison: Comparison) -> tuple[Item, ...]:
        """Those that the arms were asked; nothing where the data do not lie here."""
        base = comparison.base_spec
        if not self.here(base):
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
    answers = {} if comparison.mixed else {part.arm: said for part in found if part.seed == seed and (said := given(part, items)) is not None}
    apart = [place for place in range(len(items)) if len({said.key(place) for said in answers.values()}) > 1] if len(answers) > 1 else []
    start = max(0, min(start, len(apart) - 1)) // PAGE * PAGE
    rows = [_row(place, items[place], answers, goal) for place in apart[start:start + PAGE]]
    return {"seed": seed, "arms": list(answers), "rows": rows, "count": len(apart), "of": len(items), "start": start, "page": PAGE,
            "says": MIXED if comparison.mixed else _says(len(apart), len(items), seed, answers)}


def _says(apart: int, of: int, seed: int, answers: Mapping[str, Given]) -> str:
    if not of:
        return "The test items of this task do not lie here, so answers cannot be shown beside them."
    if len(answers) < 2:
        return f"Fewer than two arms have answered with seed {seed}."
    return f"With seed {seed} the {len(answers)} arms that have answered disagree on {apart:,} of {of:,} test items."


@dataclass(frozen=True)
class Given:
    """A run's answers: a letter an item, and of the first ones what was written, where it writes."""

    letters: str
    texts: Sequence[str] = ()

    def key(self, place: int) -> tuple[str, str]:
        """Equal for equal answers: two that are both not right are the same only where they were written alike."""
        return self.letters[place], " ".join(self.texts[place].split()) if place < len(self.texts) else ""

    def said(self, place: int, goal: Task) -> str:
        """The answer; of a written one that was not kept, whether it is right word for word."""
        letter = self.letters[place]
        if not goal.writes:
            return _label(goal, int(letter, 36))
        return self.texts[place].strip() or "(nothing)" if place < len(self.texts) else "right" if letter == "1" else "not right"

    def right(self, place: int, item: Item, goal: Task) -> bool:
        return self.letters[place] == "1" if goal.writes else int(self.letters[place], 36) == item.label


def given(part: Part, items: Sequence[Item]) -> Given | None:
    """None where the run has not answered these items."""
    seen = part.result.seen("answers") or {} if part.state == "finished" else {}
    letters = seen.get("tuned", "")
    return Given(letters, tuple(seen.get("texts") or ())) if letters and len(letters) == len(items) else None


def _row(place: int, item: Item, answers: Mapping[str, Given], goal: Task) -> dict[str, Any]:
    said = {name: {"answer": each.said(place, goal), "right": each.right(place, item, goal)} for name, each in answers.items()}
    if goal.writes:
        return {"text": item.text, "pixels": [], "label": item.answers[0] if item.answers else "", "answers": said}
    return {"text": item.text, "pixels": [list(row) for row in item.pixels], "label": _label(goal, item.label), "answers": said}


def _label(goal: Task, place: int) -> str:
    return goal.labels[place] if place < len(goal.labels) else "no label"


