"""Arms as rows: their scores with seeds and intervals; or two values of each, joined, such as perplexity before and after."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log10
from statistics import fmean
from typing import Any

from lab.compare.comparison import TRAINING_LOSS, Comparison
from lab.compare.outcomes import Outcome, kinds
from lab.compare.says import named
from lab.contracts import listing
from lab.events import LAST_STEPS
from lab.metrics import METRICS
from lab.reporting.measures import half_width
from lab.ui import charts
from lab.ui.labels import shorts
from lab.ui.wording import figures, scored

Looks = Mapping[str, Mapping[str, str]]
SEEN = {"seen", "unseen"}  # kinds of items that training had, and those it never had
LEFT = 0.3  # of the width of a picture


@dataclass(frozen=True)
class Pair:
    """An arm's two values, seed by seed; `said` is the change in words, `look` whose colour and marker it has, where it is no arm's name."""

    name: str
    before: Sequence[float]
    after: Sequence[float]
    said: str = ""
    look: str = ""


def dots(report: Mapping[str, Any], looks: Looks) -> dict[str, Any] | None:
    """The plain figure of a comparison."""
    metric = report["metric"]
    rows = [(arm["name"], scores) for arm in report["arms"] if (scores := [score for score in arm["scores"] if score is not None])]
    if not rows:
        return None
    halves = [half_width(scores) for _, scores in rows]
    references = [(charts.REFERENCES[who], seen["score"]) for who, seen in report["references"].items() if who in charts.REFERENCES]
    places = range(len(rows))
    seeds = [{"x": list(scores), "y": [place] * len(scores), "mode": "markers", "hoverinfo": "skip", "opacity": 0.5, "name": f"{name} seeds", **AXES,
              "marker": {"symbol": f"{looks[name]['symbol']}-open", "size": 7, "color": looks[name]["colour"]}} for place, (name, scores) in enumerate(rows)]
    means = [{"x": [fmean(scores)], "y": [place], "mode": "markers", "name": name, **AXES,
              "marker": {"symbol": looks[name]["symbol"], "size": 12, "color": looks[name]["colour"]},
              "error_x": {"type": "data", "array": [half or 0.0], "thickness": 2, "width": 6, "color": looks[name]["colour"]},
              "hovertemplate": f"{_clean(name)}: %{{x:.3f}}<extra></extra>"} for place, (name, scores), half in zip(places, rows, halves, strict=True)]
    return {
        "data": [*seeds, *means], "layout": {
            "xaxis": {"anchor": "y2", "nticks": 6, "title": {"text": metric if metric == TRAINING_LOSS else f"{metric} on test items", "standoff": 6}},
            "yaxis2": _names([name for name, _ in rows]),
            "shapes": [_line(value) for _, value in references]},
        "labels": [], "caption": "Large marks: mean over the seeds with its 95 % interval; small ones: one seed each."
                                 + (f" Dashed: {listing([f'{name} {scored(value, metric)}' for name, value in references])}." if references else ""),
        "alt": f"Chart of {metric}, a row an arm. " + "; ".join(f"{name}: {scored(fmean(scores), metric)}" for name, scores in rows),
        "table": {"columns": ["arm", f"{metric}, mean", "95 % interval", "each seed"], "rows": [
            [name, scored(fmean(scores), metric), f"± {scored(half, metric)}" if half else "–", ", ".join(scored(score, metric) for score in scores)]
            for (name, scores), half in zip(rows, halves, strict=True)]},
        "says": "",
    }


def pairs(rows: Sequence[Pair], looks: Looks, words: tuple[str, str], axis: str, said: Callable[[float], str], caption: str, says: str) -> dict[str, Any]:
    """Grey is the first value, the arm's colour the second; small marks are seeds."""
    own = {row.name: looks[row.look or row.name] for row in rows}
    values = [value for row in rows for value in (*row.before, *row.after)]
    log = charts.logarithmic(values)
    joins = [{"x": [fmean(row.before), fmean(row.after)], "y": [place, place], "mode": "lines", "hoverinfo": "skip", "name": row.name, **AXES,
              "line": {"color": own[row.name]["colour"], "width": 3}} for place, row in enumerate(rows)]
    seeds = [{"x": list(row.after), "y": [place] * len(row.after), "mode": "markers", "hoverinfo": "skip", "opacity": 0.5, "name": f"{row.name} seeds", **AXES,
              "marker": {"symbol": f"{own[row.name]['symbol']}-open", "size": 7, "color": own[row.name]["colour"]}} for place, row in enumerate(rows)]
    ends = [{"x": [fmean(side)], "y": [place], "mode": "markers", "name": f"{row.name}: {word}", **AXES,
             "marker": {"symbol": own[row.name]["symbol"] if last else "circle", "size": 12 if last else 9,
                        "color": own[row.name]["colour"] if last else charts.GREY},
             "hovertemplate": f"{_clean(row.name)}, {word}: {_clean(said(fmean(side)))}<extra></extra>"}
            for place, row in enumerate(rows) for side, word, last in ((row.before, words[0], False), (row.after, words[1], True))]
    changes = [{"x": [at], "y": [place - 0.24], "mode": "text", "text": [_clean(row.said)], "textposition": where, "textfont": {"size": 11.5}, **AXES,
                "hoverinfo": "skip", "name": f"{row.name}: change", "cliponaxis": False}
               for place, row in enumerate(rows) if row.said for at, where in (_spot(fmean(row.before), fmean(row.after), min(values), max(values), log),)]
    return {
        "data": [*joins, *seeds, *ends, *changes], "layout": {
            "xaxis": {"anchor": "y2", "nticks": 6, "title": {"text": f"{axis}{' (logarithmic)' if log else ''}", "standoff": 6},
                      **({"type": "log"} if log else {})},
            "yaxis2": _names([row.name for row in rows])},
        "labels": [], "caption": caption,
        "alt": f"Chart of {axis}, {words[0]} and {words[1]}, a row an arm. "
               + "; ".join(f"{row.name}: {said(fmean(row.before))}, {said(fmean(row.after))}" for row in rows),
        "table": {"columns": ["arm", words[0], words[1], "change"],
                  "rows": [[row.name, said(fmean(row.before)), said(fmean(row.after)), row.said] for row in rows]},
        "says": says,
    }


