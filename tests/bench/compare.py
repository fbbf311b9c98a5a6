"""How long a comparison keeps one waiting: `python -m tests.bench.compare [--whole] [--rounds 3]`, with a real Chromium and nothing else beside it.

Printed: seconds from the button to the first point of a curve, for four arms on MiniLM with a worker that is warm (3 at most); with --whole also how long
these four arms take with three new seeds each, from the button to the verdicts (6 minutes at most on two cores). That is in a lab that has run these methods
before: what it compiles in its idle minutes is waited for first. Ends with 1 where one is missed.
"""
from __future__ import annotations

import argparse
import json
import sys
import time
from statistics import median
from typing import Any

from lab.supply import default_cache
from tests.bench._page import looked_at

FIRST_SECONDS, WHOLE_SECONDS = 3.0, 360.0
BASE = {"model": "minilm-l6", "task": "movies", "method": "lora"}
ARMS = [{"name": "LoRA", "change": {}}, *({"name": key, "change": {"method": key}} for key in ("prompt_tuning", "bitfit", "head"))]
QUIET_SECONDS, MOST_COMPILING = 20, 400
SEEDS = 1000  # from here on: none is recorded
POINT = "[...document.querySelectorAll('.compare-race .plot')].some(plot => (plot.data || []).some(line => line.name && line.y.some(value => value !== null)))"
OVER = "document.querySelector('.compare-verdicts .told, .compare-verdicts .open')"


def started(context: Any, url: str, seeds: list[int]) -> tuple[Any, float]:
    """The page with these arms, and when their button was pressed."""
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector(".bench")
    page.wait_for_selector(".home .plot .main-svg", timeout=60_000)  # as for a person, the figure library has been read by then
    draft = {"draft": {"base": BASE, "arms": ARMS, "seeds": seeds}}
    page.evaluate("kept => localStorage.setItem('peft-lab-compare', JSON.stringify(kept))", draft)
    page.click("#place-compare-button")
    page.wait_for_function("document.querySelector('#compare-run')?.disabled === false && document.querySelector('.compare-cost')?.textContent")
    began = time.perf_counter()
    page.click("#compare-run")
    return page, began


def first_point(context: Any, url: str, seed: int) -> float:
    page, began = started(context, url, [seed])
    page.wait_for_function(POINT, timeout=60_000)
    seconds = time.perf_counter() - began
    page.wait_for_function(OVER, timeout=600_000)  # the next round is to find the worker free
    page.close()
    return seconds


def compiled() -> float:
    """Waits until nothing is compiled any more, which a lab does once it has been idle for a moment; seconds."""
    began, idle = time.perf_counter(), 0
    while idle < QUIET_SECONDS and time.perf_counter() - began < MOST_COMPILING:
        idle = 0 if any((default_cache() / "compiled").glob("*.work")) else idle + 1
        time.sleep(1)
    return time.perf_counter() - began - QUIET_SECONDS


def whole(context: Any, url: str, seeds: list[int]) -> float:
    page, began = started(context, url, seeds)
    page.wait_for_function(OVER, timeout=1_800_000)
    seconds = time.perf_counter() - began
    page.close()
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.compare")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--whole", action="store_true", help="also four arms with three seeds, to the verdicts")
    options = parser.parse_args()
    found = {}
    with looked_at() as (browser, url):
        times = []
        for place in range(options.rounds):
            context = browser.new_context()
            times.append(first_point(context, url, SEEDS + place))
            context.close()
        found["first point, s"] = (median(times), FIRST_SECONDS)
        print(f"first point of a curve: {', '.join(f'{seconds:.2f}' for seconds in times)} s (at most {FIRST_SECONDS:g})", flush=True)
        if options.whole:
            print(f"compiled in the background: {compiled():.0f} s", flush=True)
            context = browser.new_context()
            seconds = whole(context, url, [SEEDS + 100 + place for place in range(3)])
            found["whole, s"] = (seconds, WHOLE_SECONDS)
            took, most = f"{seconds // 60:.0f} min {seconds % 60:.0f} s", f"{WHOLE_SECONDS / 60:g} min"
            print(f"four arms with three seeds, to the verdicts: {took} (at most {most})", flush=True)
    print(json.dumps({name: {"seconds": round(seconds, 2), "most": most} for name, (seconds, most) in found.items()}))
    return int(any(seconds > most for seconds, most in found.values()))


if __name__ == "__main__":
    sys.exit(main())
