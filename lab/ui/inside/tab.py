"""The tab and what it may ask: which runs there are, one of them laid open, a look at it, and the numbers of a lens as a file."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from lab import catalogue
from lab.contracts import LabError
from lab.events import Evaluated
from lab.ui import address, cards, charts, formula
from lab.ui.bench import Bench
from lab.ui.inside import heat, seen, trials
from lab.ui.inside.subject import Subject, Subjects
from lab.ui.picture import RECORDED, sentence, title
from lab.ui.view import answered, view
from lab.ui.wording import score, task_said

LISTED = 40  # runs of this browser in the menu
BEGUN = ("running", "finished", "failed", "cancelled")


def tab(bench: Bench) -> gr.HTML:
    return view("inside.js", server_functions=questions(bench), elem_id="inside")


def questions(bench: Bench) -> list[Callable[[Any], dict[str, Any]]]:
    """What the page may ask. Whoever knows a run's address may look into it; how much one browser may ask for is limited."""
    subjects = Subjects(bench)

    def opened(asked: Any) -> Subject:
        return subjects.read(str(asked.get("run", "")), str(asked.get("owner", "")))

    @answered
    def runs(asked: Any) -> dict[str, Any]:
        return choices(bench, subjects, str(asked.get("owner", "")))

    @answered
    def view(asked: Any) -> dict[str, Any]:
        """{"run", "owner", "marks": {lens: mark}} → the run with a row for each lens; values the page has by their marks are not sent again."""
        marks, owner = asked.get("marks"), str(asked.get("owner", ""))
        subject = opened(asked)
        return {**shown(subject, owner), "lenses": seen.rows(subject, subjects, marks if isinstance(marks, dict) else {}, owner)}

    @answered
    def drawing(asked: Any) -> dict[str, Any]:
        """The anatomy of the run's method, whose parts light up with what is shown of them."""
        spec = opened(asked).spec
        if spec is None:
            raise LabError(seen.NO_LENS)
        return {"anatomy": cards.drawn(spec).to_dict(), "symbols": formula.symbols(spec)}

    @answered
    def ask(asked: Any) -> dict[str, Any]:
        return {"look": seen.ask(asked, opened(asked), str(asked.get("owner", "")), subjects).id}

    @answered
    def stop(asked: Any) -> dict[str, Any]:
        look = bench.mine(str(asked.get("look")), str(asked.get("owner", "")))
        return {"state": bench.store.cancel(look.id).state}

    @answered
    def share(asked: Any) -> dict[str, Any]:
        return {"shared": bench.share(str(asked.get("run")), str(asked.get("owner", "")))}

    @answered
    def numbers(asked: Any) -> dict[str, Any]:
        subject, lens = opened(asked), catalogue.find("lenses", asked.get("lens"))
        return {"name": f"{lens.key}-{subject.key.removeprefix(RECORDED)[:12]}.csv", "text": seen.as_csv(lens, subject, subjects)}

    return [runs, view, drawing, ask, stop, share, numbers, *heat.questions(subjects), *trials.questions(subjects)]


def choices(bench: Bench, subjects: Subjects, owner: str) -> dict[str, Any]:
    """The menu: this browser's runs that have begun, newest first, then the recorded ones, those of which most was seen first,
    and of these the ones that learned most: of a gain that is none, nothing can be shown."""
    mine = [run for run in bench.store.history(owner, limit=LISTED) if run.state in BEGUN] if owner else []
    recorded = [subjects.open(RECORDED + each.key) for each in bench.recorded]
    recorded.sort(key=lambda each: (-len({seen.lens for seen in each.result.observed} & set(catalogue.entries("lenses"))), -_gain(each.result.scores)))
    return {"mine": [_choice(subjects.open(run.id)) for run in mine], "recorded": [_choice(each) for each in recorded]}


def _gain(scores: Mapping[str, Evaluated]) -> float:
    return scores["tuned"].score - scores["base"].score if {"tuned", "base"} <= set(scores) else 0.0


def _choice(subject: Subject) -> dict[str, Any]:
    tuned = subject.result.scores.get("tuned")
    return {"run": subject.key, "name": subject.title or title(subject.settings), "task": task_said(subject.settings.get("task")), "state": subject.state,
            "told": _knobs(subject.settings), "score": score(tuned.score, tuned.standard_error, tuned.metric) if tuned else ""}


def _knobs(settings: Any) -> str:
    """What tells runs of one method apart."""
    method = settings["method"]
    told = [words.format(method[key]) for key, words in (("virtual_tokens", "{} virtual tokens"), ("rank", "rank {}")) if method.get(key)]
    return ", ".join([*told, *([f"from {method['init']}"] if method.get("virtual_tokens") and method.get("init") else []), f"{settings['steps']} steps"])


def shown(subject: Subject, owner: str) -> dict[str, Any]:
    """The run itself."""
    result, spec = subject.result, subject.spec
    tuned = result.scores.get("tuned")
    return {
        "run": subject.key, "name": subject.title or title(subject.settings), "settings": sentence(subject.settings), "spec": dict(subject.settings),
        "method": subject.settings["method"]["name"], "model": subject.settings["model"], "task": subject.settings.get("task"),
        "kind": spec.shape.kind if spec else "", "colour": charts.colour(subject.settings["method"]["name"]), "state": subject.state, "label": subject.label,
        "mine": bool(owner) and subject.owner == owner, "steps": int(subject.settings.get("steps", 0)), "step": result.step, "reason": result.reason,
        "losses": [[step, round(loss, 4)] for step, loss in charts.thinned([(step, loss) for step, loss in result.losses if loss is not None])],
        "score": {"score": tuned.score, "standard_error": tuned.standard_error, "metric": tuned.metric, "items": tuned.items,
                  "text": score(tuned.score, tuned.standard_error, tuned.metric)} if tuned else None,
        "address": address.query(spec) if spec else "",
    }
