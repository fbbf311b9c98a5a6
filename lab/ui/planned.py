"""Runs that are planned together, of an experiment or a comparison: found again by their settings, submitted as room appears, and stopped.

Which runs belong to a plan follows from its settings, so a closed page finds them again.
"""
from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from lab.contracts import LabError
from lab.spec import RunSpec
from lab.store import Run
from lab.ui.bench import Bench

READ = 300  # newest runs of a browser that are looked through, or three times as many as are planned
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


def submit(bench: Bench, found: Sequence[Planned], owner: str, again: Collection[str]) -> str:
    """Submit what is missing, as far as there is room, and let the rest follow; `again` has the states that are made anew: failed, cancelled. Returns why
    not all could be."""
    wanted = {part.spec.fingerprint: part for part in found if part.state in ("known", "missing", *again)}.values()
    try:
        for part in wanted:
            if part.known:
                bench.again(part.spec, owner)
        bench.following.add((part.spec for part in wanted if not part.known), owner)
        trouble, left = bench.following.tend(owner), bench.following.left(owner)
    except LabError as error:
        return str(error)
    return trouble or (follow(bench, left) if left else "")


def follow(bench: Bench, left: int) -> str:
    """What becomes of so many runs that there is no room for yet."""
    how = "as they end, also when this page is closed." if bench.following.alone else "as they end, while this page is open."
    return f"At most {bench.following.places} of your runs wait or run at a time in this lab; " + (
        f"the other {left} follow {how}" if left > 1 else f"the last one follows {how}")


def stop(bench: Bench, found: Sequence[Planned], owner: str) -> None:
    """End those that wait or run, and forget those that were to follow. Raises LabError for somebody else's."""
    bench.following.drop([part.spec.fingerprint for part in found], owner)
    for part in found:
        if part.run and part.state in ("queued", "running"):
            bench.store.cancel(bench.mine(part.run.id, owner).id)
