"""The same methods on two kinds of task, from two comparisons: is the one method better for labels and the other one for texts?

Scores of two tasks have no common unit, so each is a share of the best mean on its task. An interaction of two methods is the gap between them on one task
less the gap on the other, seed by seed, in these shares: a paired t over seeds, Holm over all pairs of methods.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any

from lab.compare import Comparison, paired, report
from lab.compare.says import listed, named
from lab.reporting.measures import half_width
from lab.ui import charts
from lab.ui.bench import Bench
from lab.ui.labels import shorts
from lab.ui.wording import scored

FEWEST_METHODS = 2
Looks = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Side:
    """A kind of task: each method's scores by seed, and what they are shares of."""

    kind: str
    task: str
    metric: str
    scores: Mapping[str, Mapping[int, float]]

    @property
    def best(self) -> float:
        return max(fmean(each.values()) for each in self.scores.values())

    def shares(self, name: str) -> dict[int, float]:
        return {seed: score / self.best for seed, score in self.scores[name].items()}


def beside(bench: Bench, comparison: Comparison, made: Mapping[str, Any], looks: Looks) -> dict[str, Any] | None:
    """The figure with the ready question that asks the same of the other kind of task; None where there is none, or too little of it is recorded."""
    if bench.ready is None or made["state"] != "finished":
        return None
    other = next((asked for asked in bench.ready.questions.values() if crosses(comparison, asked)), None)
    if other is None:
        return None
    results = {spec.fingerprint: kept.result for spec in other.runs.values() if (kept := bench.ready.of(spec)) is not None}
    if len(results) < len({spec.fingerprint for spec in other.runs.values()}):
        return None
    sides = [_side(comparison, made), _side(other, report(other, results))]
    return figure(sorted(sides, key=lambda side: side.kind == "texts"), looks)


def crosses(one: Comparison, other: Comparison) -> bool:
    """Whether they ask the same methods on one model, one for labels and one for texts."""
    return (one.scored and other.scored and one.base_spec.goal.writes != other.base_spec.goal.writes and not one.mixed and not other.mixed
            and _methods(one) == _methods(other) and len(set(_methods(one).values())) == len(one.specs))


def _methods(comparison: Comparison) -> dict[str, str]:
    return {name: f"{spec.model} {sorted(spec.method.settings().items())}" for name, spec in comparison.specs.items()}


def _side(comparison: Comparison, made: Mapping[str, Any]) -> Side:
    scores = {arm["name"]: {run["seed"]: run["score"] for run in arm["runs"] if run["score"] is not None} for arm in made["arms"]}
    goal = comparison.base_spec.goal
    return Side("texts" if goal.writes else "labels", goal.title, made["metric"], {name: each for name, each in scores.items() if each})


