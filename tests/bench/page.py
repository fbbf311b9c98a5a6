"""What opening the page costs: `python -m tests.bench.page [--rounds 3]`, with a real Chromium and nothing else beside it.

Printed for a browser that was never here and for the same one again: seconds to the first paint and to the page one can use, requests and bytes over the
network; and how much sooner the second visit is usable.
"""
from __future__ import annotations

import argparse
import tempfile
import time
from statistics import median
from typing import Any

from tests.bench._page import looked_at


class Traffic:
    """Requests and bytes as the network saw them; what came from the cache costs none."""

    def __init__(self, page: Any) -> None:
        self.requests = self.bytes = 0
        talk = page.context.new_cdp_session(page)
        talk.send("Network.enable")
        talk.on("Network.loadingFinished", self._ended)

    def _ended(self, event: dict[str, Any]) -> None:
        self.requests += event["encodedDataLength"] > 0
        self.bytes += int(event["encodedDataLength"])


def visit(context: Any, url: str) -> dict[str, float]:
    page = context.new_page()
    traffic, began = Traffic(page), time.perf_counter()
    page.goto(url)
    page.wait_for_selector(".bench")
    usable = time.perf_counter() - began
    page.wait_for_selector(".home .plot .main-svg", timeout=60_000)
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0") / 1000
    found = {"first paint, s": painted, "usable, s": usable, "requests": traffic.requests, "MB": traffic.bytes / 1e6}
    page.close()
    return found


def told(name: str, rounds: list[dict[str, float]]) -> dict[str, float]:
    middle = {key: median(each[key] for each in rounds) for key in rounds[0]}
    print(f"{name:20s}" + ", ".join(f"{key} {value:.{0 if key == 'requests' else 2}f}" for key, value in middle.items()), flush=True)
    return middle


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.page")
    parser.add_argument("--rounds", type=int, default=3)
    rounds = range(parser.parse_args().rounds)
    with tempfile.TemporaryDirectory() as cache, looked_at(LAB_CACHE=cache, LAB_COMPILE="0") as (browser, url):
        new, again = [], []
        for _ in rounds:
            context = browser.new_context()
            new.append(visit(context, url))
            again.append(visit(context, url))
            context.close()
        first, second = told("never here before", new), told("here before", again)
        print(f"the second visit is usable {first['usable, s'] / second['usable, s']:.1f} times as soon")


if __name__ == "__main__":
    main()
