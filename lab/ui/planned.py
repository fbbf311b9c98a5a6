"""Runs that are planned together, of an experiment or a comparison: found again by their settings, submitted as room appears, and stopped.

Nothing is kept here: which runs belong to a plan follows from its settings, so a closed page finds them again.
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from lab.contracts import LabError
from lab.spec import RunSpec
from lab.store import Run
from lab.ui.bench import Bench

READ = 300  # newest runs of a browser that are looked through, or three times as many as are planned
KEPT_FREE = 1  # of a browser's places, so that a look or a training of its own need not wait for a plan
WORTH = {"finished": 3, "running": 2, "queued": 2, "failed": 1, "cancelled": 1}  # of two equal runs the better one is taken


class Planned(Protocol):
    """One run of a plan. `known` says that an equal run has ended here, whoever made it."""

    @property
    def spec(self) -> RunSpec: ...
    @property
    def run(self) -> Run | None: ...
    @property
    def known(self) -> bool: ...
    @property
    def state(self) -> str: ...


def mine(bench: Bench, specs: Sequence[RunSpec], owner: str) -> dict[str, Run]:
    """By fingerprint; a finished run goes before one on its way, that before one that failed, and of equals the newest."""
    wanted, found = {spec.fingerprint for spec in specs}, {}
    for model in {str(spec.model) for spec in specs}:
        for run in bench.store.history(owner or "nobody", limit=max(READ, 3 * len(specs)), search=model):
            if run.fingerprint in wanted and (run.fingerprint not in found or WORTH[run.state] > WORTH[found[run.fingerprint].state]):
                found[run.fingerprint] = run
    return found


def submit(bench: Bench, found: Sequence[Planned], owner: str, again: Collection[str], waits: Callable[[Bench, int], str]) -> str:
    """Submit what is missing, as far as there is room; `again` has the states that are made anew: failed, cancelled. Returns why not all could be:
    `waits` says it of those that there was no room for."""
    wanted = list({part.spec.fingerprint: part for part in found if part.state in ("known", "missing", *again)}.values())
    for place, part in enumerate(wanted):
        try:
            if part.known:
                bench.again(part.spec, owner)
            elif bench.store.waiting(owner) < room(bench):
                bench.submit(part.spec, owner)
            else:
                return waits(bench, len(wanted) - place)
        except LabError as error:
            return str(error)
    return ""


def room(bench: Bench) -> int:
    """How many runs of one browser may wait or run while its plan goes on."""
    return max(1, bench.limits.waiting - KEPT_FREE)


def stop(bench: Bench, found: Sequence[Planned], owner: str) -> None:
    """End those that wait or run. Raises LabError for somebody else's."""
    for part in found:
        if part.run and part.state in ("queued", "running"):
            bench.store.cancel(bench.mine(part.run.id, owner).id)
