"""Links that a teacher makes: which controls of the Train tab they may fix or hide, for that tab alone or for a lesson that leads there."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from lab import catalogue, describe
from lab.lessons import Lesson
from lab.lessons.whole import changed
from lab.spec import RunSpec
from lab.ui import address, controls, offered
from lab.ui.bench import Bench
from lab.ui.picture import sentence

FEW = 4  # methods that are named
MENUS = ({"name": "model", "label": "Model"}, {"name": "task", "label": "Task"}, {"name": "method", "label": "Method"})


def choices(bench: Bench, lesson: Lesson | None, draft: Any) -> dict[str, Any]:
    """{"address", "says"} of the form as it stands, and every control in groups: what belongs to the form or the lesson first, the rest folded. Raises LabError
    for a draft that cannot be read."""
    spec = offered.parse(bench, draft or bench.first)
    opened = [spec] if lesson is None else [each for each in leads_to(lesson) if bench.offer.fits(each)] or [spec]
    forms = [offered.form(bench, each.model, each.method.key, each.task) for each in _distinct(opened)]
    titles = list(dict.fromkeys(each["title"] for each in forms))
    named = ", ".join(titles) if len(titles) < FEW else "this lesson's methods"
    whole = {"name": "advanced", "label": "All advanced settings", "only_hidden": True}
    groups = [
        ("The menus", MENUS, False),
        (f"Knobs of {named}", _of(forms, "knobs"), False),
        ("The run", _of(forms, "settings"), False),
        ("Advanced settings", [whole, *_of(forms, "advanced")], True),
        ("Knobs of other methods", _others(bench), True),
    ]
    seen: set[str] = set()
    found = []
    for title, each, folded in groups:
        fresh = [control for control in each if not (control["name"] in seen or seen.add(control["name"]))]
        found += [{"title": title, "folded": folded, "controls": fresh}] if fresh else []
    return {"address": address.query(spec), "says": f"{spec.method.title} on {spec.base.title}, {sentence(spec.to_dict())}", "groups": found}


def leads_to(lesson: Lesson) -> Iterator[RunSpec]:
    """What a lesson runs, what it opens in the Train tab, and the arms of its comparisons."""
    yield from lesson.runs.values()
    for explore in lesson.matter.explore.values():
        if explore.of in lesson.runs:
            yield changed(lesson.runs[explore.of], explore.change)
    for comparison in lesson.comparisons.values():
        yield from comparison.specs.values()


def _distinct(specs: Iterable[RunSpec]) -> list[RunSpec]:
    """One of each model, method and task: their forms have the same controls."""
    return list({(spec.model, spec.method.key, spec.task): spec for spec in specs}.values())


def _of(forms: Iterable[dict[str, Any]], part: str) -> list[dict[str, Any]]:
    return [{"name": each["name"], "label": each["label"]} for form in forms for each in form[part]]


def _others(bench: Bench) -> Iterator[dict[str, Any]]:
    for key in catalogue.entries("methods"):
        if bench.offer.has("methods", key):
            for knob in describe.knobs(catalogue.find("methods", key)):
                yield {"name": knob["name"], "label": controls.label(knob["name"])}
