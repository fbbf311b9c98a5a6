"""The tab and what it may ask: the map, a lesson, what a result shows beside the guesses made of it, a claim's verdict, a run of one's own."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from lab.contracts import LabError
from lab.lessons.claims import outcome
from lab.ui.bench import Bench
from lab.ui.learn import blocks, exam, halls, links, progress, results
from lab.ui.learn.course import Course, measuring_of
from lab.ui.learn.evidence import wrong
from lab.ui.live import Watcher
from lab.ui.view import answered, view


def tab(bench: Bench) -> gr.HTML:
    return view("learn.js", server_functions=questions(bench), elem_id="learn")


def questions(bench: Bench) -> list[Callable[[Any], dict[str, Any]]]:
    """What the page may ask. `live` in a question is {name of a run: id}, the runs that this student has made of the lesson's."""
    course, watcher = Course(bench), Watcher(bench)

    @answered
    def course_map(asked: Any) -> dict[str, Any]:
        return {"lessons": [blocks.card(lesson) for lesson in course.lessons.values()]}

    @answered
    def lesson(asked: Any) -> dict[str, Any]:
        return blocks.shown(course, course.find(asked.get("lesson")))

    @answered
    def result(asked: Any) -> dict[str, Any]:
        """{"lesson", "kind", "name", "guesses", "live", "owner"} → what came out, and what came of the guesses that it answers."""
        found, kind, name = course.find(asked.get("lesson")), str(asked.get("kind", "")).capitalize(), asked.get("name")
        place, live = course.place(found, kind, name), asked.get("live") or {}
        known = course.known(found, live, str(asked.get("owner", "")))
        if kind == "Run":
            seen = results.run(course, found, place, known)
        elif kind == "Compare":
            seen = results.compared(course, found, place.name, known, place)
        elif kind == "Measure":
            seen = results.measured(course, found, place.name, known, place)
        else:
            raise LabError(f"{kind} has no result")
        return {**seen, **results.answers(found, place, asked.get("guesses"), known)}

    @answered
    def figure(asked: Any) -> dict[str, Any]:
        found = course.find(asked.get("lesson"))
        place = course.place(found, "Figure", asked.get("name"))
        return results.figure(course, found, place, course.known(found, asked.get("live") or {}, str(asked.get("owner", ""))))

    @answered
    def claim(asked: Any) -> dict[str, Any]:
        """What these very runs say of it."""
        found = course.find(asked.get("lesson"))
        said = found.matter.claims[course.place(found, "Claim", asked.get("name")).name]
        seen = outcome(said, course.known(found, asked.get("live") or {}, str(asked.get("owner", ""))))
        return {"verdict": seen.verdict, "says": seen.says, "why": said.why if seen.verdict == said.here else ""}

    @answered
    def begin(asked: Any) -> dict[str, Any]:
        """Train a lesson's run here, or, unless it is to be made `anew`, take an equal one that was trained here before; or measure what it measures."""
        found = course.find(asked.get("lesson"))
        if asked.get("kind") == "measure":
            name = course.place(found, "Measure", asked.get("name")).name
            run = bench.measure(measuring_of(found, name), str(asked.get("owner", "")), course.measuring_seconds(found, name))
            return {"run": run.id, "answered": False}
        spec = found.runs[course.place(found, "Run", asked.get("name")).name]
        run = bench.submit(spec, str(asked.get("owner", "")), anew=asked.get("anew") is True)
        return {"run": run.id, "answered": run.ended}

    @answered
    def stop(asked: Any) -> dict[str, Any]:
        return {"state": bench.store.cancel(bench.mine(str(asked.get("run")), str(asked.get("owner", ""))).id).state}

    @answered
    def measuring(asked: Any) -> dict[str, Any]:
        """How far a measurement of one's own is."""
        return progress.of(bench, bench.mine(str(asked.get("run")), str(asked.get("owner", ""))))

    @answered
    def failure(asked: Any) -> dict[str, Any]:
        """What is wrong with a run that failed, by name and with the chart that shows it."""
        run = bench.store.run(str(asked.get("run")))
        bench.check_reader(run, str(asked.get("owner", "")))
        return {"wrong": wrong(run.spec, bench.store.result(run.id), bench.recorded)}

    @answered
    def museum(asked: Any) -> dict[str, Any]:
        return {"exhibits": halls.labels(bench)}

    @answered
    def exhibit(asked: Any) -> dict[str, Any]:
        """What went wrong, in the words of the lab's own diagnosis of these very events."""
        return halls.shown(bench, asked.get("exhibit"))

    @answered
    def controls(asked: Any) -> dict[str, Any]:
        """What a teacher's link may fix or hide in the Train tab, as its form stands or as a lesson leads to it."""
        return links.choices(bench, course.find(asked["lesson"]) if asked.get("lesson") else None, asked.get("draft"))

    @answered
    def test(asked: Any) -> dict[str, Any]:
        return exam.asked(bench.bank, str(asked.get("form", "")))

    @answered
    def mark(asked: Any) -> dict[str, Any]:
        return exam.marked(bench.bank, str(asked.get("form", "")), asked.get("answers"))

    return [museum, exhibit, controls, test, mark, course_map, lesson, result, figure, claim, begin, stop, measuring, failure, answered(watcher.poll)]
