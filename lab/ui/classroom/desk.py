"""The desk of whoever teaches, behind a secret: who waits and runs, progress, predictions, results, capacity, and all of it as files.

The secret is sent once and compared in constant time; what the browser keeps is a token of this process.
"""
from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.routing import Route

from lab import catalogue
from lab.classroom import tally
from lab.classroom.tries import Tokens, Tries
from lab.contracts import LabError
from lab.lessons import Lesson
from lab.logs import short
from lab.store import Run
from lab.ui import wording
from lab.ui.bench import Bench
from lab.ui.classroom import exports
from lab.ui.classroom.capacity import capacity
from lab.ui.classroom.scores import Scores, rows, told
from lab.ui.classroom.told import route, text
from lab.ui.learn.course import Course
from lab.ui.picture import sentence, title

LOG = logging.getLogger(__name__)
LISTED = 200  # runs in the list of those that wait and run
GALLERY = 60
Question = Callable[[Mapping[str, Any]], dict[str, Any]]


def routes(bench: Bench, scores: Scores) -> list[Route]:
    tries, tokens, course = Tries(), Tokens(), Course(bench)

    def enter(said: Mapping[str, Any], client: str) -> dict[str, Any]:
        try:
            tries.check(text(said, "secret"), bench.settings.instructor_secret, client, "instructor secret")
        except LabError:
            LOG.warning("instructor refused", extra={"client": short(client)})
            raise
        LOG.info("instructor signed in", extra={"client": short(client)})
        return {"token": tokens.new()}

    def out(said: Mapping[str, Any], client: str) -> dict[str, Any]:
        tokens.end(text(said, "token"))
        return {}

    def queue(said: Mapping[str, Any]) -> dict[str, Any]:
        return {**going(bench), "capacity": capacity(bench), "members": len(bench.register.members())}

    def cancel(said: Mapping[str, Any]) -> dict[str, Any]:
        run = bench.store.cancel(text(said, "run"))
        LOG.info("run cancelled by the instructor", extra={"run": run.id, "owner": short(run.owner)})
        return {"state": run.state}

    def progress(said: Mapping[str, Any]) -> dict[str, Any]:
        return tally.progress(bench.register.members(), bench.register.records(["progress"]), bench.lessons)

    def predictions(said: Mapping[str, Any]) -> dict[str, Any]:
        """Of the lesson that was asked for, else of the one that most have predicted in."""
        found = bench.register.records(["prediction"])
        many = {key: len({each.owner for each in found if each.lesson == key}) for key in bench.lessons}
        wanted = text(said, "lesson") or max(many, key=lambda key: many[key], default="")
        lessons = [{"key": key, "title": f"{lesson.number} {lesson.matter.title}", "members": many[key]} for key, lesson in bench.lessons.items()]
        return {"lessons": lessons, "lesson": wanted, "predictions": _predicted(course, course.find(wanted), found) if wanted else []}

    def gallery(said: Mapping[str, Any]) -> dict[str, Any]:
        """The leaderboard of a task without names, and the newest of its runs with them."""
        tasks = scores.tasks()
        task = text(said, "task") or bench.settings.shared_task or (tasks[0]["key"] if tasks else "")
        found, names = scores.members(task) if task else [], named(bench)
        return {"tasks": tasks, "task": task, "title": scores.titled(task) if task else "", "shared": task == bench.settings.shared_task,
                "board": rows(found), "runs": [{"name": names(each.owner), "at": each.at, **told(each)} for each in found[:GALLERY]]}

    def export(said: Mapping[str, Any]) -> dict[str, Any]:
        return exports.file(bench, text(said, "what"))

    def behind(question: Question) -> Callable[[Mapping[str, Any], str], dict[str, Any]]:
        def asked(said: Mapping[str, Any], client: str) -> dict[str, Any]:
            tokens.check(text(said, "token"))
            return question(said)

        return asked

    if bench.settings.instructor_secret is None:
        return []
    return [route("enter", enter), route("out", out), *(route(each.__name__, behind(each)) for each in (queue, cancel, progress, predictions, gallery, export))]


def going(bench: Bench) -> dict[str, Any]:
    """What runs and what waits, in the order in which it will run; and whose runs are to follow, for which there is no room yet."""
    names = named(bench)
    running = [run for run in bench.store.in_state("running", LISTED) if run.kind != "question"]
    waiting = bench.store.queue(limit=LISTED)
    now, workers = bench.store.now, max(1, len(list(bench.workers())))
    rows = [{**_row(run, names), "place": 0, "since": _ago(now - (run.started or now)), "wait": ""} for run in running]
    for place, (run, left) in enumerate(zip(waiting, bench.paces.waits(waiting, workers), strict=True), 1):
        rows.append({**_row(run, names), "place": place, "since": _ago(now - run.created), "wait": wording.about(left) if left is not None else ""})
    follow = bench.following.owners()
    return {"rows": rows, "running": len(running), "waiting": len(waiting), "following": sum(count for _, count in follow),
            "follow": told_follow(follow, names)}


def told_follow(follow: Sequence[tuple[str, int]], names: Callable[[str], str]) -> str:
    """12 more follow as there is room for them, of comparisons and experiments: 8 of Ann; 4 of browser 1a2b"""
    count = sum(each for _, each in follow)
    if not count:
        return ""
    whose = "; ".join(f"{each} of {names(owner)}" for owner, each in follow[:LISTED])
    return f"{count:,} more run{'s follow' if count > 1 else ' follows'} as there is room, of comparisons and experiments that were started: {whose}."


def named(bench: Bench) -> Callable[[str], str]:
    """The name of an owner: that of a member, else a mark of the browser."""
    known = {member.owner: member.name for member in bench.register.members()}
    return lambda owner: known.get(owner) or f"browser {short(owner)[:4]}"


def _row(run: Run, names: Callable[[str], str]) -> dict[str, Any]:
    if run.kind == "look":
        lens = run.settings.get("lens", "")
        known = catalogue.entries("lenses").get(lens)
        what, more = f"A look inside: {known.title if known else lens}", ""
    elif run.kind == "measure":
        known = catalogue.entries("measurements").get(run.settings.get("measurement", ""))
        what, more = f"A measurement: {known.title if known else run.settings.get('measurement')}", ""
    else:
        what, more = run.title or title(run.settings), sentence(run.settings)
    return {"id": run.id, "who": names(run.owner), "what": what, "settings": more, "state": run.state, "stopping": run.cancel}


def _ago(seconds: float) -> str:
    return "now" if seconds < 1 else wording.seconds(seconds)


def _predicted(course: Course, lesson: Lesson, found: Any) -> list[dict[str, Any]]:
    """Each prediction of the lesson in its order, beside what came out of the recorded runs."""
    known = course.known(lesson, {}, "")
    order = [place.name for step in lesson.steps for place in step.places if place.kind == "Predict"]
    made = {name: [each.value for each in found if each.lesson == lesson.key and each.name == name] for name in order}
    return [tally.predicted(lesson, name, made[name], known) for name in order]
