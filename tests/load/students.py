"""A class at its browsers: `python -m tests.load.students [--students 200] [--seconds 90]` prints figures; exit code 1 where a bar is missed.

Each student is an HTTP session of its own: opens the page, asks what a draft costs, starts a short run, polls it as the page does, reloads, polls again and
leaves; meanwhile two long runs train. Then all runs are awaited. Wrong is: an answer that is an error, a run that is lost or that somebody else could read,
and turns that are not fair: no second run of a student begins while the first of another has waited since before it was submitted.
"""
from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
import psutil

from lab.spec import RunSpec
from lab.store import Store
from tests.ui._serving import ROOT, answers, free_port, wait_for

SHORT = {"model": "seed-bert", "task": "toy", "method": "lora", "steps": 10, "batch": 4, "eval_items": 16, "eval_every": 0, "dtype": "float32"}
LONG = {**SHORT, "model": "seed-llama", "batch": 16, "steps": 5000}
BARS = {"page_p95": 0.5, "poll_p95": 0.5, "page_bytes": 600_000_000}
LOST_SECONDS = 1.0  # until a page asks again that got no answer
DRAIN_SECONDS = 1800
LONGEST_CLASS = 10_000


@dataclass
class Seen:
    """Seconds of each kind of request, and everything wrong."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    runs: dict[str, list[str]] = field(default_factory=dict)  # owner → runs, in the order in which they were submitted
    late: float = 0.0  # how long after its time the last request of this program was sent: its own want of a core


class Student:
    def __init__(self, client: httpx.AsyncClient, functions: dict[str, int], seen: Seen, drawn: random.Random, seed: int) -> None:
        self.client, self.functions, self.seen, self.drawn = client, functions, seen, drawn
        self.owner, self.session, self.seed = secrets.token_urlsafe(24), secrets.token_hex(6), seed

    async def open(self) -> None:
        """As a browser does: the page, the key that says who it is, its latest run. Scripts are not loaded: a browser asks for them once a day."""
        await self._timed("page", self.client.get("/"))
        await self._timed("begin", self._begin())
        await self.ask("latest", {"owner": self.owner})

    async def _begin(self) -> httpx.Response:
        body = {"data": [self.owner], "fn_index": self.functions["begin"], "session_hash": self.session, "event_data": None}
        answer = await self.client.post("/gradio_api/queue/join", json=body)
        if answer.status_code == 200:
            async with self.client.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as told:
                said = [line async for line in told.aiter_lines() if line.startswith("data:")]
            if not any('"success":true' in line.replace(" ", "") for line in said):
                self.seen.wrong.append(f"begin: {said[-1:]}")
        return answer

    async def ask(self, name: str, value: Any, kind: str = "") -> Any:
        body = {"data": value, "fn_name": name, "component_id": self.functions[name], "session_hash": self.session}
        answer = await self._timed(kind or name, self.client.post("/gradio_api/component_server/", json=body))
        return answer.json() if answer is not None and answer.status_code == 200 else None

    async def _timed(self, kind: str, request: Any) -> httpx.Response | None:
        began = time.perf_counter()
        try:
            answer = await request
        except httpx.HTTPError as error:
            self.seen.wrong.append(f"{kind}: {type(error).__name__}")
            return None
        self.seen.seconds.setdefault(kind, []).append(time.perf_counter() - began)
        if answer.status_code != 200:
            self.seen.wrong.append(f"{kind}: status {answer.status_code}: {answer.text[:200]}")
        return answer

    async def pause(self, seconds: float) -> None:
        due = time.perf_counter() + seconds
        await asyncio.sleep(seconds)
        self.seen.late = max(self.seen.late, time.perf_counter() - due)

    async def submit(self) -> str:
        seed = self.seed + LONGEST_CLASS * len(self.seen.runs.get(self.owner, ()))  # an equal run would be answered from the history
        found = await self.ask("submit", {"draft": {**SHORT, "seed": seed}, "owner": self.owner})
        if not found or "run" not in found:
            self.seen.wrong.append(f"submit: {found}")
            return ""
        self.seen.runs.setdefault(self.owner, []).append(found["run"])
        return str(found["run"])

    async def watch(self, run: str, ends: float) -> None:
        """Poll as the page does, with what is known already, until the run or the lesson ends."""
        mark = ""
        while run and time.monotonic() < ends:
            found = await self.ask("poll", {"run": run, "mark": mark, "owner": self.owner})
            if found and "error" in found:
                self.seen.wrong.append(f"poll: {found['error']}")
                return
            mark = (found or {}).get("mark", mark)
            if (found or {}).get("state") in ("finished", "failed", "cancelled"):
                return
            await self.pause((found or {}).get("again", LOST_SECONDS))

    async def peek(self, run: str) -> None:
        """At somebody else's run, which its owner has not shared."""
        found = await self.ask("poll", {"run": run, "mark": "", "owner": self.owner}, "peek")
        if found is None or "error" not in found:
            self.seen.wrong.append("a run was shown to somebody else")

    async def attend(self, begins: float, ends: float, submits: int) -> None:
        await self.pause(begins)
        await self.open()
        for _ in range(3):
            await self.ask("count", {**SHORT, "method": {"name": "lora", "rank": self.drawn.choice((1, 2, 4, 16))}})
            await self.pause(self.drawn.uniform(0.3, 1.5))
        runs = [await self.submit() for _ in range(submits)]
        middle = time.monotonic() + (ends - time.monotonic()) / 2
        await self.watch(runs[0], middle)
        await self.open()  # a reload
        if others := [each[0] for owner, each in self.seen.runs.items() if owner != self.owner]:
            await self.peek(self.drawn.choice(others))
        await self.watch(runs[0], ends)


