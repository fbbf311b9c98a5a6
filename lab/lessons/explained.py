"""Which lesson explains a method, and at which step: what "Why?" after a run opens, as the lessons themselves say it."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.lessons.lesson import Lesson


def explained(lessons: Mapping[str, Lesson]) -> dict[str, dict[str, Any]]:
    """By the method's key; of two lessons that explain the same the first."""
    found: dict[str, dict[str, Any]] = {}
    for lesson in lessons.values():
        headings = [step.heading for step in lesson.steps]
        for method, heading in lesson.matter.explains.items():
            place = {"lesson": lesson.key, "number": lesson.number, "title": lesson.matter.title, "step": headings.index(heading), "heading": heading}
            found.setdefault(method, place)
    return found
