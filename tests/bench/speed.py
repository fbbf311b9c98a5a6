"""The lab's engine against transformers' Trainer with peft: `python -m tests.bench.speed [CASE …] [--rounds N] [--steps N] [--dtype D]`.

Interleaved processes; above a ratio of 1 the lab is faster, or smaller. A shared machine's pace changes within seconds, so of each step the
fastest of all rounds counts, and the ratio is the median over the steps, which are the same batches on both sides, with its 95 % interval.
First loss, whole time and memory are medians, their ratio with its range over the rounds. Before the timing, the two loss curves are
compared in float32 without dropout; after it, a step is set against its unavoidable matrix products.
"""
from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from statistics import median
from typing import Any

from tests.bench.cases import CASES
from tests.bench.floor import floor_seconds

EQUAL = 2e-4  # largest difference of two float32 curves that rounding explains
CURVE_STEPS = 10
WARM = 5  # steps left out of the steady state
SIDES = {"steady": ("lab", "trainer"), "cast": ("lab", "trainer-cast"), "cold": ("lab-new", "trainer"), "tuned": ("lab", "trainer-tuned")}


def timed(side: str, case: str, dtype: str, steps: int, *options: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "tests.bench.one", side, case, dtype, str(steps), *options], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{side} {case}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def undisturbed(runs: list[dict[str, Any]]) -> list[float]:
    """Seconds of each step of the steady state, in the round in which it was fastest."""
    return [min(times) for times in zip(*(run["steps"][WARM:] for run in runs), strict=True)]


def interval(values: list[float]) -> tuple[float, float]:
    """The middle 95 % of the medians of 2,000 resamples."""
    draw = random.Random(0)
    medians = sorted(median(draw.choices(values, k=len(values))) for _ in range(2000))
    return medians[50], medians[1949]


def curves(case: str) -> None:
    """Raises SystemExit where the two sides do not compute the same."""
    ours, theirs = (timed(side, case, "float32", CURVE_STEPS, "still")["losses"] for side in ("lab", "trainer"))
    apart = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
    print(f"\n{case}: largest difference of the two loss curves, float32, {CURVE_STEPS} steps: {apart:.1e}", flush=True)
    if apart > EQUAL:
        raise SystemExit(f"the curves differ by more than {EQUAL}: {ours} and {theirs}")


def compare(case: str, dtype: str, steps: int, rounds: int, state: str) -> None:
    if state != "cold":
        timed("build", case, dtype, 1)
    sides = SIDES[state]
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    floors = []
    for turn in range(rounds):
        for side in sides if turn % 2 == 0 else reversed(sides):
            found[side].append(timed(side, case, dtype, steps))
        if state != "cold":
            floors.append(floor_seconds(case, dtype))
    print(f"{case}, {dtype}, {steps} steps, {rounds} rounds, {state}", flush=True)
    ours, theirs = (undisturbed(found[side]) for side in sides)
    ratios = [slow / quick for quick, slow in zip(ours, theirs, strict=True)]
    low, high = interval(ratios)
    print(f"  {'step':13} {sides[0]} {median(ours):10.4g} s  {sides[1]} {median(theirs):10.4g} s  ratio {median(ratios):.2f} [{low:.2f}, {high:.2f}]   "
          f"{1 / median(ours):.2f} steps/s", flush=True)
    if floors:
        print(f"  unavoidable matrix products {min(floors):.4g} s: a step takes {median(ours) / min(floors):.2f} times that", flush=True)
    for name, unit in (("first_loss", "s"), ("total", "s"), ("peak_rss", "B")):
        ours, theirs = ([run[name] for run in found[side]] for side in sides)
        ratios = sorted(b / a for a, b in zip(ours, theirs, strict=True))
        print(f"  {name:13} {sides[0]} {median(ours):10.4g} {unit}  {sides[1]} {median(theirs):10.4g} {unit}  "
              f"ratio {median(ratios):.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}]", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--state", choices=list(SIDES), default="steady",
                        help="compiled code ready; Trainer with all weights in bfloat16; no compiled code yet; Trainer with its speed settings")
    parser.add_argument("--skip-curves", action="store_true")
    options = parser.parse_args()
    for name in options.cases:
        if not options.skip_curves:
            curves(name)
        compare(name, options.dtype, options.steps, options.rounds, options.state)
