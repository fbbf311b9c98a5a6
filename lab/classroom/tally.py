"""What a class has done, counted: progress, predictions beside what came out, scores of the tests, a leaderboard. Pure functions of what was recorded."""
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from lab.classroom.register import Member, Record
from lab.contracts import LabError
from lab.lessons import Lesson
from lab.lessons.guesses import answer
from lab.lessons.known import Known
from lab.lessons.lesson import Choice, Curve, Number, Order
from lab.lessons.measures import said
from lab.metrics import METRICS

BINS = 10


def progress(members: Sequence[Member], records: Iterable[Record], lessons: Mapping[str, Lesson]) -> dict[str, Any]:
    """A row a member, a cell a lesson: the share of its steps, and whether its end was reached; below it how many ended each."""
    done = {(each.owner, each.lesson): each.value for each in records if each.kind == "progress"}
    rows = []
    for member in members:
        cells = []
        for key, lesson in lessons.items():
            value = done.get((member.owner, key))
            ended = bool(value and value["ended"])
            step = min(int(value["step"]) + 1, len(lesson.steps)) if value else 0
            cells.append({"lesson": key, "step": step, "of": len(lesson.steps), "ended": ended, "part": 1.0 if ended else step / len(lesson.steps)})
        rows.append({"name": member.name, "cells": cells, "ended": sum(cell["ended"] for cell in cells)})
    heads = [{"key": key, "number": lesson.number, "title": lesson.matter.title, "ended": sum(row["cells"][place]["ended"] for row in rows),
              "begun": sum(row["cells"][place]["step"] > 0 for row in rows)} for place, (key, lesson) in enumerate(lessons.items())]
    return {"lessons": heads, "rows": rows}


# ── predictions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def predicted(lesson: Lesson, name: str, guesses: Sequence[Any], known: Known) -> dict[str, Any]:
    """One prediction of a lesson: {"ask", "guesses", "bars": [{"name", "count", "truth"}], "truth", "near"}; a guess that no longer fits it is left out."""
    asked = lesson.matter.predictions[name]
    seen = [(guess, found) for guess in guesses if (found := _answered(asked, guess, known)) is not None]
    fitting = [guess for guess, _ in seen]
    came_out = _answered(asked, _any(asked, lesson), known) or None
    truth, shown = (came_out.truth, came_out.shown) if came_out else (None, "")
    bars = {Number: _numbers, Choice: _choices, Order: _orders, Curve: _curves}[type(asked)](asked, fitting, truth, lesson)
    near = [found.near for _, found in seen if found]
    return {"name": name, "ask": asked.ask, "guesses": len(fitting), "bars": bars, "truth": shown, "near": sum(near) if near else None, "kind": asked.kind}


def _any(asked: Any, lesson: Lesson) -> Any:
    """Some guess that fits: what came out does not depend on it."""
    match asked:
        case Number():
            return asked.low
        case Choice():
            return 1
        case Order():
            return list(asked.arms)
    return [asked.low] * len(lesson.comparisons[asked.over].specs)


def _answered(asked: Any, guess: Any, known: Known) -> Any:
    """The answer, False where nothing has been run that would tell, None for a guess that does not fit."""
    try:
        return answer(asked, guess, known) or False
    except LabError:
        return None


def _numbers(asked: Number, guesses: Sequence[float], truth: float | None, lesson: Lesson) -> list[dict[str, Any]]:
    """Equal steps of the slider; what lies outside counts at its end."""
    low, high = (math.log(asked.low), math.log(asked.high)) if asked.log else (asked.low, asked.high)
    steps = [low + (high - low) * place / BINS for place in range(1, BINS)]
    ends = [asked.low, *(float(f"{math.exp(step) if asked.log else step:.2g}") for step in steps), asked.high]  # as they are written

    def place(value: float) -> int:
        return sum(value >= end for end in ends[1:-1])

    unit = lesson.unit(asked.truth.measure, asked.truth.of) if not asked.truth.per else "times"
    counts = [0] * BINS
    for guess in guesses:
        counts[place(guess)] += 1
    right = place(truth) if truth is not None else None
    return [{"name": _between(said(ends[bin], unit), said(ends[bin + 1], unit)), "count": counts[bin], "truth": bin == right} for bin in range(BINS)]


def _between(low: str, high: str) -> str:
    """1 to 1.4 times: a unit that both have is said once."""
    unit = high.partition(" ")[2]
    return f"{low.removesuffix(unit).rstrip()} to {high}" if unit and low.endswith(unit) else f"{low} to {high}"


def _choices(asked: Choice, guesses: Sequence[int], truth: int | None, lesson: Lesson) -> list[dict[str, Any]]:
    return [{"name": option.text, "count": sum(guess == place for guess in guesses), "truth": place == truth} for place, option in enumerate(asked.options, 1)]


def _orders(asked: Order, guesses: Sequence[Sequence[str]], truth: Sequence[str] | None, lesson: Lesson) -> list[dict[str, Any]]:
    """How many put each arm on top."""
    return [{"name": f"{arm.rpartition('/')[2]} first", "count": sum(guess[0] == arm for guess in guesses), "truth": bool(truth) and truth[0] == arm}
            for arm in asked.arms]


def _curves(asked: Curve, guesses: Sequence[Sequence[float]], truth: Sequence[float] | None, lesson: Lesson) -> list[dict[str, Any]]:
    """The median guess at each arm, and what came out there."""
    arms = list(lesson.comparisons[asked.over].specs)
    if not guesses:
        return []
    return [{"name": arm, "value": median(guess[place] for guess in guesses), "came_out": truth[place] if truth else None, "low": asked.low, "high": asked.high}
            for place, arm in enumerate(arms)]


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def right(lesson: Lesson | None, record: Record) -> bool | None:
    """Whether an observation or a quiz item was answered rightly; None where the lesson no longer has it."""
    asked = getattr(lesson.matter, {"observation": "observations", "quiz": "quiz"}[record.kind]).get(record.name) if lesson else None
    if asked is None or not isinstance(record.value, int) or not 1 <= record.value <= len(asked.options):
        return None
    return asked.options[record.value - 1].right


# ── scores ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Scored:
    """A finished run's test score, and what it took."""

    run: str
    owner: str
    title: str
    model: str
    method: str
    score: float
    standard_error: float
    metric: str
    items: int
    trainable: int
    seconds: float
    at: float


def leaderboard(scored: Sequence[Scored], mine: str = "", most: int = 20) -> list[dict[str, Any]]:
    """The best run of each owner, without a name: a place, what it was, and whether it is the asker's own. Equal scores share a place; of two of one owner
    the one that trained less is shown."""
    best: dict[str, Scored] = {}
    ranked = sorted(scored, key=lambda each: (-_worth(each), each.trainable, each.at))
    for each in ranked:
        best.setdefault(each.owner, each)
    rows = [{"place": 1 + sum(_worth(other) > _worth(each) for other in best.values()), "scored": each, "mine": bool(mine) and each.owner == mine}
            for each in best.values()]
    return [row for place, row in enumerate(rows) if place < most or row["mine"]]


def _worth(scored: Scored) -> float:
    """More is better, whatever the metric."""
    known = METRICS.get(scored.metric)
    return scored.score if known is None or known.higher_is_better else -scored.score
