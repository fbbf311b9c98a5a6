"""Figures as plain Plotly values, made from results alone: the page draws them, a table says the same in numbers.

Colours of lines and text are left to the page, which knows whether it is light or dark; only colours that carry meaning stand here.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lab.contracts import listing
from lab.events import Evaluated, RunResult
from lab.metrics import METRICS
from lab.ui.wording import asked, score, scored

# Okabe and Ito's palette, told apart by people with any kind of colour vision
BLUE, VERMILLION, GREEN, PURPLE, SKY, ORANGE, YELLOW, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#F0E442", "#8A8F98"
PARTS = {"weights": SKY, "gradients": GREEN, "optimizer": PURPLE, "activations": ORANGE, "temporary": YELLOW}
FROZEN, TRAINABLE = GREY, VERMILLION
COLOURS = (BLUE, GREEN, PURPLE, ORANGE, SKY, VERMILLION)  # of methods; the last is also what is trainable, so the commonest do without it
MARKERS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "star", "hexagon")
USUAL = ("lora", "full", "prompt_tuning", "head", "prefix_tuning", "houlsby")  # these six never share a colour
REFERENCES = {"majority": "most frequent answer", "base": "untouched model", "prompt": "hand-written prompt", "reloaded": "loaded again"}
POINTS = 600  # of one line; more cannot be seen
SMOOTHED = 10  # steps
LABEL = 0.12  # height of a name beside the lower half of a chart of 340 pixels, of that half
TWO_LINES = 1.8  # of the height of one
FEW = 40  # looks that can be told apart as marks
SEVERAL, SWEPT = 20, 8  # times the smallest value: from there on it asks for a logarithmic axis; of a setting that was swept, three doublings do


@dataclass(frozen=True)
class Curve:
    """One run in a chart."""

    name: str
    method: str
    result: RunResult
    steps: int
    letter: str = ""  # stands for it where its name is too long
    again: bool = False  # a second run of the same method: same colour, other line and open marks


def task_of(result: RunResult) -> str | None:
    return result.started.spec.get("task") if result.started else None


def colour(method: str) -> str:
    return COLOURS[_place(method) % len(COLOURS)]


def marker(method: str) -> str:
    return MARKERS[_place(method) // len(COLOURS) % len(MARKERS)]


def _symbol(curve: Curve) -> str:
    return marker(curve.method) + ("-open" if curve.again else "")


def _place(method: str) -> int:
    """Fixed by the name alone, so that a new method changes nobody's colour."""
    return USUAL.index(method) if method in USUAL else len(USUAL) + sum(ord(sign) * place for place, sign in enumerate(method, 1)) % 36


def logarithmic(values: Sequence[float], factor: float = SEVERAL) -> bool:
    """Whether an axis for these values is: none is 0 or less, and the largest is at least `factor` times the smallest."""
    return bool(values) and min(values) > 0 and max(values) >= factor * min(values)


def learning(curves: Sequence[Curve], references: Mapping[str, Evaluated] | None = None) -> dict[str, Any]:
    """Loss above, score below, over the steps; reference lines carry their names."""
    steps = max([1, *(curve.steps for curve in curves)])
    metric = _metric(curves)
    every = references if references is not None else own_references(curves)
    lines = {name: seen for name, seen in every.items() if seen.metric == metric}  # a written task's looks have another scale than its score
    curves = [replace(curve, again=curve.method in {other.method for other in curves[:place]}) for place, curve in enumerate(curves)]
    traces = [trace for curve in curves for trace in (*_losses(curve, len(curves) == 1), *_scores(curve, metric, len(curves) > 1))]
    loss_range = {"rangemode": "tozero"} if any(curve.result.losses for curve in curves) else {"range": [0, 1]}
    low = _lowest([*lines.values(), *(seen for curve in curves for seen in curve.result.evaluations if seen.metric == metric)])
    top = METRICS[metric].most if metric in METRICS else 1.0
    return {
        "data": [*traces, *({"x": [0], "y": [None], "xaxis": "x", "yaxis": axis, "hoverinfo": "skip"} for axis in ("y", "y2"))],  # empty axes are drawn too
        "layout": {
            "xaxis": {"range": [0, steps * 1.02], "anchor": "y2", "title": {"text": "step", "standoff": 4}, "nticks": 6},
            "yaxis": {"domain": [0.56, 1], "nticks": 4, "title": {"text": "loss"}, **loss_range},
            "yaxis2": {"domain": [0, 0.46], "range": [low, top], "nticks": 4, "title": {"text": metric}},
            "shapes": [_line(seen.score) for seen in lines.values()],
        },
        "labels": spread([*_line_labels(lines), *_end_labels(curves, metric)], LABEL * (top - low), top), "caption": _caption(curves, metric),
        "alt": _alt(curves, lines), "table": _table(curves, lines),
    }


