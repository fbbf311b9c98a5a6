"""What the lab takes of its machine against its budgets: looked up at most every few seconds, for thousands of files take a while to count."""
from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from lab.classroom.settings import Budgets
from lab.contracts import NotNow
from lab.store import Store

EVERY_SECONDS = 15.0
MB = 1_000_000
REFUSED = "no new run is taken. {way}, or tell whoever hosts the lab; nothing that waits or runs is lost"


@dataclass(frozen=True)
class Use:
    """Bytes: of the data folder, free on its disk, of this process."""

    disk: int
    free_disk: int
    memory: int


class Meter:
    def __init__(self, store: Store, budgets: Budgets, measure: Callable[[Store], Use] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._budgets, self._measure, self._clock = store, budgets, measure or measured, clock
        self._known: tuple[float, Use] | None = None

    @property
    def use(self) -> Use:
        now = self._clock()
        if self._known is None or now - self._known[0] > EVERY_SECONDS:
            self._known = (now, self._measure(self._store))
        return self._known[1]

    def check(self) -> None:
        """Raises LabError, which tells a student what to do, where a budget is used up."""
        use, budgets = self.use, self._budgets
        room, later = REFUSED.format(way="Delete runs you no longer need"), REFUSED.format(way="Try again in a few minutes")
        if budgets.disk_mb is not None and use.disk >= budgets.disk_mb * MB:
            raise NotNow(f"the lab's folder has {use.disk / MB:,.0f} MB of the {budgets.disk_mb:,} it may have: {room}")
        if use.free_disk < budgets.free_disk_mb * MB:
            raise NotNow(f"{use.free_disk / MB:,.0f} MB are free on the lab's disk, and {budgets.free_disk_mb:,} have to stay free: {room}")
        if budgets.page_memory_mb is not None and use.memory >= budgets.page_memory_mb * MB:
            raise NotNow(f"the lab's page takes {use.memory / MB:,.0f} MB of memory of the {budgets.page_memory_mb:,} it may have: {later}")


def measured(store: Store) -> Use:
    return Use(store.disk_bytes(), shutil.disk_usage(store.root).free, psutil.Process().memory_info().rss)
