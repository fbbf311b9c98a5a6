"""One method tried on one model, step by step: built, trained a little, asked to write, saved, loaded, merged, and what answering with it costs."""
from __future__ import annotations

import copy
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lab.contracts import LabError, Latency, Method, Model
from lab.engine import bases
from lab.engine.job import Job, prepare
from lab.engine.scoring import finished
from lab.engine.texts import Encoded, Reader
from lab.engine.workshop import Workshop
from lab.spec import RunSpec

TASKS = {"encoder": "toy", "vision": "digits", "decoder": "new_facts", "seq2seq": "new_facts"}
STEPS = 2  # a method that starts as the base often feels only half of its tensors at the first step: LoRA's A waits for B
ROUNDED = 1e-4  # of the largest number: the loaded model runs its products in another order
MERGED = 1e-5


class Trial:
    """One method on one model. Each step returns whether there was something to do, and raises where the method breaks its word."""

    def __init__(self, method: type[Method], model: Model, workshop: Workshop, folder: Path) -> None:
        settings = {"dtype": "float32", "batch": 4, "eval_items": 8, **({} if "steps" in method.fixed else {"steps": STEPS})}
        self.spec = RunSpec.parse({"model": model.key, "method": method(), "task": TASKS[model.kind], **settings})
        self.workshop, self.folder = workshop, folder

    def steps(self) -> tuple[str, ...]:
        return ("attach", "train", "write", "save", "load", "merge")

    def attach(self) -> bool:
        wanted = self.spec.counts.method
        found = sum(weight.numel() for weight in self.job.trained())
        if found != wanted:
            raise LabError(f"{found:,} numbers train, and {wanted:,} are declared")
        return True

    def train(self) -> bool:
        """Two steps as the loop makes them; every declared tensor is reached by a gradient."""
        if not self.spec.steps:
            return False
        job, method, reached = self.job, self.spec.method, set()
        groups = job.groups()
        optimizer = method.optimizer(job.module, groups, 0.0) or torch.optim.AdamW(groups or [{"params": []}])
        job.module.train()
        for step in range(1, STEPS + 1):
            method.before_step(job.module, step)
            self._loss(step).backward()
            reached |= {name for name, weight in job.module.named_parameters() if weight.grad is not None and bool(weight.grad.any())}
            optimizer.step()
            method.after_step(job.module, step)
            optimizer.zero_grad()
        job.module.eval()
        unfelt = {name for name, weight in job.module.named_parameters() if weight.requires_grad} - reached
        if unfelt:
            raise LabError(f"no gradient reached {', '.join(sorted(unfelt)[:3])}")
        return True

    def write(self) -> bool:
        if not self.spec.shape.writes:
            return False
        self.texts = self._written(self.job.module)
        return True

    def save(self) -> bool:
        self.spec.method.format.save(self.job.module, self.folder)
        return True

    def load(self) -> bool:
        """Into an untouched base, which then answers the same."""
        self.numbers, self.loaded = self._numbers(self.job.module), self.spec.method.format.load(self._base(), self.folder).eval()
        far = self._distance(self.loaded)
        if far > ROUNDED:
            raise LabError(f"loaded it answers otherwise, by {far:.1e} of the largest number")
        if self.spec.shape.writes and self._written(self.loaded) != self.texts:
            raise LabError("loaded it writes another text")
        return True

    def merge(self) -> bool:
        """Whether it becomes part of the base's own weights without changing an answer. Raises where the method promises so and it does not."""
        self.merged, promised = None, self.spec.method.merges
        if not self.spec.steps or not hasattr(self.job.module, "merge_and_unload"):
            if promised:
                raise LabError("it promises to merge, and there is nothing that merges it")
            return False
        try:
            merged = copy.deepcopy(self.job.module).merge_and_unload()
            far = self._distance(merged)
            if hasattr(self.loaded, "merge_and_unload"):  # the trained one runs on the lab's own fast blocks, merged or not
                merged = copy.deepcopy(self.loaded).merge_and_unload()
                far = max(far, self._distance(merged))
        except Exception:
            if promised:
                raise
            return False
        if far > MERGED and promised:
            raise LabError(f"merged it answers otherwise, by {far:.1e} of the largest number")
        self.merged = merged if far <= MERGED else None
        return self.merged is not None

    @property
    def latency(self) -> Latency:
        """Counted in tensor operations and in the numbers they give: what is there beside the base's own, as loaded and as merged."""
        alone = self._work(self.job.pristine.module, self.plain)
        if self._work(self.loaded, self.rows) == alone:
            return "none"
        return "until merged" if self.merged is not None and self._work(self.merged, self.rows) == alone else "always"

    @cached_property
    def job(self) -> Job:
        return finished(prepare(self.spec, self.workshop))

    @cached_property
    def rows(self) -> list[Encoded]:
        """Items with their answers, as the method has them read."""
        return self.job.texts.validation[:8]

    @cached_property
    def plain(self) -> list[Encoded]:
        """The same without what a method puts in front of them."""
        reader, task = self.job.reader, self.spec.goal
        items = self.job.data.splits.validation[:8]
        return Reader(reader.tokenizer, reader.kind, task, reader.tokens, reader.window).encode(items, task.writes)

    def _base(self) -> Any:
        module = bases.fresh(self.job.pristine)
        bases.unshare(module, self.job.pristine, everything=True)
        return module

    def _loss(self, step: int) -> Any:
        rows = self.job.texts.train[4 * step - 4:4 * step]
        loss = self.job.loss(self.job.batch(rows))
        if not torch.isfinite(loss):
            raise LabError(f"the loss of step {step} is {float(loss)}")
        return loss

    def _numbers(self, module: Any, rows: list[Encoded] | None = None) -> Any:
        """Logits of a few items, by this module."""
        learner, batch = self.job.learner, self.job.batch(self.rows if rows is None else rows)
        kept, learner.module = learner.module, module.eval()
        try:
            with torch.no_grad():
                return learner.logits(batch)[0] if self.spec.shape.writes else learner.scores(batch)
        finally:
            learner.module = kept

    def _distance(self, module: Any) -> float:
        return float((self._numbers(module) - self.numbers).abs().max() / self.numbers.abs().max())

    def _written(self, module: Any) -> list[str]:
        from lab.engine import decoding

        prompts, how = [row.ids for row in self.job.texts.test[:2]], decoding.Decoding(4)
        return finished(decoding.written(module, self.job.reader.tokenizer, prompts, how, self.job.device, self.spec.shape.kind))

    def _work(self, module: Any, rows: list[Encoded]) -> tuple[int, int]:
        """Tensor operations behind the answers to these rows, and how many numbers they give; views are free."""
        with Counting() as seen:
            self._numbers(module, rows)
        return seen.operations, seen.numbers


class Counting(TorchDispatchMode):
    """Counts tensor operations and the numbers they give; views are free."""

    operations = numbers = 0

    def __torch_dispatch__(self, operation: Any, types: Any, arguments: Any = (), more: Any = None) -> Any:
        given = operation(*arguments, **(more or {}))
        if not operation.is_view:
            self.operations += 1
            self.numbers += given.numel() if isinstance(given, torch.Tensor) else 0
        return given
