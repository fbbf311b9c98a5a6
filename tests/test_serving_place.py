"""Questions have a place of their own: one is answered while a long training runs and another waits, and the worker that answers comes and goes."""
from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.events import Stepped
from lab.runners._deaths import Death, why
from lab.runners.local import QUESTIONS, LocalRunner
from lab.serving import KIND, Question, told
from lab.spec import RunSpec
from lab.store import Store
from tests._patience import within

TINY = {"model": "seed-bert", "task": "toy", "method": "lora", "steps": 3, "eval_items": 16, "eval_every": 0}
LONG = {**TINY, "steps": 5000, "batch": 64}
PATIENCE = 90


def until(done: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    end = time.monotonic() + seconds
    while not (result := done()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return result


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, LocalRunner]]:
    data = tmp_path_factory.mktemp("lab")
    with LocalRunner(data, tmp_path_factory.mktemp("cache"), 1, idle_seconds=4) as runner, Store(data) as store:
        yield store, runner


def ended(store: Store, run: Any) -> Any:
    return until(lambda: store.run(run.id).ended and store.run(run.id))


def asked(store: Store, run: Any, text: str = "a warm film", owner: str = "ann") -> Any:
    return store.submit(Question(run=run.id, text=text), owner, kind=KIND)


def place_of(data: Path) -> list[str]:
    return [path.name for path in (data / "workers").glob(f"local-{QUESTIONS}-*.ready")]


@pytest.mark.slow
def test_a_question_waits_for_no_training(lab: Any) -> None:
    store, runner = lab
    first = store.submit(RunSpec.parse(TINY), "ann")
    assert ended(store, first).state == "finished" and not place_of(store.root), "nobody has asked yet"
    going, waiting = store.submit(RunSpec.parse(LONG), "bob"), store.submit(RunSpec.parse(TINY), "cem")
    until(lambda: any(isinstance(event, Stepped) for _, event in store.events(going.id)))
    question = asked(store, first)
    assert store.place(waiting.id) == 1 and store.waiting("ann") == 0 and store.waiting("ann", questions=True) == 1
    assert ended(store, question).state == "finished", store.result(question.id).reason
    assert store.run(going.id).state == "running" and store.run(waiting.id).state == "queued"
    assert set(told(store.result(question.id))["answers"]) == {"tuned", "base"}
    began = time.monotonic()
    assert ended(store, asked(store, first, "another")).state == "finished"
    assert time.monotonic() - began < within(5), "the worker is warm and keeps the run opened"
    assert question.id not in {run.id for run in store.history(None)} and len(runner.workers()) == 1

    until(lambda: not place_of(store.root))  # nobody has asked for a while: its memory is given back
    assert ended(store, asked(store, first)).state == "finished", "the next question starts it again"

    lost = store.submit(Question(run=first.id, text="time it", calls=25), "ann", kind=KIND)
    until(lambda: store.run(lost.id).state == "running")
    os.kill(next(slot.process.pid for slot in runner._slots if not slot.number), signal.SIGKILL)
    assert ended(store, lost).state == "failed" and "worker that answers" in store.run(lost.id).reason and "Ask again" in store.result(lost.id).advice
    assert ended(store, asked(store, first)).state == "finished" and store.run(going.id).state == "running", "nobody else was touched"
    store.cancel(going.id)
    assert ended(store, waiting).state == "finished"


def test_a_crash_is_explained_to_whoever_asked() -> None:
    assert "out of memory" in why(Death("w", -signal.SIGKILL, ""), KIND)[0] and "smaller model" in why(Death("w", -signal.SIGKILL, ""), KIND)[1]
    assert "batch" not in " ".join(why(Death("w", 1, ""), KIND)) and "batch" in " ".join(why(Death("w", -signal.SIGKILL, "")))


def test_deleting_a_run_deletes_what_was_asked_of_it_and_old_questions_are_forgotten(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        runs = [store.submit(RunSpec.parse(TINY), "ann") for _ in range(2)]
        questions = [asked(store, run, f"text {number}") for run in runs for number in range(3)]
        assert [store.cancel(run.id).state for run in questions[:5]] == ["cancelled"] * 5
        store.forget_questions("ann", 2)
        left = [run.id for run in questions if _there(store, run.id)]
        assert left == [questions[4].id, questions[5].id], "the newest, and what is still waiting"
        store.forget_questions("ann", 0)
        assert [run.id for run in questions if _there(store, run.id)] == [questions[5].id]
        store.cancel(runs[1].id)
        store.delete(runs[1].id)
        assert not _there(store, questions[5].id) and _there(store, runs[0].id)


def _there(store: Store, run_id: str) -> bool:
    return bool(store._select("id = ?", run_id))
