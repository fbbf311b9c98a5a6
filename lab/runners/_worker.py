"""The worker program: torch and recently used bases stay loaded while it claims one run after the other and appends what happens to the store."""
from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lab import secrecy
from lab.contracts import LabError
from lab.database import Unwritable
from lab.events import ENDS, Cancelled, Event, Failed
from lab.lens import Look
from lab.measurement import Measuring
from lab.runners import _machine
from lab.runners._packing import Share, needed_bytes
from lab.serving import KIND, asked
from lab.store import Run, Store

POLL_SECONDS = 0.05  # between looks into an empty queue; each costs 0.01 ms
CANCEL_SECONDS = 0.25  # between looks at the cancel flag of a run
RETRY_SECONDS = 0.5  # between attempts to write to a full disk
BEGIN, LAST = b"!", b"."  # what the pool says to a worker: claim runs from now on; begin no further one
WARM_UP = {"model": "seed-bert", "task": "toy", "method": "lora", "steps": 1, "batch": 8, "eval_items": 8}
NOT_STORED = "What happened in this run could not be stored: the lab's disk is full, or its database is locked by another program."
TOO_LONG = "The run took longer than the {seconds:g} seconds that this lab allows, so it was stopped."
TAKE_LESS = "Take fewer steps, fewer or shorter texts, fewer test texts, or a smaller model."
MAKE_SPACE = "Delete runs you no longer need, then run it again; if that does not help, tell whoever hosts the lab."

Work = Callable[[Run, Any, Path, Callable[[], bool]], Iterator[Event]]


