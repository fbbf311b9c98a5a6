"""A step foretold and the same step measured, for the tests that hold one against the other."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from lab.accounting.devices import device
from lab.accounting.points import Recording
from lab.contracts import LabError
from lab.engine import optimizers
from lab.engine.fast.compiled import as_written
from lab.engine.forecast.step import record
from lab.engine.job import Job, prepare
from lab.engine.measure import measured_step
from lab.forecast.answer import answered
from lab.forecast.forecaster import Forecaster
from lab.forecast.order import Order
from lab.forecast.tracer import Untraceable
from lab.spec import RunSpec


class Here:
    """The tracing process's work, done in this one; counts what it was asked."""

    process = None

    def __init__(self) -> None:
        self.asked = 0

    def record(self, *orders: Mapping[str, Any]) -> list[Recording]:
        return [self.one(order) for order in orders]

    def one(self, order: Mapping[str, Any]) -> Recording:
        self.asked += 1
        order = dict(order)
        spec = RunSpec.parse(order.pop("spec"))
        try:
            return record(spec, **order)
        except LabError:
            raise
        except Exception as error:
            raise Untraceable(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        pass


def foretold(order: Order, batch: int, tokens: int) -> dict[str, Any]:
    """Recorded at these sizes and put together, without any fit."""
    forecaster = Forecaster(None, Here())
    return answered(order, forecaster.recorded(order, batch, tokens))


def measured(spec: RunSpec, workshop: Any, finish: Callable[..., Any], padded: bool = True) -> dict[str, Any]:
    """The second step of a run, measured, with the sizes of its batch."""
    job: Job = finish(prepare(spec, workshop))[1]
    groups = job.groups()
    optimizer = spec.method.optimizer(job.module, groups, spec.weight_decay) or optimizers.make(spec.optimizer, groups, spec.weight_decay, job.device)
    trained = [weight for group in groups for weight in group["params"]]
    batch = job.batch(job.texts.train[:spec.batch] if padded else [job.texts.train[0]] * spec.batch)
    job.module.train()
    found: dict[str, Any] = {}
    for step in (1, 2):
        def update(step: int = step) -> None:
            if spec.clip:
                torch.nn.utils.clip_grad_norm_(trained, spec.clip)
            optimizer.step()
            spec.method.after_step(job.module, step)
            optimizer.zero_grad(set_to_none=True)

        spec.method.before_step(job.module, step)
        with as_written(job.learner.codes):
            found = measured_step(job.tensors(), trained, optimizer, partial(job.loss, batch), update)[1]
    return found | batch.sizes()


def both(workshop: Any, finish: Callable[..., Any], padded: bool = True, **settings: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """(foretold, measured) for the same batch."""
    spec = RunSpec.parse(settings)
    order = Order.of(spec, device("cpu"))
    seen = measured(order.spec, workshop, finish, padded)
    with TemporaryDirectory() as folder:
        return Forecaster(Path(folder), Here()).against(order, seen)["predicted"], seen


def error_of_forecast(result: Any) -> float:
    """By which share of the measured peak a finished run's step was foretold wrongly, for its very batch."""
    order = Order.of(RunSpec.parse(result.started.spec | {"dtype": result.started.dtype}))
    with TemporaryDirectory() as folder:
        return Forecaster(Path(folder), Here()).against(order, result.seen("memory"))["error"]
