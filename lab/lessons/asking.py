"""What a lesson asks, and when: which result answers a prediction, what waits for it, what of it may be shown by then, and which nobody is asked about."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lab.contracts import LabError
from lab.lessons.lesson import RESULTS, Lesson, Place

ANSWERED = ("Predict", *RESULTS)  # a claim that stands before the next of these belongs to the result above it


def quantities(lesson: Lesson, each: Any) -> Iterator[tuple[str, str]]:
    """(measure, reference) of everything that a prediction or a claim asks for. Raises LabError for a comparison that is not there."""
    for asked in (getattr(each, "truth", None), getattr(each, "value", None)):
        if asked is not None:
            yield from ((asked.measure, reference) for reference in asked.references)
    measure = getattr(each, "measure", "score")
    for reference in (*(getattr(each, "pair", None) or ()), *(getattr(each, "arms", None) or ())):
        yield measure, reference
    if isinstance(getattr(each, "than", None), str):
        yield (each.value.measure if each.value else measure), each.than
    if getattr(each, "over", None):
        if each.over not in lesson.comparisons:
            raise LabError(f'over is "{each.over}": must be one of the comparisons here, {", ".join(lesson.comparisons) or "of which there are none"}')
        yield from ((measure, f"{each.over}/{arm}") for arm in lesson.comparisons[each.over].specs)


def references(lesson: Lesson, prediction: str) -> set[str]:
    """The runs, comparisons and measurements that a prediction is about."""
    return {reference.partition("/")[0] for _, reference in quantities(lesson, lesson.matter.predictions[prediction])}


def answering(lesson: Lesson) -> dict[str, Place]:
    """The result that answers each prediction: the last of those it is about that come after it, else the next one."""
    places, found = lesson.places, {}
    for number, place in enumerate(places):
        if place.kind == "Predict":
            results = [each for each in places[number:] if each.kind in RESULTS]
            about = [each for each in results if each.name in references(lesson, place.name)]
            if results:
                found[place.name] = about[-1] if about else results[0]
    return found


def showing(lesson: Lesson, prediction: str) -> list[Place]:
    """The results after a prediction that show something of what it asks, in order: the last of them answers it."""
    last = answering(lesson).get(prediction)
    if last is None:
        return []
    places = lesson.places
    start = next(number for number, each in enumerate(places) if (each.kind, each.name) == ("Predict", prediction))
    about = references(lesson, prediction)
    return [each for each in places[start:places.index(last) + 1] if each.kind in RESULTS and (each == last or each.name in about)]


def answered_by(lesson: Lesson, place: Place) -> list[str]:
    """The predictions that this result answers, in the order in which they were asked."""
    return [name for name, last in answering(lesson).items() if last == place]


def begun_by(lesson: Lesson, place: Place) -> dict[str, Place]:
    """The predictions of which this result shows a part, each with the later one that answers it."""
    return {name: last for name, last in answering(lesson).items() if last != place and place in showing(lesson, name)}


def heading(lesson: Lesson, place: Place) -> str:
    """Of the step in which it stands."""
    return next(step.heading for step in lesson.steps if place in step.blocks)


def awaited(lesson: Lesson, place: Place) -> list[str]:
    """The results that must have been shown before a claim or a figure may say anything: those above it that it draws on, and those below it of which a
    prediction asks what it would tell."""
    here, about = lesson.places.index(place), _about(lesson, place)
    drawn_on = {reference.partition("/")[0] for _, reference in about}
    below = {reference.partition("/")[0] for name in lesson.matter.predictions for measure, reference in quantities(lesson, lesson.matter.predictions[name])
             if place.kind == "Figure" or (measure, reference.partition("/")[0]) in {(each, of.partition("/")[0]) for each, of in about}}
    return [each.name for number, each in enumerate(lesson.places)
            if each.kind in RESULTS and each.name in drawn_on and (number < here or each.name in below)]


def _about(lesson: Lesson, place: Place) -> list[tuple[str, str]]:
    """(measure, reference) of what a claim tells; a figure may tell anything of what it is of."""
    if place.kind == "Figure":
        return [("", lesson.matter.figures[place.name].of)]
    return list(quantities(lesson, lesson.matter.claims[place.name]))


# ── what is shown by then ─────────────────────────────────────────────────────────────────────────────────────────────


def asked_so_far(lesson: Lesson, result: str, place: Place) -> set[str]:
    """The quantities of a run, comparison or measurement that the lesson has asked for where `place` shows it: the predictions before it, and the claims up
    to what is asked or shown next."""
    places = lesson.places
    here = places.index(place)
    end = next((number for number, each in enumerate(places[here + 1:], here + 1) if each.kind in ANSWERED), len(places))
    return _asked(lesson, result, [each for number, each in enumerate(places[:end]) if each.kind == "Claim" or (each.kind == "Predict" and number < here)])


def asked_later(lesson: Lesson, result: str, place: Place) -> set[str]:
    """Those that it asks for only after that."""
    return _asked(lesson, result, lesson.places) - asked_so_far(lesson, result, place)


def _asked(lesson: Lesson, result: str, places: Any) -> set[str]:
    """Of two measurements of one kind the same quantities are asked for, whichever is named."""
    found = set()
    for place in places:
        if place.kind in ("Predict", "Claim"):
            each = lesson.matter.predictions[place.name] if place.kind == "Predict" else lesson.matter.claims[place.name]
            found |= {measure for measure, reference in quantities(lesson, each) if _same(lesson, reference.partition("/")[0], result)}
    return found


def _same(lesson: Lesson, one: str, other: str) -> bool:
    known = lesson.matter.measurements
    return one == other or (one in known and other in known and known[one].name == known[other].name)


# ── what was seen ─────────────────────────────────────────────────────────────────────────────────────────────────────


def unobserved(lesson: Lesson) -> list[Place]:
    """The runs and comparisons after which no question about what was seen follows: none before the next result, and none later that shows them."""
    places, found = lesson.places, []
    for number, place in enumerate(places):
        if place.kind in ("Run", "Compare"):
            after = places[number + 1:]
            end = next((far for far, each in enumerate(after) if each.kind in RESULTS), len(after))
            seen = [each for far, each in enumerate(after) if each.kind == "Observe" and (far < end or _shows(lesson, each.name) == place.name)]
            if not seen:
                found.append(place)
    return found


def _shows(lesson: Lesson, observation: str) -> str:
    """The result that an observation shows, itself or in a figure."""
    shown = lesson.matter.observations[observation].show.partition("/")[0]
    figure = lesson.matter.figures.get(shown)
    return figure.of.partition("/")[0] if figure else shown
