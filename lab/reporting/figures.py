"""Figures of a report as SVG text: curves against the step, and scores with their intervals. Colours are the style sheet's: each arm's own."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from lab.ui import charts
from lab.ui.labels import powers, round_numbers, shorts
from lab.ui.wording import figures

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 150, 14, 40
TICK_ROOM = 40  # pixels between two numbers of an axis
ROW = 30  # pixels for one line of `intervals`
COLOURS = 12  # classes c0 … c11 of the style sheet


@dataclass(frozen=True)
class Curve:
    """Points (x, y) with a colour's number; one with a name is drawn thick, and named at its end."""

    points: Sequence[tuple[float, float]]
    colour: int
    name: str = ""


@dataclass(frozen=True)
class Spread:
    """One row: values of single runs, their mean, and an interval or None."""

    name: str
    colour: int
    values: Sequence[float]
    mean: float
    low: float | None
    high: float | None


def curves(drawn: Sequence[Curve], x: str, y: str) -> str:
    """Nothing where there is nothing to draw."""
    places = [point for curve in drawn for point in curve.points]
    if len({place for place, _ in places}) < 2:
        return ""
    across = _Axis([place for place, _ in places], LEFT, WIDTH - RIGHT)
    up = _Axis([value for _, value in places], HEIGHT - BOTTOM, TOP)
    parts = [_grid(up, y), _ticks(across, HEIGHT - BOTTOM, x)]
    for curve in sorted(drawn, key=lambda curve: bool(curve.name)):
        line = " ".join(f"{across(place):.1f},{up(value):.1f}" for place, value in curve.points)
        parts.append(f'<polyline class="c{curve.colour % COLOURS} {"thick" if curve.name else "thin"}" points="{line}"/>')
    named = sorted((curve for curve in drawn if curve.name and curve.points), key=lambda curve: up(curve.points[-1][1]))
    below, called = -math.inf, shorts(curve.name for curve in named)
    for curve in named:
        below = max(up(curve.points[-1][1]) + 4, below + 15)
        parts.append(f'<text x="{WIDTH - RIGHT + 6}" y="{below:.1f}">{_named(called[curve.name], curve.colour)}</text>')
    return _svg(HEIGHT, parts, f"{y} against {x}: {', '.join(curve.name for curve in named)}")


def intervals(rows: Sequence[Spread], x: str, logarithmic: bool = False, levels: Sequence[float] = ()) -> str:
    """`levels` are lines to hold the rows against."""
    known = [*levels] if rows else []
    known += [value for row in rows for value in (*row.values, row.low, row.high) if value is not None]
    if not known:
        return ""
    height = ROW * len(rows) + BOTTOM + TOP
    across = (_Decades if logarithmic else _Axis)(known, LEFT + RIGHT, WIDTH - 20)
    parts = [_ticks(across, height - BOTTOM, f"{x} (logarithmic)" if logarithmic else x)]
    parts += [f'<line class="level" x1="{across(each):.1f}" x2="{across(each):.1f}" y1="{TOP}" y2="{height - BOTTOM}"/>' for each in levels]
    called = shorts((row.name for row in rows), 32)
    for number, row in enumerate(rows):
        middle, colour = TOP + ROW * (number + 0.5), f"c{row.colour % COLOURS}"
        parts.append(f'<text class="name" x="{LEFT + RIGHT - 12}" y="{middle + 4}">{escape(called[row.name])}</text>')
        if row.low is not None and row.high is not None:
            parts.append(f'<line class="{colour} thick" x1="{across(row.low):.1f}" x2="{across(row.high):.1f}" y1="{middle}" y2="{middle}"/>')
        parts += [f'<circle class="{colour} one" cx="{across(value):.1f}" cy="{middle}" r="3"/>' for value in row.values]
        parts.append(f'<circle class="{colour} mean" cx="{across(row.mean):.1f}" cy="{middle}" r="5"/>')
    return _svg(height, parts, f"{x} of {', '.join(row.name for row in rows)}")


@dataclass(frozen=True)
class Dot:
    """An arm at its two values, with half of an interval upwards; one that is `best` stands on the front."""

    name: str
    colour: int
    x: float
    y: float
    half: float
    best: bool


