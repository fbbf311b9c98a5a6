"""How much comes from one address: a browser's key costs nothing to change, so limits of an owner alone hold back nobody who wants to pass them."""
from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from lab.classroom.settings import Limits
from lab.contracts import NotNow
from lab.store import Run, Store

HOUR_SECONDS = 3600.0
MOST_ADDRESSES = 20_000


@dataclass
class Asked:
    """What one address asked for: {id: when} of runs and looks that may still wait or run, and of trainings of the last hour."""

    waiting: dict[str, float] = field(default_factory=dict)
    trained: dict[str, float] = field(default_factory=dict)


class Addresses:
    """Counted in memory alone: no address is written down, and a lab that is started anew begins at nothing. "" is nobody's: a program's own runs."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store, self._limits = store, limits
        self._asked: OrderedDict[str, Asked] = OrderedDict()

    def check(self, address: str, trains: bool) -> None:
        """Raises LabError where no further run (or look, which does not train) may come from this address. Whoever calls holds others back until `note`."""
        asked, limits = self._asked.get(address, Asked()), self._limits
        if limits.address_waiting is not None and len(asked.waiting) >= limits.address_waiting:
            asked.waiting = {run.id: run.created for run in self._store.among(asked.waiting) if not run.ended}
            if len(asked.waiting) >= limits.address_waiting:
                raise NotNow(f"{limits.address_waiting:,} runs that were started from your network address wait or run, as many as this lab allows: let one "
                               "end, or stop one")
        if trains and limits.address_per_hour is not None and len(asked.trained) >= limits.address_per_hour:
            answered = {run.id for run in self._store.among(asked.trained) if run.reused}  # while they waited: they cost nothing
            now = self._store.now  # a run from later is one of a clock that has been set back
            asked.trained = {run: at for run, at in asked.trained.items() if now - HOUR_SECONDS < at <= now and run not in answered}
            if len(asked.trained) >= limits.address_per_hour:
                raise NotNow(f"{limits.address_per_hour:,} runs were started from your network address within the last hour, as many as this lab allows: "
                               "wait a little, or look at those that are there")

    def note(self, address: str, run: Run) -> None:
        """A run, or a look, was queued."""
        if not address:
            return
        asked = self._asked.pop(address, None) or Asked()
        while len(self._asked) >= MOST_ADDRESSES:
            self._asked.popitem(last=False)
        self._asked[address] = asked
        if self._limits.address_waiting is not None:
            asked.waiting[run.id] = run.created
        if self._limits.address_per_hour is not None and run.works:
            asked.trained[run.id] = run.created
