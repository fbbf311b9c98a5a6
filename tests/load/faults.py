"""Faults by the hundred: `python -m tests.load.faults [500] [--seed 0] [--minutes M]` prints figures, of as many as there was time for; exit code 1 where a
run was lost, doubled or left without a reason.

A real lab with two workers, in a program of its own, on a small file system where one can be mounted. Before each fault a few runs are submitted; then one of

    worker killed      SIGKILL to a worker, with or without a run              page killed    SIGKILL to the page, which takes its workers along; started anew
    page stopped       SIGTERM while runs go on; started anew                  asleep         everything stands still for seconds, as a laptop does
    database locked    another program holds the database for seconds          disk full      no byte is left on it for seconds
    cache broken       files of the cache are cut or overwritten               tab closed     a browser goes away in the middle of its questions
    clock moved        the wall clock of page and workers is hours off, for seconds
    network gone       what serves a data set breaks off in the middle of a file, and is there again seconds later

Afterwards the queue has to go on: a worker takes a run, or brings the one that it has a step further. The seconds until then are told for each kind, and held
to 5 where a worker was there. Beside them stands how long a run that was asked for behind the fault waited, which also hangs on those before it.
"""
from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from lab import catalogue
from lab.contracts import LabError
from lab.events import ENDS, Restarted, Started
from lab.spec import RunSpec
from lab.store import Run, Store
from tests._hub_data import repository
from tests._hub_server import Handler, serving
from tests.ui._serving import ROOT, answers, free_port, wait_for

DISK_BYTES = 60_000_000
MOVED_CLOCK = Path(__file__).parent / "clock"
FETCHED = "sst2"  # a task whose texts come from the Hub
GOES_ON_SECONDS = 5.0
LONG_SECONDS = 1.5
RUNNING = """SELECT worker, json_extract(spec, '$.task'), json_extract(spec, '$.steps'), round(? - started, 1),
             (SELECT max(seq) FROM events WHERE run = runs.id) FROM runs WHERE state = 'running'"""
READY_SECONDS = 300
STEPS = (3, 60, 200)
KINDS = (*("worker killed",) * 3, "page killed", "page stopped", "asleep", "database locked", "disk full", "cache broken", "tab closed", "clock moved",
         "network gone")
ALONE = ("page killed", "page stopped")  # after these the workers have to be started, so the time until a run begins is no matter of the queue


