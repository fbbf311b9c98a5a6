"""Figures as plain Plotly values, made from results alone: the page draws them, a table says the same in numbers.

Colours of lines and text are left to the page, which knows whether it is light or dark; only colours that carry meaning stand here.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.events import Evaluated, RunResult
from lab.ui.wording import score

# Okabe and Ito's palette, told apart by people with any kind of colour vision
BLUE, VERMILLION, GREEN, PURPLE, SKY, ORANGE, YELLOW, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#F0E442", "#8A8F98"
PARTS = {"weights": SKY, "gradients": GREEN, "optimizer": PURPLE, "activations": ORANGE, "temporary": YELLOW}
FROZEN, TRAINABLE = GREY, VERMILLION
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, SKY, ORANGE)
MARKERS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "star", "hexagon")
USUAL = ("lora", "full", "prompt_tuning", "head", "prefix_tuning", "houlsby")  # these six never share a colour
REFERENCES = {"majority": "always the most frequent answer", "base": "untouched model", "prompt": "best hand-written prompt"}
POINTS = 600  # of one line; more cannot be seen
SMOOTHED = 10  # steps


@dataclass(frozen=True)
class Curve:
    """One run in a chart."""

    name: str
    method: str
    result: RunResult
    steps: int


def colour(method: str) -> str:
    return COLOURS[_place(method) % len(COLOURS)]


def marker(method: str) -> str:
    return MARKERS[_place(method) // len(COLOURS) % len(MARKERS)]


def _place(method: str) -> int:
    """Fixed by the name alone, so that a new method changes nobody's colour."""
    return USUAL.index(method) if method in USUAL else len(USUAL) + sum(ord(sign) * place for place, sign in enumerate(method, 1)) % 36


def learning(curves: Sequence[Curve], references: Mapping[str, Evaluated] | None = None) -> dict[str, Any]:
    """Loss above, score below, over the steps; reference lines carry their names."""
    steps = max((curve.steps for curve in curves), default=1)
    lines = references if references is not None else _references(curves)
    traces = [trace for curve in curves for trace in (*_losses(curve, len(curves) == 1), *_scores(curve, len(curves) > 1))]
    low = _lowest([*lines.values(), *(seen for curve in curves for seen in curve.result.evaluations)])
    shapes, labels = _reference_lines(lines)
    return {
        "data": traces,
        "layout": {
            "xaxis": {"range": [0, steps * 1.02], "anchor": "y2", "title": {"text": "step", "standoff": 4}, "nticks": 6},
            "yaxis": {"domain": [0.56, 1], "rangemode": "tozero", "nticks": 4, "title": {"text": "loss"}},
            "yaxis2": {"domain": [0, 0.46], "range": [low, 1.0], "nticks": 4, "title": {"text": _metric(curves)}},
            "shapes": shapes, "annotations": [*labels, *_names(curves)],
        },
        "alt": _alt(curves, lines), "table": _table(curves, lines),
    }


def scores(curves: Sequence[Curve], references: Mapping[str, Evaluated] | None = None) -> dict[str, Any]:
    """Only the score over the steps, for two runs side by side."""
    figure = learning(curves, references)
    layout = figure["layout"]
    layout["yaxis2"]["domain"] = [0, 1]
    layout.pop("yaxis")
    figure["data"] = [trace for trace in figure["data"] if trace.get("yaxis") == "y2"]
    return figure


def _losses(curve: Curve, alone: bool) -> list[dict[str, Any]]:
    seen = thinned([(step, loss) for step, loss in curve.result.losses if loss is not None])
    smooth = smoothed([loss for _, loss in seen], SMOOTHED)
    x = [step for step, _ in seen]
    main = {"x": x, "y": smooth, "name": f"{curve.name}: mean of {SMOOTHED} steps", "mode": "lines", "line": {"color": colour(curve.method), "width": 2.5},
            "hovertemplate": "step %{x}: %{y:.3f}<extra>mean of the last 10</extra>", "xaxis": "x", "yaxis": "y"}
    raw = {"x": x, "y": [round(loss, 4) for _, loss in seen], "name": f"{curve.name}: loss", "mode": "lines", "opacity": 0.35,
           "line": {"color": colour(curve.method), "width": 1}, "hovertemplate": "step %{x}: %{y:.4f}<extra>loss</extra>", "xaxis": "x", "yaxis": "y"}
    return [raw, main] if alone else [main]


