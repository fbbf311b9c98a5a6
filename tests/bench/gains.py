"""What each fast path is worth: `python -m tests.bench.gains [NAME …]` times a step with and without it, interleaved, in one process.

Prints the ratio of medians (above 1 the path is faster) with its range over the quarters of the rounds. Equality is tested in tests/.
"""
from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from itertools import islice
from statistics import median
from typing import Any

ROUNDS = 16
ALL = {"name": "lora", "rank": 8, "targets": ["all"]}
SMALL = {"model": "minilm-l6", "batch": 16, "method": "lora"}
LARGE = {"model": "smollm2-135m", "batch": 4, "method": ALL}
BY = {"MiniLM": SMALL, "SmolLM2": LARGE}


def interleaved(slow: Callable[[], None], quick: Callable[[], None]) -> str:
    times: dict[str, list[float]] = {"slow": [], "quick": []}
    for function in (slow, quick):
        function()
    for _ in range(ROUNDS):
        for name, function in (("slow", slow), ("quick", quick)):
            began = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - began)
    quarter = ROUNDS // 4
    parts = sorted(median(times["slow"][i:i + quarter]) / median(times["quick"][i:i + quarter]) for i in range(0, ROUNDS, quarter))
    return (f"{median(times['slow']) / median(times['quick']):.2f} [{parts[0]:.2f}, {parts[-1]:.2f}]   "
            f"{median(times['slow']) * 1000:.1f} → {median(times['quick']) * 1000:.1f} ms")


class Arm:
    """A spec made ready, and one step of it as the loop does it."""

    def __init__(self, workshop: Any, settings: dict[str, Any], plain: bool = False, optimizer: str = "adamw_fused", padding: bool = False) -> None:
        from lab.engine import fast, optimizers
        from lab.engine.chance import generator
        from lab.engine.texts import epochs
        from lab.spec import RunSpec
        from tests.bench.one import prepared

        speed_up = fast.speed_up
        if plain:
            fast.speed_up = lambda *_: []
        try:
            self.job = prepared(RunSpec.parse({"task": "movies", **settings}), workshop)
        finally:
            fast.speed_up = speed_up
        job = self.job
        job.module.train()
        self.optimizer = optimizers.make(optimizer, [{**group, "lr": 1e-4} for group in job.groups()], 0.0, "cpu")
        batches = list(islice(epochs(job.texts.train, job.spec.batch, generator(0, "order")), 40))
        self.batch = job.batch(sorted(batches, key=lambda rows: max(len(row.ids) for row in rows))[20])
        self.batches = [job.batch(rows) for rows in batches]
        self.rows = 10**9 if padding else None  # of the products of a step; otherwise as many as there are tokens, rounded up

    def step(self) -> None:
        self.update(self.job.loss(self.batch))

    def all_logits(self) -> None:
        """A step whose logits are computed at every position, as a language model does by itself."""
        labels = self.batch.ids.masked_fill(self.batch.mask == 0, -100)
        self.update(self.job.module(input_ids=self.batch.ids, attention_mask=self.batch.mask, labels=labels, use_cache=False).loss)

    def update(self, loss: Any) -> None:
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def written(self) -> None:
        from lab.engine.fast.compiled import as_written

        with as_written(self.job.learner.codes):
            self.step()

    def next(self) -> None:
        """A step with the next batch, for what depends on how much of it is padding."""
        from lab.engine.fast import bert

        self.batch = self.batches.pop(0)
        self.batches.append(self.batch)
        usual, bert.ROWS = bert.ROWS, self.rows or bert.ROWS
        try:
            self.step()
        finally:
            bert.ROWS = usual

    def with_threads(self, count: int) -> None:
        import torch

        usual = torch.get_num_threads()
        torch.set_num_threads(count)
        try:
            self.step()
        finally:
            torch.set_num_threads(usual)


