"""What belongs to some comparisons alone: the score against a swept number, the tests on other tasks, the vote of the seeds."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from lab import catalogue
from lab.compare import Comparison
from lab.compare.varied import swept
from lab.reporting.figures import Line, against
from lab.reporting.measures import half_width
from lab.ui import charts
from lab.ui.wording import plain, scored, whole

Table = tuple[Sequence[str], Sequence[Sequence[str]]]


def by_number(report: Mapping[str, Any]) -> tuple[str, str]:
    """(what was swept, the figure); nothing where nothing was."""
    found = swept(Comparison.parse(report["comparison"]))
    if found is None:
        return "", ""
    arms = {arm["name"]: (place, arm) for place, arm in enumerate(report["arms"])}
    lines = []
    for series in found.series:
        points = sorted(point for name, value in series.points if name in arms and (point := _point(arms[name][1], value)) is not None)
        if points:
            lines.append(Line(series.name, min(arms[name][0] for name, _ in series.points if name in arms), points))
    values = [point[0] for line in lines for point in line.points]
    log = charts.logarithmic(values, charts.SWEPT)
    return found.word, against(lines, f"{found.word}{' (logarithmic)' if log else ''}", report["metric"], log)


def _point(arm: Mapping[str, Any], value: float | None) -> tuple[float, str, float, float] | None:
    """With half of its interval over seeds. A number of texts that nobody chose is as many as there were."""
    scores = [score for score in arm["scores"] if score is not None]
    at = value if value is not None else next((run["train_items"] for run in arm["runs"] if run["train_items"]), None)
    if not scores or at is None:
        return None
    said = whole(at) if at >= 1000 else plain(at)
    return float(at), said, fmean(scores), half_width(scores) or 0.0


def tested(report: Mapping[str, Any]) -> Table | None:
    """A row an arm and a column a task, where runs were tested on other tasks as well."""
    if not report["tests"]:
        return None
    rows = []
    for arm in report["arms"]:
        seen = [run["tests"] for run in arm["runs"] if run["tests"]]
        cells = [[each[key]["score"] for each in seen if key in each and each[key]["score"] is not None] for key in report["tests"]]
        rows.append((arm["name"], str(arm["spec"]["task"]), *(scored(fmean(scores), report["metric"]) if scores else "–" for scores in cells)))
    return ("arm", "trained on", *(f"on {catalogue.find('tasks', key).title}" for key in report["tests"])), rows


def voted(report: Mapping[str, Any]) -> Table | None:
    """What the seeds of an arm answer together, where it is known."""
    rows = [(arm["name"], scored(vote["mean"], report["metric"]), scored(vote["score"], report["metric"]), scored(vote["standard_error"], report["metric"]))
            for arm in report["arms"] if (vote := arm.get("vote"))]
    return (("arm", "mean of the seeds", "their vote", "± of the difference, over items"), rows) if rows else None
