"""A run laid open for lenses: the job of a run that trains, or a finished run's folder taken up again as such a job."""
from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch.nn import functional

from lab.contracts import LabError
from lab.engine import bases
from lab.engine.job import Job, as_learner, attached, given, prepare
from lab.engine.learner import taken
from lab.engine.reload import finished_spec, saved_head
from lab.engine.scoring import answer
from lab.engine.texts import Batch, Encoded
from lab.engine.workshop import Workshop
from lab.engine.written import foreseen
from lab.events import Preparing
from lab.lens import Scored, Specimen


class Opened(Specimen):
    """`untrained` is the module as it was before the first step, where it is at hand already."""

    def __init__(self, job: Job, untrained: Any = None) -> None:
        self.job, self._untrained = job, untrained
        self.spec, self.module, self.head = job.spec, job.module, job.learner.head
        self.base, self.tokenizer = job.pristine.module, job.reader.tokenizer

    @cached_property
    def before(self) -> Any:
        if self._untrained is not None:
            return self._untrained
        job = self.job
        return attached(self.spec, job.pristine, job.reader, job.device, None).module.eval()

    def scored(self, module: Any = None, items: int | None = None) -> Generator[int, None, Scored]:
        job = self.job
        asked = as_learner(self.spec, self.module if module is None else module, self.head, job.reader, job.device)
        rows = self.texts(len(job.texts.test) if items is None else items)
        if self.spec.goal.writes:
            with job.arithmetic():
                seen = yield from foreseen(asked, rows, job.pad, job.device)
            told = seen.evaluated("tuned", "test", 0, "")
            return Scored(told.score, told.standard_error, seen.loss, told.items)

        def scores(batch: Batch) -> torch.Tensor:
            with job.arithmetic():
                return asked.scores(batch)

        answers = yield from answer(scores, asked.module, rows, job.pad, job.device)
        told = answers.evaluated("tuned", "test", 0, self.spec.goal.metric)
        return Scored(told.score, told.standard_error, float(functional.cross_entropy(answers.logits, answers.labels)), told.items, answers.logits)

    def texts(self, items: int, split: Literal["train", "validation", "test"] = "test") -> list[Encoded]:
        rows = getattr(self.job.texts, split)[:items]
        if split != "test" or not self.spec.goal.writes:
            return rows
        return self.job.reader.encode(self.job.texts.asked[:items], True)  # with their answers, which test items are read without

    def batches(self, rows: Sequence[Encoded], size: int = 32) -> Iterator[Batch]:
        for first in range(0, len(rows), size):
            yield self.job.batch(list(rows[first:first + size]))

    def run(self, module: Any, batch: Batch, **arguments: Any) -> Any:
        training = module.training
        module.eval()
        try:
            with torch.no_grad(), self.job.arithmetic():
                inputs, _ = taken(module, given(self.spec, module), batch)
                return module(**inputs, **arguments)
        finally:
            module.train(training)

    def noted(self, topic: str, make: Callable[[], Any]) -> Any:
        pristine, notes = self.job.pristine, self.job.workshop.notes
        key = f"{pristine.sha256} {pristine.dtype} {pristine.quantization}"
        found = notes.get(topic, key)
        return notes.put(topic, key, make()) if found is None else found


def reopened(folder: Path, workshop: Workshop) -> Generator[Preparing, None, Opened]:
    """From a folder that `train --out` or a worker filled. Raises LabError for one that holds no finished run."""
    spec = finished_spec(folder)
    job = yield from prepare(spec, workshop, plainly=True)
    module = bases.fresh(job.pristine)
    bases.unshare(module, job.pristine, everything=True)  # a loader may write into the weights
    try:
        module = spec.method.format.load(module, folder / "adapter").eval()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise LabError(f"the adapter in {folder.name} cannot be read ({type(error).__name__}): train it again") from error
    head = saved_head(spec, folder / "adapter" / "head.safetensors", job.device)
    before = job.module.eval()
    return Opened(replace(job, learner=as_learner(spec, module, head, job.reader, job.device)), before)
