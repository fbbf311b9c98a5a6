"""What reading solved examples once saves: `python -m tests.bench.shots [--model smollm2-135m] [--shots 4] [--items 100] [--rounds 3]`.

The same test texts with the same examples in front, answered behind a beginning that is read once and read whole, in turn in one process.
Printed: medians, their ratio, and how far apart the scores are.
"""
from __future__ import annotations

import argparse
import time
from statistics import median

from lab.engine.job import prepare
from lab.engine.scoring import Answers, answer, finished
from lab.engine.workshop import Workshop
from lab.spec import RunSpec
from lab.supply import default_cache


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--task", default="movies")
    parser.add_argument("--shots", type=int, default=4)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    spec = RunSpec.parse({"model": options.model, "task": options.task, "method": {"name": "in_context", "shots": options.shots},
                          "eval_items": options.items, "device": "cpu"})
    job = finished(prepare(spec, Workshop(default_cache()), plainly=True))  # plainly: nothing is kept from one round to the next
    rows, seconds, found = job.texts.test, {"once": [], "whole": []}, {}
    ways = {"once": lambda: job.choosing(rows), "whole": lambda: answer(job.learner.scores, job.module, rows, job.pad, job.device)}
    for _ in range(options.rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            found[name] = finished(way())
            seconds[name].append(time.perf_counter() - began)
    once, whole = median(seconds["once"]), median(seconds["whole"])
    print(f"{options.model}, {options.items} texts behind {options.shots} examples: {once:.2f} s read once, {whole:.2f} s read whole: {whole / once:.2f} x; "
          f"scores apart by {_apart(found['once'], found['whole']):.1e} of the largest")


def _apart(one: Answers, other: Answers) -> float:
    return float((one.logits - other.logits).abs().max() / other.logits.abs().max())


if __name__ == "__main__":
    main()