def _spot(one: float, other: float, least: float, most: float, log: bool) -> tuple[float, str]:
    """Where a text between two values stands so that it runs out of the picture at neither side."""
    low, high = sorted((one, other))
    middle = (low * high) ** 0.5 if log else (low + high) / 2
    share = log10(middle / least) / log10(most / least) if log else (middle - least) / (most - least) if most > least else 0.5
    return (low, "middle right") if share < LEFT else (high, "middle left") if share > 1 - LEFT else (middle, "middle center")


AXES = {"xaxis": "x", "yaxis": "y2"}


def _names(names: Sequence[str]) -> dict[str, Any]:
    """The first arm on top."""
    said = shorts(names)
    return {"domain": [0, 1], "range": [len(names) - 0.5, -0.5], "tickmode": "array", "tickvals": list(range(len(names))), "fixedrange": True,
            "ticktext": [f"{_clean(said[name])}  " for name in names], "showgrid": False}


def _clean(name: str) -> str:
    return "".join(sign for sign in name if sign not in "<>&%{}")


def _line(value: float) -> dict[str, Any]:
    return {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "xref": "x", "x0": value, "x1": value, "layer": "below", "line": {"dash": "dash", "width": 1}}


# ── what two values are ───────────────────────────────────────────────────────────────────────────────────────────────


def forgetting(report: Mapping[str, Any], looks: Looks) -> dict[str, Any] | None:
    """Perplexity of general English before and after, where it was measured."""
    rows = []
    for arm in report["arms"]:
        seen = [run["general"] for run in arm["runs"] if run["general"]]
        if seen:
            ratio = fmean(each["ratio"] for each in seen)
            rows.append(Pair(arm["name"], [each["before"] for each in seen], [each["after"] for each in seen], f"× {ratio:.2f}"))
    if not rows:
        return None
    most = max(rows, key=lambda row: fmean(row.after) / fmean(row.before))
    least = min(rows, key=lambda row: fmean(row.after) / fmean(row.before))
    told = f"From {least.said} ({least.name}) to {most.said} ({most.name})." if least is not most else f"{most.name}: {most.said}."
    return pairs(rows, looks, ("before training", "after"), "perplexity of general English, lower is better", figures,
                 "Grey: before training; coloured: after it, with one small mark a seed. 24 paragraphs that no task trains on.",
                 f"{told} Above × 1 something was forgotten. A method learns and forgets at once: hold this against the score, and against other rates.")


