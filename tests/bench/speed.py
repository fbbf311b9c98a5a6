"""The lab's engine against transformers' Trainer with peft: `python -m tests.bench.speed [CASE …] [--rounds N] [--steps N] [--dtype D]`.

Interleaved processes, medians, and the ratio with the range over the rounds; above 1 the lab is faster.
"""
from __future__ import annotations

import argparse
import json
import subprocess
import sys
from statistics import median
from typing import Any

from tests.bench.cases import CASES

SIDES = ("lab", "trainer")


def timed(side: str, case: str, dtype: str, steps: int) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "tests.bench.one", side, case, dtype, str(steps)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{side} {case}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(case: str, dtype: str, steps: int, rounds: int) -> None:
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for turn in range(rounds):
        for side in SIDES if turn % 2 == 0 else reversed(SIDES):
            found[side].append(timed(side, case, dtype, steps))
    apart = max(abs(a - b) for a, b in zip(found["lab"][0]["losses"], found["trainer"][0]["losses"], strict=True))
    print(f"\n{case}, {dtype}, {steps} steps, {rounds} rounds; largest difference of the two loss curves {apart:.2e}")
    for name, unit in (("step_seconds", "s"), ("first_loss", "s"), ("total", "s"), ("peak_rss", "B")):
        ours, theirs = ([run[name] for run in found[side]] for side in SIDES)
        ratios = sorted(b / a for a, b in zip(ours, theirs, strict=True))
        print(f"  {name:13} lab {median(ours):10.4g} {unit}  trainer {median(theirs):10.4g} {unit}  "
              f"ratio {median(ratios):.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}]")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    for name in options.cases:
        compare(name, options.dtype, options.steps, options.rounds)