def scores(curves: Sequence[Curve], references: Mapping[str, Evaluated] | None = None) -> dict[str, Any]:
    """Only the score over the steps, for two runs side by side."""
    figure = learning(curves, references)
    layout = figure["layout"]
    layout["yaxis2"]["domain"] = [0, 1]
    layout.pop("yaxis")
    low, top = layout["yaxis2"]["range"]
    figure["labels"] = spread(figure["labels"], 0.07 * (top - low), top)
    figure["data"] = [trace for trace in figure["data"] if trace.get("yaxis") == "y2"]
    return figure


def _losses(curve: Curve, alone: bool) -> list[dict[str, Any]]:
    seen = thinned([(step, loss) for step, loss in curve.result.losses if loss is not None])
    smooth = smoothed([loss for _, loss in seen], SMOOTHED)
    x = [step for step, _ in seen]
    mode = "lines" if len(x) > 2 else "lines+markers"
    main = {"x": x, "y": smooth, "name": f"{curve.name}: mean of {SMOOTHED} steps", "mode": mode, "xaxis": "x", "yaxis": "y",
            "line": {"color": colour(curve.method), "width": 2.5, "dash": "dash" if curve.again else "solid"},
            "hovertemplate": f"step %{{x}}: %{{y:.3f}}<extra>mean of the last {SMOOTHED}</extra>"}
    raw = {"x": x, "y": [round(loss, 4) for _, loss in seen], "name": f"{curve.name}: loss", "mode": "lines", "opacity": 0.35,
           "line": {"color": colour(curve.method), "width": 1}, "hovertemplate": "step %{x}: %{y:.4f}<extra>loss</extra>", "xaxis": "x", "yaxis": "y"}
    return [raw, main] if alone else [main]


def _scores(curve: Curve, metric: str, named: bool) -> list[dict[str, Any]]:
    looks = [seen for seen in curve.result.evaluations if (seen.who, seen.split, seen.metric) == ("tuned", "validation", metric)]
    final = _final(curve, metric)
    name = f"{curve.name}: " if named else ""
    few = len(looks) <= FEW
    small, large = (asked(task_of(curve.result), split) for split in ("validation", "test"))
    traces = [{
        "x": [seen.step for seen in looks], "y": [seen.score for seen in looks], "name": f"{name}{small}", "mode": "lines+markers" if few else "lines",
        "line": {"color": colour(curve.method), "width": 2, "dash": "dot" if few else "solid"}, "marker": {"symbol": _symbol(curve), "size": 8},
        "error_y": {**error_bars(looks), "thickness": 1, "width": 0, "visible": few},
        "customdata": [[seen.items, seen.standard_error] for seen in looks],
        "hovertemplate": f"step %{{x}}: %{{y:.3f}} ± %{{customdata[1]:.3f}} on %{{customdata[0]}} {small}<extra></extra>", "xaxis": "x", "yaxis": "y2",
    }] if looks else []
    if final:
        traces.append({
            "x": [curve.result.step], "y": [final.score], "name": f"{name}{large}", "mode": "markers", "xaxis": "x", "yaxis": "y2",
            "marker": {"symbol": _symbol(curve), "size": 13, "color": colour(curve.method), "line": {"width": 2}},
            "error_y": {**error_bars([final]), "thickness": 2, "width": 5, "color": colour(curve.method)},
            "customdata": [[final.items, final.standard_error]], "cliponaxis": False,
            "hovertemplate": f"%{{y:.3f}} ± %{{customdata[1]:.3f}} on %{{customdata[0]}} {large}<extra></extra>",
        })
    return traces


