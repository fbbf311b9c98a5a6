"""The runner for a ZeroGPU Space: each training borrows a GPU for as long as it is foretold to take; looks and questions stay on the CPU.

    page process: ZeroGpuRunner ── claim ──► a thread a run ── order ──► spaces.GPU ── fork ──► `trained` on the GPU (torch, CUDA)
          lab.sqlite3 ◄── Recorder ◄── event lines ◄──────────────────────────────────────────────┘
                     └─► LocalRunner for looks and questions: programs of their own on the CPU, as everywhere

What the fork costs is kept outside of the borrowed time: weights and data are fetched before the GPU is asked for, and libraries are imported in the page
process, where no tensor is made and CUDA is never touched. The fork reaches no database: its events come back as lines, and a file tells it to stop.
The quota is the visitor's: the context in which a run was submitted is kept in memory and the GPU is asked for inside it.
Where `SPACES_ZERO_GPU` is not set, the decorator does nothing, and a training runs in a thread of the page process, on whatever torch finds.
"""
from __future__ import annotations

import contextvars
import os
import re
import secrets
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from lab.accounting.devices import device
from lab.accounting.energy import estimated_seconds
from lab.contracts import LabError
from lab.database import Unwritable
from lab.events import ENDS, Cancelled, Event, Failed, Preparing, from_json, to_json
from lab.runners import Worker
from lab.runners._deaths import STOPPED
from lab.runners._worker import Recorder, answered
from lab.runners.local import LocalRunner
from lab.spec import RunSpec
from lab.store import Run, Store
from lab.supply import Supply

GPU = "NVIDIA H200"  # a part of one, so its speed is counted as a quarter
PART = 4
SHORTEST_SECONDS, LONGEST_SECONDS = 30, 120  # to borrow; a free account has 5 minutes a day
START_SECONDS = 10.0  # CUDA's start and the loading of a base
WITHOUT_END = 10**6  # seconds, where nothing is lent
LAYER_SECONDS = 0.005  # a small model's step is as long as its kernels take to start: forward, back and update of one layer
ANSWER_SECONDS = 0.0012  # the forward part of that, for one batch of test texts or one token written
TEXTS_AT_ONCE = 32
CAREFUL = 1.5  # times the estimate: time not used is given back
ENDING_SECONDS = 8.0  # before the end of the borrowed time, of which CUDA has taken some already, a run stops by itself, so that it can still say why
AT_ONCE = 4  # runs that wait for a GPU or have one
LOOK_SECONDS = 0.1
FRESH_SECONDS = 2.0  # a run so young may be claimed before its submitter has said that it is its own
MOST_CONTEXTS = 1000

RAN_OUT = "the GPU was lent for {seconds} seconds, and they are over"
RAN_OUT_ADVICE = "What was seen until then is kept. Take fewer steps, shorter texts or fewer test texts, or a smaller model."
TAG = re.compile(r"<[^>]*>")


@dataclass(frozen=True)
class Order:
    """What goes into the fork: plain values only, for it is pickled."""

    spec: str
    cache: str
    out: str
    stop: str  # a file: once it is there the run stops at its next step
    seconds: int
    page: int  # process of the page


