"""One method on one seeded model, built and trained once for all the tests that look at it."""
from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from _pytest.mark import ParameterSet

from lab import catalogue
from lab.accounting.shapes import shape_of
from lab.engine import bases
from lab.engine.job import Job, attached, prepare
from lab.spec import RunSpec

METHODS = catalogue.entries("methods")
MODELS = catalogue.entries("models")
SEEDED = [key for key, model in MODELS.items() if model.seeded and catalogue.find("tasks", "toy").fits(model.kind).ok]
PAIRS = [(method, model) for model in SEEDED for method in METHODS if METHODS[method]().supports(shape_of(MODELS[model].config)).ok]
TRAINING = [(method, model) for method, model in PAIRS if "steps" not in METHODS[method].fixed]
IMAGES = [(method, model) for model, entry in MODELS.items() if entry.seeded and entry.kind == "vision" for method in METHODS
          if METHODS[method]().supports(shape_of(entry.config)).ok]  # on a task whose file is fetched once
EXACT = {"rtol": 0.0, "atol": 0.0}
QUICK = ("seed-bert", "seed-llama")  # an encoder and a decoder with every method, and every model with one method of each family; the rest is slow
OF_EACH_FAMILY = ("full", "lora", "houlsby", "prompt_tuning")


def some_slow(pairs: list[tuple[str, str]]) -> list[Any]:
    """The pairs, of which the quick part of the tests takes only some."""
    return [pytest.param(*pair, id="-".join(pair), marks=() if (pair[1] in QUICK or pair[0] in OF_EACH_FAMILY) and pair not in IMAGES else pytest.mark.slow)
            for pair in pairs]


def fetching_slow(pairs: list[tuple[str, str]]) -> list[Any]:
    """The pairs, of which those that need a fetched file are slow."""
    return [pytest.param(*pair, id="-".join(pair), marks=pytest.mark.slow if pair in IMAGES else ()) for pair in pairs]


def every_nth(n: int, values: Iterable[Any]) -> list[Any]:
    """The values, of which the quick part of the tests takes every n-th."""
    found = [value if isinstance(value, ParameterSet) else pytest.param(*value) if isinstance(value, tuple) else pytest.param(value) for value in values]
    return [param if place % n == 0 else pytest.param(*param.values, id=param.id, marks=[*param.marks, pytest.mark.slow]) for place, param in enumerate(found)]


def spec_for(method: Any, model: str, **changes: Any) -> RunSpec:
    return RunSpec.parse({"model": model, "task": "digits" if MODELS[model].kind == "vision" else "toy", "method": method, "dtype": "float32", **changes})


def logits(job: Job, module: Any = None) -> torch.Tensor:
    """(items, labels) of a few test items, in eval mode."""
    kept = job.learner.module
    if module is not None:
        job.learner.module = module
    try:
        return job.answers(job.texts.test[:24]).logits
    finally:
        job.learner.module = kept


def optimise(job: Job, steps: int = 3, lr: float = 5e-2) -> list[set[str]]:
    """A few plain steps; returns for each the names of the tensors whose gradient was not all zero."""
    weights = [*job.trained(), *(job.learner.head.parameters() if job.learner.head is not None else ())]
    optimizer = torch.optim.AdamW(weights, lr=lr)
    moved = []
    job.module.train()
    torch.manual_seed(0)  # dropout
    for step in range(steps):
        job.learner.loss(job.batch(job.texts.train[8 * step:8 * step + 8])).backward()
        moved.append({name for name, weight in job.module.named_parameters() if weight.grad is not None and bool(weight.grad.any())})
        optimizer.step()
        optimizer.zero_grad()
    return moved


class Trial:
    """Each stage is gone through when a test first asks for it, and always in this order; a stage that fails fails in each test that needs it."""

    def __init__(self, method: str, model: str, workshop: Any, finish: Any, folder: Path) -> None:
        self.method, self.model = method, model
        self._workshop, self._finish, self._folder = workshop, finish, folder

    @cached_property
    def job(self) -> Job:
        return self._finish(prepare(spec_for(self.method, self.model), self._workshop))[1]

    @cached_property
    def base(self) -> torch.Tensor:
        """What the untouched base answers."""
        return logits(self.job, self.job.pristine.module)

    @cached_property
    def start(self) -> torch.Tensor:
        """What the method answers before its first step."""
        assert "training" not in vars(self)
        return logits(self.job)

    @cached_property
    def training(self) -> tuple[set[str], set[str]]:
        """The names of the tensors that a gradient reached, and of those that changed."""
        _ = self.base, self.start
        before = {name: weight.detach().clone() for name, weight in self.job.module.named_parameters()}
        reached = set().union(*optimise(self.job))
        return reached, {name for name, weight in self.job.module.named_parameters() if not torch.equal(weight, before[name])}

    @cached_property
    def trained(self) -> torch.Tensor:
        """What it answers after its steps."""
        _ = self.training
        return logits(self.job)

    @cached_property
    def folder(self) -> Path:
        """Where the trained method was saved."""
        _ = self.training
        self._folder.mkdir()
        self.job.spec.method.format.save(self.job.module, self._folder)
        return self._folder

    @cached_property
    def loaded(self) -> torch.Tensor:
        """What an untouched base answers with that folder put on it."""
        module = bases.fresh(self.job.pristine)
        bases.unshare(module, self.job.pristine, everything=True)  # loading may write into the weights it is given
        return logits(self.job, self.job.spec.method.format.load(module, self.folder))

    @cached_property
    def merged(self) -> torch.Tensor:
        """What it answers as a plain model again."""
        _ = self.training
        return logits(self.job, copy.deepcopy(self.job.module).merge_and_unload())

    @cached_property
    def again(self) -> torch.Tensor:
        """What the same method attached once more answers, on the base that all of the above has used."""
        _ = self.training
        job, kept = self.job, self.job.learner
        try:
            job.learner = attached(job.spec, job.pristine, job.reader, job.device, job.workshop.kept(job.pristine, job.dtype))
            return logits(job)
        finally:
            job.learner = kept
