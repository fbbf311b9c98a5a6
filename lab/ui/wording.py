"""Numbers as people read them: 393,216 (0.11 %), 1.24 GB, 12 s, 0.87 ± 0.03."""
from __future__ import annotations

from math import floor, log10
from typing import Any

from lab.accounting.amounts import THIN
from lab.accounting.amounts import size as size
from lab.metrics import METRICS
from lab.owndata import entry as tasks
from lab.owndata.shelf import is_own


def whole(value: float) -> str:
    return f"{round(value):,}"


def percent(share: float) -> str:
    """0.003249 is 0.32 %; very small shares keep two digits that say something."""
    value = 100 * share
    if value == 0:
        return f"0{THIN}%"
    digits = 0 if value >= 99.95 else 1 if value >= 10 else 2 if value >= 0.1 else 4 if value >= 0.001 else 1 - floor(log10(value))
    return f"{value:.{digits}f}{THIN}%"


def seconds(amount: float) -> str:
    """0.42 s, 8.6 s, 12 s, 3 min 20 s, 1 h 5 min."""
    if amount < 9.95:
        return f"{amount:.2g}{THIN}s" if amount < 1 else f"{amount:.1f}{THIN}s"
    whole_seconds = round(amount)
    if whole_seconds < 100:
        return f"{whole_seconds}{THIN}s"
    if whole_seconds < 3600:
        return f"{whole_seconds // 60}{THIN}min {whole_seconds % 60}{THIN}s"
    return f"{whole_seconds // 3600}{THIN}h {whole_seconds % 3600 // 60}{THIN}min"


def roughly(amount: float) -> str:
    """A time still to come, no finer than one can know it: a few seconds, 12 s, 2 min, 5 days."""
    if amount < 3:
        return "a few seconds"
    if amount < 20:
        return f"{round(amount)}{THIN}s"
    if amount < 90:
        return seconds(5 * round(amount / 5))
    unit, worth = ("min", 60) if amount < 6000 else ("h", 3600) if amount < 100 * 3600 else ("days", 86400)
    return f"{max(2, round(amount / worth)):,}{THIN}{unit}"


def about(amount: float) -> str:
    """a few seconds, about 12 s"""
    return roughly(amount) if amount < 3 else f"about {roughly(amount)}"


def score(value: float, error: float, metric: str = "accuracy") -> str:
    """0.857 ± 0.020, or 34.2 ± 1.1 where the metric goes up to 100."""
    return f"{scored(value, metric)} ± {scored(error, metric)}"


def scored(value: float, metric: str, fewer: int = 0) -> str:
    """A score with as many decimals as its metric is given with, or `fewer`."""
    known = METRICS.get(metric)
    return f"{value:.{max(0, (known.digits if known else 3) - fewer)}f}"


def unit(task: str | None) -> str:
    """What a step of this task reads: texts, or images."""
    known = tasks.known(task)
    return "images" if known and known.inks else "texts"


def task_said(key: Any) -> str:
    """The key of a task of the lab, which is a word; of an uploaded set its title."""
    known = tasks.known(key) if is_own(key) else None
    return known.title if known else str(key)


def asked(task: str | None, split: str) -> str:
    """What the items of a split are: test texts, validation images; where the test asks for what was taught, questions."""
    known = tasks.known(task)
    if known and known.recalls:
        return {"test": "questions", "validation": "taught texts"}.get(split, unit(task))
    return f"{split} {unit(task)}"


def positions(task: str | None) -> str:
    """What a model makes of them: an image model reads patches."""
    return "patches" if unit(task) == "images" else "tokens"


def pace(rate: float) -> tuple[str, str]:
    """The speed of steps with its name; below one step a second it says how long a step takes."""
    return ("steps a second", f"{rate:.1f}") if rate >= 1 else ("time of a step", seconds(1 / rate))


def speed(rate: float) -> str:
    """The same in a line: 2.3 steps/s, or 4.2 s a step."""
    return f"{rate:.1f} steps/s" if rate >= 1 else f"{pace(rate)[1]} a step"


def figures(value: float, digits: int = 2) -> str:
    """So many digits that count, and never a power of ten: 0.042, 8.2, 390, 1,200."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if rounded >= 10 ** (digits - 1) else plain(rounded)


def plain(value: float) -> str:
    """A setting as one would type it: 0.001, 16, 0.00003; never 3e-05."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int) or value == int(value):
        return f"{int(value)}"
    return f"{value:.10f}".rstrip("0")


def ordinal(place: int) -> str:
    """first, second, third, 4th … 11th, 21st"""
    if place in (1, 2, 3):
        return ("first", "second", "third")[place - 1]
    return f"{place}{'th' if 10 < place % 100 < 14 else {1: 'st', 2: 'nd', 3: 'rd'}.get(place % 10, 'th')}"


def cell(value: Any) -> str:
    """Of a table of numbers, as it was measured: four digits that count, and a dash where there is nothing."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return ("−" if value < 0 else "") + figures(abs(value), 4)
    return " × ".join(map(str, value)) if isinstance(value, list) else f"{value:,}" if isinstance(value, int) else str(value)


