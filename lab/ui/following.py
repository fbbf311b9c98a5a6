"""Runs that are to follow: of a comparison or an experiment, those that there is no room for yet.

They wait in the file of the store and are submitted as room appears, whether or not a page is open. A lab that is started again goes on with them.
"""
from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from threading import Event, RLock
from typing import Any

from lab.contracts import LabError, NotNow
from lab.database import Unwritable
from lab.logs import short
from lab.spec import RunSpec
from lab.store import Store
from lab.ui import rates

LOG = logging.getLogger(__name__)
KEPT_FREE = 1  # of a browser's places, so that a look or a training of its own need not wait for a plan
MOST = 400  # runs of one owner that are to follow
MOST_ALL = 20_000
LONGEST_SECONDS = 2 * 86_400.0  # after which what found no room is forgotten
EVERY_SECONDS = 2.0


@dataclass
class Following:
    """`places` runs of one owner may wait or run at a time while others are to follow. `alone` says whether somebody watches, so that no page need be open."""

    store: Store
    submit: Callable[[RunSpec, str], Any]
    places: int
    alone: bool = False
    _asking: dict[str, str] = field(default_factory=dict, repr=False)  # from which network address an owner asked: kept in memory alone
    _lock: RLock = field(default_factory=RLock, repr=False)

    def add(self, specs: Iterable[RunSpec], owner: str) -> None:
        """Each once, behind those that are there. Raises LabError where more would follow than the lab keeps."""
        wanted = list(specs)
        if not wanted:
            return
        self._asking[owner] = rates.asking()
        there = {fingerprint for fingerprint, in self.store.rows("SELECT fingerprint FROM planned WHERE owner = ?", owner)}
        rows = [(owner, spec.fingerprint, spec.to_json(), self.store.now) for spec in wanted if spec.fingerprint not in there]
        if not rows:
            return  # a page asks again and again, mostly for nothing new
        with self._lock, self.store.writing() as db:
            db.executemany("INSERT OR IGNORE INTO planned (owner, fingerprint, spec, at) VALUES (?, ?, ?, ?)", rows)
            for most, which, values in ((MOST, "WHERE owner = ?", (owner,)), (MOST_ALL, "", ())):
                if (count := db.execute(f"SELECT count(*) FROM planned {which}", values).fetchone()[0]) > most:
                    raise NotNow(f"{count:,} runs would wait to follow, and this lab keeps at most {most:,}: let some end first")

    def drop(self, fingerprints: Collection[str], owner: str) -> None:
        with self._lock, self.store.writing() as db:
            db.executemany("DELETE FROM planned WHERE owner = ? AND fingerprint = ?", [(owner, each) for each in fingerprints])

    def left(self, owner: str) -> int:
        return self.store.rows("SELECT count(*) FROM planned WHERE owner = ?", owner)[0][0]

    def owners(self) -> list[tuple[str, int]]:
        """Who has how many, in the order in which they began to wait."""
        return [(owner, count) for owner, count in self.store.rows("SELECT owner, count(*) FROM planned GROUP BY owner ORDER BY min(number)")]

    def tend(self, owner: str) -> str:
        """Submit those that there is room for, first come, first served. Returns why one could not be; what no room will help is forgotten."""
        trouble = ""
        with self._lock:
            for fingerprint, written in self.store.rows("SELECT fingerprint, spec FROM planned WHERE owner = ? ORDER BY number", owner):
                try:
                    if not self._under_way(fingerprint, owner):
                        if self.store.waiting(owner) >= self.places:
                            return trouble
                        self._submit(RunSpec.from_json(written), owner)
                except (NotNow, Unwritable) as error:
                    return str(error)
                except LabError as error:
                    trouble = str(error)
                    LOG.info("a run that was to follow cannot be", extra={"owner": short(owner), "reason": trouble})
                self.drop([fingerprint], owner)
            self._asking.pop(owner, None)
        return trouble

    def tend_all(self) -> None:
        """Of every owner who has some, and forget those that have waited for too long."""
        before = self.store.now - LONGEST_SECONDS
        if self.store.rows("SELECT 1 FROM planned WHERE at < ? LIMIT 1", before):
            with self.store.writing() as db:
                db.execute("DELETE FROM planned WHERE at < ?", (before,))
        for owner, in self.store.rows("SELECT owner FROM planned GROUP BY owner ORDER BY min(number)"):
            self.tend(owner)

    def watch(self, stopped: Event) -> None:
        """Until `stopped`; trouble with the disk is said, and tried again."""
        while not stopped.wait(EVERY_SECONDS):
            try:
                self.tend_all()
            except LabError as error:
                LOG.error(str(error))

    def _under_way(self, fingerprint: str, owner: str) -> bool:
        return bool(self.store.rows("SELECT 1 FROM runs WHERE owner = ? AND fingerprint = ? AND state IN ('queued', 'running') LIMIT 1", owner, fingerprint))

    def _submit(self, spec: RunSpec, owner: str) -> None:
        """Counted for the address that it was asked from."""
        token = rates.ASKING.set(self._asking.get(owner, ""))
        try:
            self.submit(spec, owner)
        finally:
            rates.ASKING.reset(token)
