"""The runner for one machine: a pool of warm workers, each its own program, restarted when they die and ended with the lab.

    page process: LocalRunner, no torch ── stdin pipe, the guard ──► python -m lab.runners.local   (_worker.py, torch)
                                        ◄── lab.sqlite3: runs, events ──►
"""
from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from lab.contracts import LabError
from lab.runners import Worker, _machine
from lab.runners._worker import Settings, main, ready_file
from lab.store import Store, Unwritable
from lab.waiting import spin_briefly

WATCH_SECONDS = 0.1  # between looks at the workers
TROUBLE_SECONDS = 1.0
SWEEP_SECONDS = 2.0  # between looks for runs whose worker nobody knows
STOP_SECONDS = 3.0  # a worker ends within milliseconds of its pipe's end; after this long it is killed
LONGEST_PAUSE_SECONDS = 60.0
LARGEST_LOG_BYTES = 1_000_000
LAST_WORDS_BYTES = 2_000
RESERVE_BYTES = 1_000_000_000  # of the machine's memory, for the page and everything else
WARM_BYTES = 550_000_000  # a warm worker before its first run, measured: 522 MB of data
SMALLEST_BUDGET_BYTES = 300_000_000

STOPPED = ("The lab was stopped while this run was going.", "Run it again: nothing in its settings was wrong.")
OUT_OF_MEMORY = ("The system ended this run's worker, probably because the machine ran out of memory.",
                 "Halve the batch or the text length, turn checkpointing on, or choose a smaller model or a method that trains less.")
NO_MEMORY = ("bad_alloc", "MemoryError", "allocate memory", "Thread creation failed")  # last words of libraries that end the process themselves
CRASHED_ADVICE = "Run it again; if that happens again, change the settings or tell whoever hosts the lab. Nobody else's run was touched."


@dataclass(frozen=True)
class Death:
    """How a worker ended: the exit code, negative for a signal, and its last words."""

    name: str
    code: int
    log: str


@dataclass
class Slot:
    """A place of the pool and the program that fills it at the moment."""

    number: int
    name: str = ""
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    start_at: float = 0.0  # not before this moment
    early_deaths: int = 0  # in a row, without having been ready
    restarts: int = -1
    log_start: int = 0  # where this program's part of the log begins
    unexplained: list[Death] = field(default_factory=list)  # whose runs have not been given their ending yet


