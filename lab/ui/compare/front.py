"""Any two measures against each other: a mark an arm with its error bars, and the front of those that no other beats in both."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import hypot, log10
from typing import Any

from lab.compare.says import listed
from lab.compare.steady import MARK
from lab.reporting.front import Point, front, placed
from lab.reporting.measures import Measure
from lab.ui.charts import GREY
from lab.ui.labels import powers, round_numbers, shorts

Box = tuple[float, float, float, float]  # left, right, bottom, top
LETTER, LINE = 0.008, 0.06  # of the chart: width of a letter, height of a name
ROUNDS = 3  # of placing all names
BAR = 0.004  # half of the breadth of an error bar, of the chart
STRUCK = 0.02  # what it costs a name to be crossed by one, however short the way
STRAY = 0.03  # and to stand nearer to the mark of another arm


def scatter(arms: Sequence[Mapping[str, Any]], looks: Mapping[str, Mapping[str, str]], x: Measure, y: Measure,
            strands: Sequence[Sequence[str]] = ()) -> dict[str, Any] | None:
    """None while no arm has both. An arm whose time cannot be told from the machine's load is drawn hollow and faint, and stands on no front. `strands` are
    arms that differ in one number of the same method: a thin line joins them."""
    points, hollow = placed(arms, x, y)
    if not points or x.key == y.key:
        return None
    best = front([point for point in points if point[0] not in hollow], x, y)
    stairs, names = _stairs(best, x, y), shorts(point[0] for point in points)
    joined = _joined(strands, points, looks)
    return {
        "data": [{"x": [at for at, _ in stairs], "y": [height for _, height in stairs], "mode": "lines", "name": "front", "hoverinfo": "skip",
                  "line": {"color": GREY, "width": 1.5, "dash": "dash"}, "xaxis": "x", "yaxis": "y2"},
                 *joined, *(_mark(point, names[point[0]], looks[point[0]], x, y, where, point[0] in hollow)
                            for point, where in zip(points, _beside(points, names, x, y), strict=True))],
        "layout": {"xaxis": {**_axis(x, [point[1] for point in points]), "anchor": "y2"},
                   "yaxis2": {"domain": [0, 1], **_axis(y, [point[2] for point in points])}},
        "labels": [], "caption": f"{_caption(x, y)}{' Thin lines join arms that differ in one number.' if joined else ''}"
                                 f"{_marks([looks[name] for name, _, _ in points if name not in hollow], bool(hollow))}",
        "alt": f"Chart of {y.title} by {x.title}. " + "; ".join(f"{name}: {x.said(over[0])}, {y.said(up[0])}" for name, over, up in points)
               + f". On the front: {listed([name for name, _, _ in best]) or 'none'}.",
        "table": {"columns": ["arm", x.title, y.title, "on the front"],
                  "rows": [[name, _said(x, over), _said(y, up), f"not judged ({MARK})" if name in hollow else "yes" if any(name == each[0] for each in best)
                            else "no"] for name, over, up in points]},
        "says": _told([name for name, _, _ in best], hollow),
    }


def _marks(looks: Sequence[Mapping[str, str]], hollow: bool) -> str:
    """What marks that are not filled mean; nothing where all are."""
    again = " An open mark: another arm has the same colour." if any(look["dash"] != "solid" for look in looks) else ""
    return again + (f" Faint, open and {MARK}: a time not told from the load of the machine." if hollow else "")


def _told(best: Sequence[str], hollow: Sequence[str]) -> str:
    on = f"On the front: {listed(best)}. No other arm is at least as good in both and better in one." if best else "Nothing can be put on a front."
    return f"{on} Not judged: {listed(hollow)}, whose time cannot be told from the load of the machine." if hollow else on


def _joined(strands: Sequence[Sequence[str]], points: Sequence[Point], looks: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    """A thin line through the marks of a strand, in its order and in the colour of its first."""
    there = {name: (over[0], up[0]) for name, over, up in points}
    lines = [found for strand in strands if len(found := [name for name in strand if name in there]) > 1]
    return [{"x": [there[name][0] for name in line], "y": [there[name][1] for name in line], "mode": "lines", "name": f"strand {line[0]}",
             "hoverinfo": "skip", "line": {"color": looks[line[0]]["colour"], "width": 1}, "opacity": 0.6, "xaxis": "x", "yaxis": "y2"} for line in lines]


def _mark(point: Point, label: str, look: Mapping[str, str], x: Measure, y: Measure, where: str, hollow: bool) -> dict[str, Any]:
    (at, left, right), (height, below, above) = point[1:]
    text = f" {MARK if hollow else ''}{label} ".replace("<", "").replace("&", "")
    bar = {"type": "data", "symmetric": False, "thickness": 1.5, "width": 4, "color": look["colour"]}
    return {"x": [at], "y": [height], "mode": "markers+text", "text": [text], "textposition": where,
            **({"opacity": 0.5} if hollow else {}),
            "textfont": {"size": 11.5}, "cliponaxis": False, "xaxis": "x", "yaxis": "y2",
            "marker": {"symbol": look["symbol"] if look["dash"] == "solid" and not hollow else f"{look['symbol']}-open", "size": 12, "color": look["colour"]},
            "error_x": {**bar, "array": [right], "arrayminus": [left]}, "error_y": {**bar, "array": [above], "arrayminus": [below]},
            "hovertemplate": f"%{{text}}: {x.title} {x.said(at)}, {y.title} {y.said(height)}<extra></extra>"}


def _beside(points: Sequence[Point], names: Mapping[str, str], x: Measure, y: Measure) -> list[str]:
    """Where each name stands, so that it covers as little as possible of marks, of their error bars and of other names, and is nearest to its own mark. In
    parts of the chart's width and height. Names are placed in turn, a few times over, so that the first ones know of the last; and with each as the first, of
    which the best way is taken."""
    across, up = _shares(x, [point[1] for point in points]), _shares(y, [point[2] for point in points])
    spots = [(at, height) for (at, _, _), (height, _, _) in zip(across, up, strict=True)]
    marks = [(at - 0.01, at + 0.01, height - 0.02, height + 0.02) for at, height in spots]
    bars = [bar for (at, left, right), (height, below, above) in zip(across, up, strict=True)
              for bar in ((left, right, height - 2 * BAR, height + 2 * BAR), (at - BAR, at + BAR, below, above)) if right > left or above > below]
    choices = [_boxes(*spot, LETTER * len(names[name])) for (name, _, _), spot in zip(points, spots, strict=True)]
    order = list(range(len(points)))
    return min((_placed([*order[first:], *order[:first]], choices, spots, marks, bars) for first in order), key=lambda each: round(each[0], 9))[1]


def _placed(order: Sequence[int], choices: Sequence[Mapping[str, Box]], spots: Sequence[tuple[float, float]], marks: Sequence[Box],
            bars: Sequence[Box]) -> tuple[float, list[str]]:
    """(what all names cover, where each stands) when they are placed in this order."""
    found: dict[int, str] = {}

    def cost(place: int, way: str) -> float:
        others = [choices[other][where] for other, where in found.items() if other != place]
        box = choices[place][way]
        return _cost(box, place, spots, [*marks, *bars, *others]) + STRUCK * sum(_overlap(box, bar) > 0 for bar in bars)

    for place in [*order] * ROUNDS:
        found[place] = min(choices[place], key=lambda way: cost(place, way))
    return sum(cost(place, way) for place, way in found.items()), [found[place] for place in sorted(found)]


def _boxes(at: float, height: float, wide: float) -> dict[str, Box]:
    """Where a name may stand at a mark: the usual places first."""
    across = {"right": at + 0.012, "left": at - wide - 0.012, "center": at - wide / 2}
    up = {"top": height + 0.015, "bottom": height - LINE - 0.015, "middle": height - LINE / 2}
    ways = (*((vertical, side) for vertical in ("top", "bottom") for side in ("right", "left", "center")), ("middle", "right"), ("middle", "left"))
    return {f"{vertical} {side}": (across[side], across[side] + wide, up[vertical], up[vertical] + LINE) for vertical, side in ways}


def _cost(box: Box, own: int, spots: Sequence[tuple[float, float]], taken: Sequence[Box]) -> float:
    """What it covers, what sticks out, and whether another mark is nearer to its middle than its own."""
    middle = ((box[0] + box[1]) / 2, (box[2] + box[3]) / 2)
    away = [hypot(at - middle[0], height - middle[1]) for at, height in spots]
    return sum(_overlap(box, other) for other in taken) + _outside(box) + (STRAY if min(away) < away[own] else 0.0)


def _shares(measure: Measure, seen: Sequence[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Of each value, and of the two ends of its bar, how far along the axis it stands."""
    axis = _axis(measure, seen)
    low, high = axis["range"]

    def share(value: float) -> float:
        return ((log10(value) if axis.get("type") == "log" else value) - low) / (high - low)

    return [(share(value), share(value - below), share(value + above)) for value, below, above in seen]


