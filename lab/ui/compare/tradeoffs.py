"""The trade-offs of the course texts, made of measured values alone: an axis that was not measured for every arm is left out, and said to be.

Each axis goes from 0 to 1, and 1 is the best of these arms:
    parameters       how few are trained, on a logarithmic scale from all of the model's numbers (0) to the fewest here (1)
    memory           the smallest peak of a step here / an arm's own
    training speed   the shortest step here / an arm's own
    inference        the shortest answer here / an arm's own, in batches and not merged
    quality          the lead over always giving the most frequent answer, as a share of the best lead here
    flexibility      (width of the good learning rates, in powers of ten) × (share of tasks within 2 points of the best at default knobs), over the best here
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log10
from typing import Any

from lab.ui.compare.levels import Looks, _clean
from lab.ui.compare.race import short
from lab.ui.wording import figures, listing, percent, scored, seconds, size

FEWEST_TASKS = 2  # behind a share of tasks
FEWEST_AXES = 3  # of a radar
POINTS = 0.02


@dataclass(frozen=True)
class Evidence:
    """What is known of arms beside their own runs: by name the width of their good learning rates in powers of ten, and on how many of how many tasks
    they came within 2 points of the best at default knobs."""

    widths: Mapping[str, float] = field(default_factory=dict)
    tasks: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Axis:
    """`values` by arm, as measured; `places` from 0 to 1."""

    name: str
    scale: str
    values: Mapping[str, float]
    places: Mapping[str, float]
    said: Callable[[float], str]


def axes(report: Mapping[str, Any], evidence: Evidence) -> tuple[list[Axis], list[str]]:
    """Those that are known for every arm with a score; and why each other one is left out."""
    arms = [arm for arm in report["arms"] if arm["mean"] is not None]
    apart = len({arm.get("elsewhere", "") for arm in arms}) > 1
    found, missing = [], []
    for name, scale, values, places, said in (
        ("parameters", "fewest numbers trained; 0 is all of the model's, logarithmic", *_few(arms), percent),
        ("memory", "smallest peak of a step ÷ its own", *_least(arms, "peak_bytes"), size),
        ("training speed", "shortest step ÷ its own", *(_least(arms, "step_seconds") if not apart else ({}, {})), seconds),
        ("inference", "shortest answer ÷ its own, in batches, not merged", *(_least(arms, "answer_seconds") if not apart else ({}, {})), seconds),
        ("quality", "lead over the most frequent answer ÷ the best lead", *_lead(report, arms), lambda value: scored(value, report["metric"])),
        ("flexibility", "width of the good learning rates, in powers of ten, × share of tasks within 2 points of the best ÷ the best such product",
         *_flexible(arms, evidence), figures),
    ):
        if len(values) == len(arms) and len(arms) > 1:
            found.append(Axis(name, scale, values, places, said))
        else:
            missing.append(name)
    return found, [f"{name} ({_why(name, apart)})" for name in missing]


def _why(name: str, apart: bool) -> str:
    if name == "flexibility":
        return f"it takes a sweep of learning rates of every arm and scores at default knobs on at least {FEWEST_TASKS} tasks"
    if apart and name in ("training speed", "inference"):
        return "arms were timed on different machines"
    return "not measured for every arm"


def _few(arms: Sequence[Mapping[str, Any]]) -> tuple[dict[str, float], dict[str, float]]:
    """Nothing where an arm trains nothing: its place would be endless."""
    values = {arm["name"]: arm["share"] for arm in arms if arm["share"]}
    if len(values) < len(arms):
        return {}, {}
    least = min(values.values())
    return values, {name: log10(value) / log10(least) if least < 1 else 1.0 for name, value in values.items()}


def _least(arms: Sequence[Mapping[str, Any]], key: str) -> tuple[dict[str, float], dict[str, float]]:
    values = {arm["name"]: arm[key] for arm in arms if arm[key]}
    least = min(values.values(), default=0.0)
    return values, {name: least / value for name, value in values.items()}


def _lead(report: Mapping[str, Any], arms: Sequence[Mapping[str, Any]]) -> tuple[dict[str, float], dict[str, float]]:
    """Where there is no most frequent answer, from 0."""
    if not report["higher_is_better"]:
        return {}, {}
    floor = report["references"].get("majority", {}).get("score", 0.0)
    values = {arm["name"]: arm["mean"] for arm in arms}
    most = max(value - floor for value in values.values()) if values else 0.0
    return values, {name: max(0.0, (value - floor) / most) if most > 0 else 0.0 for name, value in values.items()}


def _flexible(arms: Sequence[Mapping[str, Any]], evidence: Evidence) -> tuple[dict[str, float], dict[str, float]]:
    values = {}
    for arm in arms:
        near, of = evidence.tasks.get(arm["name"], (0, 0))
        if arm["name"] in evidence.widths and of >= FEWEST_TASKS:
            values[arm["name"]] = evidence.widths[arm["name"]] * near / of
    most = max(values.values(), default=0.0)
    return values, {name: value / most if most else 0.0 for name, value in values.items()}


# ── drawing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def radar(report: Mapping[str, Any], looks: Looks, evidence: Evidence) -> dict[str, Any] | None:
    found, missing = axes(report, evidence)
    if len(found) < FEWEST_AXES:
        return None
    names = [axis.name.replace(" ", "<br>") for axis in found]
    traces = []
    for arm in found[0].places:
        round_ = [*(axis.places[arm] for axis in found), found[0].places[arm]]
        traces.append({"type": "scatterpolar", "r": round_, "theta": [*names, names[0]], "name": arm, "mode": "lines+markers",
                       "marker": {"symbol": looks[arm]["symbol"], "size": 7},
                       "line": {"color": looks[arm]["colour"], "width": 2, "dash": looks[arm]["dash"]},
                       "text": [axis.said(axis.values[arm]) for axis in (*found, found[0])],
                       "hovertemplate": f"{_clean(arm)}, %{{theta}}: %{{text}} (%{{r:.2f}})<extra></extra>"})
    return {"data": traces, "layout": {"polar": {"radialaxis": {"range": [0, 1], "tickvals": [0.25, 0.5, 0.75, 1], "angle": 90, "tickangle": 90}}},
            "labels": [], "key": True, **_told(found, missing, report["metric"])}


def bars(report: Mapping[str, Any], looks: Looks, evidence: Evidence) -> dict[str, Any] | None:
    """The same numbers, an axis a group: lengths on one scale are read more exactly than corners of a shape."""
    found, missing = axes(report, evidence)
    if len(found) < FEWEST_AXES:
        return None
    arms = list(found[0].places)
    step = 0.8 / len(arms)
    return {
        "data": [{"type": "bar", "orientation": "h", "x": [axis.places[arm] for axis in found], "width": 0.9 * step,
                  "y": [place + (number - (len(arms) - 1) / 2) * step for place in range(len(found))], "name": arm, "xaxis": "x", "yaxis": "y2",
                  "marker": {"color": looks[arm]["colour"]}, "text": [axis.said(axis.values[arm]) for axis in found], "textposition": "none",
                  "hovertemplate": f"{_clean(short(arm))}: %{{text}} (%{{x:.2f}})<extra></extra>"} for number, arm in enumerate(arms)],
        "layout": {"xaxis": {"range": [0, 1.02], "anchor": "y2", "nticks": 5, "title": {"text": "1 is the best of these arms", "standoff": 6}},
                   "yaxis2": {"domain": [0, 1], "range": [len(found) - 0.5, -0.5], "tickmode": "array", "tickvals": list(range(len(found))), "showgrid": False,
                              "ticktext": [f"{axis.name}  " for axis in found]}},
        "labels": [], "key": True, **_told(found, missing, report["metric"]),
    }


def _told(found: Sequence[Axis], missing: Sequence[str], metric: str) -> dict[str, Any]:
    return {
        "caption": "Each axis from 0 to 1, and 1 is the best of these arms. The area of a shape means nothing: it changes with the order of the axes.",
        "alt": "Trade-offs. " + "; ".join(f"{arm}: {', '.join(f'{axis.name} {axis.places[arm]:.2f}' for axis in found)}" for arm in found[0].places),
        "table": {"columns": ["arm", *(axis.name for axis in found)], "rows": [
            [arm, *(f"{axis.said(axis.values[arm])} ({axis.places[arm]:.2f})" for axis in found)] for arm in found[0].places]},
        "says": f"Left out: {listing(list(missing))}." if missing else "", "notes": [[axis.name, axis.scale] for axis in found],
    }
