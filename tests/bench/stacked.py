"""Would arms that share base and batch be faster in one forward pass? LoRAs of several ranks on MiniLM, trained together and one after the other.

    python -m tests.bench.stacked [--threads 1] [--steps 6] [--dtype float32]

Each arm has its own A and B, so behind the first block each has its own activations: the batch stands once for every arm, and all that can be shared is the
first block's product with the frozen weights, and the cost of starting each operation. The arms are trained in turn with one stacked step, so that whatever
else the machine does hits both alike, and their losses are compared: stacked arms are the same runs, or the ratio says nothing. With one thread it is the
processor's time that is taken, which others on the machine do not lengthen.

Measured on one thread of a CPU with AVX-512: six ranks, batch 16, float32, 1.19 times as fast stacked, losses within 2e-7. Twice as fast was the aim, and would
have been worth a second way to train: there is none, because one arm's batch already keeps a core busy with products. On a GPU, where it does not, ask again.
"""
from __future__ import annotations

import argparse
import time
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from lab.engine import Workshop
from lab.engine.chance import generator
from lab.engine.job import Job, prepare
from lab.engine.scoring import finished
from lab.engine.texts import Batch, epochs
from lab.methods._lora import layers
from lab.spec import RunSpec
from lab.supply import default_cache

RANKS = (1, 2, 4, 8, 16, 32)


class Stacked:
    """Several jobs as one: a row of the batch for each arm, and beside each frozen matrix every arm's own A and B, side by side as blocks of one product."""

    def __init__(self, jobs: list[Job]) -> None:
        self.jobs, arms = jobs, len(jobs)
        self.module = jobs[0].module
        self.parts = [dict(layers(job.module)) for job in jobs]
        for name, layer in self.parts[0].items():
            layer.forward = _Layer(layer.base_layer, [parts[name] for parts in self.parts], arms)

    def losses(self, batch: Batch) -> torch.Tensor:
        """(arms,) of one pass."""
        arms = len(self.jobs)
        hidden = self.module(input_ids=batch.ids.repeat(arms, 1), attention_mask=batch.mask.repeat(arms, 1)).last_hidden_state
        rows = hidden.view(arms, len(batch.ids), *hidden.shape[1:])
        return torch.stack([functional.cross_entropy(job.learner.head(row, batch.mask), batch.labels) for job, row in zip(self.jobs, rows, strict=True)])


class _Layer:
    """h = W x for all arms in one product, and every arm's B A x as one batched product; ranks are filled up with zeros."""

    def __init__(self, base: nn.Module, arms: list[Any], count: int) -> None:
        self.base, self.arms, self.count = base, arms, count
        self.rank = max(arm.r["default"] for arm in arms)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        a = torch.stack([functional.pad(arm.lora_A["default"].weight, (0, 0, 0, self.rank - arm.r["default"])) for arm in self.arms])  # (arms, r, in)
        b = torch.stack([functional.pad(arm.lora_B["default"].weight * arm.scaling["default"], (0, self.rank - arm.r["default"])) for arm in self.arms])
        flat = x.reshape(self.count, -1, x.shape[-1]).to(a.dtype)  # (arms, rows x tokens, in)
        return self.base(x) + (flat @ a.mT @ b.mT).view(*x.shape[:-1], -1).to(x.dtype)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--model", default="minilm-l6")
    parser.add_argument("--task", default="movies")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = compared(Workshop(default_cache()), options.model, options.task, options.steps, options.batch, options.dtype)
    print(f"{len(RANKS)} ranks, {options.model}, batch {options.batch}, {options.threads} threads, {options.dtype}: one after the other "
          f"{found['apart'] * 1e3:.0f} ms a step of all, stacked {found['stacked'] * 1e3:.0f} ms: {found['gain']:.2f} times as fast; "
          f"losses differ by {found['far']:.1e} at most")


def compared(workshop: Workshop, model: str, task: str, steps: int, batch: int, dtype: str) -> dict[str, float]:
    """Seconds of a step of all arms both ways, and the largest relative difference of their losses."""
    def jobs(plainly: bool) -> list[Job]:
        base = {"model": model, "task": task, "dtype": dtype, "batch": batch, "steps": steps, "eval_items": 8}
        return [finished(prepare(RunSpec.parse({**base, "method": {"name": "lora", "rank": rank}}), workshop, plainly=plainly)) for rank in RANKS]

    single, together = jobs(plainly=False), jobs(plainly=True)  # single runs have the lab's fast blocks, as they have in the lab
    stacked = Stacked(together)
    for job in (*single, *together):
        job.module.eval()  # no dropout, so that both can be compared to the last digits
    rows = epochs(single[0].texts.train, batch, generator(0, "order"))
    optimizers = {id(job): torch.optim.AdamW(job.groups(), fused=True) for job in (*single, *together)}
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    times: dict[str, list[float]] = {"apart": [], "stacked": []}
    far = 0.0
    for step in range(steps + 1):
        read = single[0].batch(next(rows))
        began, losses = clock(), []
        for job in single:
            loss = job.loss(read)
            loss.backward()
            optimizers[id(job)].step()
            optimizers[id(job)].zero_grad(set_to_none=True)
            losses.append(float(loss.detach()))
        middle = clock()
        all_losses = stacked.losses(read)
        all_losses.sum().backward()
        for job in together:
            optimizers[id(job)].step()
            optimizers[id(job)].zero_grad(set_to_none=True)
        if step:  # the first makes things warm
            times["apart"].append(middle - began)
            times["stacked"].append(clock() - middle)
        far = max(far, *(abs(float(one) - other) / abs(other) for one, other in zip(all_losses.detach(), losses, strict=True)))
    gains = [one / other for one, other in zip(times["apart"], times["stacked"], strict=True)]
    return {"apart": median(times["apart"]), "stacked": median(times["stacked"]), "gain": median(gains), "far": far}


if __name__ == "__main__":
    main()
