"""Several workers on one GPU: a run goes on once what it is predicted to need fits beside what the others hold. One worker a GPU needs none of this.

    data/workers/gpu-<name>.json    {worker: bytes}, written under a lock; who has died is left out, and asked of the folder of ready files
"""
from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from lab.accounting.devices import CONTEXT_BYTES, RESERVED_MOST
from lab.events import Cancelled, Event, Preparing
from lab.spec import RunSpec

WAIT_SECONDS = 0.5
PATIENCE_SECONDS = 5.0  # of `nvidia-smi`
WAITING = "waiting for memory on the GPU beside other runs"


def needed_bytes(spec: RunSpec) -> int:
    """On a GPU: the predicted peak of a step, what the allocator keeps beyond it, and CUDA's own."""
    dtype = "float32" if spec.method.trains_base else "bfloat16" if spec.dtype == "auto" else spec.dtype
    return int(spec.memory(dtype)["peak_bytes"] * RESERVED_MOST) + CONTEXT_BYTES


def gpu_bytes(name: str) -> int:
    """Memory of a GPU, by its number or its UUID, asked of the driver without torch; 0 where it does not say."""
    try:
        asked = subprocess.run(["nvidia-smi", "-i", name, "--query-gpu=memory.total", "--format=csv,noheader,nounits"], capture_output=True, text=True,
                               timeout=PATIENCE_SECONDS, check=True)
        return int(float(asked.stdout.split()[0]) * 2**20)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return 0


@dataclass(frozen=True)
class Share:
    """One GPU that several workers use; `total_bytes` is its memory."""

    folder: Path
    gpu: str
    total_bytes: int

    def reserve(self, worker: str, needed: int) -> bool:
        """Whether the run may go on now. One that no GPU of this size could hold may: the engine says so in words."""
        with self._held() as held:
            others = sum(bytes_ for name, bytes_ in held.items() if name != worker)
            fits = others + min(needed, self.total_bytes) <= self.total_bytes
            if fits:
                held[worker] = needed
            return fits

    def release(self, worker: str) -> None:
        with self._held() as held:
            held.pop(worker, None)

    def beside_others(self, worker: str, needed: int, work: Callable[[], Iterator[Event]], cancelled: Callable[[], bool]) -> Iterator[Event]:
        """The work, once it fits; until then a word that it waits."""
        said = False
        while not self.reserve(worker, needed):
            if cancelled():
                yield Cancelled(0)
                return
            if not said:
                yield Preparing(WAITING)
                said = True
            time.sleep(WAIT_SECONDS)
        try:
            yield from work()
        finally:
            self.release(worker)

    @contextmanager
    def _held(self) -> Iterator[dict[str, Any]]:
        path = self.folder / f"gpu-{self.gpu}.json"
        with FileLock(path.with_suffix(".lock")):
            try:
                read = json.loads(path.read_text())
            except (OSError, ValueError):
                read = {}
            held = {name: size for name, size in read.items() if (self.folder / f"{name}.ready").exists()}
            yield held
            path.write_text(json.dumps(held))
