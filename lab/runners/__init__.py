"""Runners: what claims the queued runs of a store and appends their events; the page never knows which one it is."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Worker:
    """A worker as the health view shows it."""

    name: str
    pid: int | None
    state: str  # starting, idle, running, waiting (died at once, is started again later)
    runs: int  # ended by the process that is there now
    restarts: int


class Runner(Protocol):
    """One lab has one runner. `start` fails what an earlier one left running; `stop` fails what it leaves itself; the queue stays."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def workers(self) -> tuple[Worker, ...]: ...