async def lesson(url: str, students: int, seconds: float, seed: int, seen: Seen) -> None:
    drawn = random.Random(seed)
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as first:
        config = (await first.get("/config")).json()
        functions = {name: each["id"] for each in reversed(config["components"]) for name in each["props"].get("server_fns") or ()
                     if each["props"].get("elem_id") == "train"}
        functions["begin"] = next(each["id"] for each in config["dependencies"] if each["api_name"] == "begin")
    async with AsyncExitStack() as open_ones:  # a pool for each, as each browser has: in one for all finding a connection takes longest
        clients = [await open_ones.enter_async_context(httpx.AsyncClient(base_url=url, timeout=60, limits=limits, verify=False)) for _ in range(students)]
        everybody = [Student(client, functions, seen, random.Random(seed + place), place) for place, client in enumerate(clients)]
        ends = time.monotonic() + seconds
        await asyncio.gather(*(each.attend(drawn.uniform(0, seconds / 3), ends, 2 if place % 10 == 0 else 1) for place, each in enumerate(everybody)))


def unfair(store: Store, runs: dict[str, list[str]]) -> int:
    """How many second runs began while the first run of somebody who had submitted it before still waited."""
    rows = {run: store.run(run) for each in runs.values() for run in each}
    firsts = [rows[each[0]] for each in runs.values()]
    seconds = [rows[each[1]] for each in runs.values() if len(each) > 1]
    return sum(any(first.created < second.created and (first.started or 0) > (second.started or 0) for first in firsts) for second in seconds)


def p95(values: list[float]) -> float:
    return quantiles(values, n=20)[-1] if len(values) > 1 else max(values, default=0.0)


def measured(students: int, seconds: float, seed: int = 0, drain: float = DRAIN_SECONDS) -> dict[str, Any]:
    seen = Seen()
    with tempfile.TemporaryDirectory() as folder:
        data, port = Path(folder) / "data", free_port()
        environment = {**os.environ, "LAB_CACHE": str(Path(folder) / "cache"), "LAB_COMPILE": "0"}
        config = Path(folder) / "class.yaml"
        config.write_text(f"limits: {{queue: {3 * students + 10}, address_waiting: null}}\n")  # all of them at once, from one address
        command = [sys.executable, "-m", "lab", "serve", "--port", str(port), "--data", str(data), "--workers", "2", "--config", str(config)]
        with (Path(folder) / "log").open("w") as log:
            page = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(lambda: answers(url + "/"), 240, "the lab does not answer")
            wait_for(lambda: len(list((data / "workers").glob("*.ready"))) == 2, 300, "the workers do not get warm")
            with Store(data) as store:
                for place in range(2):
                    store.submit(RunSpec.parse({**LONG, "seed": place}), f"long {place}")
                wait_for(lambda: len(store.history(None, state="running")) == 2, 120, "the long runs do not begin")
                asyncio.run(lesson(url, students, seconds, seed, seen))
                training = len(store.history(None, state="running"))
                largest = psutil.Process(page.pid).memory_info().rss
                for run in store.history(None, state="running"):
                    if run.owner.startswith("long"):
                        store.cancel(run.id)
                mine = [run for each in seen.runs.values() for run in each]
                ends = time.monotonic() + drain
                while not all(store.run(run).ended for run in mine) and time.monotonic() < ends:
                    time.sleep(0.5)
                states = [store.run(run).state for run in mine]
                turns = unfair(store, seen.runs)
        finally:
            page.terminate()
            page.wait(60)
    figures = {f"{kind}_{name}": round(of(values), 3) for kind, values in sorted(seen.seconds.items())
               for name, of in (("median", median), ("p95", p95))}
    return {"students": students, "seconds": seconds, "requests": sum(map(len, seen.seconds.values())), **figures, "runs": len(states),
            "finished": states.count("finished"), "training_meanwhile": training, "unfair_turns": turns, "page_bytes": largest,
            "sent_late_by_at_most": round(seen.late, 2), "wrong": seen.wrong[:20], "wrong_count": len(seen.wrong)}


def missed(found: dict[str, Any]) -> list[str]:
    """Which bars were missed."""
    bars = [f"{name} is {found[name]}: at most {most}" for name, most in BARS.items() if found[name] > most]
    lost = [f"{found['runs'] - found['finished']} of {found['runs']} runs did not finish"] if found["finished"] < found["runs"] else []
    none = (("wrong_count", "answers were wrong"), ("unfair_turns", "turns were unfair"))
    return bars + lost + [f"{found[name]} {words}" for name, words in none if found[name]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load.students", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--students", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=90.0)
    options = parser.parse_args()
    found = measured(options.students, options.seconds)
    print(json.dumps(found, indent=1))
    for line in missed(found):
        print(f"missed: {line}")
    return bool(missed(found))


if __name__ == "__main__":
    sys.exit(main())