def _scores(curve: Curve, named: bool) -> list[dict[str, Any]]:
    looks = [seen for seen in curve.result.evaluations if seen.who == "tuned" and seen.split == "validation"]
    final = curve.result.scores.get("tuned")
    name = f"{curve.name}: " if named else ""
    traces = [{
        "x": [seen.step for seen in looks], "y": [seen.score for seen in looks], "name": f"{name}validation texts", "mode": "lines+markers",
        "line": {"color": colour(curve.method), "width": 2, "dash": "dot"}, "marker": {"symbol": marker(curve.method), "size": 8},
        "error_y": {"type": "data", "array": [seen.standard_error for seen in looks], "thickness": 1, "width": 0},
        "customdata": [[seen.items, seen.standard_error] for seen in looks],
        "hovertemplate": "step %{x}: %{y:.3f} ± %{customdata[1]:.3f} on %{customdata[0]} validation texts<extra></extra>", "xaxis": "x", "yaxis": "y2",
    }] if looks else []
    if final:
        traces.append({
            "x": [curve.result.step], "y": [final.score], "name": f"{name}test texts", "mode": "markers", "xaxis": "x", "yaxis": "y2",
            "marker": {"symbol": marker(curve.method), "size": 13, "color": colour(curve.method), "line": {"width": 2}},
            "error_y": {"type": "data", "array": [final.standard_error], "thickness": 2, "width": 5, "color": colour(curve.method)},
            "customdata": [[final.items, final.standard_error]], "cliponaxis": False,
            "hovertemplate": "%{y:.3f} ± %{customdata[1]:.3f} on %{customdata[0]} test texts<extra></extra>",
        })
    return traces


def _references(curves: Sequence[Curve]) -> dict[str, Evaluated]:
    """Scores of the test items that no step of these runs has changed."""
    found: dict[str, Evaluated] = {}
    for curve in curves:
        found |= {REFERENCES.get(who, who): seen for who, seen in curve.result.scores.items() if who not in ("tuned", "untrained")}
    return found


def _reference_lines(lines: Mapping[str, Evaluated]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    shapes, labels = [], []
    below: float | None = None
    for name, seen in sorted(lines.items(), key=lambda pair: pair[1].score):
        close = below is not None and seen.score - below < 0.05  # then this name goes above its line and the lower one's below
        shapes.append({"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y2", "y0": seen.score, "y1": seen.score, "layer": "below",
                       "line": {"dash": "dash", "width": 1}})
        if close and labels:
            labels[-1]["yanchor"] = "top"
        labels.append({"text": f"{name} {seen.score:.2f}", "xref": "paper", "x": 1, "xanchor": "right", "yref": "y2", "y": seen.score, "yanchor": "bottom",
                       "showarrow": False, "font": {"size": 12}})
        below = seen.score
    return shapes, labels


def _names(curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """A curve's name at its end, instead of a legend."""
    if len(curves) < 2:
        return []
    ends = [(curve, curve.result.scores.get("tuned") or next(reversed(curve.result.evaluations), None)) for curve in curves]
    order = sorted((pair for pair in ends if pair[1]), key=lambda pair: pair[1].score)
    return [{"text": curve.name, "xref": "x", "x": curve.result.step, "xanchor": "right", "xshift": -12, "yref": "y2", "y": seen.score,
             "yanchor": "bottom" if place else "top", "yshift": 6 if place else -6, "showarrow": False, "font": {"color": colour(curve.method), "size": 13}}
            for place, (curve, seen) in enumerate(order)]


def _metric(curves: Sequence[Curve]) -> str:
    return next((seen.metric for curve in curves for seen in curve.result.evaluations), "score")


def _lowest(seen: Sequence[Evaluated]) -> float:
    low = min((each.score - each.standard_error for each in seen), default=0.5)
    return max(0.0, int((low - 0.04) * 10) / 10)


def _alt(curves: Sequence[Curve], lines: Mapping[str, Evaluated]) -> str:
    """The chart in a sentence, for those who cannot see it."""
    parts = []
    for curve in curves:
        losses = [loss for _, loss in curve.result.losses if loss is not None]
        final = curve.result.scores.get("tuned")
        moved = f"loss from {losses[0]:.2f} to {losses[-1]:.2f} in {curve.result.step} steps" if losses else "no steps"
        parts.append(f"{curve.name}: {moved}" + (f", test {final.metric} {score(final.score, final.standard_error)}" if final else ""))
    parts += [f"{name}: {seen.score:.2f}" for name, seen in lines.items()]
    return "Chart. " + "; ".join(parts) + "."


def _table(curves: Sequence[Curve], lines: Mapping[str, Evaluated]) -> dict[str, Any]:
    rows: list[list[str]] = []
    for curve in curves:
        losses = {step: loss for step, loss in curve.result.losses if loss is not None}
        for step in _shown(list(losses)):
            rows.append([curve.name, f"{step}", "training loss", f"{losses[step]:.4f}"])
        for seen in curve.result.evaluations:
            if seen.who == "tuned":
                rows.append([curve.name, f"{seen.step}", f"{seen.metric} on {seen.items:,} {seen.split} texts", score(seen.score, seen.standard_error)])
    rows += [[name, "", f"{seen.metric} on {seen.items:,} {seen.split} texts", score(seen.score, seen.standard_error)] for name, seen in lines.items()]
    return {"columns": ["what", "step", "measured", "value"], "rows": rows}


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
