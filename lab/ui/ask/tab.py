"""The tab and what it may ask: which runs there are, one of them, an example for it, a question to it, and what has come of that question."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from lab.contracts import LabError
from lab.serving import KIND, Question, forms
from lab.ui.ask import together, words
from lab.ui.ask.examples import Examples
from lab.ui.ask.runs import CALLS, FORMS, Runs
from lab.ui.ask.several import several
from lab.ui.bench import Bench
from lab.ui.view import answered, view

MOST_WAITING = 3  # questions of one browser
QUEUE = 60  # of all
KEPT = 12  # of one browser's questions that have been answered; what was typed is nobody's history
ASKED = ("text", "form", "shots", "wording")
WARMING = "."  # a text that nobody waits for the answer of


def tab(bench: Bench) -> gr.HTML:
    return view("try.js", server_functions=questions(bench), elem_id="try")


def questions(bench: Bench) -> list[Callable[[Any], dict[str, Any]]]:
    """What the page may ask. Whoever knows a run's address may ask it; how much one browser may ask at a time is limited."""
    known, examples = Runs(bench), Examples(bench)

    @answered
    def runs(asked: Any) -> dict[str, Any]:
        return known.choices(str(asked.get("owner", "")))

    @answered
    def view(asked: Any) -> dict[str, Any]:
        return known.view(str(asked.get("run", "")), str(asked.get("owner", "")))

    @answered
    def example(asked: Any) -> dict[str, Any]:
        number = asked.get("number")
        run, owner = known.run(str(asked.get("run", ""))), str(asked.get("owner", ""))
        bench.check_reader(run, owner)
        return examples.one(run, number if isinstance(number, int) else None, owner)

    @answered
    def ask(asked: Any) -> dict[str, Any]:
        """{"run", "owner", "text", "form", "shots", "wording", "time"} → {"question"}, which `reply` then tells of."""
        run, owner = known.run(str(asked.get("run", ""))), str(asked.get("owner", ""))
        bench.check_reader(run, owner)
        state, reason = known.standing(run, _spec(run))
        if state != "ready":
            raise LabError(reason)
        calls = CALLS[run.spec.goal.writes] if asked.get("time") is True else 0
        question = Question.parse({"run": run.id, "dtype": known.known(run).dtype, "calls": calls, **{key: asked[key] for key in ASKED if key in asked}})
        fits = forms(run.spec)[question.form]
        if not fits.ok:
            raise LabError(f"form is {FORMS[question.form]}: {fits.reason}")
        _check_room(owner)
        return {"question": bench.store.submit(question, owner, kind=KIND, priority=1).id}

    @answered
    def warm(asked: Any) -> dict[str, Any]:
        """Have the run opened, and the worker that answers started, while somebody still types."""
        run, owner = known.run(str(asked.get("run", ""))), str(asked.get("owner", ""))
        bench.check_reader(run, owner)
        few = not bench.store.waiting(owner, questions=True) and bench.store.waiting(questions=True) < QUEUE // 4  # the rest is for who asks
        if known.standing(run, _spec(run))[0] == "ready" and owner and few:
            bench.store.submit(Question(run=run.id, text=WARMING, longest=1, dtype=known.known(run).dtype), owner, kind=KIND)
        return {}

    @answered
    def reply(asked: Any) -> dict[str, Any]:
        """{"question", "owner", "mark"} → what is to be seen of it, or {"mark"} alone where nothing is new."""
        question = _mine(asked)
        events = bench.store.lines(question.id)
        mark = f"{len(events)}.{question.state}"
        if asked.get("mark") == mark and question.state != "queued":
            return {"mark": mark}
        result, runs = bench.store.result(question.id), question.settings.get("runs")
        if runs:
            return {"mark": mark, **together.shown(question, [known.run(run) for run in runs], result)}
        return {"mark": mark, **words.shown(question, known.run(question.settings["run"]).spec, result)}

    @answered
    def stop(asked: Any) -> dict[str, Any]:
        return {"state": bench.store.cancel(_mine(asked).id).state}

    @answered
    def share(asked: Any) -> dict[str, Any]:
        return {"shared": bench.share(str(asked.get("run")), str(asked.get("owner", "")))}

    def _mine(asked: Any) -> Any:
        question = bench.mine(str(asked.get("question")), str(asked.get("owner", "")))
        if question.kind != KIND:
            raise LabError("this is no question to a run")
        return question

    def _check_room(owner: str) -> None:
        if bench.store.waiting(owner, questions=True) >= MOST_WAITING:
            raise LabError(f"{MOST_WAITING} of your questions are being answered: wait for one, or stop it")
        if bench.store.waiting(questions=True) >= QUEUE:
            raise LabError("too many people are asking at the moment: try again in a few seconds")
        bench.store.forget_questions(owner, KEPT)

    return [runs, view, example, ask, warm, reply, stop, share, *several(bench, known, _check_room)]


def _spec(run: Any) -> Any:
    try:
        return run.spec
    except LabError:
        return None
