"""What a lesson shows of a run, a comparison, a measurement and a figure: with the same parts as the other tabs."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lab import catalogue
from lab.accounting.points import PARTS
from lab.compare import report
from lab.contracts import LabError
from lab.events import RunResult
from lab.lessons import Lesson
from lab.lessons.asking import answered_by, asked_later, asked_so_far, begun_by, heading, quantities
from lab.lessons.guesses import answer
from lab.lessons.known import Known
from lab.lessons.lesson import RESULTS, Place
from lab.lessons.measures import said
from lab.lessons.recorded import find as recorded_run
from lab.lessons.recorded import whole
from lab.reporting.measures import measures
from lab.spec import RunSpec
from lab.ui import cards, charts
from lab.ui.compare.arms import looks
from lab.ui.compare.figures import figures
from lab.ui.compare.table import table
from lab.ui.compare.tradeoffs import Evidence
from lab.ui.compare.verdicts import verdicts, winners
from lab.ui.foretold import order
from lab.ui.learn.course import Course
from lab.ui.learn.evidence import wrong
from lab.ui.learn.nearest import summary
from lab.ui.memory.asked import step_of
from lab.ui.memory.detail import detail
from lab.ui.memory.tab import look
from lab.ui.picture import picture, reference, settled
from lab.ui.wording import cell

COLUMNS = ("score", "trainable", "share", "peak_bytes", "step_seconds")
NOT_YET = {"waiting": True}
APART = " Times are left out: it is not known that all of these runs were made on one machine."
ONLY_WHOLE = " A lesson counts those of arms that have all their seeds; Compare counts each."


def run(course: Course, lesson: Lesson, place: Place, known: Known) -> dict[str, Any]:
    """The chart, what was learned, trained and spent, of the student's own run or the recorded one; {"waiting"} where there is neither. The line of recorded
    full fine-tuning is left out where the lesson goes on to ask about it."""
    name, spec = place.name, lesson.runs[place.name]
    result = known.runs.get(spec.fingerprint)
    if result is None:
        return NOT_YET
    settings = spec.to_dict()
    own = name in known.own
    lines = {} if _asks_for_full(lesson, place) else reference(course.bench.recorded, settings)
    seen = picture(spec, settings, settled(spec, settings), result, "finished", lines)
    found = wrong(spec, result, course.bench.recorded) if own else []  # what is odd in a recorded run is for the student to see
    return {"own": own, "chip": "your run" if own else _recorded(course.made(lesson, name)), "wrong": found,
            **{key: seen[key] for key in ("figure", "learned", "trained", "cost", "asked", "nothing")}}


def _asks_for_full(lesson: Lesson, place: Place) -> bool:
    """Whether a later prediction is about a score of full fine-tuning."""
    later = [each.name for each in lesson.places[lesson.places.index(place) + 1:] if each.kind == "Predict"]
    asked = [reference for name in later for measure, reference in quantities(lesson, lesson.matter.predictions[name]) if measure == "score"]
    return any(_spec(lesson, reference).method.key == "full" for reference in asked if reference not in lesson.matter.measurements)


def _recorded(made: Mapping[str, Any] | None) -> str:
    return f"recorded {made['date']} on {made['cores']} CPU cores" if made else "recorded"


def compared(course: Course, lesson: Lesson, name: str, known: Known, place: Place) -> dict[str, Any]:
    """The figure that answers the question, verdicts, and the few columns that a lesson needs and has asked for where `place` shows them."""
    comparison = lesson.comparisons[name]
    runs = whole(comparison, known.runs)  # one of this lesson's own runs may be an arm's first seed, and no more of it be there
    if not runs:
        return NOT_YET
    made = report(comparison, runs)
    look = dict(zip(comparison.specs, looks(list(comparison.specs.values())), strict=True))
    for arm in made["arms"]:
        arm |= {"rates": None, "elsewhere": ""}
    chosen = measures(made["metric"], made["higher_is_better"], made["test_metric"])
    asked = {*COLUMNS, *asked_so_far(lesson, name, place)} - asked_later(lesson, name, place)
    apart = len(course.machines(spec for spec in comparison.runs.values() if spec.fingerprint in runs)) > 1
    few = [each for each in chosen if each.key in asked and not (apart and each.timed)]
    told = verdicts(made, len(runs), len(comparison.runs))
    if len(runs) < len(comparison.runs):
        told["lead"] += ONLY_WHOLE
    if apart and any(each.timed for each in chosen if each.key in asked):
        told["lead"] += APART
    drawn = figures(comparison, made, look, chosen, Evidence())
    rows = table(made["arms"], few, look, winners(made), False, made["measure"])
    return {"title": comparison.title, "figure": drawn[0] if drawn else None, "verdicts": told, "table": rows,
            "chip": _made(sum(course.recorded(lesson, each) for each in runs), len(runs), len(comparison.runs))}


def _made(recorded: int, there: int, planned: int) -> str:
    """How many of its runs there are, and who made them."""
    of = f" of {planned}" if there < planned else ""
    if recorded == there:
        return f"{there}{of} runs, recorded" if of else f"{there} recorded runs"
    return f"{there}{of} runs, your own" if not recorded else f"{there}{of} runs, {there - recorded} of them your own"


def measured(course: Course, lesson: Lesson, name: str, known: Known, place: Place) -> dict[str, Any]:
    """Each quantity in words, and the whole as a table. As long as the lesson goes on to ask about such a measurement, only the quantities that it has asked
    for where `place` shows them: from the others one could work out the rest."""
    own = known.own.get(name)
    found = own or course.measurement(lesson, name)
    if found is None:
        return NOT_YET
    kind = catalogue.find("measurements", lesson.matter.measurements[name].name)
    values = found["values"]
    if asked_later(lesson, name, place):
        values = {key: value for key, value in values.items() if key in asked_so_far(lesson, name, place)}
    rows = [{"about": kind.gives[key].about, "value": said(value, kind.gives[key].unit), "error": f"± {said(error, kind.gives[key].unit)}" if error else ""}
            for key, (value, error) in values.items()]
    return {"title": kind.title, "rows": rows, "own": bool(own), "chip": "your own measurement" if own else _recorded(found["made"]),
            "table": {"columns": found["columns"], "rows": [[cell(each) for each in row] for row in found["rows"]]}}


# ── figures ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def figure(course: Course, lesson: Lesson, place: Place, known: Known) -> dict[str, Any]:
    """Raises LabError where a figure of this kind cannot be drawn of that."""
    asked = lesson.matter.figures[place.name]
    if asked.kind == "picture":
        return {"picture": asked.file}
    return FIGURES[asked.kind](course, lesson, asked.of, known, place)


def _spec(lesson: Lesson, of: str) -> RunSpec:
    comparison, arm = lesson.arm(of)
    if comparison:
        return lesson.comparisons[comparison].specs[arm]
    if of not in lesson.runs:
        raise LabError(f'of is "{of}": this figure is of a run, or of an arm as comparison/arm')
    return lesson.runs[of]


def _result(lesson: Lesson, of: str, known: Known) -> tuple[RunSpec, RunResult | None]:
    spec = _spec(lesson, of)
    return spec, known.runs.get(spec.fingerprint)


def _anatomy(course: Course, lesson: Lesson, of: str, known: Known, place: Place) -> dict[str, Any]:
    seen = cards.before(_spec(lesson, of), "float32")
    return {"anatomy": seen["anatomy"], "symbols": seen["symbols"]}


def _count(course: Course, lesson: Lesson, of: str, known: Known, place: Place) -> dict[str, Any]:
    seen = cards.before(_spec(lesson, of), "float32")
    return {"count": {key: seen[key] for key in ("trainable", "share", "part", "rows", "terms", "total", "formula", "linked")}}


def _memory(course: Course, lesson: Lesson, of: str, known: Known, place: Place) -> dict[str, Any]:
    """One bar a run: of a comparison one for each arm, measured where it was run."""
    if of in lesson.comparisons:
        specs = [(arm, spec) for arm, spec in lesson.comparisons[of].specs.items()]
    else:
        specs = [(_spec(lesson, of).method.title, _spec(lesson, of))]
    bars = []
    for arm, spec in specs:
        result = known.runs.get(spec.fingerprint)
        memory = result.seen("memory") if result else None
        bars.append(cards.bar(memory or spec.memory("float32"), f"{arm}, {'measured' if memory else 'estimated'}"))
    return {"memory": bars}


def _timeline(course: Course, lesson: Lesson, of: str, known: Known, place: Place) -> dict[str, Any]:
    """The course of one step as the Memory tab draws it, of the very batch that the run has measured, so that both tell one peak; where there is no such run,
    of the longest texts. {"tracing": whether the tracing process has to start first} until then."""
    spec, desk = _spec(lesson, of), course.bench.desk
    result = known.runs.get(spec.fingerprint)
    measured = (result.seen("memory") if result and result.started else None) or {}
    if "real_tokens" in measured:
        asked = order(result)
        found = desk.against(f"lesson {spec.fingerprint} {measured['batch']} {measured['real_tokens']}", asked, measured)
        told = None if found is None else detail(asked, found["predicted"], {})
    else:
        seen = look({**step_of(spec), "shown": 0}, desk)
        if not seen["waiting"] and seen["detail"] is None:
            raise LabError(seen["rows"][0]["reason"])
        told = None if seen["waiting"] else seen["detail"]
    if told is None:
        return {"tracing": desk.starting}
    parts = [{"name": part, "colour": charts.PARTS[part]} for part in PARTS]
    return {"course": {key: told[key] for key in ("title", "moment", "timeline")}, "parts": parts}


def _neighbours(course: Course, lesson: Lesson, of: str, known: Known, place: Place) -> dict[str, Any]:
    """Only of a run that was looked into."""
    _, result = _result(lesson, of, known)
    seen = result.seen("prompt_neighbours") if result else None
    return summary(seen) if seen else NOT_YET


def _curves(course: Course, lesson: Lesson, of: str, known: Known, place: Place) -> dict[str, Any]:
    spec, result = _result(lesson, of, known)
    if result is None:
        return NOT_YET
    return {"chart": charts.learning([charts.Curve(spec.method.title, spec.method.key, result, spec.steps)])}


def _scores(course: Course, lesson: Lesson, of: str, known: Known, place: Place) -> dict[str, Any]:
    if of in lesson.comparisons:
        found = compared(course, lesson, of, known, place)
        return {"chart": found["figure"]["figure"]} if found.get("figure") else NOT_YET
    spec, result = _result(lesson, of, known)
    return {"learned": cards.learned(result, spec.shape)} if result else NOT_YET


def _answers(course: Course, lesson: Lesson, of: str, known: Known, place: Place) -> dict[str, Any]:
    spec, result = _result(lesson, of, known)
    if result is None:
        return NOT_YET
    learned = cards.learned(result, spec.shape)
    if not learned["samples"]:  # what was recorded for a comparison keeps none; an equal run that was recorded by itself does
        found = recorded_run(spec, course.assets)
        learned = cards.learned(found.result, spec.shape) if found else learned
    return {"learned": learned, "samples": True} if learned["samples"] else {"says": ["No single answers were kept of this run; its score stands above."]}


def _table(course: Course, lesson: Lesson, of: str, known: Known, place: Place) -> dict[str, Any]:
    if of in lesson.comparisons:
        found = compared(course, lesson, of, known, place)
        return {"arms": found["table"]} if "table" in found else NOT_YET
    found = measured(course, lesson, of, known, place)
    return {"table": found["table"]} if "table" in found else NOT_YET


FIGURES: Mapping[str, Callable[[Course, Lesson, str, Known, Place], dict[str, Any]]] = {
    "anatomy": _anatomy, "count": _count, "memory": _memory, "timeline": _timeline, "neighbours": _neighbours, "curves": _curves, "scores": _scores,
    "answers": _answers, "table": _table,
}


def answers(lesson: Lesson, place: Place, guesses: Any, known: Known) -> dict[str, Any]:
    """Of the guesses that were made, by the name of each prediction: `answers` is what came of those that this result answers, `open` the steps whose results
    are still missing for that, and `later` the step that will answer those of which this result is a part."""
    made = guesses if isinstance(guesses, Mapping) else {}
    found, missing = {}, {}
    for name in answered_by(lesson, place):
        if name in made:
            came_out = answer(lesson.matter.predictions[name], made[name], known)
            if came_out is None:
                missing[name] = _missing(lesson, name, known)
            else:
                found[name] = vars(came_out)
    later = {name: heading(lesson, last) for name, last in begun_by(lesson, place).items() if name in made}
    return {"answers": found, "open": missing, "later": later}


def _missing(lesson: Lesson, prediction: str, known: Known) -> list[str]:
    """The steps with a result that this prediction is about and that is not known."""
    about = quantities(lesson, lesson.matter.predictions[prediction])
    names = {reference.partition("/")[0] for measure, reference in about if not known.sample(measure, reference)}
    return [heading(lesson, place) for place in lesson.places if place.kind in RESULTS and place.name in names]