class Lab:
    """The program, started again where it was ended."""

    def __init__(self, folder: Path, hub: str) -> None:
        self.data, self.cache, self.clock, self.log = folder / "disk" / "data", folder / "cache", folder / "clock", (folder / "log").open("a")
        self.port, self.hub = free_port(), hub
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "lab", "serve", "--port", str(self.port), "--data", str(self.data), "--workers", "2"]
        environment = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")}
        environment |= {"LAB_CACHE": str(self.cache), "LAB_COMPILE": "0", "LAB_SPARE": "2", "OMP_NUM_THREADS": "1", "HF_ENDPOINT": self.hub,
                        "NO_PROXY": "127.0.0.1", "HF_HOME": str(self.cache / "hf"), "PYTHONPATH": str(MOVED_CLOCK), "LAB_MOVED_CLOCK": str(self.clock)}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=self.log, stderr=self.log)
        wait_for(lambda: answers(f"http://127.0.0.1:{self.port}/"), READY_SECONDS, "the lab does not answer")
        wait_for(self.ready, READY_SECONDS, "no worker gets warm")

    def ready(self) -> bool:
        """Whether a worker is warm: the file of one that was just killed lies there for a moment longer."""
        said = [words for _, words in self._children()]
        return any(f'"{path.stem}"' in words for path in (self.data / "workers").glob("local-[1-9]*.ready") for words in said)

    def workers(self) -> list[psutil.Process]:
        return [process for process, _ in self._children()]

    def told(self) -> str:
        """Its workers: how long each has been there, and whether it is warm."""
        warm = {path.stem for path in (self.data / "workers").glob("*.ready")}
        found = [(re.search(r'"name": "([^"]+)"', words), round(time.time() - process.create_time(), 1)) for process, words in self._children()]
        return ", ".join(f"{name[1]} since {age} s{' warm' * (name[1] in warm)}" for name, age in found if name)

    def _children(self) -> list[tuple[psutil.Process, str]]:
        """Workers that live, each with its command line."""
        found = []
        for each in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):
                found.append((each, " ".join(each.cmdline())))
        return [(process, words) for process, words in found if "lab.runners.local" in words]

    def end(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(90)


class Faults:
    """`inject` brings one about and takes it back."""

    def __init__(self, lab: Lab, hub: type[Handler], mounted: bool, drawn: random.Random, submit: Callable[[str], None]) -> None:
        self.lab, self.hub, self.disk, self.mounted, self.drawn, self.submit = lab, hub, lab.data.parent, mounted, drawn, submit
        self.broken_off = 0  # downloads that stopped in the middle

    def inject(self, kind: str) -> None:
        time.sleep(self.drawn.uniform(0, 0.6))
        getattr(self, "_" + kind.replace(" ", "_"))()

    def _worker_killed(self) -> None:
        if workers := self.lab.workers():
            with suppress(psutil.Error):
                victim = self.drawn.choice(workers)
                victim.kill()
                victim.wait(10)  # until then its file says that it is warm

    def _page_killed(self) -> None:
        self.lab.end(signal.SIGKILL)
        self.lab.start()

    def _page_stopped(self) -> None:
        self.lab.end()
        self.lab.start()

    def _asleep(self) -> None:
        everybody = [psutil.Process(self.lab.process.pid), *self.lab.workers()]
        for each in everybody:
            each.suspend()
        time.sleep(self.drawn.uniform(1, 4))
        for each in everybody:
            with suppress(psutil.NoSuchProcess):
                each.resume()

    def _database_locked(self) -> None:
        with sqlite3.connect(self.lab.data / "lab.sqlite3", isolation_level=None, timeout=20) as other:
            other.execute("BEGIN IMMEDIATE")
            time.sleep(self.drawn.uniform(0.5, 4))
            other.execute("ROLLBACK")
        other.close()

    def _disk_full(self) -> None:
        if not self.mounted:
            return
        filler = self.disk / "filler"
        with suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(b"\0" * 100_000)
                file.flush()
        time.sleep(self.drawn.uniform(0.5, 3))
        filler.unlink()

    def _cache_broken(self) -> None:
        files = [path for path in self.lab.cache.rglob("*") if path.is_file()]
        for path in self.drawn.sample(files, min(3, len(files))):
            with suppress(OSError):
                content = path.read_bytes()
                path.write_bytes(content[: len(content) // 2] if self.drawn.random() < 0.5 else b"\xff" * len(content))

    def _tab_closed(self) -> None:
        for _ in range(5):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.lab.port), 5) as tab:
                tab.sendall(b"GET /config HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                tab.recv(self.drawn.randrange(1, 3000))

    def _clock_moved(self) -> None:
        self.lab.clock.write_text(str(self.drawn.choice((-1, 1)) * self.drawn.uniform(60, 100_000)), encoding="ascii")
        time.sleep(self.drawn.uniform(0.5, 4))
        self.lab.clock.unlink()

    def _network_gone(self) -> None:
        """What a run before this one had fetched is taken away, so that a worker that does not hold it any more fetches it again."""
        name, data = next(iter(self.hub.repositories.items()))
        shutil.rmtree(self.lab.cache / "data" / name.removeprefix("datasets/").replace("/", "_"), ignore_errors=True)
        self.hub.left = self.drawn.randrange(sum(map(len, data.files.values())))
        self.submit(FETCHED)
        time.sleep(self.drawn.uniform(0.5, 4))
        self.broken_off += self.hub.left == 0
        self.hub.left = None


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A file system of its own for the data folder; False where this system mounts none for us, and then no disk is filled."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)], capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=False)


def persistent(work: Any) -> Any:
    """Submitting while the disk is full or the database locked is refused in words; a person tries again."""
    ends = time.monotonic() + 60
    while True:
        try:
            return work()
        except LabError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.2)


def submitted(store: Store, seed: int, steps: int, priority: int = 0, task: str = "toy") -> Run:
    spec = RunSpec.parse({"model": "seed-bert", "task": task, "method": "lora", "steps": steps, "batch": 4, "eval_items": 8, "eval_every": 0, "seed": seed,
                          "dtype": "float32"})
    return persistent(lambda: store.submit(spec, f"student {seed % 7}", priority=priority))


def under_way(store: Store) -> dict[str, int]:
    """The last event's number of each run that a worker has."""
    return dict(store.rows("SELECT id, (SELECT coalesce(max(seq), 0) FROM events WHERE run = runs.id) FROM runs WHERE state = 'running'"))


def waits(lab: Lab, store: Store, run: Run, seconds: float) -> tuple[float, float]:
    """Seconds until the queue goes on, and until a run has begun; infinite where that does not happen. What there is in a long wait is printed."""
    started, before, goes_on, told = time.monotonic(), None, float("inf"), False
    while (waited := time.monotonic() - started) < seconds:
        with suppress(LabError):
            now = under_way(store)
            before = now if before is None else before
            if goes_on > waited and any(now[each] > before.get(each, -1) for each in now):
                goes_on = waited
            if store.run(run.id).state != "queued":
                return min(goes_on, waited), waited
            if waited > LONG_SECONDS and goes_on > waited and not told:
                told = True
                print(f"the queue stands still: {lab.told()}; runs {store.rows(RUNNING, time.time())}", file=sys.stderr, flush=True)
        time.sleep(0.05)
    return goes_on, float("inf")


def wrong(store: Store, runs: list[Run]) -> list[str]:
    """Runs that are lost, doubled, without an end or without a reason."""
    found = []
    for run in (store.run(each.id) for each in runs):
        events = [event for _, event in store.events(run.id)]
        ends, starts = sum(isinstance(event, ENDS) for event in events), sum(isinstance(event, Started) for event in events)
        again = sum(isinstance(event, Restarted) for event in events)
        if not run.ended:
            found.append(f"{run.id} is {run.state} for ever")
        elif ends != 1 or starts > 1 + again:
            found.append(f"{run.id} has {ends} ends and {starts} starts")
        elif run.state == "failed" and not run.reason:
            found.append(f"{run.id} failed without a reason")
        elif run.state == "finished" and not (store.folder(run.id) / "adapter" / "lab.json").exists():
            found.append(f"{run.id} finished without its adapter")
    return found


def tried(count: int, seed: int, seconds: float = float("inf"), order: Sequence[str] = ()) -> dict[str, Any]:
    """So many faults of kinds that are drawn, or those of an `order`, one after the other."""
    ends = time.monotonic() + seconds
    drawn, goes_on, begins, kinds, states, runs = random.Random(seed), {}, {}, Counter(), Counter(), []
    with tempfile.TemporaryDirectory() as name, small_disk(Path(name) / "disk") as mounted, serving() as (hub, address):
        hub.repositories["datasets/stanfordnlp/sst2"] = repository(catalogue.find("tasks", FETCHED))
        lab = Lab(Path(name), address)
        lab.data.mkdir()
        lab.start()
        with Store(lab.data) as store:
            faults = Faults(lab, hub, mounted, drawn, lambda task: runs.append(submitted(store, len(runs), STEPS[0], 1, task)))
            try:
                for place in range(count):
                    if time.monotonic() > ends:
                        break
                    runs += [submitted(store, len(runs), drawn.choice(STEPS)) for _ in range(drawn.randrange(1, 4))]
                    kind = order[place] if order else drawn.choice(KINDS)
                    kinds[kind] += 1
                    faults.inject(kind)
                    wait_for(lab.ready, READY_SECONDS, "no worker gets warm again")
                    wait_for(lambda: store.waiting() < 8, READY_SECONDS, f"the queue stands still after {kind}")
                    runs.append(submitted(store, len(runs), STEPS[0], priority=1))
                    for found, seconds_waited in zip((goes_on, begins), waits(lab, store, runs[-1], READY_SECONDS), strict=True):
                        found.setdefault(kind, []).append(seconds_waited)
                    if mounted and place % 20 == 19:  # adapters of runs that have ended would fill it by themselves
                        states += _thinned(store, runs)
                wait_for(lambda: all(store.run(run.id).ended for run in runs), READY_SECONDS, "runs do not end")
                trouble = wrong(store, runs)
                states += Counter(store.run(run.id).state for run in runs)
            finally:
                lab.end()
                lab.log.close()
    return {"faults": kinds.total(), "seed": seed, "kinds": dict(kinds), "disk_filled": mounted, "downloads_broken_off": faults.broken_off,
            "runs": states.total(), "states": dict(states), "wrong": trouble[:20], "wrong_count": len(trouble),
            "seconds_until_the_queue_goes_on": _middle_and_most(goes_on), "seconds_until_a_run_begins": _middle_and_most(begins)}


def _middle_and_most(waited: dict[str, list[float]]) -> dict[str, list[float]]:
    return {kind: [round(median(each), 2), round(max(each), 2)] for kind, each in waited.items()}


def _thinned(store: Store, runs: list[Run]) -> Counter[str]:
    """Checks runs that have ended, and deletes them; their states."""
    ended = [run for run in runs if store.run(run.id).ended]
    states = Counter(store.run(run.id).state for run in ended)
    trouble = wrong(store, ended)
    assert not trouble, trouble
    for run in ended:
        persistent(lambda run=run: store.delete(run.id))
        runs.remove(run)
    return states


def late(found: dict[str, Any], seconds: float = GOES_ON_SECONDS) -> dict[str, float]:
    """Kinds of fault after which the queue went on only so much later, where a worker was there."""
    return {kind: most for kind, (_, most) in found["seconds_until_the_queue_goes_on"].items() if kind not in ALONE and most > seconds}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load.faults", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("count", type=int, nargs="?", default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    options = parser.parse_args()
    found = tried(options.count, options.seed, 60 * options.minutes)
    print(json.dumps(found, indent=1))
    for kind, most in late(found).items():
        print(f"missed: after {kind} the queue went on only {most} seconds later")
    return bool(found["wrong_count"] or late(found))


if __name__ == "__main__":
    sys.exit(main())
