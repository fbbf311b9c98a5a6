"""Whether a lesson holds together: names that are there, quantities that can be asked, predictions before results, few words between actions."""
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lab import catalogue
from lab.compare import Comparison
from lab.contracts import LabError, shorten
from lab.lessons.asking import answering, quantities, showing
from lab.lessons.front import Front, at
from lab.lessons.lesson import CONTROLS, KINDS, OF_ONE, RESULTS, Lesson, Place, Step, Words
from lab.spec import RunSpec

KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
WORDS = 120  # between two actions
NO_WORDS = re.compile(r"```.*?```|\$[^$]*\$|^\|.*\|$", re.DOTALL | re.MULTILINE)  # code, formulas, rows of a table


def check(lesson: Lesson, found: Front, name: str) -> None:
    """Raises LabError with file, line and way out."""
    _check_names(lesson, found, name)
    _check_references(lesson, found, name)
    for step in lesson.steps:
        _check_one_control(step, name)
    _check_order(lesson, name)
    _check_shown(lesson, name)
    _check_explained(lesson, found, name)


def _check_names(lesson: Lesson, found: Front, name: str) -> None:
    """What stands in the text is described in the front matter, and the other way round; no name is used twice for what can be asked."""
    placed: dict[tuple[str, str], int] = {}
    for step in lesson.steps:
        for place in step.places:
            known = getattr(lesson.matter, KINDS[place.kind])
            if place.name not in known:
                there = ", ".join(known) or "none"
                raise LabError(f'{name}, line {place.line}: there is no {place.name} under {KINDS[place.kind]} in the front matter (there: {there})')
            if (place.kind, place.name) in placed and place.kind not in ("Figure", "Explore"):
                raise LabError(f"{name}, line {place.line}: {place.kind} {place.name} stands on line {placed[place.kind, place.name]} already")
            placed[place.kind, place.name] = place.line
    for kind, part in KINDS.items():
        for key in getattr(lesson.matter, part):
            if not KEY.fullmatch(str(key)):
                raise LabError(f'{name}, line {found.line(part, key)}: "{shorten(key)}": a name is made of a to z, 0 to 9 and -')
            if (kind, key) not in placed:
                raise LabError(f"{name}, line {found.line(part, key)}: {key} is never used: put a line **{kind}** `{key}` into the text, or take it out")
    asked = [key for part in ("runs", "comparisons", "measurements") for key in getattr(lesson.matter, part)]
    twice = next((key for key in asked if asked.count(key) > 1), None)
    if twice is not None:
        raise LabError(f'{name}: "{twice}" names two of runs, comparisons and measurements: give each its own name')


def _check_references(lesson: Lesson, found: Front, name: str) -> None:
    """Every run, arm, measurement and quantity that is asked for is there."""
    matter = lesson.matter
    for key, prediction in matter.predictions.items():
        at(found, name, ("predictions", key), lambda prediction=prediction: _check_all(lesson, quantities(lesson, prediction)))
    for key, claim in matter.claims.items():
        at(found, name, ("claims", key), lambda claim=claim: _check_all(lesson, quantities(lesson, claim)))
    results = (*matter.runs, *matter.comparisons, *matter.measurements)
    for part, field in (("figures", "of"), ("explore", "of"), ("observations", "show")):
        for key, each in getattr(matter, part).items():
            said = getattr(each, field)
            there = (*results, *matter.figures) if part == "observations" else results
            if said and said.partition("/")[0] not in there:
                raise LabError(f'{name}, line {found.line(part, key, field)}: there is no "{said}": there are {", ".join(there)}')
            if "/" in said:
                at(found, name, (part, key, field), lambda said=said: _check(lesson, "score", said))
    for key, figure in matter.figures.items():
        if figure.kind in OF_ONE and figure.of not in lesson.runs and "/" not in figure.of:
            arms = [f"{figure.of}/{arm}" for arm in lesson.comparisons[figure.of].specs] if figure.of in lesson.comparisons else []
            raise LabError(f'{name}, line {found.line("figures", key, "of")}, figures {key} of: "{figure.of}" is not one run, and a figure of kind '
                           f'{figure.kind} is of one: there are {", ".join([*lesson.runs, *arms]) or "none"}')
    for key, each in matter.explore.items():
        if each.of in lesson.runs and each.change:
            at(found, name, ("explore", key), lambda each=each: changed(lesson.runs[each.of], each.change))


