"""Runners: what claims the queued runs of a store and appends their events; the page never knows which one it is."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from lab.store import Run


@dataclass(frozen=True)
class Worker:
    """A worker as the health view shows it."""

    name: str
    pid: int | None
    state: str  # starting, idle, running, waiting (died at once, is started again later)
    runs: int  # ended by the process that is there now
    restarts: int


class Runner(Protocol):
    """One lab has one runner. `start` fails what an earlier one left running; `stop` lets runs finish for so many seconds, until `at_once`, and fails what
    it leaves itself; the queue stays."""

    def start(self) -> None: ...

    def stop(self, seconds: float = 0.0, at_once: Callable[[], bool] = lambda: False) -> None: ...

    def workers(self) -> tuple[Worker, ...]: ...

    def submitted(self, run: Run) -> None:
        """Told of each run that was queued, in the context of whoever asked for it."""
