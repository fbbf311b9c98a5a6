"""What the class did, as tables for a spreadsheet. Every cell goes through `sheet`, which lets no text of a student become a formula."""
from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lab.classroom import tally
from lab.classroom.register import Record
from lab.contracts import LabError
from lab.store import Run
from lab.ui.bench import Bench
from lab.ui.classroom.student import TEST
from lab.ui.runs import as_csv_with
from lab.ui.sheet import sheet

MOST_RUNS = 10_000
ANSWERS = ("name", "lesson", "question", "asked", "answer", "time")


def file(bench: Bench, what: str) -> dict[str, Any]:
    """{"name", "text"}. Raises LabError for a table that there is not."""
    if what not in TABLES:
        raise LabError(f'what is "{what[:40]}": must be one of {", ".join(TABLES)}')
    return {"name": f"class-{what}-{time.strftime('%Y-%m-%d', time.gmtime())}.csv", "text": TABLES[what](bench)}


def _names(bench: Bench) -> Mapping[str, str]:
    return {member.owner: member.name for member in bench.register.members()}


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def _progress(bench: Bench) -> str:
    names = _names(bench)
    rows = [(names[each.owner], each.lesson, min(each.value["step"] + 1, len(lesson.steps)), len(lesson.steps), int(each.value["ended"]), _moment(each.at))
            for each in bench.register.records(["progress"]) if (lesson := bench.lessons.get(each.lesson))]
    return sheet(("name", "lesson", "step", "of", "ended", "time"), rows)


def _predictions(bench: Bench) -> str:
    names = _names(bench)
    rows = [(names[each.owner], each.lesson, each.name, asked.ask, _guess(asked, each.value), _moment(each.at))
            for each in bench.register.records(["prediction"]) if (asked := _of(bench, each, "predictions"))]
    return sheet(ANSWERS, rows)


def _guess(asked: Any, value: Any) -> Any:
    """A choice in its words; an order and a curve as JSON."""
    if asked.kind == "choice" and isinstance(value, int) and 1 <= value <= len(asked.options):
        return asked.options[value - 1].text
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def _observations(bench: Bench) -> str:
    """A row an answer, to the questions after a result and to those at a lesson's end."""
    names = _names(bench)
    rows = [(names[each.owner], each.lesson, each.kind, each.name, asked.ask, asked.options[each.value - 1].text,
             int(asked.options[each.value - 1].right), _moment(each.at))
            for each in bench.register.records(["observation", "quiz"]) if (asked := _answered(bench, each))]
    return sheet(("name", "lesson", "kind", "question", "asked", "answer", "right", "time"), rows)


def _quiz(bench: Bench) -> str:
    """A row a student and lesson, and a row a form of the test: how many were right of how many."""
    names, right = _names(bench), {}
    for each in bench.register.records(["quiz"]):
        if asked := _answered(bench, each):
            found = right.setdefault((names[each.owner], each.lesson), [0, 0, 0.0])
            found[:] = found[0] + asked.options[each.value - 1].right, found[1] + 1, max(found[2], each.at)
    rows = [(name, lesson, *found[:2], _moment(found[2])) for (name, lesson), found in sorted(right.items())]
    rows += [(names[each.owner], f"test, form {each.name}", sum(marks), len(marks), _moment(each.at)) for each, marks in _tests(bench)]
    return sheet(("name", "what", "right", "of", "time"), rows)


def _tests(bench: Bench) -> Iterator[tuple[Record, tuple[bool, ...]]]:
    for each in bench.register.records(["test"], TEST):
        try:
            yield each, bench.bank.scored(each.name, each.value) if bench.bank else ()
        except LabError:  # the bank has other questions by now
            continue


def _answered(bench: Bench, record: Record) -> Any:
    asked = _of(bench, record, {"observation": "observations", "quiz": "quiz"}[record.kind])
    return asked if asked and tally.right(bench.lessons.get(record.lesson), record) is not None else None


def _of(bench: Bench, record: Record, part: str) -> Any:
    """What was asked; None where the lesson no longer has it."""
    lesson = bench.lessons.get(record.lesson)
    return getattr(lesson.matter, part).get(record.name) if lesson else None


def _runs(bench: Bench) -> str:
    """Of members, with their names."""
    names = _names(bench)
    found: list[Run] = [run for run in bench.store.history(None, limit=MOST_RUNS) if run.owner in names]
    return as_csv_with("name", [(names[run.owner], run, bench.store.result(run.id)) for run in found])


TABLES: Mapping[str, Callable[[Bench], str]] = {"progress": _progress, "predictions": _predictions, "observations": _observations, "quiz": _quiz, "runs": _runs}
