"""The polled view of one run: new events are folded with the old ones, and the page gets what is to be seen; nothing when nothing is new."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from lab.contracts import LabError
from lab.events import Event, fold
from lab.spec import RunSpec
from lab.store import Run
from lab.ui.bench import Bench
from lab.ui.picture import RECORDED, picture, reference, replay, settled
from lab.ui.wording import ordinal, roughly

KEPT_RUNS = 64  # that stay parsed between two looks


@dataclass
class Kept:
    """What has been read and made of a run: many browsers may watch the same one."""

    spec: RunSpec | None
    fixed: dict[str, Any]
    seq: int = 0
    events: list[Event] = field(default_factory=list)
    mark: str = ""
    view: dict[str, Any] = field(default_factory=dict)


class Watcher:
    """Answers polls. Runs that were watched lately are kept parsed, so that a poll costs what is new."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._lock = Lock()

    def poll(self, asked: Any) -> dict[str, Any]:
        """{"run", "mark", "owner"} → the view, or {"mark"} alone when it has not changed, or {"error"}."""
        asked = asked if isinstance(asked, Mapping) else {}
        recorded = next((each for each in self.bench.recorded if asked.get("run") == RECORDED + each.key), None)
        if recorded:
            return {"mark": "recorded"} if asked.get("mark") == "recorded" else {"mark": "recorded", "mine": False, **replay(recorded, self.bench.recorded)}
        try:
            run = self.bench.store.run(str(asked.get("run", "")))
            with self._lock:
                kept = self._look(run)
        except LabError as error:
            return {"error": str(error)}
        return {"mark": kept.mark} if asked.get("mark") == kept.mark else {"mark": kept.mark, "mine": run.owner == asked.get("owner"), **kept.view}

    def _look(self, run: Run) -> Kept:
        """The run as it is now, made anew only where something has changed."""
        kept = self._kept.pop(run.id, None) or _begin(run)
        while len(self._kept) >= KEPT_RUNS:
            self._kept.popitem(last=False)
        self._kept[run.id] = kept
        place = self.bench.store.place(run.id)
        new = self.bench.store.events(run.id, kept.seq)
        kept.events += [event for _, event in new]
        kept.seq = new[-1][0] if new else kept.seq
        mark = f"{kept.seq}.{run.state}.{place}.{run.cancel:d}.{run.title}.{run.shared:d}"
        if mark != kept.mark:
            kept.mark, kept.view = mark, self._show(run, kept, place)
        return kept

    def _show(self, run: Run, kept: Kept, place: int) -> dict[str, Any]:
        """Everything the page shows of a run of the store."""
        result = fold(kept.events)
        state = "preparing" if run.state == "running" and result.state in ("queued", "preparing") else run.state
        view = picture(kept.spec, run.settings, kept.fixed, result, state, reference(self.bench.recorded, run.settings))
        view |= {"id": run.id, "title": run.title, "shared": run.shared, "stopping": run.cancel and not run.ended, "reason": result.reason or run.reason}
        return {**view, "status": waiting(place, self.bench)} if run.state == "queued" else view


def _begin(run: Run) -> Kept:
    try:
        spec = run.spec
    except LabError:  # the catalogue no longer has what an old run names
        spec = None
    return Kept(spec, settled(spec, run.settings))


def waiting(place: int, bench: Bench) -> str:
    workers = list(bench.workers())
    if workers and all(worker.state in ("starting", "waiting") for worker in workers):
        return "the worker is still warming up, a few seconds after the lab's start"
    wait = bench.wait(place, max(1, len(workers)))
    return ("next in line" if place == 1 else f"{ordinal(place)} in line") + (f", about {roughly(wait)}" if wait else "")
