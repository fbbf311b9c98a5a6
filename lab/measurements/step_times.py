"""How much faster a training step of LoRA is than one of full fine-tuning: both in turn, in the same number format."""
from __future__ import annotations

import time
from collections.abc import Generator
from itertools import islice, pairwise
from statistics import median, quantiles
from typing import Any

from lab.contracts import knob
from lab.measurement import Gives, Measurement, Progress

METHODS = {"full": "full fine-tuning", "lora": "LoRA"}


class StepTimes(Measurement):
    """Hu et al. 2021, section 4.2: 43.1 tokens a second and GPU instead of 32.5 on GPT-3. One step of each in turn on the same batch, in float32 and without
    the lab's own faster blocks; the ratio is taken step by step, so that whatever else the machine does hits both. The first two turns warm up."""

    key = "step-times"
    title = "A step of full fine-tuning against a step of LoRA"
    about = ("The same batches go through both methods in turn: forward, backward, and the optimizer's update. "
             "How many times as long does a step of full fine-tuning take?")
    source = "Hu et al. 2021, section 4.2"
    gives = {
        "ratio": Gives("times", "time of a step of full fine-tuning as a multiple of LoRA's"),
        **{f"{method}_{part}": Gives("seconds", f"{part} of a step, {name}") for method, name in METHODS.items() for part in ("forward", "backward", "update")},
    }

    model: str = knob("smollm2-135m", "base model")
    task: str = knob("movies", "task whose texts are read")
    batch: int = knob(4, "texts in a step", low=1, high=64)
    turns: int = knob(20, "timed steps of each", low=3, high=500)

    def measure(self, workshop: Any) -> Generator[Progress, None, dict[str, Any]]:
        from lab.engine import optimizers
        from lab.engine.chance import generator
        from lab.engine.job import prepare
        from lab.engine.scoring import finished
        from lab.engine.texts import epochs
        from lab.spec import RunSpec

        spec = {"model": self.model, "task": self.task, "batch": self.batch, "dtype": "float32", "device": "cpu"}
        jobs = {method: finished(prepare(RunSpec.parse({**spec, "method": method}), workshop, plainly=True)) for method in METHODS}
        rules = {method: optimizers.make("adamw_fused", job.groups(), 0.0, "cpu") for method, job in jobs.items()}
        any_job = next(iter(jobs.values()))
        taken: list[dict[str, list[float]]] = []
        for done, rows in enumerate(islice(epochs(any_job.texts.train, self.batch, generator(0, "order")), self.turns + 2)):
            yield done, self.turns + 2
            order = METHODS if done % 2 else reversed(METHODS)
            taken.append({method: _step(jobs[method], rules[method], rows) for method in order})
        turns = taken[2:]
        parts = {method: [median(turn[method][place] for turn in turns) for place in range(3)] for method in METHODS}
        values = {f"{method}_{part}": [parts[method][place], 0.0] for method in METHODS for place, part in enumerate(("forward", "backward", "update"))}
        return {"values": {"ratio": _middle([sum(turn["full"]) / sum(turn["lora"]) for turn in turns]), **values},
                "columns": ["method", "forward, seconds", "backward, seconds", "update, seconds"], "rows": [[method, *parts[method]] for method in METHODS]}


def _step(job: Any, optimizer: Any, rows: Any) -> list[float]:
    """Seconds of forward, backward and update."""
    job.module.train()
    marks = [time.perf_counter()]
    loss = job.loss(job.batch(rows))
    marks.append(time.perf_counter())
    loss.backward()
    marks.append(time.perf_counter())
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    marks.append(time.perf_counter())
    return [after - before for before, after in pairwise(marks)]


def _middle(each: list[float]) -> list[float]:
    """The median, which a pause of the machine cannot move far, and its standard error as of nearly normal values."""
    low, _, high = quantiles(each, n=4)
    return [median(each), 1.2533 * (high - low) / 1.349 / len(each) ** 0.5]


entry = StepTimes
