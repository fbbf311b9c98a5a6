"""The runner for one machine: a pool of warm workers, each its own program, restarted when they die and ended with the lab.

    page process: LocalRunner, no torch ── stdin pipe, the guard ──► python -m lab.runners.local   (_worker.py, torch)
                                        ◄── lab.sqlite3: runs, events ──►

Questions to finished runs have a worker of their own beside the pool, and the pool takes none. A training takes a minute or an hour, a question a second: in
one queue it would wait behind every class that trains, and no priority helps while each worker is busy. One such worker is enough, since what makes it quick
is what it keeps (bases and opened runs), and two would keep everything twice. It costs half a gigabyte, so it is started by the first question that
waits, and ends by itself when none has come for a while. It has half of the cores' threads, a limit of memory, and the system's preference over trainings.

Where memory allows, spare workers are kept warm and idle: one, or two beside a pool of several. A spare steps into the place of a worker that died or
has done its runs: loading torch takes seconds, and a class would wait through them. On GPUs there are none: each worker is bound to its own.
"""
from __future__ import annotations

import json
import logging
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from lab.contracts import LabError
from lab.database import Unwritable
from lab.logs import short
from lab.runners import Worker, _machine, _packing
from lab.runners._deaths import STOPPED, Death, last_words, why
from lab.runners._worker import BEGIN, LAST, Settings, main, ready_file
from lab.secrecy import named_secret
from lab.store import Run, Store
from lab.waiting import spin_briefly

LOG = logging.getLogger("lab.runners.local")  # its own name also where this is the worker's program
WATCH_SECONDS = 0.1  # between looks at the workers
TROUBLE_SECONDS = 1.0
SWEEP_SECONDS = 2.0  # between looks for runs whose worker nobody knows
STOP_SECONDS = 3.0  # a worker ends within milliseconds of its pipe's end; after this long it is killed
LONGEST_PAUSE_SECONDS = 60.0
HOPELESS = 2  # early deaths in a row, after which a worker is waited with
LARGEST_LOG_BYTES = 1_000_000
RESERVE_BYTES = 1_000_000_000  # of the machine's memory, for the page and everything else
WARM_BYTES = 550_000_000  # a warm worker before its first run, measured: 522 MB of data
SMALLEST_BUDGET_BYTES = 300_000_000
ANSWERING_BYTES = 4_000_000_000  # the most that answering may take; at least half of it is there for bases
IDLE_SECONDS = 600.0  # without a question, until its worker ends
QUESTIONS = "questions"  # in the name of the worker that answers, and of its log
SPARE_ROOM_BYTES = 2_000_000_000  # free beside the pool and spare workers, or there is none


@dataclass
class Slot:
    """A place of the pool and the program that fills it at the moment."""

    number: int  # 0 is the place for questions
    name: str = ""
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    start_at: float = 0.0  # not before this moment
    early_deaths: int = 0  # in a row, without having been ready
    restarts: int = -1
    log: Path = Path()
    log_start: int = 0  # where this program's part of the log begins
    unexplained: list[Death] = field(default_factory=list)  # whose runs have not been given their ending yet