class LocalRunner:
    """Starts and watches the workers from a thread of the page process; what they do goes through the store."""

    def __init__(self, data: Path, cache: Path, workers: int | None = None, *, runs_per_worker: int = 50, budget_bytes: int | None = None,
                 largest_bytes: int | None = None, patience_seconds: float = 30.0) -> None:
        if workers is not None and workers < 1:
            raise LabError(f"workers is {workers}: must be at least 1")
        self.data, self.cache = Path(data).resolve(), Path(cache).resolve()
        self.gpus = _machine.gpus()
        cores = _machine.cores()
        self.size = workers or len(self.gpus) or max(1, cores // 2)
        self.threads = max(1, cores // self.size)
        self.runs_per_worker, self.budget_bytes = runs_per_worker, budget_bytes
        self.largest_bytes, self.patience_seconds = largest_bytes, patience_seconds
        self._slots: list[Slot] = []
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._swept = 0.0

    def start(self) -> None:
        """Fail what an earlier lab left running, then fill the pool; the first worker is warm after some seconds."""
        if self._thread:
            return
        self._store = Store(self.data, largest_bytes=self.largest_bytes)
        try:
            self._store.hold()
            self._store.recover(*STOPPED)
            self._prepare_folder()
        except LabError:
            self._store.close()
            raise
        self.budget_bytes = self.budget_bytes or self._fair_share()
        self._slots = [Slot(number) for number in range(1, self.size + 1)]
        self._stopping.clear()
        self._thread = threading.Thread(target=self._watch, name="workers", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the workers; the runs they hold get the reason, queued ones wait for the next start."""
        if not self._thread:
            return
        self._stopping.set()
        self._thread.join()
        self._thread = None
        for slot in self._slots:
            self._end(slot)
        with suppress(Unwritable):  # then it is said at the next start
            self._store.recover(*STOPPED)
        self._store.close()

    def __enter__(self) -> LocalRunner:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def workers(self) -> tuple[Worker, ...]:
        return tuple(self._health(slot) for slot in self._slots)

    # ── watching ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                for slot in self._slots:
                    self._look_after(slot)
                self._sweep()
            except (LabError, OSError):  # a full disk, no memory for another process: tried again, for without this thread nothing goes on
                traceback.print_exc()
                self._stopping.wait(TROUBLE_SECONDS)
            self._stopping.wait(WATCH_SECONDS)

    def _look_after(self, slot: Slot) -> None:
        if slot.process and slot.process.poll() is not None:
            self._bury(slot)
        if not slot.process and time.monotonic() >= slot.start_at:
            self._spawn(slot)
        self._explain_deaths(slot)

    def _spawn(self, slot: Slot) -> None:
        slot.name = f"local-{slot.number}-{secrets.token_hex(3)}"  # never used twice: a run of a dead worker is not taken for a living one's
        settings = Settings(str(self.data), str(self.cache), slot.name, self.threads, self.runs_per_worker, self.budget_bytes,
                            self.largest_bytes, self.patience_seconds)
        with _open_log(self._log(slot)) as log:
            slot.log_start = log.tell()
            slot.process = subprocess.Popen([sys.executable, "-m", "lab.runners.local", settings.to_json()],
                                            cwd=Path(__file__).parents[2], env=self._environment(slot), stdin=subprocess.PIPE, stdout=log, stderr=log)
        slot.started, slot.restarts = time.monotonic(), slot.restarts + 1

    def _environment(self, slot: Slot) -> dict[str, str]:
        own = {
            "OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads), "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1",
        }
        if self.gpus:
            own["CUDA_VISIBLE_DEVICES"] = self.gpus[(slot.number - 1) % len(self.gpus)]
        environment = {**os.environ, **own}
        spin_briefly(environment)
        return environment

    def _bury(self, slot: Slot) -> None:
        """Note how a worker ended and when the next may start: at once, unless workers die again and again before they are ready."""
        process, slot.process = slot.process, None
        process.stdin.close()
        ready = ready_file(self.data, slot.name)
        slot.early_deaths = 0 if ready.exists() else slot.early_deaths + 1
        ready.unlink(missing_ok=True)
        pause = 0.0 if slot.early_deaths < 2 else min(2.0 ** (slot.early_deaths - 2), LONGEST_PAUSE_SECONDS)
        slot.start_at = time.monotonic() + pause
        slot.unexplained.append(Death(slot.name, process.returncode, _tail(self._log(slot), slot.log_start)))

    def _explain_deaths(self, slot: Slot) -> None:
        """Give the runs of dead workers their reason; what cannot be written now stays for the next look."""
        while slot.unexplained:
            death = slot.unexplained[0]
            for run in self._store.held(death.name):
                reason, advice = why(death)
                self._store.fail(run.id, reason, advice, detail=f"{death.name} ended with code {death.code}, see {self._log(slot).name}")
            slot.unexplained.pop(0)

    def _sweep(self) -> None:
        """A worker of a killed lab may have claimed a run in its last moment, after the look at start."""
        if time.monotonic() - self._swept < SWEEP_SECONDS:
            return
        self._swept = time.monotonic()
        known = {slot.name for slot in self._slots} | {death.name for slot in self._slots for death in slot.unexplained}
        self._store.recover(*STOPPED, keep=known)

    def _end(self, slot: Slot) -> None:
        if not slot.process:
            return
        slot.process.stdin.close()
        try:
            slot.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            slot.process.kill()
            slot.process.wait()
        ready_file(self.data, slot.name).unlink(missing_ok=True)
        slot.process = None

    def _health(self, slot: Slot) -> Worker:
        process = slot.process
        if not process:
            return Worker(slot.name, None, "waiting", 0, max(slot.restarts, 0))
        held = self._store.held(slot.name)
        state = "running" if held else "idle" if ready_file(self.data, slot.name).exists() else "starting"
        return Worker(slot.name, process.pid, state, self._store.done(slot.name), slot.restarts)

    # ── files and shares ──────────────────────────────────────────────────────────────────────────────────────────────

    def _prepare_folder(self) -> None:
        folder = self.data / "workers"
        try:
            folder.mkdir(exist_ok=True)
            for left in folder.glob("*.ready"):
                left.unlink()
        except OSError as error:
            raise LabError(f"{folder} cannot be used for the workers' logs ({error.strerror}): choose another folder with --data") from None

    def _log(self, slot: Slot) -> Path:
        return self.data / "workers" / f"{slot.number}.log"

    def _fair_share(self) -> int | None:
        """What runs of one worker may take: an equal part of what is free now, with something left for the page."""
        free = _machine.available_bytes()
        if free is None or self.gpus:  # a GPU's memory has its own limit, and its driver reserves much of the host's
            return None
        return max(SMALLEST_BUDGET_BYTES, (free - RESERVE_BYTES) // self.size - WARM_BYTES)


def why(death: Death) -> tuple[str, str]:
    """Reason and advice for the run of a worker that died."""
    if -death.code == getattr(signal, "SIGKILL", None) or any(words in death.log for words in NO_MEMORY):
        return OUT_OF_MEMORY
    if death.code < 0:
        return f"This run's worker crashed ({signal.Signals(-death.code).name}).", CRASHED_ADVICE
    return f"This run's worker ended unexpectedly (exit code {death.code}).", CRASHED_ADVICE


def _open_log(path: Path) -> BinaryIO:
    """To append to; a long one starts anew."""
    long = path.exists() and path.stat().st_size > LARGEST_LOG_BYTES
    return path.open("wb" if long else "ab")


def _tail(path: Path, start: int) -> str:
    """The last words after `start`."""
    with suppress(OSError):
        return path.read_bytes()[start:][-LAST_WORDS_BYTES:].decode(errors="replace")
    return ""


if __name__ == "__main__":
    main(Settings(**json.loads(sys.argv[1])))