@dataclass(frozen=True)
class Settings:
    """What the pool tells a worker, as JSON on its command line."""

    data: str
    cache: str
    name: str
    threads: int
    runs: int  # after so many the worker ends and a fresh one takes its place: memory that torch keeps is given back
    budget_bytes: int | None  # memory that runs may take on top of the warm worker
    largest_bytes: int | None  # of the database
    patience_seconds: float  # how long a run goes on while its events cannot be written
    running: int | None = None  # runs of one owner at a time
    seconds: float | None = None  # longest run
    idle_seconds: float | None = None  # of a worker that answers questions and does nothing else: it ends after so long without one
    kinds: tuple[str, ...] = ("train", "look", "measure")  # of those that are no questions
    gpu: str = ""  # that it shares with other workers
    gpu_bytes: int = 0
    shares: bool = False  # the weights of bases with the other workers
    waits: bool = False  # for the pool to say that it is needed

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", tuple(self.kinds))  # JSON has lists only

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def main(settings: Settings) -> None:
    secrecy.guard()
    last, begin = threading.Event(), threading.Event()
    threading.Thread(target=end_with_parent, args=(last, begin), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the pool decides when its workers end
    if hasattr(os, "nice"):
        os.nice(10 if settings.idle_seconds is None else 5)  # the page answers first, then questions, which are short
    data = Path(settings.data)
    with Store(data, largest_bytes=settings.largest_bytes) as store:
        work, workshop, idle = warm(settings)
        limit = _machine.limit_memory(settings.budget_bytes) if settings.budget_bytes else None
        ready_file(data, settings.name).touch()
        if settings.waits:
            begin.wait()
        for _ in range(settings.runs):
            run = next_run(store, settings.name, tuple(work), idle, settings.idle_seconds, settings.running, last.is_set)
            if run is None:
                return
            if answered(store, run):
                continue
            seconds = settings.seconds if run.works else None
            Recorder(store, run, settings.patience_seconds, seconds=seconds).record(partial(work[run.kind], run, workshop, store.folder(subject(run))))
            if not gpu_works():
                return  # after some errors nothing on the GPU works any more in this process
            if limit and limit - _machine.data_bytes() < settings.budget_bytes / 2:
                return  # what this process keeps would be missing to the next run; near the limit even libraries fail in odd ways


def gpu_works() -> bool:
    """True as well where none is in use. What the last run held is given back to other workers on the same GPU."""
    torch = sys.modules["torch"]
    if not torch.cuda.is_initialized():
        return True
    try:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
    except RuntimeError:
        traceback.print_exc()
        return False
    return True


def end_with_parent(last: threading.Event, begin: threading.Event) -> None:
    """The pool holds the other end of this pipe: when it is gone, killed or not, reading comes to an end. Until then a byte is one of two words."""
    while word := sys.stdin.buffer.read(1):
        (begin if word == BEGIN else last).set()
    os._exit(0)


def ready_file(data: Path, name: str) -> Path:
    """There once the worker is warm."""
    return data / "workers" / f"{name}.ready"


def warm(settings: Settings) -> tuple[dict[str, Work], Any, Iterator[str]]:
    """Load what every run needs; the one-step run makes the libraries import what they put off, 3 s that no student waits for.

    Returns what can be done, by kind of run, the warm things it is done with, and work for idle moments.
    """
    if settings.idle_seconds is not None:
        return warm_for_questions(settings)
    import torch

    from lab.engine import Workshop, ahead, look, measure, train
    from lab.spec import RunSpec

    torch.set_num_threads(settings.threads)
    for event in train(RunSpec.parse(WARM_UP), Workshop(Path(settings.cache))):  # has nothing compiled for so small a model
        if isinstance(event, Failed):  # real runs will fail as well and tell their students; whoever hosts the lab finds it here
            print(f"{settings.name} could not warm up: {event.reason}\n{event.detail}", flush=True)
    workshop = Workshop(Path(settings.cache), compiles=os.environ.get("LAB_COMPILE") != "0", shares=settings.shares)

    def trained(run: Run, workshop: Any, out: Path, cancelled: Callable[[], bool]) -> Iterator[Event]:
        if not settings.gpu or run.spec.device == "cpu":
            return train(run.spec, workshop, out=out, cancelled=cancelled)
        share = Share(Path(settings.data) / "workers", settings.gpu, settings.gpu_bytes)
        return share.beside_others(settings.name, needed_bytes(run.spec), lambda: train(run.spec, workshop, out=out, cancelled=cancelled), cancelled)

    def measured(run: Run, workshop: Any, out: Path, cancelled: Callable[[], bool]) -> Iterator[Event]:
        asked = Measuring.from_json(run.spec_json)
        sizes = [needed_bytes(spec) for spec in asked.made.specs().values() if spec.device != "cpu"] if settings.gpu else []
        if not sizes:
            return measure(asked, workshop, cancelled)
        share = Share(Path(settings.data) / "workers", settings.gpu, settings.gpu_bytes)
        return share.beside_others(settings.name, max(sizes), lambda: measure(asked, workshop, cancelled), cancelled)

    work: dict[str, Work] = {
        "train": trained, "measure": measured,
        "look": lambda run, workshop, out, cancelled: look(Look.from_json(run.spec_json), out, workshop, cancelled),
    }
    return {kind: do for kind, do in work.items() if kind in settings.kinds}, workshop, guarded(ahead(workshop))


def warm_for_questions(settings: Settings) -> tuple[dict[str, Work], Any, Iterator[str]]:
    """The first question waits for this, so nothing is loaded that answering does not need, and nothing is compiled."""
    import torch

    from lab.engine import Shelf, Workshop, answer

    torch.set_num_threads(settings.threads)
    most = {"most_bytes": settings.budget_bytes // 6} if settings.budget_bytes else {}  # a base or two and the work of an answer need the rest
    shelf = Shelf(Workshop(Path(settings.cache), shares=settings.shares), **most)
    return {KIND: lambda run, shelf, out, cancelled: answer(asked(run.spec_json), out, shelf, cancelled)}, shelf, iter(())


def next_run(store: Store, name: str, kinds: tuple[str, ...], idle: Iterator[str], patience_seconds: float | None = None,
             running: int | None = None, enough: Callable[[], bool] = lambda: False) -> Run | None:
    """The next run in the queue; while there is none, a piece of `idle` work at a time. None where patience ends, or no further run is to be begun."""
    began = time.monotonic()
    while not enough() and (patience_seconds is None or time.monotonic() - began < patience_seconds):
        with suppress(Unwritable):  # a full or locked database may be writable again at the next look
            if run := store.claim(name, kinds, running):
                return run
        if next(idle, None) is None:
            time.sleep(POLL_SECONDS)
    return None


def answered(store: Store, run: Run) -> bool:
    """Whether an equal run that finished meanwhile answers this one; trouble with that is no reason not to make it."""
    with suppress(LabError):
        return store.answer(run)
    return False


def subject(run: Run) -> str:
    """The run whose folder it works in: a look and a question have none of their own."""
    return run.settings["run"] if run.kind in ("look", KIND) else run.id


def guarded(work: Iterator[str]) -> Iterator[str]:
    """Work ahead of time that goes wrong is only logged: the run that needs it will fail by itself and tell its student."""
    try:
        yield from work
    except Exception:
        traceback.print_exc()


class Recorder:
    """Brings the events of one run into the store; what cannot be written yet is kept and tried again with the next event.

    Each event is written when it comes: that takes 0.05 ms, and the engine tells of at most two steps a second.
    """

    def __init__(self, store: Store, run: Run, patience_seconds: float, clock: Callable[[], float] = time.monotonic, seconds: float | None = None) -> None:
        self.store, self.run, self.patience_seconds, self.clock, self.seconds = store, run, patience_seconds, clock, seconds
        self.began = clock()
        self.unwritten: list[Event] = []
        self.trouble: Unwritable | None = None  # why the last attempt to write failed
        self.since = self.looked = 0.0
        self.gone = self.stop = self.stopped_by_trouble = self.too_long = False

    def record(self, work: Callable[[Callable[[], bool]], Iterator[Event]]) -> None:
        """Do the work to its end; exceptions that it lets through become the run's reason."""
        ended = False
        try:
            for event in work(self.cancelled):
                ended = ended or isinstance(event, ENDS)
                self.add(event)
            if not ended:
                self.add(_mistake("it stopped without an ending"))
        except LabError as error:
            self.add(Failed(str(error)))
        except Exception as error:
            self.add(_mistake(type(error).__name__, traceback.format_exc()))
        self.finish()

    def add(self, event: Event) -> None:
        if isinstance(event, Cancelled) and self.stopped_by_trouble:
            event = Failed(NOT_STORED, MAKE_SPACE, step=event.step)
        elif isinstance(event, Cancelled) and self.too_long:
            event = Failed(TOO_LONG.format(seconds=self.seconds), TAKE_LESS, step=event.step)
        self.unwritten.append(event)
        self.write()

    def write(self) -> bool:
        """Try to bring everything into the store; True when nothing is left to write."""
        try:
            if self.unwritten and not self.gone:
                self.store.append(self.run.id, self.unwritten)
        except Unwritable as error:
            self.since = self.since if self.trouble else self.clock()
            self.trouble = error
            return False
        except LabError:  # ended or deleted from elsewhere: nobody waits for the rest
            self.gone = True
        self.unwritten, self.trouble = [], None
        return True

    def cancelled(self) -> bool:
        """Whether to stop at this step. Asked before every step, so the store is asked at most four times a second."""
        now = self.clock()
        if not self.stop and now - self.looked >= CANCEL_SECONDS:
            self.looked = now
            self.write()
            self.stopped_by_trouble = self.out_of_patience
            flagged = self._flagged()
            self.too_long = not flagged and self.seconds is not None and now - self.began > self.seconds
            self.stop = self.gone or self.stopped_by_trouble or flagged or self.too_long
        return self.stop

    def finish(self) -> None:
        while not self.write() and not (self.out_of_patience and self._give_up()):
            time.sleep(RETRY_SECONDS)

    @property
    def out_of_patience(self) -> bool:
        return self.trouble is not None and self.clock() - self.since > self.patience_seconds

    def _flagged(self) -> bool:
        with suppress(Unwritable):  # cannot be read now: asked again soon
            return self.store.cancelled(self.run.id)
        return False

    def _give_up(self) -> bool:
        """End the run with its reason alone: that needs little room, and a capped database keeps a reserve for it."""
        try:
            self.store.fail(self.run.id, NOT_STORED, MAKE_SPACE, detail=str(self.trouble))
        except Unwritable:
            return False
        except LabError:
            pass  # deleted meanwhile
        return True


def _mistake(what: str, detail: str = "") -> Failed:
    advice = "This is not your doing: please tell whoever hosts the lab, with the link of this run."
    return Failed(f"The lab made a mistake in this run ({what}).", advice, detail=detail)
