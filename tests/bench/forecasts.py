"""How long the Memory tab's answers take: `python -m tests.bench.forecasts [PRESET …]`. Nothing else should run beside it.

Printed for each model and method, with the tracing process warm: seconds of a step that was never traced, of the same step asked again, of the fit behind
it, and then of another batch and length, which follow from the fit. At the end the medians, and how many times quicker a fit answers than a trace.
"""
from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from lab.accounting.presets import preset
from lab.forecast.forecaster import Forecaster
from lab.forecast.order import Order
from lab.forecast.tracer import Tracer

MODELS = ("llama-2-7b", "bert-base", "gpt-2")
METHODS = ("full", "lora", "qlora", "prompt_tuning", "ia3", "houlsby")
COLD_SECONDS, WARM_SECONDS = 1.5, 0.2


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def order(key: str, method: str, batch: int, tokens: int) -> Order:
    return Order.parse({"model": preset(key).model, "method": method, "batch": batch, "tokens": tokens, "device": "NVIDIA L40S", "dtype": "bfloat16"})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.forecasts")
    parser.add_argument("models", nargs="*", default=MODELS, metavar="PRESET")
    cold, warm, tracer = [], [], Tracer()
    tracer.warm()
    for key in parser.parse_args().models:
        for method in METHODS:
            with TemporaryDirectory() as folder:
                known = Forecaster(Path(folder), tracer)
                first = order(key, method, 4, 256)
                cold.append(timed(lambda known=known, first=first: known.memory(first)))
                again = timed(lambda known=known, first=first: known.memory(first))
                fitted = timed(lambda known=known, first=first: known.fit(first))
                warm.append(timed(lambda known=known, key=key, method=method: known.memory(order(key, method, 7, 300))))
                print(f"{key:12s} {method:13s} never traced {cold[-1]:.2f} s, again {again:.3f} s, fit {fitted:.1f} s, then another {warm[-1]:.3f} s",
                      flush=True)
    tracer.close()
    print(f"never traced: median {median(cold):.2f} s, slowest {max(cold):.2f} s (bar {COLD_SECONDS}); from a fit: median {median(warm):.3f} s, "
          f"slowest {max(warm):.3f} s (bar {WARM_SECONDS}); {median(cold) / median(warm):.0f} times as quick")


if __name__ == "__main__":
    main()