def _overlap(one: Box, other: Box) -> float:
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0])) * max(0.0, min(one[3], other[3]) - max(one[2], other[2])) / LINE


def _outside(box: Box) -> float:
    return max(0.0, -box[0]) + max(0.0, box[1] - 1) + max(0.0, -box[2]) + max(0.0, box[3] - 1)


def _stairs(best: Sequence[Point], x: Measure, y: Measure) -> list[tuple[float, float]]:
    """The border of what is reached: from one to the next it turns where the worse of both values meet."""
    found: list[tuple[float, float]] = []
    for point in best:
        at, height = point[1][0], point[2][0]
        if found:
            found.append((at, found[-1][1]) if x.better < 0 else (found[-1][0], height))
        found.append((at, height))
    return found


def _axis(measure: Measure, seen: Sequence[tuple[float, float, float]]) -> dict[str, Any]:
    """Ticks are round numbers in the words of the table; what spans more than a factor of twenty is drawn on a logarithmic axis."""
    low, high = min(value - below for value, below, _ in seen), max(value + above for value, _, above in seen)
    title = {"text": f"{measure.title} ({'more' if measure.better > 0 else 'less'} is better)", "standoff": 6}
    if measure.logarithmic and low > 0 and high > 20 * low:
        ticks = powers(10 ** (log10(low) - 0.3), 10 ** (log10(high) + 0.3))
        reach = {"type": "log", "range": [log10(low) - 0.3, log10(high) + 0.3]}
    else:
        room = 0.15 * (high - low) or abs(high) * 0.1 or 1.0
        ticks = round_numbers(low - room, high + room, measure.said, measure.key.endswith("_seconds"))
        reach = {"range": [low - room, high + room]}
    words = {} if measure.key in ("score", "rates") else {"tickmode": "array", "tickvals": ticks, "ticktext": [measure.said(tick) for tick in ticks]}
    return {"title": title, "nticks": 5, **reach, **words}


def _said(measure: Measure, seen: tuple[float, float, float]) -> str:
    value, below, above = seen
    if not below and not above:
        return measure.said(value)
    if measure.key == "score":
        return f"{measure.said(value)} ± {measure.said(above)}"
    return f"{measure.said(value)} ({measure.said(value - below)} to {measure.said(value + above)})"


def _caption(x: Measure, y: Measure) -> str:
    bars = "95 % intervals over seeds" if "score" in (x.key, y.key) else ""
    others = "from the lowest to the highest seed" if {x.key, y.key} != {"score"} else ""
    return f"Bars: {bars}{' of the score, ' if bars and others else ''}{others}{' of the rest' if bars and others else ''}. Dashed: the front."
