"""Menus and forms as far as this lab offers what is in them, and drafts read by the same rules: what a menu leaves out the server refuses as well."""
from __future__ import annotations

from typing import Any

from lab import catalogue
from lab.classroom.offer import most
from lab.contracts import LabError
from lab.spec import RunSpec
from lab.ui import controls
from lab.ui.bench import Bench


def catalogues(bench: Bench) -> dict[str, Any]:
    """What the three menus have."""
    whole = controls.catalogues()
    tasks = bench.offer.only("tasks", whole["tasks"])
    models = [{**row, "task": _usual(row, tasks)} for row in bench.offer.only("models", whole["models"])]
    return {"models": models, "tasks": tasks, "methods": bench.offer.only("methods", whole["methods"])}


def _usual(model: dict[str, Any], tasks: list[dict[str, Any]]) -> str:
    """The model's usual task where it is offered, else the first that fits."""
    keys = [task["key"] for task in tasks if model["key"] not in task["unfit"]]
    return model["task"] if model["task"] in keys or not keys else keys[0]


def form(bench: Bench, model: str, method: str, task: str | None = None) -> dict[str, Any]:
    """All controls below the three menus, within this lab's limits. Raises LabError for what does not go together, or is not offered."""
    for folder, name, key in (("models", "model", model), ("methods", "method", method), *([("tasks", "task", task)] if task else [])):
        if not bench.offer.has(folder, key):
            raise LabError(f'{name} is "{key}": this lab offers {", ".join(getattr(bench.offer, folder))}')
    found = controls.form(model, method, task or _task(bench, model), bench.sweeps)
    return {**found, **{part: [_within(bench, control) for control in found[part]] for part in ("knobs", "settings", "advanced")}}


def _task(bench: Bench, model: str) -> str | None:
    if bench.settings.tasks is None or model not in catalogue.entries("models"):
        return None
    return next(row["task"] for row in catalogues(bench)["models"] if row["key"] == model)


def _within(bench: Bench, control: dict[str, Any]) -> dict[str, Any]:
    """A control whose upper end is this lab's limit, where that is lower."""
    limit = most(bench.limits, control["name"])
    if limit is None or control["fixed"] or (control["high"] is not None and control["high"] <= limit):
        return control
    usual = limit if control["default"] is None or control["default"] > limit else control["default"]
    marks = sorted({mark for mark in control["marks"] if mark < limit} | ({limit} if control["marks"] else set()))
    return {**control, "high": limit, "default": usual, "marks": marks, "optional": False, "help": f"{control['help']} This lab allows up to {limit:,}."}


def parse(bench: Bench, draft: Any) -> RunSpec:
    """What a browser sends becomes a spec that this lab offers, or a LabError in words."""
    return controls.parse(draft, bench.drafted)
