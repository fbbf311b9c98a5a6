"""The score against a number that is swept: a line for each sort of arms, intervals over seeds, the band of the best, and of learning rates the good ones."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log10, sqrt
from statistics import fmean, stdev
from typing import Any

from lab.compare import Comparison
from lab.compare.varied import Series, Swept
from lab.contracts import listing
from lab.metrics import METRICS
from lab.reporting.measures import half_width
from lab.sweeping import POINTS, near_best
from lab.ui import charts
from lab.ui.compare.arms import looks as own_looks
from lab.ui.compare.race import faint
from lab.ui.labels import shorts
from lab.ui.wording import figures, plain, scored, whole

Arms = Mapping[str, Mapping[str, Any]]
ROOM = 0.045


@dataclass(frozen=True)
class Point:
    """An arm on a line."""

    arm: str
    x: float
    scores: Sequence[float]

    @property
    def mean(self) -> float:
        return fmean(self.scores)

    @property
    def error(self) -> float:
        """Standard error of the mean over seeds; 0 where there is one."""
        return stdev(self.scores) / sqrt(len(self.scores)) if len(self.scores) > 1 else 0.0

    @property
    def half(self) -> float:
        return half_width(list(self.scores)) or 0.0


def figure(swept: Swept, comparison: Comparison, report: Mapping[str, Any], looks: Mapping[str, Mapping[str, str]]) -> dict[str, Any] | None:
    """None until two arms of a line have a score. A line looks as its method does."""
    arms = {arm["name"]: arm for arm in report["arms"]}
    lines = [(series, points) for series in swept.series if len(points := _points(series, arms)) > 1]
    if not lines:
        return None
    metric, higher = report["metric"], report["higher_is_better"]
    every = [point for _, points in lines for point in points]
    best = (max if higher else min)(every, key=lambda point: point.mean)
    levels = [(name, scores) for name in swept.alone if name in arms and (scores := _known(arms[name]))]
    ways = dict(zip((series.name for series, _ in lines), own_looks([comparison.specs[series.points[0][0]] for series, _ in lines]), strict=True))
    xs = sorted({point.x for point in every})
    log = charts.logarithmic(xs, charts.SWEPT)
    left, right = _reach(xs, log)
    good = [(series, found) for series, points in lines if swept.key == "lr" and (found := good_rates(points, metric, higher))]
    low, high = _range([*every], [score for _, scores in levels for score in scores], report["references"], metric)
    references = _references(report["references"])
    called = shorts([*(series.name for series, _ in lines), *(name for name, _ in levels)])
    labels = [*({"name": called[series.name], "value": scored(points[-1].mean, metric, fewer=1), "y": points[-1].mean, "colour": ways[series.name]["colour"],
                 "own": False} for series, points in lines if series.name),
              *({"name": called[name], "value": scored(fmean(scores), metric, fewer=1), "y": fmean(scores), "colour": looks[name]["colour"], "own": False}
                for name, scores in levels),
              *({"name": name, "value": scored(value, metric, fewer=1), "y": value, "colour": None, "own": False} for name, value in references)]
    return {
        "data": [*(_interval(series, found, ways[series.name], low, high) for series, found in good), _band(best, left, right),
                 *(trace for series, points in lines for trace in _line(points, ways[series.name], series.name, swept.word)),
                 *(_level(name, fmean(scores), looks[name], left, right) for name, scores in levels)],
        "layout": {"xaxis": _axis(xs, log, left, right, swept), "yaxis2": {"domain": [0, 1], "range": [low, high], "nticks": 6, "title": {"text": metric}},
                   "shapes": [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y2", "y0": value, "y1": value, "layer": "below",
                               "line": {"dash": "dash", "width": 1}} for _, value in references]},
        "labels": charts.spread(labels, 0.062 * (high - low), high),
        "caption": "Marks: mean over the seeds with its 95 % interval; small ones: one seed each. Grey band: the best mean ± its standard error."
                   + (" Tinted: rates that lose at most 2 points against the best, or its standard error where that is more." if good else ""),
        "alt": f"Chart of {metric} by {swept.word}. " + "; ".join(f"{point.arm}: {scored(point.mean, metric)}" for point in every),
        "table": {"columns": [swept.word, "arm", f"{metric}, mean", "95 % interval", "each seed"], "rows": [
            [_said(point.x, swept.key), point.arm, scored(point.mean, metric), f"± {scored(point.half, metric)}" if point.half else "–",
             ", ".join(scored(score, metric) for score in point.scores)] for point in every]},
        "says": says(swept, lines, good, metric, higher),
    }


def _known(arm: Mapping[str, Any]) -> list[float]:
    return [score for score in arm["scores"] if score is not None]


def _points(series: Series, arms: Arms) -> list[Point]:
    """Those that have a score, in the order of their values; what is learned from all texts stands at how many that is."""
    found = []
    for name, value in series.points:
        scores = _known(arms[name]) if name in arms else []
        seen = next((run["train_items"] for run in arms[name]["runs"] if run["train_items"]), None) if name in arms else None
        at = value if value is not None else seen
        if scores and at is not None:
            found.append(Point(name, float(at), scores))
    return sorted(found, key=lambda point: point.x)


def good_rates(points: Sequence[Point], metric: str, higher: bool) -> tuple[float, float, bool, bool] | None:
    """(lowest, highest, whether it may go on below, above) of the neighbours of the best that lose at most 2 points, or one standard error, against it."""
    sign, scale = (1 if higher else -1), METRICS[metric].most if metric in METRICS else 1.0
    first, last = near_best([sign * point.mean for point in points], [point.error for point in points], POINTS * scale)
    return points[first].x, points[last].x, first == 0, last == len(points) - 1


def says(swept: Swept, lines: Sequence[tuple[Series, Sequence[Point]]], good: Sequence[tuple[Series, tuple[float, float, bool, bool]]], metric: str,
         higher: bool) -> str:
    """What was seen on each line; whether two points differ is told by the verdicts."""
    said = []
    for series, points in lines:
        best = (max if higher else min)(points, key=lambda point: point.mean)
        near = [point for point in points if abs(point.mean - best.mean) <= best.error and point is not best]
        of = f"{series.name}: best mean" if series.name else "Best mean"
        beside = f"; within its standard error: {listing([_said(point.x, swept.key) for point in near])}" if near else ""
        said.append(f"{of} {scored(best.mean, metric)}, at {_said(best.x, swept.key)} ({swept.word}){beside}.")
    for series, (low, high, below, above) in good:
        where = f"from {plain(low)} to {plain(high)}, a factor of {figures(high / low)}" if high > low else f"at {plain(low)} alone"
        end = ", and perhaps beyond: the grid ends there" if below or above else ""
        said.append(f"{series.name + ': good' if series.name else 'Good'} {where}{end}.")
    return " ".join(said)


# ── drawing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _reach(xs: Sequence[float], log: bool) -> tuple[float, float]:
    if log:
        room = ROOM * (log10(xs[-1]) - log10(xs[0]))
        return xs[0] / 10**room, xs[-1] * 10**room
    room = ROOM * ((xs[-1] - xs[0]) or 1.0)
    return xs[0] - room, xs[-1] + room


def _axis(xs: Sequence[float], log: bool, left: float, right: float, swept: Swept) -> dict[str, Any]:
    """Ticks at the values themselves, in words."""
    scale = {"type": "log", "range": [log10(left), log10(right)]} if log else {"range": [left, right]}
    words = f"{swept.word}{' (logarithmic)' if log else ''}"
    return {**scale, "anchor": "y2", "title": {"text": words, "standoff": 6}, "tickmode": "array", "tickvals": list(xs), "tickangle": 0,
            "ticktext": [_said(value, swept.key) for value in xs]}


def _said(value: float, key: str) -> str:
    if key == "model":
        return f"{figures(value / 1e6)} M"
    return whole(value) if value == int(value) and value >= 1000 else plain(value)


def _range(points: Sequence[Point], levels: Sequence[float], references: Mapping[str, Any], metric: str) -> tuple[float, float]:
    """No further than the metric goes."""
    values = [*levels, *(value for point in points for value in (*point.scores, point.mean - _shown(point), point.mean + _shown(point))),
              *(value for _, value in _references(references))]
    low, high = min(values), max(values)
    room = 0.06 * (high - low or abs(high) or 1.0)
    if metric not in METRICS:
        return low - room, high + room
    most = METRICS[metric].most
    return max(-0.02 * most, low - room), min(1.02 * most, high + room)


def _shown(point: Point) -> float:
    """As much of an interval as an axis makes room for: all of it from three seeds on."""
    return min(point.half, 5 * point.error)


def _references(seen: Mapping[str, Any]) -> list[tuple[str, float]]:
    return [(charts.REFERENCES[who], each["score"]) for who, each in seen.items() if who in charts.REFERENCES]


def _line(points: Sequence[Point], look: Mapping[str, str], name: str, word: str) -> list[dict[str, Any]]:
    axes = {"xaxis": "x", "yaxis": "y2"}
    seeds = [(point.x, score) for point in points for score in point.scores]
    hover = "".join(sign for sign in f"{name + ', ' if name else ''}{word}" if sign not in "<>&%{}")
    return [
        {"x": [x for x, _ in seeds], "y": [y for _, y in seeds], "mode": "markers", "opacity": 0.5, "hoverinfo": "skip", "name": f"{name} seeds",
         "marker": {"symbol": f"{look['symbol']}-open", "size": 6, "color": look["colour"]}, **axes},
        {"x": [point.x for point in points], "y": [point.mean for point in points], "mode": "lines+markers", "name": name or "mean",
         "line": {"color": look["colour"], "width": 2.5, "dash": look["dash"]}, "marker": {"symbol": look["symbol"], "size": 9, "color": look["colour"]},
         "error_y": {"type": "data", "array": [point.half for point in points], "thickness": 1.5, "width": 5, "color": look["colour"]},
         "hovertemplate": f"{hover} %{{x}}: %{{y:.3f}}<extra></extra>", **axes},
    ]


def _band(best: Point, left: float, right: float) -> dict[str, Any]:
    """Nothing to see with one seed."""
    low, high = best.mean - best.error, best.mean + best.error
    return {"x": [left, right, right, left], "y": [low, low, high, high], "fill": "toself", "fillcolor": faint(charts.GREY), "mode": "none",
            "hoverinfo": "skip", "name": "the best ± its standard error", "xaxis": "x", "yaxis": "y2"}


def _interval(series: Series, found: tuple[float, float, bool, bool], look: Mapping[str, str], bottom: float, top: float) -> dict[str, Any]:
    low, high = found[0] / 1.12, found[1] * 1.12
    return {"x": [low, high, high, low], "y": [bottom, bottom, top, top], "fill": "toself", "fillcolor": faint(look["colour"]), "mode": "none",
            "hoverinfo": "skip", "name": f"{series.name} good rates", "xaxis": "x", "yaxis": "y2"}


def _level(name: str, value: float, look: Mapping[str, str], left: float, right: float) -> dict[str, Any]:
    return {"x": [left, right], "y": [value, value], "mode": "lines", "name": name, "hoverinfo": "skip", "xaxis": "x", "yaxis": "y2",
            "line": {"color": look["colour"], "width": 2, "dash": "dashdot"}}