def main(names: list[str]) -> None:
    from lab.waiting import spin_briefly

    spin_briefly(os.environ)
    from tests.bench.one import workshop_with

    workshop = workshop_with(None, still=False, compiled=None)
    found = {
        "dtype": lambda spec: (Arm(workshop, {**spec, "dtype": "float32"}).step, Arm(workshop, {**spec, "dtype": "bfloat16"}).step),
        "attention": lambda spec: (Arm(workshop, {**spec, "dtype": "bfloat16", "attention": "sdpa"}, plain=True).step,
                                   Arm(workshop, {**spec, "dtype": "bfloat16", "attention": "eager"}, plain=True).step),
        "blocks": lambda spec: (Arm(workshop, {**spec, "dtype": "bfloat16", "attention": "eager"}, plain=True).step,
                                Arm(workshop, {**spec, "dtype": "bfloat16"}).written),
        "blocks, float32": lambda spec: (Arm(workshop, {**spec, "dtype": "float32", "attention": "eager"}, plain=True).step,
                                         Arm(workshop, {**spec, "dtype": "float32"}).written),
        "read together": lambda spec: (made(apart(), spec).next, made(workshop, spec).next),
        "padding": lambda spec: (made(workshop, spec, padding=True).next, made(workshop, spec).next),
        "threads": lambda spec: threads(Arm(workshop, {**spec, "dtype": "bfloat16"})),
        "compiled": compiled(workshop),
        "logits": lambda spec: (Arm(workshop, {**spec, "dtype": "bfloat16"}).all_logits, Arm(workshop, {**spec, "dtype": "bfloat16"}).step),
        "optimizer": lambda spec: (Arm(workshop, {**spec, "dtype": "bfloat16"}, optimizer="adamw").step, Arm(workshop, {**spec, "dtype": "bfloat16"}).step),
        "frozen blocks": lambda spec: frozen(workshop, spec),
    }
    for name in names or found:
        for model, spec in BY.items():
            if (name, model) not in {("logits", "MiniLM"), ("frozen blocks", "MiniLM"), ("padding", "SmolLM2")}:
                print(f"{name:16} {model:8} {interleaved(*found[name](spec))}", flush=True)
    if not names or "dropout" in names:
        print(f"{'dropout':16} {'MiniLM':8} {interleaved(*dropout())}", flush=True)
    if not names or "length" in names:
        length(workshop)


def threads(arm: Arm) -> tuple[Callable[[], None], Callable[[], None]]:
    """One against as many as a worker gets."""
    import torch

    most = torch.get_num_threads()
    return lambda: arm.with_threads(1), lambda: arm.with_threads(most)


def made(workshop: Any, spec: dict[str, Any], padding: bool = False) -> Arm:
    """With its blocks compiled."""
    arm = Arm(workshop, {**spec, "dtype": "bfloat16"}, padding=padding)
    workshop.compiler.build(arm.job.learner.codes)
    return arm


def apart() -> Any:
    """A workshop whose bases keep each weight where the file had it."""
    from lab.engine import Workshop, fast
    from lab.supply import default_cache

    class Apart(Workshop):
        def base(self, *which: Any, **how: Any) -> Any:
            usual, fast.lay_out = fast.lay_out, lambda *_: None
            try:
                return (yield from super().base(*which, **how))
            finally:
                fast.lay_out = usual

    return Apart(default_cache())


def compiled(workshop: Any) -> Callable[[dict[str, Any]], tuple[Callable[[], None], Callable[[], None]]]:
    def arms(spec: dict[str, Any]) -> tuple[Callable[[], None], Callable[[], None]]:
        arm = Arm(workshop, {**spec, "dtype": "bfloat16"})
        workshop.compiler.build(arm.job.learner.codes)
        return arm.written, arm.step

    return arms


def frozen(workshop: Any, spec: dict[str, Any]) -> tuple[Callable[[], None], Callable[[], None]]:
    """Two trained top blocks over frozen ones, the batch seen for the first time and again."""
    arm = Arm(workshop, {**spec, "method": "top_layers", "dtype": "float32"})
    kept = workshop.kept(arm.job.pristine, arm.job.dtype)

    def anew() -> None:
        kept.clear()
        arm.step()

    return anew, arm.step


def dropout() -> tuple[Callable[[], None], Callable[[], None]]:
    """The masks of one MiniLM step at 16 x 30, as written; compiled blocks make them on the way."""
    import torch

    from lab.engine.fast.dropout import noise, seeds

    sizes = [(16, 12, 30, 30), (480, 384), (480, 384)] * 6
    return (lambda: [torch.empty(size).bernoulli_(0.9).div_(0.9) for size in sizes],
            lambda: [noise(seed, size, 0.1, torch.bfloat16) for seed, size in zip(seeds(18), sizes, strict=True)])


def length(workshop: Any) -> None:
    """Positions a step, with batches in random order and by length within pools; positions of the test items, in their order and by length."""
    import torch

    from lab.engine.chance import generator
    from lab.engine.texts import by_length, epochs

    for model, spec in BY.items():
        job = Arm(workshop, spec).job
        rows, size = job.texts.train, job.spec.batch
        order = torch.randperm(len(rows), generator=generator(0, "order")).tolist()[:200 * size]
        lengths = [len(rows[place].ids) for place in order]
        shuffled = sum(max(lengths[i:i + size]) for i in range(0, len(lengths), size)) * size / 200
        pooled = sum(max(len(row.ids) for row in batch) for batch in islice(epochs(rows, size, generator(0, "order")), 200)) * size / 200
        print(f"{'length':16} {model:8} {shuffled / pooled:.2f}   {shuffled:.0f} → {pooled:.0f} positions a step", flush=True)
        lengths = [len(row.ids) for row in job.texts.test]
        ordered = sum(max(lengths[i:i + 64]) * len(lengths[i:i + 64]) for i in range(0, len(lengths), 64))
        ranked = sum(max(len(row.ids) for _, row in group) * len(group) for group in by_length(job.texts.test, 64))
        print(f"{'test items':16} {model:8} {ordered / ranked:.2f}   {ordered} → {ranked} positions", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    sys.exit(main(parser.parse_args().names))
