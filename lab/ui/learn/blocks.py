"""A lesson as the page draws it: its steps, each with words and what is asked there; nothing that gives a result away."""
from __future__ import annotations

from typing import Any

from lab import catalogue
from lab.lessons import Lesson
from lab.lessons.claims import contradicted_if
from lab.lessons.lesson import KINDS, Choice, Curve, Number, Order, Place, Words
from lab.lessons.asking import answering, heading, showing
from lab.lessons.measures import find
from lab.lessons.whole import changed
from lab.ui import address
from lab.ui.learn.course import Course
from lab.ui.learn.prose import prose
from lab.ui.picture import sentence


def card(lesson: Lesson) -> dict[str, Any]:
    """What the map shows."""
    matter = lesson.matter
    return {"key": lesson.key, "number": lesson.number, "title": matter.title, "about": matter.about, "minutes": matter.minutes, "needs": matter.needs,
            "steps": len(lesson.steps)}


def shown(course: Course, lesson: Lesson) -> dict[str, Any]:
    return {**card(lesson), "opening": prose(lesson.opening),
            "sequence": [{"heading": step.heading, "blocks": [block(course, lesson, each) for each in step.blocks]} for step in lesson.steps]}


def block(course: Course, lesson: Lesson, each: Words | Place) -> dict[str, Any]:
    if isinstance(each, Words):
        return {"kind": "words", "prose": prose(each.text)}
    value = getattr(lesson.matter, KINDS[each.kind])[each.name]
    return {"kind": each.kind.lower(), "name": each.name, **MAKERS[each.kind](course, lesson, each.name, value)}


def _predict(course: Course, lesson: Lesson, name: str, asked: Any) -> dict[str, Any]:
    last = answering(lesson)[name]
    found = {"asks": asked.kind, "ask": asked.ask, "settled": [place.name for place in showing(lesson, name)], "answered": last.name,
             "answered_in": heading(lesson, last)}
    match asked:
        case Number():
            return {**found, "low": asked.low, "high": asked.high, "log": asked.log, "unit": lesson.unit(asked.truth.measure, asked.truth.of)
                    if not asked.truth.per else "times"}
        case Choice():
            return {**found, "options": [option.text for option in asked.options]}
        case Order():
            return {**found, "items": [{"key": arm, "name": arm.rpartition("/")[2]} for arm in asked.arms], "about": find(asked.measure).about}
        case Curve():
            return {**found, "arms": list(lesson.comparisons[asked.over].specs), "low": asked.low, "high": asked.high, "about": find(asked.measure).about,
                    "unit": find(asked.measure).unit}


def _run(course: Course, lesson: Lesson, name: str, said: Any) -> dict[str, Any]:
    spec = lesson.runs[name]
    pace = course.bench.paces.of(spec)
    return {"says": sentence(spec.to_dict()), "offered": course.bench.offer.fits(spec), "draft": address.short(spec),
            "recorded": course.recorded_run(lesson, name) is not None,
            "seconds": round(pace.total(spec.steps)) if pace else None}


def _compare(course: Course, lesson: Lesson, name: str, said: Any) -> dict[str, Any]:
    comparison = lesson.comparisons[name]
    known = sum(spec.fingerprint in course.known(lesson, {}, "").runs for spec in comparison.runs.values())
    return {"title": comparison.title, "arms": list(comparison.specs), "runs": len(comparison.runs), "recorded": known, "comparison": comparison.to_dict()}


def _measure(course: Course, lesson: Lesson, name: str, said: Any) -> dict[str, Any]:
    kind = catalogue.find("measurements", said.name)
    return {"title": kind.title, "about": kind.about, "source": kind.source, "recorded": course.measurement(lesson, name) is not None}


def _options(course: Course, lesson: Lesson, name: str, asked: Any) -> dict[str, Any]:
    """Of an observation or a quiz item: the answers are there to be shown at once, nothing of them is a result."""
    return {"ask": asked.ask, "options": [{"text": each.text, "says": each.says, "right": each.right} for each in asked.options],
            "show": getattr(asked, "show", "")}


def _claim(course: Course, lesson: Lesson, name: str, claim: Any) -> dict[str, Any]:
    return {"sentence": claim.sentence, "source": claim.source, "rule": contradicted_if(claim)}


def _figure(course: Course, lesson: Lesson, name: str, figure: Any) -> dict[str, Any]:
    return {"figure": figure.kind, "of": figure.of, "caption": figure.caption, "file": figure.file}


def _explore(course: Course, lesson: Lesson, name: str, explore: Any) -> dict[str, Any]:
    if explore.of in lesson.comparisons:
        return {"text": explore.text, "comparison": lesson.comparisons[explore.of].to_dict()}
    return {"text": explore.text, "draft": address.short(changed(lesson.runs[explore.of], explore.change))}


MAKERS = {"Predict": _predict, "Run": _run, "Compare": _compare, "Measure": _measure, "Observe": _options, "Quiz": _options, "Claim": _claim,
          "Figure": _figure, "Explore": _explore}
