"""The trade-offs of the course texts as a radar and as bars; what each axis is stands where it is made."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.contracts import listing
from lab.reporting.tradeoffs import FEWEST_AXES, Axis, Evidence, axes
from lab.ui.compare.levels import Looks, _clean
from lab.ui.labels import short


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
