"""The race: all arms in one chart while they run, a thin line for each seed and a thick one for their mean; bands in place of the thin lines at the end."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from lab.contracts import listing
from lab.events import RunResult
from lab.metrics import METRICS
from lab.ui import charts
from lab.ui.labels import shorts
from lab.ui.wording import asked, scored

POINTS = 150  # of one thin line
ROWS = 20  # of an arm in the table, about
MEASURES = {"score": "Score", "loss": "Training loss"}


@dataclass(frozen=True)
class Runner:
    """An arm in the race: how it is drawn, and its seeds as far as they have begun."""

    name: str
    look: Mapping[str, str]
    runs: Sequence[tuple[int, RunResult, bool]]  # seed, result, whether it has finished

    @property
    def leading(self) -> list[tuple[int, RunResult, bool]]:
        """The seeds behind the thick line: those that have finished, else the one that goes on. So it does not jump when another seed begins."""
        begun = [run for run in self.runs if run[1].started]
        return [run for run in begun if run[2]] or begun[:1]


def first_chart(runners: Sequence[Runner], scored: bool) -> str:
    """What is drawn until somebody chooses: scores as soon as there is one, before that the loss, which there is after the first step."""
    seen = scored and any(each.who == "tuned" for runner in runners for _, result, _ in runner.runs for each in result.evaluations)
    return "score" if seen else "loss"


def race(runners: Sequence[Runner], measure: str, over: bool, task: str | None, held: bool = False) -> dict[str, Any]:
    """`held`: beside the loss on training texts stands that on validation texts."""
    metric = metric_of(runners) if measure == "score" else "loss"
    lines = {runner.name: _lines(runner, metric) for runner in runners}
    traces = [trace for runner in runners for trace in _drawn(runner, lines[runner.name], over)]
    ends = [*(_ends(runners) if measure == "score" else [])]
    beside = [trace for runner in runners if (trace := _held(runner))] if held and measure == "loss" else []
    steps = max([1, *(step for each in lines.values() for line in each.values() for step, _ in line), *(step for each in ends for step in each["x"])])
    low, high = _range(lines, runners, metric)
    high = max([high, *(1.03 * value for trace in beside for value in trace["y"])])
    references = _references(runners, metric) if measure == "score" else {}
    labels = [*_names(runners, lines, metric), *({"name": name, "value": scored(seen.score, metric, fewer=1), "y": seen.score, "colour": None, "own": False}
                                                 for name, seen in references.items())]
    return {
        "data": [*traces, *beside, *ends, {"x": [0], "y": [None], "xaxis": "x", "yaxis": "y2", "hoverinfo": "skip"}],
        "layout": {"xaxis": {"range": [0, steps * 1.02], "anchor": "y2", "title": {"text": "step", "standoff": 4}, "nticks": 6},
                   "yaxis2": {"domain": [0, 1], "range": [low, high], "nticks": 5, "title": {"text": metric}},
                   "shapes": [_line(seen.score) for seen in references.values()]},
        "labels": charts.spread(labels, 0.062 * (high - low), high), "caption": _caption(metric, over, task, bool(ends), bool(beside)),
        "alt": _alt(runners, lines, metric), "table": _table(runners, lines, metric),
    }


def metric_of(runners: Sequence[Runner]) -> str:
    """What the looks at validation items count; where there are none, the score."""
    seen = [each for runner in runners for _, result, _ in runner.runs for each in result.evaluations if each.who == "tuned"]
    return next((each.metric for each in (*(each for each in seen if each.split == "validation"), *seen)), "score")


def _lines(runner: Runner, metric: str) -> dict[int, list[tuple[int, float]]]:
    """{seed: [(step, value)]} of the seeds that have points."""
    found = {}
    for seed, result, _ in runner.runs:
        line = _losses(result) if metric == "loss" else [
            (seen.step, seen.score) for seen in result.evaluations if (seen.who, seen.split, seen.metric) == ("tuned", "validation", metric)]
        if line:
            found[seed] = line
    return found


def _losses(result: RunResult) -> list[tuple[int, float]]:
    seen = [(step, loss) for step, loss in result.losses if loss is not None]
    smooth = charts.smoothed([loss for _, loss in seen], charts.SMOOTHED)
    every = max(1, len(seen) // POINTS)
    line = [(step, value) for (step, _), value in zip(seen, smooth, strict=True)]
    return [*line[::every], *line[-1:]] if every > 1 else line


def _mean(runner: Runner, lines: Mapping[int, Sequence[tuple[int, float]]]) -> list[tuple[int, float, float, float]]:
    """(step, mean, lowest, highest) over the seeds of the thick line, at the steps that all of them have."""
    chosen = [dict(lines[seed]) for seed, _, _ in runner.leading if seed in lines]
    shared = sorted(set.intersection(*map(set, chosen))) if chosen else []
    return [(step, fmean(values), min(values), max(values)) for step in shared if (values := [line[step] for line in chosen])]


def _drawn(runner: Runner, lines: Mapping[int, Sequence[tuple[int, float]]], over: bool) -> list[dict[str, Any]]:
    look, axes = runner.look, {"xaxis": "x", "yaxis": "y2"}
    mean = _mean(runner, lines)
    several = len([seed for seed, _, _ in runner.leading if seed in lines]) > 1
    beside = [] if over or len(lines) < 2 else [{
        "x": [step for step, _ in line], "y": [value for _, value in line], "mode": "lines", "opacity": 0.4, "line": {"color": look["colour"], "width": 1},
        "name": f"{runner.name}, seed {seed}", "hovertemplate": f"{_clean(runner.name)}, seed {seed}, step %{{x}}: %{{y:.3f}}<extra></extra>", **axes,
    } for seed, line in lines.items()]
    band = [{"x": [*(row[0] for row in mean), *(row[0] for row in reversed(mean))], "y": [*(row[2] for row in mean), *(row[3] for row in reversed(mean))],
             "fill": "toself", "fillcolor": faint(look["colour"]), "mode": "none", "hoverinfo": "skip", "name": f"{runner.name}: lowest to highest seed",
             **axes}] if over and several and len(mean) > 1 else []
    thick = [{"x": [row[0] for row in mean], "y": [row[1] for row in mean], "mode": "lines+markers" if len(mean) <= charts.FEW else "lines",
              "name": f"{runner.name}: mean", "line": {"color": look["colour"], "width": 3, "dash": look["dash"]},
              "marker": {"symbol": look["symbol"], "size": 6},
              "hovertemplate": f"{_clean(runner.name)}, step %{{x}}: %{{y:.3f}}<extra>{'mean of seeds' if several else ''}</extra>", **axes}] if mean else []
    return [*band, *beside, *thick]


def _held(runner: Runner) -> dict[str, Any] | None:
    """The mean loss on validation texts over the seeds of the thick line, at the steps that all of them have."""
    each = [{seen.step: seen.loss for seen in result.evaluations if (seen.who, seen.split) == ("tuned", "validation") and seen.loss is not None}
            for _, result, _ in runner.leading]
    steps = sorted(set.intersection(*map(set, each))) if each else []
    return {"x": steps, "y": [fmean(one[step] for one in each) for step in steps], "mode": "lines+markers", "name": f"{runner.name}: validation",
            "line": {"color": runner.look["colour"], "width": 1.5, "dash": "dot"}, "marker": {"symbol": f"{runner.look['symbol']}-open", "size": 6},
            "hovertemplate": f"{_clean(runner.name)}, validation, step %{{x}}: %{{y:.3f}}<extra></extra>", "xaxis": "x", "yaxis": "y2"} if steps else None


def _ends(runners: Sequence[Runner]) -> list[dict[str, Any]]:
    """Test scores after the last step, a mark for each seed."""
    metric, found = metric_of(runners), []
    for runner in runners:
        seen = [(result.step, final.score) for _, result, _ in runner.runs if (final := result.scores.get("tuned")) and final.metric == metric]
        if seen:
            found.append({"x": [step for step, _ in seen], "y": [value for _, value in seen], "mode": "markers", "name": f"{runner.name}: test",
                          "cliponaxis": False, "xaxis": "x", "yaxis": "y2",
                          "marker": {"symbol": f"{runner.look['symbol']}-open", "size": 10, "color": runner.look["colour"]},
                          "hovertemplate": f"{_clean(runner.name)}, test: %{{y:.3f}}<extra></extra>"})
    return found


def faint(colour: str) -> str:
    red, green, blue = (int(colour[place:place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.16)"


def _clean(name: str) -> str:
    """The library reads a little markup, and its own marks in braces."""
    return "".join(sign for sign in name if sign not in "<>&%{}")


def _range(lines: Mapping[str, Mapping[int, Sequence[tuple[int, float]]]], runners: Sequence[Runner], metric: str) -> tuple[float, float]:
    values = [value for each in lines.values() for line in each.values() for _, value in line]
    if metric == "loss":
        return 0.0, max([1.0, *values]) * 1.03
    values += [seen.score for runner in runners for _, result, _ in runner.runs for seen in result.scores.values() if seen.metric == metric]
    top = METRICS[metric].most if metric in METRICS else max([1.0, *values])
    return max(0.0, int((min([0.5 * top, *values]) / top - 0.04) * 20) / 20 * top), top


def _references(runners: Sequence[Runner], metric: str) -> dict[str, Any]:
    """The most frequent answer, and the untouched model where all arms share it."""
    curves = [charts.Curve(runner.name, "", result, 0) for runner in runners for _, result, _ in runner.runs if result.scores]
    found = charts.own_references(curves[:1]) if curves else {}
    return {name: seen for name, seen in found.items() if seen.metric == metric}


def _line(height: float) -> dict[str, Any]:
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y2", "y0": height, "y1": height, "layer": "below", "line": {"dash": "dash", "width": 1}}


def _names(runners: Sequence[Runner], lines: Mapping[str, Mapping[int, Sequence[tuple[int, float]]]], metric: str) -> list[dict[str, Any]]:
    """An arm's name at the end of its thick line; or at its test scores, which say that they are: the line shows validation texts."""
    found, called = [], shorts(runner.name for runner in runners)
    for runner in runners:
        finals = [final.score for _, result, done in runner.runs if done and (final := result.scores.get("tuned")) and final.metric == metric]
        mean = _mean(runner, lines[runner.name])
        if finals or mean:
            value = fmean(finals) if finals else mean[-1][1]
            said = f"{value:.2f}" if metric == "loss" else f"{'test ' if finals else ''}{scored(value, metric, fewer=1)}"
            found.append({"name": called[runner.name], "value": said, "y": value,
                          "colour": runner.look["colour"], "own": False})
    return found