def gap(report: Mapping[str, Any], looks: Looks) -> dict[str, Any] | None:
    """The loss on texts that were trained on, and on test texts: what is far apart was learned by heart."""
    rows = []
    for arm in report["arms"]:
        both = [run for run in arm["runs"] if run["last_loss"] is not None and run["test_loss"] is not None]
        if both:
            train, test = ([run[key] for run in both] for key in ("last_loss", "test_loss"))
            rows.append(Pair(arm["name"], train, test, f"+{fmean(test) - fmean(train):.3f}".replace("+-", "−")))
    if not rows:
        return None
    most = max(rows, key=lambda row: fmean(row.after) - fmean(row.before))
    return pairs(rows, looks, ("training texts", "test texts"), "loss, lower is better", lambda value: figures(value, 3),
                 f"Grey: mean loss of the last {LAST_STEPS} steps, each batch before it was learned from; coloured: loss on test texts, a small mark a seed.",
                 f"Training and test are furthest apart for {named(most.name)} ({most.said}): the loss on texts that were seen often says little about others.")


def groups(report: Mapping[str, Any], looks: Looks) -> dict[str, Any] | None:
    """The score on each kind of items: joined where they are those that training had and those it never had, else a row a kind."""
    metric = report["test_metric"]
    found = kinds([run for arm in report["arms"] for run in arm["runs"]], metric)
    if set(found) == SEEN:
        return _seen(report, looks, metric)
    return _kinds(report, looks, metric, found) if found else None


def _kinds(report: Mapping[str, Any], looks: Looks, metric: str, kinds: Sequence[str]) -> dict[str, Any] | None:
    """A row a kind, in it a mark an arm."""
    arms = [(arm["name"], {kind: [run["more"][key][0] for run in arm["runs"] if (key := f"{metric} ({kind})") in run["more"]] for kind in kinds})
            for arm in report["arms"]]
    arms = [(name, seen) for name, seen in arms if any(seen.values())]
    step = 0.7 / len(arms)
    traces = []
    for number, (name, seen) in enumerate(arms):
        look = looks[name]
        there = [(place, seen[kind]) for place, kind in enumerate(kinds) if seen[kind]]
        traces.append({
            "x": [fmean(scores) for _, scores in there], "y": [place + (number - (len(arms) - 1) / 2) * step for place, _ in there], "mode": "markers",
            "name": name, "marker": {"symbol": look["symbol"], "size": 11, "color": look["colour"]}, **AXES,
            "error_x": {"type": "data", "array": [half_width(scores) or 0.0 for _, scores in there], "thickness": 2, "width": 4, "color": look["colour"]},
            "text": [f"{kinds[place]}: {scored(fmean(scores), metric)}" for place, scores in there],
            "hovertemplate": f"{_clean(name)}, %{{text}}<extra></extra>"})
    told = {name: {kind: scored(fmean(scores), metric) for kind, scores in seen.items() if scores} for name, seen in arms}
    return {
        "data": traces, "layout": {
            "xaxis": {"anchor": "y2", "nticks": 6, "title": {"text": f"{metric} on test items", "standoff": 6}}, "yaxis2": _names(kinds)},
        "labels": [], "key": True, "caption": "A row a kind of test item: mean over the seeds with its 95 % interval.",
        "alt": f"Chart of {metric}, a row a kind of test item. " + "; ".join(
            f"{name}: {', '.join(f'{kind} {value}' for kind, value in seen.items())}" for name, seen in told.items()),
        "table": {"columns": ["arm", *kinds], "rows": [[name, *(mean_said(seen[kind], metric) for kind in kinds)] for name, seen in arms]},
        "says": " ".join(f"{name}: {_range(seen, metric)}." for name, seen in arms),
    }


def mean_said(scores: Sequence[float], metric: str) -> str:
    """With half of its interval, from two seeds on."""
    if not scores:
        return "–"
    half = half_width(list(scores))
    return f"{scored(fmean(scores), metric)}{f' ± {scored(half, metric)}' if half is not None else ''}"


def _range(seen: Mapping[str, Sequence[float]], metric: str) -> str:
    """Highest and lowest: as told 0.980, backwards 0.020"""
    means = sorted(((fmean(scores), kind) for kind, scores in seen.items() if scores), reverse=True)
    return ", ".join(f"{kind} {scored(mean, metric)}" for mean, kind in dict.fromkeys((means[0], means[-1])))


def _seen(report: Mapping[str, Any], looks: Looks, metric: str) -> dict[str, Any] | None:
    """The score on kinds of items that training had, and on those it never had."""
    seen, unseen = f"{metric} (seen)", f"{metric} (unseen)"
    rows = []
    for arm in report["arms"]:
        both = [run["more"] for run in arm["runs"] if seen in run["more"] and unseen in run["more"]]
        if both:
            one, other = ([each[key][0] for each in both] for key in (seen, unseen))
            rows.append(Pair(arm["name"], one, other, _changes(one, other, metric)))
    if not rows:
        return None
    most = min(rows, key=lambda row: fmean(row.after) - fmean(row.before))
    return pairs(rows, looks, ("kinds seen in training", "kinds never seen"), f"{metric} on test items", lambda value: scored(value, metric),
                 "Grey: kinds that were trained on; coloured: kinds that never occurred, with one small mark a seed. Above the line: the change, ± half "
                 "of its 95 % interval over seeds.",
                 f"{named(most.name)} changes most from the kinds it was trained on to the others ({most.said}).")