def changed(spec: RunSpec, change: Mapping[str, Any]) -> RunSpec:
    arms = [{"name": "as it is"}, {"name": "changed", "change": dict(change)}]
    return Comparison.parse({"base": spec.to_dict(), "arms": arms, "seeds": [0]}).specs["changed"]


def _check_all(lesson: Lesson, asked: Iterator[tuple[str, str]]) -> None:
    for measure, reference in asked:
        _check(lesson, measure, reference)


def _check(lesson: Lesson, measure: str, reference: str) -> None:
    comparison, arm = lesson.arm(reference)
    if comparison:
        if comparison not in lesson.comparisons:
            raise LabError(f'"{reference}": there is no comparison {comparison}: there are {", ".join(lesson.comparisons) or "none"}')
        if arm not in lesson.comparisons[comparison].specs:
            raise LabError(f'"{reference}": {comparison} has no arm "{arm}": there are {", ".join(lesson.comparisons[comparison].specs)}')
    elif reference not in lesson.runs and reference not in lesson.matter.measurements:
        there = [*lesson.runs, *lesson.matter.measurements, *(f"{key}/{arm}" for key, compared in lesson.comparisons.items() for arm in compared.specs)]
        raise LabError(f'"{reference}": there is no such run, measurement or comparison/arm: there are {", ".join(there)}')
    lesson.unit(measure, reference)


def _check_one_control(step: Step, name: str) -> None:
    controls = [place for place in step.places if place.kind in CONTROLS]
    if len(controls) > 1:
        both = " and ".join(f"{place.kind} {place.name}" for place in controls[:2])
        raise LabError(f"{name}, line {controls[1].line}: the step “{step.heading}” has {both}: a step has one of these, begin another with a line ## …")


def _check_order(lesson: Lesson, name: str) -> None:
    """Before each result a prediction that it answers, at least in part; and something to do before the words are too many."""
    predicted, words, answered = _predicted(lesson, lesson.places), 0, answering(lesson)
    for block in (block for step in lesson.steps for block in step.blocks):
        if isinstance(block, Words):
            words += len(re.findall(r"\w+", NO_WORDS.sub(" ", block.text)))
            if words > WORDS:
                raise LabError(f"{name}, line {block.line}: {words} words up to here without anything to do: at most {WORDS}; shorten, or let the student act")
            continue
        words = 0
        if block.kind in RESULTS and block not in predicted:
            raise LabError(f"{name}, line {block.line}: {block.kind} {block.name} shows a result before anything was predicted of it: put a **Predict** before "
                           f"it that asks about {block.name}")
        if block.kind == "Predict" and block.name not in answered:
            raise LabError(f"{name}, line {block.line}: no result comes after Predict {block.name}, so nothing answers it: put one there, or take it out")


def _predicted(lesson: Lesson, places: Sequence[Place]) -> set[Place]:
    """The results of which something is predicted by those predictions that stand among these places."""
    return {result for place in places if place.kind == "Predict" for result in showing(lesson, place.name)}


def _check_shown(lesson: Lesson, name: str) -> None:
    """A wrong observation is shown back on something that has been on the page by then."""
    there: set[str] = set()
    for place in lesson.places:
        if place.kind in ("Figure", *RESULTS):
            there.add(place.name)
        elif place.kind == "Observe":
            shown = lesson.matter.observations[place.name].show.partition("/")[0]
            if shown and shown not in there:
                raise LabError(f'{name}, line {place.line}: Observe {place.name} shows "{shown}", which comes only after it: put it before the question, '
                               "or show something else")


def _check_explained(lesson: Lesson, found: Front, name: str) -> None:
    """Whoever comes in at a step that explains a method meets no result of which nothing could be predicted from there on."""
    headings = [step.heading for step in lesson.steps]
    for key, heading in lesson.matter.explains.items():
        at(found, name, ("explains", key), lambda key=key: catalogue.find("methods", key))
        where = f"{name}, line {found.line('explains', key)}, explains {key}"
        if heading not in headings:
            raise LabError(f'{where}: there is no step "{shorten(heading)}": there are {", ".join(headings)}')
        places = [place for step in lesson.steps[headings.index(heading):] for place in step.places]
        predicted = _predicted(lesson, places)
        early = next((place for place in places if place.kind in RESULTS and place not in predicted), None)
        if early is not None:
            raise LabError(f"{where}: from “{heading}” on, {early.kind} {early.name} is shown without its prediction, which stands further up: name a step "
                           "before that")
