"""Runs on the machines of a Ray cluster: each becomes a task whose yields come back as events, so that page and store notice no difference.

A thread of the page process for each run that goes on reads its task and writes what it tells into the store; the machines share no disk with it.
"""
from __future__ import annotations

import re
import secrets
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import ray
from ray.exceptions import NodeDiedError, OutOfMemoryError, RayError, TaskCancelledError, WorkerCrashedError

from lab.accounting import devices
from lab.contracts import LabError
from lab.database import Unwritable
from lab.events import Cancelled, Event, Failed, Restarted, Stepped, from_json
from lab.lens import Look
from lab.owndata.shelf import is_own
from lab.runners import Worker
from lab.runners._deaths import OUT_OF_MEMORY, STOPPED
from lab.runners._packing import needed_bytes
from lab.runners._remote import job, packed, unpacked
from lab.runners._worker import Recorder, answered, subject
from lab.serving import KIND, asked
from lab.spec import RunSpec
from lab.store import Run, Store

LEFT_OUT = [".git", ".venv", ".ci", "tests", "data", "**/__pycache__"]  # of the lab's folder, which is sent to every machine
PLAIN_ADDRESS = re.compile(r"([^/:]+):(\d+)")
CONNECT_SECONDS = 5.0
WATCH_SECONDS = 0.1
CANCEL_SECONDS = 0.25  # between looks at the flag of a run that tells nothing
STARTS = 3  # of a run whose machines are lost
CORES = 2  # of a run without a GPU
GPU_TYPE = "accelerator_type:"  # of a machine, among its resources, as Ray found it
SIZE = re.compile(r"-(\d+)G$")  # A100-40G: the memory, as part of a type's name
SMALLER = "choose a smaller model, batch or text length, or a method that trains less"
BASE_BYTES = 700_000_000  # of a process before it has loaded a model: 522 MB of data, measured, and Ray's own


