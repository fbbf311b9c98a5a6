"""The other end of the tracing process: started when first needed, spoken to over pipes, stopped when it takes too long, started again when it dies."""
from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from lab.accounting.points import Recording
from lab.contracts import LabError

START_SECONDS = 120.0  # libraries are imported meanwhile; on a busy machine that takes a while
ANSWER_SECONDS = 30.0
BUDGET_BYTES = 2 * 2**30  # beside what the libraries take


class Untraceable(LabError):
    """The libraries cannot work on tensors without memory here: only the static part of the memory is known."""


class Tracer:
    """One process, one order at a time; any thread may ask."""

    def __init__(self, answer_seconds: float = ANSWER_SECONDS, budget_bytes: int = BUDGET_BYTES, start_seconds: float = START_SECONDS) -> None:
        self.answer_seconds, self.budget_bytes, self.start_seconds = answer_seconds, budget_bytes, start_seconds
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._lines: SimpleQueue[bytes] = SimpleQueue()
        self._ready = self._closed = False

    def warm(self) -> None:
        """Start now, so that the first order need not wait for it."""
        with self._lock:
            self._started()

    def record(self, *orders: Mapping[str, Any]) -> list[Recording]:
        """Several at the same time, where there are cores for it. Raises LabError for an order that is refused, Untraceable for one that cannot be done in
        the time and memory there is."""
        with self._lock:
            self._started()
            answers = self._asked(json.dumps(orders).encode() + b"\n")
        return [_recording(answer) for answer in answers]

    def close(self) -> None:
        """For good: who still waits for an answer is told, and nothing is started again."""
        self._closed = True
        child = self._child
        if child is not None:
            child.kill()
        with self._lock:
            self._stop()

    @property
    def process(self) -> int | None:
        """Its id, while it lives."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    @property
    def ready(self) -> bool:
        return self._ready and self.process is not None

    def _started(self) -> None:
        if self._closed:
            raise Untraceable("the lab is being ended")
        if self.ready:
            return
        self._stop()
        settings = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        command = [sys.executable, "-m", "lab.engine.forecast.program", str(self.budget_bytes)]
        self._child = subprocess.Popen(command, cwd=Path(__file__).parents[2], env={**os.environ, **settings}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL)
        self._lines = SimpleQueue()
        threading.Thread(target=_pass_on, args=(self._child, self._lines), daemon=True).start()
        try:
            self._ready = bool(self._lines.get(timeout=self.start_seconds))
        except Empty:
            self._ready = False
        if not self._ready:
            self._stop()
            raise Untraceable("the tracing process did not start; weights, gradients and optimizer states are known all the same")

    def _asked(self, line: bytes) -> list[dict[str, Any]]:
        try:
            self._child.stdin.write(line)
            self._child.stdin.flush()
            answer = self._lines.get(timeout=self.answer_seconds)
        except Empty:
            self._stop()
            return [{"error": f"it took more than {self.answer_seconds:g} seconds"}]
        except BrokenPipeError:
            answer = b""
        if not answer:
            self._stop()
            return [{"error": "the tracing process ended, probably for want of memory"}]
        return json.loads(answer)

    def _stop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child.stdin.close()
        self._child, self._ready = None, False


def _recording(answer: Mapping[str, Any]) -> Recording:
    if "refused" in answer:
        raise LabError(answer["refused"])
    if "error" in answer:
        raise Untraceable(f"this step cannot be traced ({answer['error']}); weights, gradients and optimizer states are known all the same")
    return Recording.restored(answer["outline"]).filled(np.frombuffer(base64.b85decode(answer["numbers"]), dtype=np.float64))


def _pass_on(child: subprocess.Popen[bytes], lines: SimpleQueue[bytes]) -> None:
    """Reading cannot be given a time limit on every system; waiting for a queue can."""
    for line in child.stdout:
        lines.put(line)
    lines.put(b"")
    child.stdout.close()
