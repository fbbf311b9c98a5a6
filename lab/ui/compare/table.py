"""The table of a comparison: a row an arm, each measure with its value to sort by; and the same run by run as CSV."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.contracts import listing
from lab.reporting.measures import Measure, columns, half_width, shaken, told
from lab.ui.compare.items import Given
from lab.ui.sheet import sheet
from lab.ui.wording import seconds

RUN_COLUMNS = ("seed", "state", "origin", "metric", "score", "standard_error", "items", "peak_bytes", "step_seconds", "train_seconds", "total_seconds",
               "answer_seconds", "alone_seconds", "merged_seconds", "base_seconds", "alone_times", "merged_times", "adapter_bytes", "forgetting", "test_score",
               "last_loss", "test_loss", "dtype", "device", "shared", "fingerprint", "reason")
FROM = {"alone_times": "alone_seconds", "merged_times": "merged_seconds"}  # what is told over the base's time
LOADED = "not told from the machine's load"  # names the times of an arm of which that is so


def table(arms: Sequence[Mapping[str, Any]], chosen: Sequence[Measure], looks: Mapping[str, Mapping[str, str]], bold: Sequence[str], apart: bool,
          about: str = "score") -> dict[str, Any]:
    """`bold` are the arms that are set so in the column of what the comparison is `about`, where there is one. `apart`: times of the arms are of different
    machines, and each says so that was recorded elsewhere."""
    shown = columns(chosen, arms)
    return {
        "about": "score" if about == "last_loss" else about,
        "columns": [{"key": each.key, "title": each.title, "help": each.help, "better": each.better} for each in shown],
        "rows": [{"name": arm["name"], "title": arm["title"], "colour": looks[arm["name"]]["colour"], "bold": arm["name"] in bold, "notes": arm["notes"],
                  "failed": failures(arm), "advice": _advice(arm),
                  "cells": {each.key: _cell(each, arm, apart and each.timed and arm["elsewhere"]) for each in shown}} for arm in arms],
    }


def failures(arm: Mapping[str, Any]) -> list[str]:
    """seed 0: why; or seeds 0, 1 and 2: why, where it was the same for all."""
    found: dict[str, list[str]] = {}
    for run in arm["runs"]:
        if run["state"] == "failed":
            found.setdefault(run["reason"], []).append(str(run["seed"]))
    return [f"seed{'s' * (len(seeds) > 1)} {listing(seeds)}: {reason}" for reason, seeds in found.items()]


def _cell(measure: Measure, arm: Mapping[str, Any], elsewhere: bool) -> dict[str, Any]:
    """`value` is what is sorted by; `exact` stands in the tooltip, `note` small beside the text. A time that cannot be told from the machine's load has no
    place in an order."""
    value, text = measure.of(arm), told(measure, arm)
    if value is None:
        return {"text": text, "value": None, "exact": "not known"}
    if measure.key == "score":
        return {"text": text, "value": value, "exact": ", ".join(
            f"seed {run['seed']}: {measure.said(run['score'])}" for run in arm["runs"] if run["score"] is not None)}
    each = [run[measure.run] for run in arm["runs"] if run.get(measure.run) is not None] if measure.run else []
    exact = f"{measure.said(min(each))} to {measure.said(max(each))} over the seeds" if len(each) > 1 else f"{value:,}"
    if measure.key in FROM:
        exact += f"; {seconds(arm[FROM[measure.key]])}, the base {seconds(arm['base_seconds'])}"
    if shaken(measure, arm):
        exact += f"; {LOADED}"
    return {"text": text, "value": None if shaken(measure, arm) else value,
            "exact": f"{exact}; measured on {arm['elsewhere']}, not here" if elsewhere else exact, **({"note": "elsewhere"} if elsewhere else {})}


def _advice(arm: Mapping[str, Any]) -> str:
    return next((run["advice"] for run in arm["runs"] if run["state"] == "failed" and run["advice"]), "")


# ── to take away ──────────────────────────────────────────────────────────────────────────────────────────────────────


def as_csv(report: Mapping[str, Any]) -> str:
    """One row a run."""
    rows = []
    for arm in report["arms"]:
        spec = arm["spec"]
        for run in arm["runs"]:
            rows.append([arm["name"], spec["method"]["name"], spec["model"], spec["task"], spec["steps"], spec["lr"], arm["trainable"], arm["share"],
                         *(run.get(key) for key in RUN_COLUMNS), " ".join(arm["loaded"])])
    return sheet(["arm", "method", "model", "task", "steps", "lr", "trainable", "share", *RUN_COLUMNS, LOADED], rows)


def arms_csv(report: Mapping[str, Any], chosen: Sequence[Measure]) -> str:
    """The table: one row an arm, each measure as a plain number."""
    known = [each for each in chosen if each.key != "score"]
    rows = [[arm["name"], arm["spec"]["method"]["name"], arm["mean"], half_width([score for score in arm["scores"] if score is not None]),
             sum(score is not None for score in arm["scores"]), *(each.of(arm) for each in known), " ".join(arm["loaded"])] for arm in report["arms"]]
    return sheet(["arm", "method", f"{report['metric']}, mean", "half of its 95 % interval", "seeds", *(each.key for each in known), LOADED], rows)


def items_csv(items: Sequence[Any], goal: Any, answers: Mapping[tuple[str, int], Given]) -> str:
    """One row a test item: its text, its label, and what each run answered; of a written answer that was not kept whether it is right word for word."""
    rows = [[item.id, item.text, item.answers[0] if goal.writes and item.answers else goal.labels[item.label] if goal.labels else "",
             *(said.said(place, goal) for said in answers.values())] for place, item in enumerate(items)]
    return sheet(["item", "text", "right answer", *(f"{name}, seed {seed}" for name, seed in answers)], rows)
