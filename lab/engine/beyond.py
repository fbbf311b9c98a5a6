"""How a trained model does on test texts of other tasks with the same labels: is what it learned about sentiment, or about film reviews?"""
from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from lab.engine.job import Job
from lab.engine.scoring import Answers, majority
from lab.events import Event

Told = Callable[[str, Generator[int, None, Any], int], Generator[Event, None, Any]]


def transfer(job: Job, told: Told) -> Generator[Event, None, dict[str, Any]]:
    """{task: score}: each asked in the wording that was trained, as many texts as the run's own test has at most."""
    found = {}
    for key, data in job.beyond.items():
        rows = job.reader.encode(data.splits.test[:job.spec.eval_items])
        answers: Answers = yield from told("transfer", job.choosing(rows), len(rows))
        seen, always = answers.evaluated("tuned", key, 0, job.spec.goal.metric), majority(rows, job.spec.goal.metric)
        found[key] = {"metric": seen.metric, "score": seen.score, "standard_error": seen.standard_error, "items": seen.items, "majority": always.score,
                      "seconds": round(seen.seconds, 4), "data_sha256": data.sha256}
    return found
