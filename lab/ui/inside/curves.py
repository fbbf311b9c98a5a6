"""Curves of what a lens saw, as figures for the page: over layers, ranks or steps; and for one matrix its spectrum and its histogram."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lab.ui import charts
from lab.ui.wording import figures as digits

DASHES = ("solid", "dash")  # of the first run and of the one it is held against


@dataclass(frozen=True)
class Sight:
    """What a lens saw in one run: of a trace a list of `Seen`."""

    name: str
    method: str
    value: Any
    kind: str = "probe"


@dataclass(frozen=True)
class Line:
    """One line of a figure."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    dash: str = "solid"
    errors: Sequence[float] = ()


def said(value: float) -> str:
    """Three digits that count; whole numbers as they are; never a power of ten."""
    if isinstance(value, int) or value == int(value):
        return f"{int(value):,}".replace("-", "−")
    words = digits(abs(value), 3)
    return ("−" if value < 0 else "") + ("0" if not words.strip("0.") else words)


def figures(found: Sequence[Sight]) -> list[dict[str, Any]]:
    """Empty where the value has no keys that are known here."""
    if found[0].kind == "trace":
        return over_steps(found)
    keys = found[0].value.keys() if isinstance(found[0].value, Mapping) else ()
    if "ranks" in keys:
        return [over_ranks(found)]
    if "spans" in keys and found[0].value["spans"]:
        return over_blocks(found)
    if "layers" in keys and all("cka" in row for row in found[0].value["layers"]):
        return [over_layers(found)]
    return []


def over_steps(found: Sequence[Sight]) -> list[dict[str, Any]]:
    """A trace whose looks are numbers by name: a line each. Further runs are dashed."""
    lines = []
    for place, sight in enumerate(found):
        looks = [seen for seen in sight.value if _numbers(seen.value)]
        for at, name in enumerate(dict.fromkeys(name for seen in looks for name in seen.value)):
            here = [seen for seen in looks if name in seen.value]
            lines.append(Line(_named(found, sight, name), [seen.step for seen in here], [seen.value[name] for seen in here],
                              charts.COLOURS[at % len(charts.COLOURS)], DASHES[place]))
    if not lines:
        return []
    return [figure(lines, "step", "", "Marks: the steps at which it looked.", low=0.0 if all(min(line.y) >= 0 for line in lines) else None)]


def _numbers(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(part, int | float) for part in value.values())


def over_layers(found: Sequence[Sight]) -> dict[str, Any]:
    """How like the base's the states behind each block are; 0 stands for what goes into the first block."""
    lines = []
    for place, sight in enumerate(found):
        for stack in dict.fromkeys(row.get("stack", "") for row in sight.value["layers"]):
            for key, name, colour in (("cka", "after training", charts.colour(sight.method)), ("before", "before", charts.GREY)):
                rows = [row for row in sight.value["layers"] if row.get("stack", "") == stack and row.get(key) is not None]
                if rows:
                    x = [0 if row["layer"] is None else row["layer"] + 1 for row in rows]
                    lines.append(Line(_named(found, sight, f"{stack} {name}".strip()), x, [row[key] for row in rows], colour, DASHES[place]))
    items = found[0].value.get("items")
    caption = f"On {items:,} test texts. 0 is what goes into the first block." if items else ""
    return figure(lines, "behind block", "similarity to the base (CKA)", caption, high=1.0)


def over_blocks(found: Sequence[Sight]) -> list[dict[str, Any]]:
    """Score and loss with the method switched off in single blocks, and in spans of them, between all on and all off."""
    return [_over_blocks(found, "score"), _over_blocks(found, "loss")]


def _over_blocks(found: Sequence[Sight], measure: str) -> dict[str, Any]:
    lines = []
    for place, sight in enumerate(found):
        spans, colour = sight.value["spans"], charts.colour(sight.method)
        errors = [span["standard_error"] for span in spans if span["first"] == span["last"]] if measure == "score" else []
        single = [span for span in spans if span["first"] == span["last"]]
        if single:
            lines.append(Line(_named(found, sight, "off in one block"), [span["first"] + 1 for span in single], [span[measure] for span in single], colour,
                              DASHES[place], errors))
        lines += [Line(_named(found, sight, f"off in {span['first'] + 1} to {span['last'] + 1}"), [span["first"] + 1, span["last"] + 1], [span[measure]] * 2,
                       charts.PURPLE, DASHES[place]) for span in spans if span["first"] != span["last"]]
        first, last = min(span["first"] for span in spans) + 1, max(span["last"] for span in spans) + 1
        lines += [Line(_named(found, sight, name), [first, last], [sight.value[key][measure]] * 2, charts.GREY, "dot")
                  for key, name in (("score", "on everywhere"), ("none", "off everywhere"))]
    told = "Bars are one standard error. The same items each time." if measure == "score" else "The loss tells smaller differences apart than the score does."
    return figure(lines, "block", measure, told)


def over_ranks(found: Sequence[Sight]) -> dict[str, Any]:
    """The score at each rank of one run that was trained for all of them."""
    lines = [Line(_named(found, sight, "score"), [row["rank"] for row in rows], [row["score"] for row in rows], charts.colour(sight.method), DASHES[place],
                  [row["standard_error"] for row in rows]) for place, sight in enumerate(found) for rows in [sight.value["ranks"]]]
    return figure(lines, "rank kept", "score", "Bars are one standard error.")