def error_bars(seen: Sequence[Evaluated]) -> dict[str, Any]:
    """A standard error each way, and no further than the scale goes: a share is never above 1."""
    return {"type": "data", "symmetric": False, "array": [min(each.standard_error, _most(each) - each.score) for each in seen],
            "arrayminus": [min(each.standard_error, each.score) for each in seen]}


def _most(seen: Evaluated) -> float:
    metric = METRICS.get(seen.metric)
    return 1.0 if metric is None else metric.most if metric.higher_is_better else float("inf")  # of bad texts more than every word may have to be edited


def _final(curve: Curve, metric: str) -> Evaluated | None:
    """The score after the last step, where it belongs on the axis of this metric."""
    seen = curve.result.scores.get("tuned")
    return seen if seen and seen.metric == metric else None


def own_references(curves: Sequence[Curve]) -> dict[str, Evaluated]:
    """Scores of the test items that no step of these runs has changed; where two runs do not share one, it says whose it is."""
    found: dict[str, Evaluated] = {}
    for who in dict.fromkeys(who for curve in curves for who in curve.result.scores if who not in ("tuned", "untrained")):
        seen = [curve.result.scores.get(who) for curve in curves]
        name = REFERENCES.get(who, who)
        if all(each and (f"{each.score:.2f}", each.items) == (f"{seen[0].score:.2f}", seen[0].items) for each in seen):
            found[name] = seen[0]
        elif who in ("majority", "base"):  # more lines than these cannot be told apart
            found |= {f"{curve.letter or curve.name}: {name}": each for curve, each in zip(curves, seen, strict=True) if each}
    return found


def _line(height: float) -> dict[str, Any]:
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y2", "y0": height, "y1": height, "layer": "below", "line": {"dash": "dash", "width": 1}}


def _line_labels(lines: Mapping[str, Evaluated]) -> list[dict[str, Any]]:
    return [{"name": name, "value": scored(seen.score, seen.metric, fewer=1), "y": seen.score, "colour": None, "own": False} for name, seen in lines.items()]


def _end_labels(curves: Sequence[Curve], metric: str) -> list[dict[str, Any]]:
    """A curve's name and its last score at its end, instead of a legend."""
    found = []
    for curve in curves:
        looks = [seen for seen in curve.result.evaluations if (seen.who, seen.metric) == ("tuned", metric)]
        last = _final(curve, metric) or (looks[-1] if looks else None)
        if last:
            name = f"{curve.name}, {last.split}" if len(curves) > 1 else asked(task_of(curve.result), last.split)
            found.append({"name": name, "value": scored(last.score, metric, fewer=1), "y": last.score, "colour": colour(curve.method),
                          "own": len(curves) == 1})
    return found


def spread(labels: list[dict[str, Any]], gap: float, top: float = 1.0) -> list[dict[str, Any]]:
    """Labels in order of height, each with a place `at` that keeps `gap` to its neighbours, as near to its own height as that allows.

    `apart` is such a place with room for two lines.
    """
    order = sorted(labels, key=lambda label: label["y"])
    places = zip(_places(order, gap, top), _places(order, TWO_LINES * gap, top), strict=True)
    return [{**label, "at": at, "apart": apart} for label, (at, apart) in zip(order, places, strict=True)]


def _places(order: list[dict[str, Any]], gap: float, top: float) -> list[float]:
    places: list[float] = []
    for label in order:
        places.append(max(label["y"], places[-1] + gap) if places else label["y"])
    over = max(0.0, places[-1] - top) if places else 0.0  # pushed above the chart: move all that are packed together down
    for place in reversed(range(len(places))):
        places[place] -= over
        if place and places[place] - places[place - 1] >= gap + over:
            break
    return [round(at, 4) for at in places]