def scattered(dots: Sequence[Dot], x: str, y: str, said: Callable[[float], str], clock: bool = False, level: float | None = None) -> str:
    """Two measures against each other, and a dashed line through the front. The lower axis may be logarithmic, or of times; `level` is a line to hold the
    marks against."""
    dots = [dot for dot in dots if dot.x > 0]
    if len(dots) < 2:
        return ""
    log = charts.logarithmic([dot.x for dot in dots])
    places = [math.log10(dot.x) if log else dot.x for dot in dots]
    low, high = min(places), max(places)
    levels = [] if level is None else [level]
    up = _Axis([*levels, *(value for dot in dots for value in (dot.y - dot.half, dot.y + dot.half))], HEIGHT - BOTTOM, TOP)
    called = shorts(dot.name for dot in dots)

    def across(value: float) -> float:
        return LEFT + 24 + ((math.log10(value) if log else value) - low) / ((high - low) or 1) * (WIDTH - RIGHT - LEFT - 48)

    ends = min(dot.x for dot in dots), max(dot.x for dot in dots)
    numbers = powers(*ends) if log else round_numbers(*ends, said, clock) if ends[0] < ends[1] else ends[:1]
    marks = "".join(f'<text class="tick" x="{across(value):.1f}" y="{HEIGHT - BOTTOM + 16}">{escape(said(value))}</text>' for value in numbers)
    title = f"{x} (logarithmic)" if log else x
    middle = f'<text class="tick" x="{(LEFT + WIDTH - RIGHT) / 2:.1f}" y="{HEIGHT - BOTTOM + 32}">{escape(title)}</text>'
    best = sorted((dot for dot in dots if dot.best), key=lambda dot: dot.x)
    stairs = [corner for dot, left in zip(best, (None, *best), strict=False) for corner in (
        *([(across(dot.x), up(left.y))] if left else []), (across(dot.x), up(dot.y)))]
    line = f'<polyline class="stairs" points="{" ".join(f"{at:.1f},{height:.1f}" for at, height in stairs)}"/>' if len(stairs) > 1 else ""
    lines = [f'<line class="level" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(each):.1f}" y2="{up(each):.1f}"/>' for each in levels]
    parts = [_grid(up, y), marks, middle, line, *lines]
    for dot in dots:
        colour, at = f"c{dot.colour % COLOURS}", across(dot.x)
        parts.append(f'<line class="{colour}" x1="{at:.1f}" x2="{at:.1f}" y1="{up(dot.y - dot.half):.1f}" y2="{up(dot.y + dot.half):.1f}"/>')
        parts.append(f'<circle class="{colour} mean" cx="{at:.1f}" cy="{up(dot.y):.1f}" r="5"/>')
        parts.append(f'<text x="{at + 8:.1f}" y="{up(dot.y) - 6:.1f}">{escape(called[dot.name])}</text>')
    return _svg(HEIGHT, parts, f"{y} against {title}; on the front: {', '.join(dot.name for dot in best)}")


def grouped(rows: Sequence[tuple[str, Sequence[tuple[int, str, float, str]]]], x: str) -> str:
    """Bars from 0 to 1 in groups: of each its colour, name, length and how the value is written."""
    if not rows:
        return ""
    bar, room = 12, 14
    height = TOP + BOTTOM + sum(bar * len(bars) + room for _, bars in rows)
    across = _Axis([0.0, 1.0], LEFT + RIGHT, WIDTH - 170)
    parts, top = [_ticks(across, height - BOTTOM, x)], float(TOP)
    called = shorts(arm for _, bars in rows for _, arm, _, _ in bars)
    for name, bars in rows:
        parts.append(f'<text class="name" x="{LEFT + RIGHT - 12}" y="{top + bar * len(bars) / 2 + 4:.1f}">{escape(name)}</text>')
        for place, (colour, arm, length, said) in enumerate(bars):
            at, end = top + bar * place, across(length)
            parts.append(f'<rect class="c{colour % COLOURS}" x="{across(0.0):.1f}" y="{at:.1f}" width="{end - across(0.0):.1f}" height="{bar - 2}"/>')
            words = f"{called[arm]} {said}"
            parts.append(f'<text x="{end + 5:.1f}" y="{at + bar - 2:.1f}" font-size="10">{escape(words)}</text>')
        top += bar * len(bars) + room
    return _svg(height, parts, f"{x}: {', '.join(name for name, _ in rows)}")


@dataclass(frozen=True)
class Line:
    """(x, how it is said, mean, half of its interval) of each point; `logarithmic` steps are equal where their ratios are."""

    name: str
    colour: int
    points: Sequence[tuple[float, str, float, float]]