def close_figures(close: Sequence[tuple[Sight, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Of one matrix in one run or in two: its singular values, its histogram."""
    spectra = [(sight, seen["spectrum"]) for sight, seen in close if seen.get("spectrum")]
    counted = [(sight, seen["histogram"]) for sight, seen in close if seen.get("histogram")]
    return [*([spectrum(spectra)] if spectra else []), *([histogram(counted)] if counted else [])]


def spectrum(found: Sequence[tuple[Sight, Sequence[float]]]) -> dict[str, Any]:
    sights = [sight for sight, _ in found]
    lines = [Line(_named(sights, sight, "singular values"), range(1, len(values) + 1), values, charts.colour(sight.method), DASHES[place])
             for place, (sight, values) in enumerate(found)]
    drawn = figure(lines, "direction", "singular value", "The longer the tail, the more directions the change has.", low=0.0, labelled=len(found) > 1)
    return drawn if len(found) > 1 else _as_bars(drawn)


def histogram(found: Sequence[tuple[Sight, Mapping[str, Any]]]) -> dict[str, Any]:
    """Counts between edges; of two runs as shares, since they may have different numbers of values."""
    sights = [sight for sight, _ in found]
    lines = []
    for place, (sight, each) in enumerate(found):
        middles = [(one + other) / 2 for one, other in pairwise(each["edges"])]
        worth = (sum(each["counts"]) or 1) if len(found) > 1 else 1
        heights = [count / worth for count in each["counts"]]
        lines.append(Line(_named(sights, sight, "values"), middles, heights, charts.colour(sight.method), DASHES[place]))
    drawn = figure(lines, "value", "share" if len(found) > 1 else "how many", "", low=0.0, labelled=len(found) > 1)
    return drawn if len(found) > 1 else _as_bars(drawn)


def figure(lines: Sequence[Line], x: str, y: str, caption: str, *, low: float | None = None, high: float | None = None,
           labelled: bool = True) -> dict[str, Any]:
    """Named at their ends instead of in a legend; the same numbers as a table."""
    reach = _reach(lines, low, high)
    labels = [{"name": line.name, "value": said(line.y[-1]), "y": line.y[-1], "colour": line.colour, "own": False} for line in lines] if labelled else []
    return {
        "data": [_drawn(line, x) for line in lines],
        "layout": {"xaxis": {"anchor": "y2", "title": {"text": x, "standoff": 4}, "nticks": 8, **_whole(lines)},
                   "yaxis2": {"range": reach, "nticks": 5, "title": {"text": y}}},
        "labels": charts.spread(labels, 0.09 * (reach[1] - reach[0]), reach[1]), "caption": caption,
        "alt": f"Chart of {y or 'numbers'} by {x}. " + "; ".join(f"{line.name}: from {said(line.y[0])} to {said(line.y[-1])}" for line in lines) + ".",
        "table": _table(lines, x),
    }


def _reach(lines: Sequence[Line], low: float | None, high: float | None) -> list[float]:
    """From the lowest to the highest with its error, and some room; `low` and `high` are ends that stand fast."""
    values = [value + sign * error for line in lines for value, error in zip(line.y, line.errors or [0.0] * len(line.y), strict=True) for sign in (1, -1)]
    bottom, top = min(values) if low is None else low, max(values) if high is None else high
    margin = 0.08 * ((top - bottom) or abs(top) or 1.0)
    return [bottom - (margin if low is None else 0), top + (margin if high is None else 0.02 * (top - bottom))]


def _drawn(line: Line, x: str) -> dict[str, Any]:
    errors = {"error_y": {"type": "data", "array": list(line.errors), "thickness": 1, "width": 0}} if line.errors else {}
    return {"x": list(line.x), "y": list(line.y), "name": line.name, "mode": "lines+markers" if len(line.x) <= charts.FEW else "lines",
            "xaxis": "x", "yaxis": "y2", "line": {"color": line.colour, "width": 2, "dash": line.dash}, "marker": {"size": 6}, **errors,
            "cliponaxis": False, "hovertemplate": f"{x} %{{x}}: %{{y:.4~g}}<extra>{_plain(line.name)}</extra>"}


def _as_bars(drawn: dict[str, Any]) -> dict[str, Any]:
    bars = [{"x": trace["x"], "y": trace["y"], "name": trace["name"], "type": "bar", "xaxis": "x", "yaxis": "y2", "marker": {"color": trace["line"]["color"]},
             "hovertemplate": trace["hovertemplate"]} for trace in drawn["data"]]
    return {**drawn, "data": bars, "layout": {**drawn["layout"], "bargap": 0.15}}


def _whole(lines: Sequence[Line]) -> dict[str, Any]:
    """Ticks at whole numbers where there are few places."""
    places = sorted({place for line in lines for place in line.x})
    return {"tickmode": "array", "tickvals": places} if len(places) <= 8 and all(isinstance(place, int) for place in places) else {}


def _named(found: Sequence[Sight], sight: Sight, name: str) -> str:
    """Of two runs a line has the letter of its run in front."""
    return name if len(found) == 1 else f"{sight.name[:1]} {name}"


def _plain(name: str) -> str:
    """The figure library reads a little markup in names."""
    return name.translate(str.maketrans("", "", "<>&"))


def _table(lines: Sequence[Line], x: str) -> dict[str, Any]:
    places = sorted({place for line in lines for place in line.x})
    columns = [(line, dict(zip(line.x, line.y, strict=True)), dict(zip(line.x, line.errors, strict=True)) if line.errors else {}) for line in lines]
    rows = [[said(place), *(_cell(values.get(place), errors.get(place)) for _, values, errors in columns)] for place in places]
    return {"columns": [x, *(line.name for line in lines)], "rows": rows}


def _cell(value: float | None, error: float | None) -> str:
    if value is None:
        return "–"
    return said(value) + (f" ± {said(error)}" if error is not None else "")