def lent_seconds(spec: RunSpec) -> int:
    """How long a GPU is asked for: loading, steps and answers, with room to spare, within what one run may take."""
    tokens = spec.batch * (spec.tokens + spec.method.virtual_tokens_used())
    gpu, layers = device(GPU), max(1, spec.shape.layers)
    computed = PART * estimated_seconds(spec.counts, spec.method.trains_base, tokens, spec.steps, gpu, spec.checkpointing)
    steps = max(spec.steps * layers * LAYER_SECONDS, computed)
    written = spec.goal.answer_tokens if spec.goal.writes else 1
    rounds = 3 + (spec.steps // spec.eval_every if spec.eval_every else 0) / 5  # untouched, untrained and tuned; looks ask a fifth
    answers = rounds * -(-spec.eval_items // TEXTS_AT_ONCE) * written * layers * ANSWER_SECONDS
    return int(min(LONGEST_SECONDS, max(SHORTEST_SECONDS, CAREFUL * (START_SECONDS + steps + answers))))


def trained(order: Order) -> Iterator[str]:
    """Run in the fork, with a GPU: the events of a run as JSON lines."""
    from lab.engine import Workshop, train

    if os.getpid() != order.page:
        threading.Thread(target=_end_with, args=(order.page,), daemon=True).start()
    end, late = time.monotonic() + order.seconds - ENDING_SECONDS, []

    def cancelled() -> bool:
        if time.monotonic() > end:
            late.append(True)
        return bool(late) or Path(order.stop).exists()

    for event in train(RunSpec.from_json(order.spec), Workshop(Path(order.cache), offline=True), out=Path(order.out), cancelled=cancelled):
        if isinstance(event, Cancelled) and late:
            event = Failed(f"This run was cut short at step {event.step}: {RAN_OUT.format(seconds=order.seconds)}.", RAN_OUT_ADVICE, "steps", event.step)
        yield to_json(event)


def _end_with(page: int) -> None:
    """A fork waits for its next order for ever, and holds open what tells other workers that the page is gone: it ends with the page, killed or not."""
    while os.getppid() == page:
        time.sleep(LOOK_SECONDS)
    os._exit(0)


class ZeroGpuRunner:
    """Same protocol as every runner, and `submitted`, which the page calls where a run is put into the queue."""

    def __init__(self, data: Path, cache: Path, *, at_once: int | None = None, patience_seconds: float = 30.0, largest_bytes: int | None = None,
                 running: int | None = None, seconds: float | None = None) -> None:
        """`running` is how many runs of one owner go on at a time, `seconds` how long one may take."""
        try:
            import spaces
        except ImportError:
            raise LabError('the runner zerogpu needs the package "spaces": install it, or serve with --runner local') from None
        self.data, self.cache, self.patience_seconds = Path(data).resolve(), Path(cache).resolve(), patience_seconds
        self.largest_bytes, self.running, self.seconds = largest_bytes, running, seconds
        self.lending = bool(spaces.config.Config.zero_gpu)
        self.size = at_once or (AT_ONCE if self.lending else 1)
        self._trained: Callable[[Order], Iterator[str]] = spaces.GPU(duration=lambda order: order.seconds)(trained)
        self._name = f"zero-gpu-{secrets.token_hex(3)}"
        self._pool = LocalRunner(data, cache, 1, largest_bytes=largest_bytes, running=running, kinds=("look",), on_gpus=False, beside=lambda: (self._name,))
        self._contexts: OrderedDict[str, contextvars.Context] = OrderedDict()
        self._going: dict[str, threading.Thread] = {}
        self._lent: set[str] = set()  # runs whose GPU has begun
        self._ended = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def submitted(self, run: Run) -> None:
        """Keep the visitor's context, with the quota token of the request in it, until the run begins. In memory alone."""
        with self._lock:
            self._contexts[run.id] = contextvars.copy_context()
            while len(self._contexts) > MOST_CONTEXTS:
                self._contexts.popitem(last=False)

    def start(self) -> None:
        if self._thread:
            return
        self._pool.start()  # holds the folder, and fails what an earlier lab left
        self._store = Store(self.data, largest_bytes=self.largest_bytes)
        self._stopping.clear()
        self._thread = threading.Thread(target=self._watch, name="zero-gpu", daemon=True)
        self._thread.start()

    def stop(self, seconds: float = 0.0, at_once: Callable[[], bool] = lambda: False) -> None:
        """Claim nothing more; tell every run to stop that goes on after so many seconds, give each the reason, and end the workers of the CPU."""
        if not self._thread:
            return
        self._stopping.set()
        self._thread.join()
        ends = time.monotonic() + seconds
        while time.monotonic() < ends and not at_once() and any(thread.is_alive() for thread in self._going.values()):
            time.sleep(LOOK_SECONDS)
        for run_id, thread in list(self._going.items()):
            self._tell_to_stop(run_id)
            with suppress(LabError):
                self._store.fail(run_id, *STOPPED)
            thread.join(ENDING_SECONDS)
            self._forget(run_id)
        self._thread = None
        self._pool.stop()
        self._store.close()

    def __enter__(self) -> ZeroGpuRunner:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def workers(self) -> tuple[Worker, ...]:
        if self._thread is None or not self._thread.is_alive():
            return ()  # nobody claims runs
        going = len(self._going)
        return tuple(Worker(f"{self._name}-{number}", None, "running" if number <= going else "idle", self._ended if number == 1 else 0, 0)
                     for number in range(1, self.size + 1))

    # ── watching ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _watch(self) -> None:
        _import_libraries()
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                for run_id in [run_id for run_id, thread in self._going.items() if not thread.is_alive()]:
                    self._forget(run_id)
                for run_id in self._going:
                    if self._store.cancelled(run_id):
                        self._cancel(run_id)
                if len(self._going) < self.size and (run := self._store.claim(self._name, ("train",), self.running)):
                    if answered(self._store, run):  # at no cost to anybody's quota
                        self._context(run)
                    else:
                        self._begin(run)
            except (LabError, OSError):  # a full disk, for instance: tried again, for without this thread nothing goes on
                traceback.print_exc()

    def _forget(self, run_id: str) -> None:
        """Of a run whose thread is over: only then can nobody put its file there again."""
        del self._going[run_id]
        self._ended += 1
        self._stop_file(run_id).unlink(missing_ok=True)

    def _begin(self, run: Run) -> None:
        thread = threading.Thread(target=self._context(run).run, args=(self._go, run), name=f"zero-gpu {run.id[:6]}", daemon=True)
        self._going[run.id] = thread
        thread.start()

    def _context(self, run: Run) -> contextvars.Context:
        """Its submitter's, which is kept no longer; an empty one, which borrows on the Space's own account, for a run that waited through a restart."""
        end = time.monotonic() + (FRESH_SECONDS if abs(time.time() - run.created) < FRESH_SECONDS else 0.0)
        while True:
            with self._lock:
                if run.id in self._contexts:
                    return self._contexts.pop(run.id)
            if time.monotonic() > end:
                return contextvars.Context()
            time.sleep(0.02)

    def _cancel(self, run_id: str) -> None:
        """At its next step; a run that still waits for a GPU ends at once."""
        self._tell_to_stop(run_id)
        if run_id not in self._lent:
            with suppress(LabError):
                self._store.append(run_id, [Cancelled(0)])

    def _tell_to_stop(self, run_id: str) -> None:
        with suppress(OSError):
            self._stop_file(run_id).touch()

    def _stop_file(self, run_id: str) -> Path:
        return self.data / "workers" / f"{run_id}.stop"

    # ── one run ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _go(self, run: Run) -> None:
        """In a thread of its own, in the context of whoever submitted the run."""
        try:
            Recorder(self._store, run, self.patience_seconds, seconds=self.seconds).record(lambda cancelled: self._events(run, cancelled))
        except Unwritable:
            traceback.print_exc()
        finally:
            self._lent.discard(run.id)

    def _events(self, run: Run, cancelled: Callable[[], bool]) -> Iterator[Event]:
        spec = run.spec
        for event in self._fetched(spec):
            if cancelled():
                yield Cancelled(0)
                return
            yield event
        order = Order(spec.to_json(), str(self.cache), str(self._store.folder(run.id)), str(self._stop_file(run.id)),
                      lent_seconds(spec) if self.lending else WITHOUT_END, os.getpid())
        if self.lending:
            yield Preparing(f"waiting for a GPU, to borrow it for {order.seconds} seconds")
        step = 0
        try:
            for line in self._trained(order):
                self._lent.add(run.id)
                event = from_json(line)
                step = getattr(event, "step", step)
                yield event
                if isinstance(event, ENDS):
                    return
        except Exception as error:
            yield refused(error, order.seconds, step)
            return
        yield Failed(f"The GPU was taken back at step {step}.", RAN_OUT_ADVICE, "steps", step)

    def _fetched(self, spec: RunSpec) -> Iterator[Preparing]:
        """Weights and data, before any borrowed second."""
        from lab import catalogue

        supply = Supply(self.cache)
        yield from supply.model(spec.base)
        for task in (spec.goal, *(catalogue.find("tasks", key) for key in spec.beyond)):
            yield from supply.data(task)


def refused(error: Exception, seconds: int, step: int) -> Failed:
    """What ZeroGPU says, for a student. Its errors have a title and a message in words; of any other only the class is told."""
    message, title = str(getattr(error, "message", "")), str(getattr(error, "title", ""))
    said = " ".join(TAG.sub("", message).split())[:300]
    if "aborted" in said.lower():
        return Failed(f"The GPU was taken back at step {step}: {RAN_OUT.format(seconds=seconds)}.", RAN_OUT_ADVICE, "steps", step, detail=title)
    if "quota" in title.lower() or "credits" in title.lower() or "duration" in title.lower():
        return Failed(f"ZeroGPU lends no GPU for this run ({seconds} seconds): {said}",
                      "Wait until the quota is filled up again, sign in to the Hub, which gives more, or train less at a time.", "steps", step, detail=title)
    if said:
        return Failed(f"ZeroGPU lends no GPU at the moment: {said}", "Try again in some minutes. Nothing in the run's settings was wrong.",
                      step=step, detail=title)
    return Failed(f"The GPU could not be borrowed ({type(error).__name__}).", "Try again in some minutes; if that happens again, tell whoever hosts the lab.",
                  step=step, detail="".join(traceback.format_exception(error)))


def _import_libraries() -> None:
    """What a fork then has already. One thread only, and no tensor: a fork of a process whose threads have computed may hang, and CUDA must not start here."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch

    torch.set_num_threads(1)
    import lab.engine  # noqa: F401
