"""What sharing the weights of a base costs and saves: `python -m tests.bench.mapped [--models minilm-l6 smollm2-135m] [--rounds 8]`.

Steps of LoRA on a base whose weights lie in the file that all workers map, and on one with weights of its own, alternating in one process; and what two
processes hold together of each (proportional set size, Linux). Printed: medians and ratios.
"""
from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch

from lab.engine import job
from lab.engine.scoring import finished
from lab.engine.workshop import Workshop
from lab.spec import RunSpec
from lab.supply import default_cache

STEPS = 4


def opened(model: str, shares: bool) -> job.Job:
    return finished(job.prepare(RunSpec.parse({"model": model, "task": "movies", "method": "lora"}), Workshop(default_cache(), shares=shares)))


def seconds(work: job.Job) -> float:
    batch = work.batch(work.texts.train[:work.spec.batch])
    work.module.train()
    began = time.perf_counter()
    for _ in range(STEPS):
        with work.arithmetic():
            work.loss(batch).backward()
        work.module.zero_grad(set_to_none=True)
    return (time.perf_counter() - began) / STEPS


def hold(model: str, shares: bool) -> None:
    """A process that has read the base and taken one step, until its input closes."""
    work = opened(model, shares)
    seconds(work)
    print("here", flush=True)
    sys.stdin.read(1)


def together(model: str, shares: bool, count: int = 2) -> int:
    """Bytes that `count` processes hold together."""
    command = [sys.executable, "-m", "tests.bench.mapped", "--hold", model, "--shares", str(int(shares))]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    for child in children:
        assert child.stdout.readline() == "here\n"
    lines = [line for child in children for line in Path(f"/proc/{child.pid}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:")]
    for child in children:
        child.communicate()
    return sum(int(line.split()[1]) for line in lines) * 1024


def main(models: list[str], rounds: int) -> None:
    for model in models:
        jobs = {shares: opened(model, shares) for shares in (False, True)}
        found: dict[bool, list[float]] = {False: [], True: []}
        for work in jobs.values():
            seconds(work)
        for turn in range(rounds):
            for shares in ((False, True), (True, False))[turn % 2]:
                found[shares].append(seconds(jobs[shares]))
        own, shared = (median(found[shares]) for shares in (False, True))
        print(f"{model}, {torch.get_num_threads()} threads: a step {own:.4f} s with weights of its own, {shared:.4f} s mapped: {shared / own:.3f} times")
        del jobs
        alone, both = (together(model, shares) for shares in (False, True))
        print(f"  two processes hold {alone / 1e6:,.0f} MB, and {both / 1e6:,.0f} MB where they share: {both / alone:.2f} times")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["minilm-l6", "smollm2-135m"])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--hold")
    parser.add_argument("--shares", type=int, default=1)
    options = parser.parse_args()
    if options.hold:
        hold(options.hold, bool(options.shares))
    else:
        main(options.models, options.rounds)
