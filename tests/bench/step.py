"""Where the time of a step goes: `python -m tests.bench.step [CASE …]`.

Phases (forward, backward, optimizer) are read from a clock: of the model as transformers and peft write it, of the lab's blocks as written,
and compiled. What the first two spend on which operations is read from torch's profiler; the inside of a compiled block it cannot see.
"""
from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from statistics import median
from typing import Any

from tests.bench.cases import CASES
from tests.bench.gains import Arm

ROUNDS = 12
SHOWN = 8
PRODUCTS = {"aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm"}


def phases(arm: Arm) -> list[float]:
    """Seconds of one step's forward, backward and optimizer."""
    began = time.perf_counter()
    loss = arm.job.loss(arm.batch)
    forward = time.perf_counter()
    loss.backward()
    backward = time.perf_counter()
    arm.optimizer.step()
    arm.optimizer.zero_grad()
    return [forward - began, backward - forward, time.perf_counter() - backward]


def operations(step: Callable[[], Any]) -> Counter[str]:
    """Seconds of each operation's own work in one step, products gathered in one."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as seen:
        step()
    found: Counter[str] = Counter()
    for event in seen.key_averages():
        found["matrix products" if event.key in PRODUCTS else event.key.removeprefix("aten::")] += event.self_cpu_time_total / 1e6
    return found


def main(names: list[str]) -> None:
    from lab.engine.fast.compiled import as_written
    from lab.waiting import spin_briefly

    spin_briefly(os.environ)
    from tests.bench.one import workshop_with

    workshop = workshop_with(None, still=False, compiled=None)
    for name in names:
        spec = {**CASES[name], "dtype": "bfloat16"}
        plain, ours = Arm(workshop, {**spec, "attention": "sdpa"}, plain=True), Arm(workshop, spec)
        codes = ours.job.learner.codes
        workshop.compiler.build(codes)
        arms = {"transformers and peft": (plain, nullcontext), "as written": (ours, lambda codes=codes: as_written(codes)), "compiled": (ours, nullcontext)}
        times: dict[str, list[list[float]]] = {arm: [] for arm in arms}
        for _ in range(ROUNDS):
            for arm, (which, way) in arms.items():
                with way():
                    times[arm].append(phases(which))
        print(f"\n{name}, bfloat16, {tuple(ours.batch.ids.shape)} tokens, milliseconds: medians of {ROUNDS - 2} steps", flush=True)
        for arm, rows in times.items():
            forward, backward, update = (median(part) * 1000 for part in zip(*rows[2:], strict=True))
            print(f"  {arm:22} forward {forward:6.1f}  backward {backward:6.1f}  optimizer {update:5.1f}  all {forward + backward + update:6.1f}", flush=True)
        for arm in ("transformers and peft", "as written"):
            which, way = arms[arm]
            with way():
                found = operations(lambda which=which: phases(which))
            rest = sum(found.values()) - sum(spent for _, spent in found.most_common(SHOWN))
            parts = ", ".join(f"{operation} {spent * 1000:.1f}" for operation, spent in found.most_common(SHOWN))
            print(f"  {arm}: {parts}, all others {rest * 1000:.1f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", default=["minilm-lora", "smollm2-lora-all"])
    sys.exit(main(parser.parse_args().cases))
