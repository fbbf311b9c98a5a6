"""Trained on × tested on: a row an arm, a column a task."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from lab import catalogue
from lab.compare.says import named
from lab.contracts import listing
from lab.ui.compare.levels import _clean, mean_said
from lab.ui.labels import shorts
from lab.ui.wording import scored

OWN = "●"
SHADES = [[0, "rgba(0,114,178,0.06)"], [1, "rgba(0,114,178,0.5)"]]  # so faint that text on it reads in light and dark


def figure(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """None where no run was tested on other tasks."""
    metric, tests = report["metric"], report["tests"]
    rows = []
    for arm in report["arms"]:
        seen = [run["tests"] for run in arm["runs"] if run["tests"]]
        if seen:
            rows.append((arm, {key: [each[key]["score"] for each in seen if key in each] for key in tests}))
    if not rows or not tests:
        return None
    cells = [[fmean(scores[key]) if scores[key] else None for key in tests] for _, scores in rows]
    own = [[OWN if arm["spec"]["task"] == key else "" for key in tests] for arm, _ in rows]
    text = [[f"{scored(value, metric, fewer=1)} {mark}".strip() if value is not None else "–" for value, mark in zip(line, marks, strict=True)]
            for line, marks in zip(cells, own, strict=True)]
    titles, names = [catalogue.find("tasks", key).title for key in tests], shorts(arm["name"] for arm, _ in rows)
    return {
        "data": [{"type": "heatmap", "x": list(range(len(tests))), "y": list(range(len(rows))), "z": cells, "showscale": False, "xgap": 3, "ygap": 3,
                  "colorscale": SHADES, "hoverinfo": "skip", "xaxis": "x", "yaxis": "y2"},
                 *({"mode": "text", "x": list(range(len(tests))), "y": [place] * len(tests), "text": line, "textfont": {"size": 14}, "hoverinfo": "skip",
                    "xaxis": "x", "yaxis": "y2"} for place, line in enumerate(text))],
        "layout": {"xaxis": {"anchor": "y2", "tickmode": "array", "tickvals": list(range(len(tests))), "ticktext": [_two_lines(title) for title in titles],
                             "title": {"text": "tested on", "standoff": 6}, "showgrid": False, "fixedrange": True, "range": [-0.5, len(tests) - 0.5]},
                   "yaxis2": {"domain": [0, 1], "range": [len(rows) - 0.5, -0.5], "tickmode": "array", "tickvals": list(range(len(rows))), "showgrid": False,
                              "ticktext": [f"{_clean(names[arm['name']])}  " for arm, _ in rows], "fixedrange": True}},
        "labels": [], "caption": f"{metric.capitalize()}, mean over the seeds. {OWN} marks the task that was trained on; darker is better.",
        "alt": f"Table of {metric}, an arm a row and a tested task a column. " + "; ".join(
            f"{arm['name']}: {', '.join(f'{key} {cell}' for key, cell in zip(tests, line, strict=True))}" for (arm, _), line in zip(rows, text, strict=True)),
        "table": {"columns": ["arm", "trained on", *titles], "rows": [
            [arm["name"], str(arm["spec"]["task"]), *(mean_said(scores[key], metric) for key in tests)] for arm, scores in rows]},
        "says": says(rows, tests, metric, report["mixed"]),
    }


def says(rows: Sequence[tuple[Mapping[str, Any], Mapping[str, Sequence[float]]]], tests: Sequence[str], metric: str, mixed: bool) -> str:
    """How much each arm loses outside its own task, and what the verdicts count."""
    drops = {}
    for arm, scores in rows:
        own, others = arm["spec"]["task"], [fmean(scores[key]) for key in tests if key != arm["spec"]["task"] and scores[key]]
        if scores.get(own) and others:
            drops[arm["name"]] = fmean(scores[own]) - fmean(others)
    scale = 100 if metric == "accuracy" else 1
    lost = listing([f"{named(name)} {'−' if drop < 0 else ''}{abs(scale * drop):.1f}" for name, drop in drops.items()])
    counted = "The score that verdicts count is the mean over all these tests." if mixed else "The score that verdicts count is that of the trained task."
    unit = "points" if scale == 100 else metric
    return (f"{unit.capitalize()} lost from the trained task to the mean of the others: {lost}. Tests differ in how hard they are, so read down a column. "
            f"{counted}")


def _two_lines(title: str) -> str:
    return _clean(title).replace(" ", "<br>", 1)
