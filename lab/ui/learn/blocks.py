"""A lesson as the page draws it: its steps, each with words and what is asked there; nothing that gives a result away."""
from __future__ import annotations

import re
from html import unescape
from itertools import permutations
from pathlib import Path
from random import Random
from typing import Any

from lab import catalogue
from lab.lessons import Lesson
from lab.lessons.asking import answering, awaited, heading, showing
from lab.lessons.claims import contradicted_if
from lab.lessons.guesses import answer
from lab.lessons.lesson import KINDS, Choice, Curve, Number, Order, Place, Words
from lab.lessons.measures import find
from lab.lessons.whole import changed
from lab.ui import address
from lab.ui.learn.course import Course
from lab.ui.learn.prose import prose
from lab.ui.picture import sentence
from lab.ui.wording import roughly

DESCRIPTION = re.compile(r"<desc\b[^>]*>(.*?)</desc>", re.DOTALL)
TRIES = 40  # orders that are held against what was recorded, before any that differs from it will do


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
    found = {"kind": each.kind.lower(), "name": each.name, **MAKERS[each.kind](course, lesson, each.name, value)}
    return {**found, "after": awaited(lesson, each)} if each.kind in ("Claim", "Figure") else found


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
            arms = mixed(course, lesson, name, asked)
            return {**found, "items": [{"key": arm, "name": arm.rpartition("/")[2]} for arm in arms], "about": find(asked.measure).about}
        case Curve():
            return {**found, "arms": list(lesson.comparisons[asked.over].specs), "low": asked.low, "high": asked.high, "about": find(asked.measure).about,
                    "unit": find(asked.measure).unit}


def mixed(course: Course, lesson: Lesson, name: str, asked: Order) -> list[str]:
    """The arms in an order that says nothing: drawn by a seed of their own, so that everybody finds the same, and never as the file has them, as the claims
    expect them or as they were recorded; as far as that is known, no order that would pass for right."""
    known, expected = course.known(lesson, {}, ""), _expected(lesson, asked)
    orders = [list(order) for order in permutations(asked.arms)]
    Random(f"{lesson.key}/{name}").shuffle(orders)
    fresh = [order for order in orders if order != asked.arms and not (expected and all(_follows(order, arms) for arms in expected))]
    came_out = answer(asked, asked.arms, known)
    if came_out is None:
        return fresh[0]
    other = [order for order in fresh if order != came_out.truth]
    return next((order for order in other[:TRIES] if not answer(asked, order, known).near), other[0])


def _expected(lesson: Lesson, asked: Order) -> list[list[str]]:
    """Arms of this question, the larger first, as far as claims put them into an order."""
    found = []
    for claim in lesson.matter.claims.values():
        value, than = claim.value, claim.than
        if claim.rule == "order" and claim.measure == asked.measure:
            found.append(claim.arms)
        elif claim.rule in ("above", "below") and isinstance(than, str) and value.measure == asked.measure and not (value.per or value.less):
            found.append([value.of, than] if claim.rule == "above" else [than, value.of])
    ours = [[arm for arm in arms if arm in asked.arms] for arms in found]
    return [arms for arms in ours if len(arms) > 1]


def _follows(order: list[str], arms: list[str]) -> bool:
    return [arm for arm in order if arm in arms] == arms


def _run(course: Course, lesson: Lesson, name: str, said: Any) -> dict[str, Any]:
    spec, made = lesson.runs[name], course.made(lesson, name)
    pace = course.bench.paces.of(spec)
    return {"says": sentence(spec.to_dict()), "offered": course.bench.offer.fits(spec), "draft": address.short(spec), "recorded": made is not None,
            "takes": takes(pace.total(spec.steps) if pace else None, (made or {}).get("seconds"))}


def takes(here: float | None, there: float | None) -> str:
    """How long it goes, by what was seen on this machine, else where it was recorded."""
    if here:
        return f"about {roughly(here)}"
    return f"it took {roughly(there)} where it was recorded" if there else "how long is not known yet"


def _compare(course: Course, lesson: Lesson, name: str, said: Any) -> dict[str, Any]:
    comparison = lesson.comparisons[name]
    known = sum(course.recorded(lesson, spec.fingerprint) for spec in comparison.runs.values())
    return {"title": comparison.title, "arms": list(comparison.specs), "runs": len(comparison.runs), "recorded": known, "comparison": comparison.to_dict()}


def _measure(course: Course, lesson: Lesson, name: str, said: Any) -> dict[str, Any]:
    kind = catalogue.find("measurements", said.name)
    offered = course.can_measure(lesson, name)
    made = course.measurement(lesson, name)
    return {"title": kind.title, "about": kind.about, "source": kind.source, "recorded": made is not None, "offered": offered,
            "takes": takes(course.measured_here(lesson, name) if offered else None, (made or {}).get("seconds"))}


def _options(course: Course, lesson: Lesson, name: str, asked: Any) -> dict[str, Any]:
    """Of an observation or a quiz item: the answers are there to be shown at once, nothing of them is a result."""
    show, _, arm = getattr(asked, "show", "").partition("/")
    return {"ask": asked.ask, "options": [{"text": each.text, "says": each.says, "right": each.right} for each in asked.options], "show": show, "arm": arm}


def _claim(course: Course, lesson: Lesson, name: str, claim: Any) -> dict[str, Any]:
    return {"sentence": claim.sentence, "source": claim.source, "rule": contradicted_if(claim, lesson)}


def _figure(course: Course, lesson: Lesson, name: str, figure: Any) -> dict[str, Any]:
    picture = {"src": f"lesson-figures/{lesson.key}/{figure.file}", "words": _described(lesson.pictures[figure.file])} if figure.file else {}
    return {"figure": figure.kind, "of": figure.of, "caption": figure.caption, **picture}


def _described(picture: Path) -> str:
    """What an SVG says of itself in its `desc`, for who cannot see it; "" of one that says nothing, and of other formats."""
    if picture.suffix != ".svg" or not picture.is_file():
        return ""
    found = DESCRIPTION.search(picture.read_text(encoding="utf-8", errors="replace"))
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", found[1])).split()) if found else ""


def _explore(course: Course, lesson: Lesson, name: str, explore: Any) -> dict[str, Any]:
    if explore.of in lesson.comparisons:
        return {"text": explore.text, "comparison": lesson.comparisons[explore.of].to_dict()}
    return {"text": explore.text, "draft": address.short(changed(lesson.runs[explore.of], explore.change))}


MAKERS = {"Predict": _predict, "Run": _run, "Compare": _compare, "Measure": _measure, "Observe": _options, "Quiz": _options, "Claim": _claim,
          "Figure": _figure, "Explore": _explore}