def _caption(curves: Sequence[Curve], metric: str) -> str:
    """What the marks are: validation and test items are never mixed up."""
    small, large = _items(curves, "validation", metric), _items(curves, "test", metric)
    parts = ([f"small marks: {small} {_kind(curves, 'validation')}"] if small else []) + (
        [f"large mark: {large} {_kind(curves, 'test')}, after the last step"] if large else [])
    if metric == "token accuracy" and parts:
        parts.append("token accuracy: how often the next word piece of a right answer is the likeliest")
    return f"{'; '.join(parts)}; bars are one standard error." if parts else ""


def _kind(curves: Sequence[Curve], split: str) -> str:
    """What all these runs were asked; test items where they were asked different things."""
    kinds = {asked(task_of(curve.result), split) for curve in curves}
    return kinds.pop() if len(kinds) == 1 else f"{split} items"


def _items(curves: Sequence[Curve], split: str, metric: str) -> str:
    """How many items are behind the scores: 1,000, or 100 (A) and 1,000 (B)."""
    wanted = ("tuned", split, metric)
    seen = {curve.letter or curve.name: each.items for curve in curves for each in curve.result.evaluations if (each.who, each.split, each.metric) == wanted}
    if len(set(seen.values())) <= 1:
        return "".join(f"{items:,}" for items in set(seen.values()))
    return listing([f"{items:,} ({name})" for name, items in seen.items()])


def _metric(curves: Sequence[Curve]) -> str:
    """What the lower axis shows: what the looks during training count, else the score."""
    seen = [each for curve in curves for each in curve.result.evaluations]
    return next((each.metric for each in (*(each for each in seen if each.split == "validation"), *seen)), "score")


def _lowest(seen: Sequence[Evaluated]) -> float:
    low = min((0.5, *(each.score - each.standard_error for each in seen)))  # so that the axis does not jump while scores come in
    return max(0.0, int((low - 0.04) * 10) / 10)


def _alt(curves: Sequence[Curve], lines: Mapping[str, Evaluated]) -> str:
    """The chart in a sentence, for those who cannot see it."""
    parts = []
    for curve in curves:
        losses = [loss for _, loss in curve.result.losses if loss is not None]
        final = curve.result.scores.get("tuned")
        moved = f"loss from {losses[0]:.2f} to {losses[-1]:.2f} in {curve.result.step} steps" if losses else "no steps"
        parts.append(f"{curve.name}: {moved}" + (f", test {final.metric} {score(final.score, final.standard_error, final.metric)}" if final else ""))
    parts += [f"{name}: {scored(seen.score, seen.metric, fewer=1)}" for name, seen in lines.items()]
    return "Chart. " + "; ".join(parts) + "."


def _table(curves: Sequence[Curve], lines: Mapping[str, Evaluated]) -> dict[str, Any]:
    rows: list[list[str]] = []
    task = task_of(curves[0].result) if curves else None
    for curve in curves:
        losses = {step: loss for step, loss in curve.result.losses if loss is not None}
        for step in _shown(list(losses)):
            rows.append([curve.name, f"{step}", "training loss", f"{losses[step]:.4f}"])
        for seen in curve.result.evaluations:
            if seen.who == "tuned":
                rows.append([curve.name, f"{seen.step}", *_measured(seen, task_of(curve.result))])
    rows += [[name, "", *_measured(seen, task)] for name, seen in lines.items()]
    return {"columns": ["what", "step", "measured", "value"], "rows": rows}


def _measured(seen: Evaluated, task: str | None) -> list[str]:
    return [f"{seen.metric} on {seen.items:,} {asked(task, seen.split)}", score(seen.score, seen.standard_error, seen.metric)]


def _shown(steps: list[int]) -> list[int]:
    """About twenty steps, the first and the last among them."""
    every = max(1, len(steps) // 20)
    return sorted({*steps[::every], *steps[-1:]})


def thinned(pairs: list[tuple[int, float]]) -> list[tuple[int, float]]:
    every = -(-len(pairs) // POINTS)
    return pairs if every <= 1 else [*pairs[::every], *([pairs[-1]] if (len(pairs) - 1) % every else [])]


def smoothed(values: Sequence[float], width: int) -> list[float]:
    """Mean of the last `width` values, fewer at the beginning."""
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    return [round((sums[end] - sums[max(0, end - width)]) / min(end, width), 4) for end in range(1, len(sums))]