def votes(report: Mapping[str, Any], looks: Looks) -> dict[str, Any] | None:
    """The mean of the seeds, and what they answer by vote."""
    metric = report["metric"]
    rows = [Pair(arm["name"], [vote["mean"]], [vote["score"]],
                 f"{_change(vote['gain'], metric)} ± {scored(vote['standard_error'] * _points(metric), metric, fewer=2 if _points(metric) > 1 else 0)}")
            for arm in report["arms"] if (vote := arm.get("vote"))]
    if not rows:
        return None
    best = max(rows, key=lambda row: row.after[0] - row.before[0])
    count = len(next(arm["vote"]["members"] for arm in report["arms"] if arm.get("vote")))
    return pairs(rows, looks, ("mean of the seeds", "their vote"), f"{metric} on test items", lambda value: scored(value, metric),
                 f"Grey: the mean of {count} seeds, each alone; coloured: what most of them answer. ± is one standard error over test items.",
                 f"A vote gains most for {named(best.name)} ({best.said}). {count} soft prompts can share one base in memory; whole models cannot.")


def _changes(before: Sequence[float], after: Sequence[float], metric: str) -> str:
    """The mean of the changes seed by seed, with half of their interval."""
    apart = [y - x for x, y in zip(before, after, strict=True)]
    half = half_width(apart)
    return _change(fmean(apart), metric) + (f" ± {half * _points(metric):.1f}" if half is not None else "")


def halves(comparison: Comparison, report: Mapping[str, Any], looks: Looks) -> dict[str, Any] | None:
    """Each method on the lower and on the upper layers; None where arms are not in such pairs."""
    lower, upper = ("lower", "bottom"), ("upper", "top")
    found: dict[str, dict[bool, str]] = {}
    for name, spec in comparison.specs.items():
        which = spec.method.settings().get("which")
        if which not in (*lower, *upper):
            return None
        found.setdefault(spec.method.title, {})[which in upper] = name
    arms, metric = {arm["name"]: arm for arm in report["arms"]}, report["metric"]
    rows = []
    for title, by in found.items():
        if len(by) == 2:
            both = [(x, y) for x, y in zip(*(arms[by[side]]["scores"] for side in (False, True)), strict=True) if x is not None and y is not None]
            if both:
                before, after = zip(*both, strict=True)
                rows.append(Pair(title, before, after, _changes(before, after, metric), by[True]))
    if not rows or 2 * len(found) != len(arms):
        return None
    return pairs(rows, looks, ("lower layers", "upper layers"), f"{metric} on test items", lambda value: scored(value, metric),
                 "Grey: on the lower layers; coloured: on the upper ones, with one small mark a seed. Above the line: the change, ± half of its 95 % interval "
                 "over seeds.", "From the lower to the upper layers: " + listing([f"{named(row.name)} {row.said}" for row in rows]) + ".")


