"""The door: join with the class code and a name, come back on another device, leave; and what a member's page sends of its lessons.

Nothing is kept of who has not joined, and joining takes the class code and a yes to what is said about it.
"""
from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from starlette.routing import Route

from lab.classroom.tries import Tries
from lab.contracts import LabError
from lab.lessons import Lesson
from lab.lessons.guesses import answer
from lab.lessons.known import Known
from lab.logs import short
from lab.ui.bench import Bench
from lab.ui.classroom.scores import Scores, rows
from lab.ui.classroom.told import route, text

LOG = logging.getLogger(__name__)
OF_ALL = 200  # wrong codes of a whole class within five minutes
TEST = "test"  # the lesson that the two forms of the test are kept under


def routes(bench: Bench, scores: Scores) -> list[Route]:
    codes, words = Tries(of_all=OF_ALL), Tries(of_all=OF_ALL)

    def about(said: Mapping[str, Any], client: str) -> dict[str, Any]:
        """Where this browser stands. The class code is nobody's to read."""
        settings, member = bench.settings, bench.register.member(text(said, "owner"))
        return {"class": settings.has_class, "desk": settings.instructor_secret is not None, "consent": settings.consent,
                "members_only": settings.members_only, "member": {"name": member.name, "word": member.word} if member else None,
                "board": _board(bench, scores, member.owner) if member else None}

    def join(said: Mapping[str, Any], client: str) -> dict[str, Any]:
        owner = text(said, "owner")
        _open(bench)
        codes.check(text(said, "code"), bench.settings.class_code, f"{client} {owner}", "class code: ask whoever teaches, capitals count")
        if said.get("agreed") is not True:
            raise LabError("agreed is missing: read what is kept, and tick that you agree, or use the lab without joining")
        member = bench.register.join(owner, said.get("name"))
        LOG.info("joined the class", extra={"owner": short(owner)})
        return {"member": {"name": member.name, "word": member.word}}

    def back(said: Mapping[str, Any], client: str) -> dict[str, Any]:
        """The key of a member for their other device: it opens their runs there as well."""
        _open(bench)
        with words.trying(f"{client} {text(said, 'name').casefold()}"):  # a whole class may come from one address
            member = bench.register.back(text(said, "name"), text(said, "word"))
        LOG.info("came back to the class", extra={"owner": short(member.owner)})
        return {"member": {"name": member.name, "word": member.word}, "owner": member.owner}

    def leave(said: Mapping[str, Any], client: str) -> dict[str, Any]:
        bench.register.leave(text(said, "owner"))
        LOG.info("left the class", extra={"owner": short(text(said, "owner"))})
        return {"member": None}

    def record(said: Mapping[str, Any], client: str) -> dict[str, Any]:
        """{"owner", "lesson", "records": [{"kind", "name", "value"}]}; all that fit the lesson are kept, the others are told."""
        owner, found = text(said, "owner"), said.get("records")
        if not bench.register.member(owner):
            raise LabError("you are in no class here: nothing was kept")
        if not isinstance(found, list) or len(found) > 100:
            raise LabError("the page sent no records: load it again")
        refused = []
        for each in found:
            try:
                _keep(bench, owner, text(said, "lesson"), each if isinstance(each, Mapping) else {})
            except LabError as error:
                refused.append(str(error))
        return {"kept": len(found) - len(refused), "refused": refused}

    return [route(each.__name__, each) for each in (about, join, back, leave, record)]


def _open(bench: Bench) -> None:
    if not bench.settings.has_class:
        raise LabError("this lab has no class to join")


def _board(bench: Bench, scores: Scores, owner: str) -> dict[str, Any] | None:
    """The leaderboard of the shared task, without names."""
    task = bench.settings.shared_task
    return {"task": scores.titled(task), "rows": rows(scores.members(task), owner)} if task else None


# ── what is kept of a lesson ──────────────────────────────────────────────────────────────────────────────────────────


def _keep(bench: Bench, owner: str, lesson: str, said: Mapping[str, Any]) -> None:
    """Raises LabError for what is no answer to what the lesson asks."""
    kind, name, value = text(said, "kind"), text(said, "name"), said.get("value")
    if lesson == TEST and kind == "test":
        if bench.bank is None:
            raise LabError("this lab has no test")
        bench.bank.scored(name, value if isinstance(value, list) else [])
    else:
        if lesson not in bench.lessons:
            raise LabError(f'there is no lesson "{lesson[:60]}"')
        if kind == "answer":  # the page does not tell the two apart
            kind = "observation" if name in bench.lessons[lesson].matter.observations else "quiz"
        value = _checked(bench.lessons[lesson], kind, name, value)
    if kind == "progress":  # the furthest counts: a lesson that is begun again, or on another device, takes nothing back
        for held in bench.register.records(["progress"], lesson, owner):
            value = {"step": max(held.value["step"], value["step"]), "ended": held.value["ended"] or value["ended"]}
    bench.register.record(owner, lesson, kind, name, value)


def _checked(lesson: Lesson, kind: str, name: str, value: Any) -> Any:
    match kind:
        case "progress" if name == "" and isinstance(value, Mapping) and _whole(value.get("step"), 0, len(lesson.steps)):
            return {"step": value["step"], "ended": value.get("ended") is True}
        case "prediction" if name in lesson.matter.predictions:
            answer(lesson.matter.predictions[name], value, Known(lesson, {}, {}))  # raises for a guess that is none
            return value
        case "observation" | "quiz":
            asked = getattr(lesson.matter, {"observation": "observations", "quiz": "quiz"}[kind]).get(name)
            if asked is not None and _whole(value, 1, len(asked.options)):
                return value
    raise LabError(f'{lesson.key} has no {kind or "record"} "{name[:60]}" with this answer')


def _whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
