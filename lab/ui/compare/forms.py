"""Forms of the Compare tab: what all arms share, what one arm may have otherwise, and which knobs of a method can be swept."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab import catalogue
from lab.contracts import LabError
from lab.spec import RunSpec
from lab.ui import offered
from lab.ui.bench import Bench
from lab.ui.compare.asked import arm_spec, base_spec
from lab.ui.wording import plain

SHARED = ("eval_items", "eval_every", "seed")  # settings that an arm's own form leaves out
NUMBERS = ("whole", "number")


def base_form(bench: Bench, draft: Mapping[str, Any]) -> dict[str, Any]:
    """What all arms share: two numbers in front, the rest folded."""
    spec = base_spec(draft)
    form = offered.form(bench, str(spec.model), spec.method.key, spec.task)
    own = [each for each in (*form["settings"], *form["advanced"]) if each["part"] == "run" and each["name"] not in ("seed", "quantization")]
    usual = RunSpec.parse({"model": spec.model, "task": spec.task, "method": "full"})  # which every model takes
    rows = [_free_rate(each) if each["name"] == "lr" else {**each, "default": getattr(usual, each["name"]), "fixed": False} for each in own]
    front = [each for each in rows if each["name"] in ("steps", "batch")]
    return {"front": front, "folded": [each for each in rows if each not in front], "task": spec.task, "model": spec.model,
            "tests": bench.offer.only("tasks", _tests(spec))}


def _tests(spec: RunSpec) -> list[dict[str, Any]]:
    """Other tasks that this one can be tested on as well, and whether it is."""
    return [{"key": key, "title": task.title, "on": key in spec.tested_on} for key, task in catalogue.entries("tasks").items()
            if key != spec.task and _fine({**spec.to_dict(), "tested_on": [key]})]


def _fine(settings: Mapping[str, Any]) -> bool:
    try:
        RunSpec.parse(settings)
    except LabError:
        return False
    return True


def _free_rate(control: dict[str, Any]) -> dict[str, Any]:
    """A learning rate for all; usually each method has its own."""
    return {**control, "label": "Learning rate of all", "default": None, "optional": True, "marks": [], "fixed": False,
            "help": "Empty: each method at its own default, which suits it. A number holds for every arm, also where it suits badly."}


def arm_form(bench: Bench, draft: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The knobs of an arm and what it may have otherwise than the base; a control's default is what it has where nothing is said."""
    base = base_spec(draft)
    method = change.get("method") or base.method.key
    key = method if isinstance(method, str) else method.get("name", base.method.key)
    usual = arm_spec(draft, base, {name: value for name, value in change.items() if name == "model"} | {"method": key if key != base.method.key else {}})
    form = offered.form(bench, str(usual.model), key, usual.task)
    knobs = usual.method.model_dump(mode="json")
    rows = [{**each, "default": knobs[each["name"]] if each["part"] == "method" else getattr(usual, each["name"])}
            for each in (*form["knobs"], *form["settings"], *form["advanced"]) if each["part"] == "method" or each["name"] not in SHARED]
    front = [each for each in rows if (each["part"] == "method" and not each["advanced"]) or each["name"] == "lr"]
    own = {each["name"] for each in front}
    now = change.get("method") if isinstance(change.get("method"), Mapping) else {}
    said = {**{name: value for name, value in now.items() if name != "name"}, **{name: value for name, value in change.items() if name != "method"}}
    return {"method": key, "title": form["title"], "about": form["about"], "front": front, "folded": [each for each in rows if each["name"] not in own],
            "values": said}


def knobs(bench: Bench, draft: Mapping[str, Any], method: str) -> dict[str, Any]:
    """What can be swept of a method: its own knobs first, then settings of the run."""
    base = base_spec(draft)
    form = offered.form(bench, str(base.model), method, base.task)
    rows = [*form["knobs"], *form["settings"], *form["advanced"]]
    found = [each for each in rows if each["kind"] in (*NUMBERS, "choice") and not each["fixed"] and (each["part"] == "method" or each["name"] not in SHARED)]
    return {"method": method, "knobs": [{**{key: each[key] for key in ("name", "label", "kind", "low", "high", "help", "choices")},
                                         "some": _some(each)} for each in found]}


def _some(control: Mapping[str, Any]) -> str:
    """Values to begin with: around the default, or all choices."""
    if control["kind"] == "choice":
        return ", ".join(str(value) for value, _ in control["choices"][:4] if value is not None)
    marks, default = control["marks"], control["default"]
    if control["name"] == "lr":
        return ", ".join(plain(float(f"{default * factor:.2g}")) for factor in (0.1, 0.3, 1, 3))
    if not marks or default not in marks:
        return plain(default) if default is not None else ""
    place = marks.index(default)
    return ", ".join(plain(mark) for mark in dict.fromkeys(marks[at] for at in (place - 3, place - 1, place, place + 1, place + 3) if 0 <= at < len(marks)))