def against(lines: Sequence[Line], x: str, y: str, logarithmic: bool) -> str:
    """Means with their intervals against a number that was swept, which is marked at its own values."""
    places = {point[0]: point[1] for line in lines for point in line.points}
    if len(places) < 2:
        return ""
    low, high = (math.log10(value) if logarithmic else value for value in (min(places), max(places)))
    up = _Axis([value for line in lines for _, _, mean, half in line.points for value in (mean - half, mean + half)], HEIGHT - BOTTOM, TOP)

    def across(value: float) -> float:
        return LEFT + 24 + ((math.log10(value) if logarithmic else value) - low) / (high - low) * (WIDTH - RIGHT - LEFT - 48)

    told: list[float] = []
    for value in sorted(places, reverse=True):  # the largest is always named, others where there is room
        told += [value] if not told or across(told[-1]) - across(value) >= TICK_ROOM else []
    marks = "".join(f'<text class="tick" x="{across(value):.1f}" y="{HEIGHT - BOTTOM + 16}">{escape(places[value])}</text>' for value in told)
    middle = f'<text class="tick" x="{(LEFT + WIDTH - RIGHT) / 2:.1f}" y="{HEIGHT - BOTTOM + 32}">{escape(x)}</text>'
    parts, called = [_grid(up, y), marks, middle], shorts(line.name for line in lines)
    for line in lines:
        colour = f"c{line.colour % COLOURS}"
        ends = [(across(value), up(mean), up(mean - half), up(mean + half)) for value, _, mean, half in line.points]
        corners = " ".join(f"{at:.1f},{height:.1f}" for at, height, _, _ in ends)
        parts.append(f'<polyline class="{colour} thick" points="{corners}"/>')
        parts += [f'<line class="{colour}" x1="{at:.1f}" x2="{at:.1f}" y1="{under:.1f}" y2="{over:.1f}"/>' for at, _, under, over in ends]
        parts += [f'<circle class="{colour} mean" cx="{at:.1f}" cy="{height:.1f}" r="4"/>' for at, height, _, _ in ends]
        parts.append(f'<text x="{WIDTH - RIGHT + 6}" y="{ends[-1][1] + 4:.1f}">{_named(called[line.name], line.colour)}</text>' if line.name else "")
    return _svg(HEIGHT, parts, f"{y} against {x}")


class _Axis:
    """From a value to its place in pixels, with round numbers to mark."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        low, high = min(values), max(values)
        self.step = _round((high - low or abs(high) or 1) / 4)
        self.low, self.high = math.floor(low / self.step) * self.step, math.ceil(high / self.step) * self.step
        if self.low == self.high:
            self.high += self.step
        self.start, self.end = start, end

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def marks(self) -> list[float]:
        return [self.low + number * self.step for number in range(round((self.high - self.low) / self.step) + 1)]

    def said(self, value: float) -> str:
        return f"{value:,.{max(0, -math.floor(math.log10(self.step) + 1e-9))}f}"


class _Decades(_Axis):
    """The same for what spans powers of ten: those are marked, or where there are too few of them the two ends."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        super().__init__([math.log10(value) for value in values], start, end)
        self.low, self.high = math.log10(min(values)), math.log10(max(values))
        whole = [10.0**power for power in range(math.ceil(self.low - 1e-9), math.floor(self.high + 1e-9) + 1)]
        self.marked = whole if len(whole) > 1 else [10**self.low, 10**self.high]

    def __call__(self, value: float) -> float:
        return super().__call__(math.log10(value))

    def marks(self) -> list[float]:
        return self.marked

    def said(self, value: float) -> str:
        return figures(value)


def _round(step: float) -> float:
    """1, 2 or 5 times a power of ten, not below `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(nice * power for nice in (1, 2, 5, 10) if nice * power >= step * (1 - 1e-9))


def _grid(axis: _Axis, name: str) -> str:
    lines = [f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{axis(mark):.1f}" y2="{axis(mark):.1f}"/>'
             f'<text class="tick left" x="{LEFT - 6}" y="{axis(mark) + 4:.1f}">{axis.said(mark)}</text>' for mark in axis.marks()]
    return "".join(lines) + f'<text class="tick" transform="translate(14 {(HEIGHT - BOTTOM) / 2}) rotate(-90)">{escape(name)}</text>'


def _ticks(axis: _Axis, bottom: float, name: str) -> str:
    marks = [f'<line class="grid" x1="{axis(mark):.1f}" x2="{axis(mark):.1f}" y1="{TOP}" y2="{bottom}"/>'
             f'<text class="tick" x="{axis(mark):.1f}" y="{bottom + 16}">{axis.said(mark)}</text>' for mark in axis.marks()]
    return "".join(marks) + f'<text class="tick" x="{(axis.start + axis.end) / 2:.1f}" y="{bottom + 32}">{escape(name)}</text>'


def _svg(height: float, parts: Sequence[str], about: str) -> str:
    """In a box of its own, which scrolls where the page is narrower than a figure can be read."""
    return f'<div class="wide" tabindex="0"><svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(about)}">{"".join(parts)}</svg></div>'


def _named(name: str, colour: int) -> str:
    """A name behind a dot of its line's colour."""
    return f'<tspan class="c{colour % COLOURS}">● </tspan>{escape(name)}'