def figure(sides: Sequence[Side], looks: Looks) -> dict[str, Any] | None:
    """A line a method from the one kind of task to the other."""
    names = [name for name in sides[0].scores if name in sides[1].scores]
    if len(names) < FEWEST_METHODS or min(side.best for side in sides) <= 0:
        return None
    step, called = 0.06, shorts(names)
    traces = []
    for number, name in enumerate(names):
        look, at = looks[name], (number - (len(names) - 1) / 2) * step
        each = [list(side.shares(name).values()) for side in sides]
        traces.append({"x": [place + at for place in range(2)], "y": [100 * fmean(shares) for shares in each], "mode": "lines+markers", "name": name,
                       "line": {"color": look["colour"], "width": 2.5, "dash": look["dash"]},
                       "marker": {"symbol": look["symbol"], "size": 11, "color": look["colour"]},
                       "error_y": {"type": "data", "array": [100 * (half_width(shares) or 0.0) for shares in each], "thickness": 1.5, "width": 5,
                                   "color": look["colour"]},
                       "text": [scored(fmean(side.scores[name].values()), side.metric) for side in sides],
                       "hovertemplate": f"{_plain(called[name])}: %{{y:.1f}} % of the best (%{{text}})<extra></extra>", "xaxis": "x", "yaxis": "y2"})
    bounds = [value + sign * half for trace in traces for value, half in zip(trace["y"], trace["error_y"]["array"], strict=True) for sign in (-1, 1)]
    room = 0.06 * (max(bounds) - min(bounds) or 1.0)
    low, high = min(bounds) - room, max(bounds) + room
    labels = [{"name": called[trace["name"]], "value": f"{trace['y'][1]:.0f} %", "y": trace["y"][1], "colour": trace["line"]["color"], "own": False}
              for trace in traces]
    return {
        "data": traces, "labels": charts.spread(labels, 0.062 * (high - low), high),
        "layout": {"xaxis": {"anchor": "y2", "tickmode": "array", "tickvals": [0, 1], "range": [-0.4, 1.4], "fixedrange": True, "showgrid": False,
                             "ticktext": [f"{side.kind}<br>{_plain(side.task)}, {side.metric}" for side in sides]},
                   "yaxis2": {"domain": [0, 1], "range": [low, high], "nticks": 6, "ticksuffix": " %", "title": {"text": "score, of the best there"}}},
        "caption": "Each score as a share of the best mean on its task, with the 95 % interval of the mean over seeds. Parallel lines: no interaction.",
        "alt": "Chart of methods on two kinds of task, as shares of the best. " + "; ".join(
            f"{name}: {', '.join(f'{side.kind} {fmean(side.shares(name).values()):.0%}' for side in sides)}" for name in names),
        "table": {"columns": ["arm", *(f"{side.kind}: {side.task}, {side.metric}" for side in sides), *(f"of the best, {side.kind}" for side in sides)],
                  "rows": [[name, *(_mean(list(side.scores[name].values()), side.metric) for side in sides),
                            *(f"{fmean(side.shares(name).values()):.1%}" for side in sides)] for name in names]},
        "says": says(sides, names),
    }


def says(sides: Sequence[Side], names: Sequence[str]) -> str:
    """Whether any two methods do differently well on the two kinds, and for which."""
    one, other = sides
    couples, apart = list(combinations(names, 2)), []
    for a, b in couples:
        first, second = ({seed: shares[0][seed] - shares[1][seed] for seed in shares[0] if seed in shares[1]}
                         for shares in ([side.shares(name) for name in (a, b)] for side in sides))
        apart.append([first[seed] - second[seed] for seed in first if seed in second])
    gaps = paired.judged(apart)
    ahead = [_turned(a, b, gap) for (a, b), gap in zip(couples, gaps, strict=True)]
    if not any(gap.judged for gap in gaps):
        return f"Whether there is an interaction needs at least {paired.FEWEST} seeds of both comparisons."
    told = [words for words, gap in zip(ahead, gaps, strict=True) if gap.told]
    if told:
        wide = f", with Holm over {len(gaps)} pairs" if len(gaps) > 1 else ""
        return (f"An interaction can be told{wide}. With {one.kind} rather than {other.kind}, in shares of the best: "
                f"{'; '.join(told)}. Shares of the best are one scale of several: on another one a small interaction may be none.")
    place = max(range(len(gaps)), key=lambda place: abs(gaps[place].difference))
    gap = gaps[place]
    more = paired.more_seeds(gap, gap.strictness)
    wanted = f"; about {more} more seeds of both would be needed" if more else ""
    return (f"No interaction can be told, so nothing here says that one of {listed(names)} is for labels and another one for texts. The largest, with "
            f"{one.kind} rather than {other.kind} and in shares of the best: {ahead[place]}, over {gap.seeds} seeds{wanted}.")


def _turned(a: str, b: str, gap: paired.Gap) -> str:
    """Whoever gains stands first: LoRA gains 3.2 % on head (−1.0 to 7.4)"""
    if not gap.judged:
        return f"{named(a)} and {named(b)} have too few seeds"
    first, second, low, high = (a, b, gap.low, gap.high) if gap.difference >= 0 else (b, a, -gap.high, -gap.low)
    bounds = f"{100 * low:.1f} to {100 * high:.1f}".replace("-", "−")
    return f"{named(first)} gains {100 * abs(gap.difference):.1f} % on {named(second)} ({bounds})"


def _mean(scores: list[float], metric: str) -> str:
    half = half_width(scores)
    return f"{scored(fmean(scores), metric)}{f' ± {scored(half, metric)}' if half is not None else ''}"


def _plain(name: str) -> str:
    return "".join(sign for sign in name if sign not in "<>&%{}")