class RayRunner:
    """Claims as many runs as the cluster has room for, and one question at a time beside them."""

    def __init__(self, data: Path, address: str | None = None, *, cores: int = CORES, largest_bytes: int | None = None, patience_seconds: float = 30.0,
                 running: int | None = None, seconds: float | None = None) -> None:
        """`address` is that of a running cluster ("auto" finds the one that this machine is part of); left out, this machine is the cluster. `running` is
        how many runs of one owner go on at a time, `seconds` how long one may take."""
        self.data, self.address, self.cores = Path(data).resolve(), address, cores
        self.largest_bytes, self.patience_seconds = largest_bytes, patience_seconds
        self.running, self.seconds = running, seconds
        self.name = f"ray-{secrets.token_hex(3)}"
        self._carriers: dict[str, threading.Thread] = {}
        self._enough, self._stopping = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._ended = 0
        self._restarts = 0

    def start(self) -> None:
        """Join the cluster; fail what an earlier lab left running. Raises LabError where there is no cluster at the address."""
        if self._thread:
            return
        self._store = Store(self.data, largest_bytes=self.largest_bytes)
        try:
            self._store.hold()
            self._store.recover(*STOPPED)
            self._join()
        except LabError:
            self._store.close()
            raise
        self._work = ray.remote(job)
        self._enough.clear()
        self._stopping.clear()
        self._thread = threading.Thread(target=self._watch, name="ray", daemon=True)
        self._thread.start()

    def stop(self, seconds: float = 0.0, at_once: Callable[[], bool] = lambda: False) -> None:
        """Queued runs wait for the next start. Those that go on may take `seconds` to finish, until `at_once` says otherwise; what is left gets the reason."""
        if not self._thread:
            return
        self._enough.set()
        end = time.monotonic() + seconds
        while time.monotonic() < end and not at_once() and any(thread.is_alive() for thread in list(self._carriers.values())):
            time.sleep(WATCH_SECONDS)
        self._stopping.set()
        for thread in (self._thread, *self._carriers.values()):
            thread.join()
        self._thread = None
        with suppress(Unwritable):
            self._store.recover(*STOPPED)
        self._store.close()
        ray.shutdown()

    def __enter__(self) -> RayRunner:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def submitted(self, run: Run) -> None:
        """Nothing to do: the watching thread finds it in the store."""

    def workers(self) -> tuple[Worker, ...]:
        """One for each run that goes on, and one for each further that the cluster has room for."""
        if self._thread is None or not self._thread.is_alive():
            return ()  # nobody claims runs
        going = [Worker(f"{self.name}-{run[:6]}", None, "running", 0, 0) for run, thread in list(self._carriers.items()) if thread.is_alive()]
        room = 0
        with suppress(RayError, OSError):  # a cluster out of reach has none
            room = max(0, self._room() - len(going))
        return tuple(going + [Worker(f"{self.name}-{place}", None, "idle", self._ended, self._restarts) for place in range(room)])

    # ── the queue ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _join(self) -> None:
        where = {"address": self.address} if self.address else {"include_dashboard": False}
        try:
            if host := PLAIN_ADDRESS.fullmatch(self.address or ""):  # Ray itself tries for more than a minute
                socket.create_connection((host[1], int(host[2])), CONNECT_SECONDS).close()
            ray.init(**where, runtime_env={"working_dir": str(Path(__file__).resolve().parents[2]), "excludes": LEFT_OUT}, log_to_driver=False,
                     configure_logging=False, ignore_reinit_error=True)
        except (OSError, ValueError, RuntimeError, RayError) as error:
            raise LabError(f"address is {self.address}: no Ray cluster answers there ({type(error).__name__}); start one with `ray start --head`, "
                           "or leave --address out to use this machine alone") from None

    def _room(self) -> int:
        """Runs that fit beside one another: one a GPU, and as many as have their cores; none where no machine is left."""
        alive = _machines()
        gpus = int(sum(each.get("GPU", 0) for each in alive))
        return gpus or max(int(any(each.get("CPU") for each in alive)), sum(int(each.get("CPU", 0) // self.cores) for each in alive))

    def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                self._carriers = {run: thread for run, thread in self._carriers.items() if thread.is_alive()}
                self._claim()
            except (LabError, OSError, RayError):  # a full disk, a cluster out of reach for a moment: tried again
                traceback.print_exc()
                self._stopping.wait(1.0)
            self._stopping.wait(WATCH_SECONDS)

    def _claim(self) -> None:
        kinds = (["train", "look"] if len(self._carriers) < self._room() else []) + ([] if "question" in self._carriers else [KIND])
        run = self._store.claim(self.name, kinds, self.running) if kinds and not self._enough.is_set() else None
        if run is not None and not answered(self._store, run):
            carrier = threading.Thread(target=self._carry, args=(run,), name=f"ray {run.id[:6]}", daemon=True)
            self._carriers["question" if run.kind == KIND else run.id] = carrier
            carrier.start()

    # ── one run ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _carry(self, run: Run) -> None:
        seconds = self.seconds if run.kind == "train" else None
        Recorder(self._store, run, self.patience_seconds, seconds=seconds).record(partial(self._told, run))
        self._ended += 1

    def _told(self, run: Run, cancelled: Any) -> Iterator[Event]:
        """Its events; begun anew on another machine where its own is lost."""
        sent = self._sent(run)
        for attempt in range(1, STARTS + 1):
            if attempt > 1:
                self._restarts += 1
                yield Restarted(attempt, "the machine that ran it was lost")
            try:
                yield from self._once(run, sent, cancelled)
                return
            except (NodeDiedError, WorkerCrashedError):
                continue
            except OutOfMemoryError:
                yield Failed(*OUT_OF_MEMORY)
                return
            except RayError as error:
                yield Failed("The cluster could not run this.", "Run it again; if that happens again, tell whoever hosts the lab.", detail=str(error))
                return
        yield Failed(f"The machine that ran this was lost {STARTS} times.", "Run it again later, and tell whoever hosts the lab: its cluster loses machines.")

    def _once(self, run: Run, sent: dict[str, bytes], cancelled: Any) -> Iterator[Event]:
        stream, step = self._begun(run, sent), 0
        while True:
            if self._stopping.is_set() or cancelled():
                ray.cancel(stream)
                if not self._stopping.is_set():
                    yield Cancelled(step)
                    return
                yield Failed(*STOPPED)
                return
            ready, _ = ray.wait([stream], timeout=CANCEL_SECONDS)
            if not ready:
                continue
            try:
                kind, value = ray.get(next(stream))
            except StopIteration:
                return
            except TaskCancelledError:
                yield Cancelled(step)
                return
            if kind == "files":
                unpacked(value, self._store.folder(run.id))
                continue
            event = from_json(value)
            step = event.step if isinstance(event, Stepped) else step
            yield event

    def _begun(self, run: Run, sent: dict[str, bytes]) -> Any:
        """The task, placed by what it needs; Ray keeps it waiting while no machine has that free."""
        if run.kind != "train":
            return self._work.options(num_cpus=0, max_retries=0).remote(run.kind, run.spec_json, subject(run), sent, self.cores)
        needs = needed(run.spec, _machines(), self.cores)
        return self._work.options(max_retries=0, **needs).remote(run.kind, run.spec_json, run.id, sent, self.cores)

    def _sent(self, run: Run) -> dict[str, bytes]:
        """What the job reads of the lab's folders: the runs that are looked into or asked, and the set that a student uploaded."""
        if run.kind == "train":
            specs, folders = [run.spec], []
        else:
            runs = [Look.from_json(run.spec_json).run] if run.kind == "look" else _runs(run)
            specs = [self._store.run(each).spec for each in runs]
            folders = [f"runs/{each}" for each in runs]
        folders += [f"uploads/{task}" for task in {str(spec.task) for spec in specs} if is_own(task)]
        return {place: packed(self.data / place) for place in folders}


def _machines() -> list[dict[str, float]]:
    """What each machine of the cluster has that is there: cores, bytes, GPUs and of which type."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def needed(spec: RunSpec, machines: Iterable[Mapping[str, float]], cores: int) -> dict[str, Any]:
    """What Ray is asked for, so that the run goes where it fits. Raises LabError where that is nowhere."""
    machines = list(machines)
    gpus = [each for each in machines if each.get("GPU")]
    if spec.device != "cpu" and gpus:
        return {"num_gpus": 1, **_type(needed_bytes(spec), gpus)}
    wanted, most = BASE_BYTES + spec.memory("float32")["peak_bytes"], max((each.get("memory", 0) for each in machines), default=0)
    if wanted > most:
        raise LabError(f"this run needs about {wanted / 1e9:.1f} GB, and the largest machine of the cluster has {most / 1e9:.1f} GB: {SMALLER}")
    return {"num_cpus": cores, "memory": wanted}


def _type(wanted: int, gpus: Iterable[Mapping[str, float]]) -> dict[str, Any]:
    """Which type of GPU has to be asked for: none where every one is large enough, or may be, since of its type no size is known; else the largest.

    Ray takes one type and not several. Raises LabError where the memory of all is known and none has so much.
    """
    sizes = {kind: gpu_bytes(kind) for each in gpus for kind in _types(each)}
    large = {kind: size for kind, size in sizes.items() if size >= wanted}
    if large and len(large) < len(sizes):
        return {"accelerator_type": max(large, key=lambda kind: large[kind])}
    if not large and sizes and all(sizes.values()):
        kind, most = max(sizes.items(), key=lambda each: each[1])
        raise LabError(f"this run needs about {wanted / 1e9:.1f} GB on a GPU, and the largest of the cluster ({kind}) has {most / 1e9:.0f} GB: {SMALLER}")
    return {}


def _types(machine: Mapping[str, float]) -> list[str]:
    """Of its GPUs, the longest name of each: Ray has A100 beside A100-40G. [""] where it does not say."""
    names = [name.removeprefix(GPU_TYPE) for name in machine if name.startswith(GPU_TYPE)]
    return [name for name in names if not any(other != name and other.startswith(f"{name}-") for other in names)] or [""]


def gpu_bytes(kind: str) -> int:
    """Memory of a GPU by Ray's name of its type, as A100-80G or GeForce-RTX-4090; 0 where the lab's list has none such."""
    return devices.largest_bytes(SIZE.sub(r" \1GB", kind).replace("-", " "))


def _runs(run: Run) -> list[str]:
    question = asked(run.spec_json)
    return list(getattr(question, "runs", None) or [question.run])