def sets(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """The score of the same examples arm by arm: a thin line for each seed, which draws them. Lines that cross are examples that one arm suits better."""
    metric, arms = report["metric"], report["arms"]
    lines = {seed: [(place, arm["scores"][column]) for place, arm in enumerate(arms) if arm["scores"][column] is not None]
             for column, seed in enumerate(report["seeds"])}
    means = [(place, scores) for place, arm in enumerate(arms) if (scores := [score for score in arm["scores"] if score is not None])]
    if not means:
        return None
    spans = {arms[place]["name"]: max(scores) - min(scores) for place, scores in means}
    references = [(charts.REFERENCES[who], seen["score"]) for who, seen in report["references"].items() if who in charts.REFERENCES]
    unit = "points" if _points(metric) > 1 else metric
    return {
        "data": [*({"x": [score for _, score in line], "y": [place for place, _ in line], "mode": "lines+markers", "opacity": 0.9, "name": f"seed {seed}",
                    "line": {"color": charts.COLOURS[number % len(charts.COLOURS)], "width": 1.5},
                    "marker": {"size": 8, "symbol": charts.MARKERS[number % len(charts.MARKERS)]},
                    "hovertemplate": f"seed {seed}: %{{x:.3f}}<extra></extra>", **AXES} for number, (seed, line) in enumerate(lines.items())),
                 {"x": [fmean(scores) for _, scores in means], "y": [place for place, _ in means], "mode": "markers", "name": "mean", "hoverinfo": "skip",
                  "marker": {"symbol": "line-ns-open", "size": 26, "color": charts.GREY, "line": {"width": 3, "color": charts.GREY}}, **AXES}],
        "layout": {"xaxis": {"anchor": "y2", "nticks": 6, "title": {"text": f"{metric} on test items", "standoff": 6}},
                   "yaxis2": _names([arm["name"] for arm in arms]), "shapes": [_line(value) for _, value in references]},
        "labels": [], "key": True,
        "caption": "A line a seed, which draws the examples: the same ones in every arm. Upright strokes: the mean."
                   + (f" Dashed: {listing([f'{name} {scored(value, metric)}' for name, value in references])}." if references else ""),
        "alt": f"Chart of {metric}, a row an arm and a line a seed. " + "; ".join(
            f"{arms[place]['name']}: {', '.join(scored(score, metric) for score in scores)}" for place, scores in means),
        "table": {"columns": ["arm", "mean", *(f"seed {seed}" for seed in lines)], "rows": [
            [arm["name"], mean_said([score for score in arm["scores"] if score is not None], metric),
             *("–" if score is None else scored(score, metric) for score in arm["scores"])] for arm in arms]},
        "says": "From the worst to the best draw of examples: " + listing([f"{named(name)} {_points(metric) * span:.1f}" for name, span in spans.items()])
                + f" {unit}. Where lines cross, which arm is better hangs on the examples.",
    }


def measured(report: Mapping[str, Any], looks: Looks, outcome: Outcome) -> dict[str, Any] | None:
    """An outcome that has no figure of its own: a row an arm, its seeds and their mean with its interval. What is told in times has the mean of logarithms."""
    rows = [(arm["name"], values) for arm in report["arms"] if (values := [value for value in outcome.values(arm) if value is not None])]
    if not rows:
        return None
    at = outcome.shown
    means = [(name, fmean(values), half_width(values) or 0.0) for name, values in rows]
    every = [at(value) for _, values in rows for value in values]
    log = charts.logarithmic(every)
    return {
        "data": [*({"x": [at(value) for value in values], "y": [place] * len(values), "mode": "markers", "hoverinfo": "skip", "opacity": 0.5, **AXES,
                    "name": f"{name} seeds", "marker": {"symbol": f"{looks[name]['symbol']}-open", "size": 7, "color": looks[name]["colour"]}}
                   for place, (name, values) in enumerate(rows)),
                 *({"x": [at(mean)], "y": [place], "mode": "markers", "name": name, **AXES,
                    "marker": {"symbol": looks[name]["symbol"], "size": 12, "color": looks[name]["colour"]},
                    "error_x": {"type": "data", "symmetric": False, "array": [at(mean + half) - at(mean)], "arrayminus": [at(mean) - at(mean - half)],
                                "thickness": 2, "width": 6, "color": looks[name]["colour"]},
                    "hovertemplate": f"{_clean(name)}: {_clean(outcome.said(mean))}<extra></extra>"} for place, (name, mean, half) in enumerate(means))],
        "layout": {"xaxis": {"anchor": "y2", "nticks": 6, **({"type": "log"} if log else {}),
                             "title": {"text": f"{outcome.title}{outcome.units}", "standoff": 6}},
                   "yaxis2": _names([name for name, _ in rows])},
        "labels": [], "caption": f"{'More' if outcome.better > 0 else 'Less'} is better. Large marks: mean over the seeds with its 95 % interval; small ones: "
                                 "one seed each.",
        "alt": f"Chart of {outcome.title}, a row an arm. " + "; ".join(f"{name}: {outcome.said(mean)}" for name, mean, _ in means),
        "table": {"columns": ["arm", "mean", "95 % interval", "each seed"], "rows": [
            [name, outcome.said(mean), f"{outcome.said(mean - half)} to {outcome.said(mean + half)}" if half else "–", ", ".join(map(outcome.said, values))]
            for (name, mean, half), (_, values) in zip(means, rows, strict=True)]},
        "says": "",
    }


def _points(metric: str) -> int:
    return 100 if metric in METRICS and METRICS[metric].most == 1 else 1


def _change(gap: float, metric: str) -> str:
    amount = f"{abs(gap) * _points(metric):.1f}"
    return f"{'−' if gap < 0 else '+'}{amount} {'points' if _points(metric) > 1 else metric}"