class LocalRunner:
    """Starts and watches the workers from a thread of the page process; what they do goes through the store."""

    def __init__(self, data: Path, cache: Path, workers: int | None = None, *, runs_per_worker: int = 50, budget_bytes: int | None = None,
                 largest_bytes: int | None = None, patience_seconds: float = 30.0, idle_seconds: float = IDLE_SECONDS,
                 running: int | None = None, seconds: float | None = None, kinds: tuple[str, ...] = ("train", "look", "measure"), on_gpus: bool = True,
                 beside: Callable[[], Collection[str]] = tuple, spares: int = 0) -> None:
        """`workers` beyond the number of GPUs share them. `running` is how many runs of one owner go on at a time, `seconds` how long one may take. A lab
        whose trainings run elsewhere leaves other `kinds` to this pool, and `beside` names the workers there, whose runs are not taken for lost ones.
        `spares`: keep up to so many workers more warm, never more than the pool has, where there are no GPUs and memory allows."""
        if workers is not None and workers < 1:
            raise LabError(f"workers is {workers}: must be at least 1")
        self.data, self.cache = Path(data).resolve(), Path(cache).resolve()
        self.kinds, self.beside = kinds, beside
        self.on_gpus, self.gpus = on_gpus, _machine.gpus() if on_gpus else ()
        cores = _machine.cores()
        self.size = workers or len(self.gpus) or max(1, cores // 2)
        self.threads = max(1, cores // self.size)
        self.runs_per_worker, self.budget_bytes = runs_per_worker, budget_bytes
        self.largest_bytes, self.patience_seconds, self.idle_seconds = largest_bytes, patience_seconds, idle_seconds
        self.running, self.seconds = running, seconds
        self.most_spares = 0 if self.gpus else min(spares, self.size)
        self._slots: list[Slot] = []
        self._spares: list[Slot] = []
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._swept = 0.0
        self._told = time.time()  # until when endings have been logged

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
        self._slots = [*(Slot(number) for number in range(1, self.size + 1)), Slot(0)]
        self._spares = [Slot(self.size + 1 + place) for place in range(self._affordable_spares())]
        self._stopping.clear()
        self._thread = threading.Thread(target=self._watch, name="workers", daemon=True)
        self._thread.start()

    def stop(self, seconds: float = 0.0, at_once: Callable[[], bool] = lambda: False) -> None:
        """End the workers; queued runs wait for the next start. Those that go on may take `seconds` to finish, until `at_once` says otherwise; what is left
        then gets the reason."""
        if not self._thread:
            return
        self._stopping.set()
        self._thread.join()
        self._thread = None
        self._let_finish(seconds, at_once)
        for slot in self._programs():
            self._end(slot)
        with suppress(Unwritable):  # then it is said at the next start
            self._store.recover(*STOPPED)
            self._tell_of_endings()
        self._store.close()

    def _let_finish(self, seconds: float, at_once: Callable[[], bool]) -> None:
        for slot in self._programs():
            if slot.process:
                _say(slot.process, LAST)
        end, said = time.monotonic() + seconds, False
        while time.monotonic() < end and not at_once():
            with suppress(Unwritable):
                going = sum(len(self._store.held(slot.name)) for slot in self._slots if slot.process and slot.process.poll() is None)
                if not going:
                    return
                if not said:
                    LOG.info("waiting for runs to finish", extra={"runs": going, "seconds": seconds})
                said = True
            time.sleep(WATCH_SECONDS)

    def __enter__(self) -> LocalRunner:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def submitted(self, run: Run) -> None:
        """Nothing to do: a worker finds it in the store."""

    def workers(self) -> tuple[Worker, ...]:
        """Those that train; the one that answers comes and goes."""
        return tuple(self._health(slot) for slot in self._slots if slot.number)

    # ── watching ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                for slot in self._slots:
                    self._look_after(slot)
                self._keep_spares()
                self._sweep()
            except (LabError, OSError):  # a full disk, no memory for another process: tried again, for without this thread nothing goes on
                LOG.exception("trouble with the workers")
                self._stopping.wait(TROUBLE_SECONDS)
            self._stopping.wait(WATCH_SECONDS)

    def _look_after(self, slot: Slot) -> None:
        if slot.process and slot.process.poll() is not None:
            self._bury(slot)
        wanted = not slot.process and time.monotonic() >= slot.start_at and (slot.number or self._store.waiting(questions=True))
        if wanted and not self._step_in(slot):
            self._spawn(slot)
        self._explain_deaths(slot)

    def _keep_spares(self) -> None:
        """Started once the whole pool is warm, so that they take nothing from those that are needed first; one after the other for the same reason."""
        for spare in self._spares:
            if spare.process and spare.process.poll() is not None:
                self._bury(spare)
                spare.unexplained.clear()  # it had no run
        cold = next((spare for spare in self._spares if not self._is_warm(spare)), None)
        if cold and not cold.process and time.monotonic() >= cold.start_at and all(self._is_warm(slot) for slot in self._slots if slot.number):
            self._spawn(cold, waits=True)

    def _is_warm(self, slot: Slot) -> bool:
        return slot.process is not None and slot.process.poll() is None and ready_file(self.data, slot.name).exists()

    def _step_in(self, slot: Slot) -> bool:
        """Have a spare worker fill this place, also one that is not warm yet: it will be sooner than another. False where there is none."""
        living = [spare for spare in self._spares if spare.process and spare.process.poll() is None]
        if not slot.number or not living:
            return False
        spare = max(living, key=self._is_warm)
        slot.name, slot.process, slot.started, slot.log, slot.log_start = spare.name, spare.process, spare.started, spare.log, spare.log_start
        slot.restarts += 1
        self._spares[self._spares.index(spare)] = Slot(spare.number)
        LOG.info("spare worker steps in", extra={"worker": slot.name, "place": slot.number, "pid": slot.process.pid, "restarts": slot.restarts})
        _say(slot.process, BEGIN)
        return True

    def _programs(self) -> list[Slot]:
        return [*self._slots, *self._spares]

    def _spawn(self, slot: Slot, waits: bool = False) -> None:
        slot.name = f"{_place(slot)}-{secrets.token_hex(3)}"  # never used twice: a run of a dead worker is not taken for a living one's
        budget, idle = (self.budget_bytes, None) if slot.number else (_for_questions(), self.idle_seconds)
        settings = Settings(str(self.data), str(self.cache), slot.name, self._threads(slot), self.runs_per_worker if slot.number else 10_000, budget,
                            self.largest_bytes, self.patience_seconds, self.running, self.seconds, idle, self.kinds, *self._shared_gpu(slot),
                            shares=self.size > 1, waits=waits)
        slot.log = self._free_log(slot)
        with _open_log(slot.log) as log:
            slot.log_start = log.tell()
            slot.process = subprocess.Popen([sys.executable, "-m", "lab.runners.local", settings.to_json()], cwd=Path(__file__).parents[2],
                                            env=self._environment(slot), stdin=subprocess.PIPE, stdout=log, stderr=log,
                                            bufsize=0)  # a word is said at once or not at all, and nothing is left to say at the end
        slot.started, slot.restarts = time.monotonic(), slot.restarts + 1
        LOG.info("worker started", extra={"worker": slot.name, "pid": slot.process.pid, "restarts": slot.restarts})

    def _environment(self, slot: Slot) -> dict[str, str]:
        threads = str(self._threads(slot))
        own = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1",
               "LAB_DATA": str(self.data)}  # where uploaded sets lie
        if self.gpus:
            own["CUDA_VISIBLE_DEVICES"] = self._gpu(slot)
        elif not self.on_gpus:
            own["CUDA_VISIBLE_DEVICES"] = ""
        told = {name: value for name, value in os.environ.items() if not named_secret(name) or name == "HF_TOKEN"}  # with which weights are fetched
        environment = {**told, **own}
        spin_briefly(environment)
        return environment

    def _gpu(self, slot: Slot) -> str:
        return self.gpus[(slot.number - 1) % len(self.gpus)]

    def _shared_gpu(self, slot: Slot) -> tuple[str, int]:
        """Name and memory of the GPU that this worker shares with others; ("", 0) where it has one to itself, or the driver does not tell its memory."""
        if not slot.number or self.size <= len(self.gpus) or not self.gpus:
            return "", 0
        size = _packing.gpu_bytes(self._gpu(slot))
        return (self._gpu(slot), size) if size else ("", 0)

    def _threads(self, slot: Slot) -> int:
        return self.threads if slot.number else max(1, _machine.cores() // 2)

    def _bury(self, slot: Slot) -> None:
        """Note how a worker ended and when the next may start: at once, unless workers die again and again before they are ready."""
        process, slot.process = slot.process, None
        process.stdin.close()
        ready = ready_file(self.data, slot.name)
        slot.early_deaths = 0 if ready.exists() else slot.early_deaths + 1
        ready.unlink(missing_ok=True)
        pause = 0.0 if slot.early_deaths < HOPELESS else min(2.0 ** (slot.early_deaths - HOPELESS), LONGEST_PAUSE_SECONDS)
        slot.start_at = time.monotonic() + pause
        level = logging.WARNING if process.returncode else logging.INFO
        LOG.log(level, "worker ended", extra={"worker": slot.name, "code": process.returncode, "pause": pause})
        slot.unexplained.append(Death(slot.name, process.returncode, last_words(slot.log, slot.log_start), slot.log.name))

    def _explain_deaths(self, slot: Slot) -> None:
        """Give the runs of dead workers their reason; what cannot be written now stays for the next look."""
        while slot.unexplained:
            death = slot.unexplained[0]
            for run in self._store.held(death.name):
                reason, advice = why(death, run.kind)
                self._store.fail(run.id, reason, advice, detail=f"{death.name} ended with code {death.code}, see {death.file}")
            slot.unexplained.pop(0)

    def _sweep(self) -> None:
        """A worker of a killed lab may have claimed a run in its last moment, after the look at start."""
        if time.monotonic() - self._swept < SWEEP_SECONDS:
            return
        self._swept = time.monotonic()
        known = {slot.name for slot in self._slots} | {death.name for slot in self._slots for death in slot.unexplained} | set(self.beside())
        for run_id in self._store.recover(*STOPPED, keep=known):
            LOG.warning("run without a worker", extra={"run": run_id})
        self._tell_of_endings()

    def _tell_of_endings(self) -> None:
        """Runs end in their workers; here the log hears of them."""
        self._told = min(self._told, time.time())  # a clock that was set back
        for run in self._store.ended_since(self._told):
            self._told = run.finished
            took = round(run.finished - (run.started or run.finished), 2)
            LOG.info("run ended", extra={"run": run.id, "kind": run.kind, "owner": short(run.owner), "state": run.state, "worker": run.worker,
                                         "seconds": took, **({"reason": run.reason} if run.reason else {})})

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
        if not process or process.poll() is not None:
            return Worker(slot.name, None, "waiting", 0, max(slot.restarts, 0))
        held = self._store.held(slot.name)
        fresh = "starting" if slot.early_deaths < HOPELESS else "waiting"  # one that dies at once each time is no worker that lives
        state = "running" if held else "idle" if ready_file(self.data, slot.name).exists() else fresh
        return Worker(slot.name, process.pid, state, self._store.done(slot.name), slot.restarts)

    # ── files and shares ──────────────────────────────────────────────────────────────────────────────────────────────

    def _prepare_folder(self) -> None:
        folder = self.data / "workers"
        try:
            folder.mkdir(exist_ok=True)
            for left in (*folder.glob("*.ready"), *folder.glob("*.stop")):
                left.unlink()
        except OSError as error:
            raise LabError(f"{folder} cannot be used for the workers' logs ({error.strerror}): choose another folder with --data") from None

    def _free_log(self, slot: Slot) -> Path:
        """One that no other living worker writes: where a spare has stepped in, its log went with it."""
        taken = {other.log for other in self._programs() if other is not slot and other.process}
        numbers = (slot.number, *range(1, self.size + len(self._spares) + 1)) if slot.number else (QUESTIONS,)
        return next(path for path in (self.data / "workers" / f"{number}.log" for number in numbers) if path not in taken)

    def _affordable_spares(self) -> int:
        free = _machine.available_bytes()
        if free is None:
            return 0
        room = free - RESERVE_BYTES - self.size * WARM_BYTES - SPARE_ROOM_BYTES
        return max(0, min(self.most_spares, room // WARM_BYTES))

    def _fair_share(self) -> int | None:
        """What runs of one worker may take: an equal part of what is free now, with something left for the page."""
        free = _machine.available_bytes()
        if free is None or self.gpus:  # a GPU's memory has its own limit, and its driver reserves much of the host's
            return None
        kept = RESERVE_BYTES + self._affordable_spares() * WARM_BYTES
        return max(SMALLEST_BUDGET_BYTES, (free - kept) // self.size - WARM_BYTES)


def _say(process: subprocess.Popen[bytes], word: bytes) -> None:
    with suppress(OSError):  # it has just ended
        process.stdin.write(word)


def _place(slot: Slot) -> str:
    return f"local-{slot.number or QUESTIONS}"


def _for_questions() -> int | None:
    """What answering may take: at most half of what is free when its worker starts, and never more than it has use for."""
    free = _machine.available_bytes()
    return None if free is None else max(SMALLEST_BUDGET_BYTES, min(ANSWERING_BYTES, (free - WARM_BYTES) // 2))


def _open_log(path: Path) -> BinaryIO:
    """To append to; a long one starts anew."""
    long = path.exists() and path.stat().st_size > LARGEST_LOG_BYTES
    return path.open("wb" if long else "ab")


if __name__ == "__main__":
    main(Settings(**json.loads(sys.argv[1])))
    sys.stdout.flush()
    os._exit(0)  # the thread that waits for the pipe's end holds standard input, which Python would call a fatal error on its way out
