"""Where questions wait for the tracing process: one trace for all who ask the same, a limit on how many wait, and never a browser that waits for long."""
from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Lock
from typing import Any

from lab.contracts import LabError
from lab.forecast.answer import addressed, static
from lab.forecast.forecaster import Forecaster
from lab.forecast.order import Order

KEPT = 256  # answers and refusals that a second look finds here
MOST_WAITING = 60
PATIENCE_SECONDS = 1.0  # then the browser is told to ask again
AGAIN_SECONDS = 120.0
WARM = "warm"


@dataclass(frozen=True)
class Task:
    """Something that is traced, or was."""

    work: Future[Any]
    since: float


class Desk:
    """`forecaster` is None in a lab that was put together without a tracing process: arithmetic then answers alone."""

    def __init__(self, forecaster: Forecaster | None) -> None:
        self.forecaster = forecaster
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="memory")
        self._asked: OrderedDict[str, Task] = OrderedDict()
        self._lock = Lock()

    def warm(self) -> None:
        """Have the tracing process started, so that the first answer need not wait for it."""
        if self.forecaster is not None and self.forecaster.tracer.process is None:
            self._put(WARM, self.forecaster.tracer.warm)

    @property
    def starting(self) -> bool:
        """Whether whoever waits has to wait for the process first."""
        return self.forecaster is not None and not self.forecaster.tracer.ready

    def answer(self, order: Order, closely: bool = False) -> dict[str, Any] | None:
        """What is known now; None where it has to be traced first. Its course and its blocks are surely there only if they are wanted."""
        if self.forecaster is None:
            return static(order, "this lab runs without a tracing process")
        found = self.forecaster.at_once(order, closely)
        if found is not None:
            return found
        found = self._finished(_name(order))
        return found and addressed(order, found)

    def order(self, order: Order) -> None:
        """Have it traced. Raises LabError where too many wait."""
        self._put(_name(order), lambda: self.forecaster.memory(order))

    def wait(self, orders: list[Order]) -> None:
        """Until one of these is known, or patience ends."""
        tasks = [task.work for order in orders if (task := self._asked.get(_name(order))) is not None]
        if tasks:
            wait(tasks, timeout=PATIENCE_SECONDS, return_when="FIRST_COMPLETED")

    def prepare(self, order: Order) -> None:
        """Other batches and lengths of this step will be asked for next."""
        if self.forecaster is not None:
            self.forecaster.prepare(order)

    def against(self, name: str, order: Order, measured: Mapping[str, Any]) -> dict[str, Any] | None:
        """A run's own step, foretold; None until it is known. Raises LabError where it cannot be."""
        if self.forecaster is None:
            raise LabError("this lab runs without a tracing process")
        self._put(name, lambda: self.forecaster.against(order, measured))
        wait([self._asked[name].work], timeout=PATIENCE_SECONDS)
        return self._finished(name)

    def _finished(self, name: str) -> dict[str, Any] | None:
        """Its answer once it is there. What could not be traced may have failed for a passing reason, and is tried again after a while."""
        task = self._asked.get(name)
        if task is None or not task.work.done():
            return None
        found = task.work.result()
        if isinstance(found, Mapping) and not found.get("traced", True) and time.monotonic() - task.since > AGAIN_SECONDS:
            with self._lock:
                self._asked.pop(name, None)
            return None
        return found

    def _put(self, name: str, work: Callable[[], Any]) -> None:
        with self._lock:
            if name in self._asked and not (name == WARM and self._asked[name].work.done()):
                self._asked.move_to_end(name)
                return
            if sum(not task.work.done() for task in self._asked.values()) >= MOST_WAITING:
                raise LabError(f"{MOST_WAITING} steps are waiting to be traced: try again in a minute")
            self._asked[name] = Task(self._pool.submit(work), time.monotonic())
            while len(self._asked) > KEPT and next(iter(self._asked.values())).work.done():
                self._asked.popitem(last=False)


def _name(order: Order) -> str:
    return f"{order.key} {order.plan.depths} {order.spec.batch} {order.tokens}"
