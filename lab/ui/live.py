"""The polled view of one run: new events are folded with the old ones, and the page gets what is to be seen; nothing when nothing is new."""
from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from lab.contracts import LabError
from lab.events import Event, fold
from lab.owndata.entry import known as task_by_key
from lab.spec import RunSpec
from lab.store import Run
from lab.ui import files, hub
from lab.ui.bench import Bench
from lab.ui.picture import RECORDED, picture, reference, replay, settled
from lab.ui.wording import ordinal, roughly

BESIDE, BESIDE_IT = "lora", "prompt_tuning"  # what a run is offered to be compared with
KEPT_RUNS = 400  # of a class that watches: with fewer each poll would begin anew
STEADY, EACH_PLACE, RARELY = 0.5, 0.25, 5.0  # seconds until a browser asks again: while a run goes on, more for each place in the queue, at most
POLLS_PER_SECOND = 60.0  # answered with ease beside two trainings on two cores; of a class that asks more often everybody asks more rarely


@dataclass
class Kept:
    """What has been read and made of a run: many browsers may watch the same one."""

    spec: RunSpec | None
    fixed: dict[str, Any]
    gone: bool = False  # the uploaded texts that it was made with
    seq: int = 0
    events: list[Event] = field(default_factory=list)
    mark: str = ""  # another one whenever there is something else to see but the place in the queue
    view: dict[str, Any] = field(default_factory=dict)


class Watcher:
    """Answers polls. Runs that were watched lately are kept parsed, so that a poll costs what is new."""

    def __init__(self, bench: Bench, clock: Callable[[], float] = time.monotonic) -> None:
        self.bench = bench
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._lock = Lock()
        self._clock, self._asked = clock, deque[float]()

    def poll(self, asked: Any) -> dict[str, Any]:
        """{"run", "mark", "owner"} → the view; of it only {"status"} where nothing but the place in the queue is another, nothing of it where nothing is;
        always {"mark", "again"}: the seconds until asking again is worth it. Or {"error"}."""
        asked = asked if isinstance(asked, Mapping) else {}
        recorded = next((each for each in self.bench.recorded if asked.get("run") == RECORDED + each.key), None)
        if recorded:
            return {"mark": "recorded"} if asked.get("mark") == "recorded" else {
                "mark": "recorded", "mine": False, "files": files.of_recorded(recorded), **replay(recorded, self.bench.recorded)}
        try:
            run = self.bench.store.run(str(asked.get("run", "")))
            self.bench.check_reader(run, str(asked.get("owner", "")))
            with self._lock:
                kept, place = self._look(run), self.bench.paces.place(run)
                again = self._again(place, kept.view["state"])
        except LabError as error:
            return {"error": str(error)}
        about = {"mark": f"{kept.mark}@{place}", "again": again}
        known, _, known_place = str(asked.get("mark", "")).rpartition("@")
        if (known, known_place) == (kept.mark, str(place)):
            return about
        status = {"status": waiting(place, self.bench)} if place else {}
        return about | status if known == kept.mark else about | {"mine": run.owner == asked.get("owner"), **kept.view, **status}

    def _again(self, place: int, state: str) -> float:
        """Who is far from their turn asks rarely, and all do while many ask."""
        now = self._clock()
        self._asked.append(now)
        while self._asked[0] < now - 1.0:
            self._asked.popleft()
        usual = STEADY if state == "running" else min(RARELY, EACH_PLACE * max(1, place))
        return round(min(RARELY, usual * max(1.0, len(self._asked) / POLLS_PER_SECOND)), 2)

    def _look(self, run: Run) -> Kept:
        """The run as it is now, made anew only where something has changed."""
        kept, known = self._kept.pop(run.id, None), task_by_key(run.settings.get("task"))
        gone = bool(known and known.gone)
        if kept is None or kept.gone != gone:
            kept = _begin(run, gone)
        while len(self._kept) >= KEPT_RUNS:
            self._kept.popitem(last=False)
        self._kept[run.id] = kept
        new = self.bench.store.events(run.id, kept.seq)
        kept.events += [event for _, event in new]
        kept.seq = new[-1][0] if new else kept.seq
        mark = f"{kept.seq}.{run.state}.{run.cancel:d}.{run.title}.{run.shared:d}{'.gone' * gone}"
        if mark != kept.mark:
            kept.mark, kept.view = mark, self._show(run, kept)
        return kept

    def _show(self, run: Run, kept: Kept) -> dict[str, Any]:
        """Everything the page shows of a run of the store, but its place in the queue."""
        result = fold(kept.events)
        state = "preparing" if run.state == "running" and result.state in ("queued", "preparing") else run.state
        view = picture(kept.spec, run.settings, kept.fixed, result, state, reference(self.bench.recorded, run.settings))
        view |= {"id": run.id, "title": run.title, "shared": run.shared, "stopping": run.cancel and not run.ended, "reason": result.reason or run.reason,
                 "reused": run.reused, "hub": hub.usual_name(run.settings, run.id) if hub.offered() else ""}
        if "next" in view:
            view["next"] = [each for each in view["next"] if self.bench.offer.fits(RunSpec.parse(each["draft"]))]
            view["beside"] = view["beside"] if self.bench.offer.has("methods", BESIDE) and self.bench.offer.has("methods", BESIDE_IT) else ""
        if run.ended:
            view["files"] = files.offered(run, result)
        return view


def _begin(run: Run, gone: bool) -> Kept:
    try:
        spec = run.spec
    except LabError:  # the catalogue no longer has what an old run names
        spec = None
    return Kept(spec, settled(spec, run.settings), gone)


def waiting(place: int, bench: Bench) -> str:
    workers = list(bench.workers())
    if workers and all(worker.state in ("starting", "waiting") for worker in workers):
        return "the worker is still warming up, a few seconds after the lab's start"
    wait = bench.paces.wait(place, max(1, len(workers)))
    return ("next in line" if place == 1 else f"{ordinal(place)} in line") + (f", about {roughly(wait)}" if wait else "")
