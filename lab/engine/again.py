"""The saved run taken up once more at the end of a run: does it answer as the model did that was trained?

Nothing says so by itself: a model to which a fresh adapter was attached, where the saved one should have been loaded, answers without an error.
"""
from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch

from lab.engine.job import Job, as_learner
from lab.engine.reload import Tuned
from lab.engine.scoring import Answers, answer
from lab.engine.texts import Batch
from lab.events import Evaluated

FEW = 32  # test texts that are asked again; all of them where those are answered otherwise
NOISE = 0.02  # of probability: what other code for the same arithmetic may change
PART = 0.2  # of what training has changed, which is missing


def again(job: Job, tuned: Tuned, before: Answers, after: Answers, step: int) -> Generator[int, None, tuple[dict[str, Any], Evaluated | None]]:
    """What was found, and the score of what was loaded where it is another model. {"items", "same": answered as the trained model did, "untrained": as
    before the training; "moved", "missing": how much probability went to another label from before the training to its end, and from there to what was
    loaded; means over the texts}."""
    learner = as_learner(job.spec, tuned.module, tuned.head, tuned.reader, tuned.device)

    def scores(batch: Batch) -> torch.Tensor:
        with job.arithmetic():
            return learner.scores(batch)

    few = yield from answer(scores, learner.module, job.texts.test[:FEW], job.pad, job.device)
    found = _compared(few, before, after)
    if found["missing"] <= max(NOISE, PART * found["moved"]):
        return found, None
    every = yield from answer(scores, learner.module, job.texts.test, job.pad, job.device)
    return _compared(every, before, after), every.evaluated("reloaded", "test", step, job.spec.goal.metric)


def _compared(loaded: Answers, before: Answers, after: Answers) -> dict[str, Any]:
    count = len(loaded.labels)
    said, old, new = loaded.letters(), before.letters(), after.letters()
    return {"items": count, "same": sum(one == other for one, other in zip(said, new[:count], strict=True)),
            "untrained": sum(one == other for one, other in zip(said, old[:count], strict=True)),
            "moved": _apart(before, after, count), "missing": _apart(loaded, after, count)}


def _apart(one: Answers, other: Answers, count: int) -> float:
    first, second = (each.logits[:count].softmax(1) for each in (one, other))
    return round(float((first - second).abs().sum(1).mean()) / 2, 4)