def _caption(metric: str, over: bool, task: str | None, ends: bool, held: bool = False) -> str:
    each = "bands from the lowest to the highest seed" if over else "thin lines: one seed each"
    dotted = f"; dotted: the loss on {asked(task, 'validation')}" if held else ""
    if metric == "loss":
        return f"Thick lines: mean of the seeds, {charts.SMOOTHED} steps smoothed; {each}{dotted}."
    marks = f"; open marks: {asked(task, 'test')} after the last step, one a seed" if ends else ""
    return f"Thick lines: mean of the seeds on {asked(task, 'validation')}; {each}{marks}."


def _alt(runners: Sequence[Runner], lines: Mapping[str, Mapping[int, Sequence[tuple[int, float]]]], metric: str) -> str:
    said = [f"{runner.name}: {mean[0][1]:.3f} at step {mean[0][0]}, {mean[-1][1]:.3f} at step {mean[-1][0]}"
            for runner in runners if (mean := _mean(runner, lines[runner.name]))]
    return f"Chart of {metric} by step, one line an arm. {'; '.join(said) or 'No point yet'}."


def _table(runners: Sequence[Runner], lines: Mapping[str, Mapping[int, Sequence[tuple[int, float]]]], metric: str) -> dict[str, Any]:
    rows = []
    for runner in runners:
        mean = {step: value for step, value, _, _ in _mean(runner, lines[runner.name])}
        seeds = lines[runner.name]
        steps = sorted({step for line in seeds.values() for step, _ in line})
        shown = sorted({*steps[::max(1, len(steps) // ROWS)], *steps[-1:]})
        rows += [[runner.name, f"{step}", f"{mean[step]:.4f}" if step in mean else "–",
                  listing([f"{value:.4f} (seed {seed})" for seed, line in seeds.items() if (value := dict(line).get(step)) is not None])] for step in shown]
    return {"columns": ["arm", "step", f"{metric}, mean", "each seed"], "rows": rows}
