"""How far a measurement is that somebody makes in a lesson."""
from __future__ import annotations

from typing import Any

from lab.contracts import LabError
from lab.measurement import KIND, PROGRESS
from lab.store import Run
from lab.ui.bench import Bench
from lab.ui.live import RARELY, STEADY, waiting
from lab.ui.wording import roughly


def of(bench: Bench, run: Run) -> dict[str, Any]:
    """{"state", "status", "part": 0…1, "reason", "again": seconds until asking again is worth it}. Raises LabError for what is no measurement."""
    if run.kind != KIND:
        raise LabError("this is no measurement: look at it in the Runs tab")
    if run.state == "queued":
        place = bench.paces.place(run)
        return {"state": run.state, "status": waiting(place, bench), "part": 0.0, "reason": "", "again": min(RARELY, STEADY * max(1, place))}
    result = bench.store.result(run.id)
    seen = result.seen(PROGRESS) or {"done": 0, "of": 0}
    part = seen["done"] / seen["of"] if seen["of"] else 0.0
    reason = " ".join(each for each in (result.reason or run.reason, result.advice) if each)
    return {"state": run.state, "status": _status(bench, run, seen, part), "part": 1.0 if run.state == "finished" else part, "reason": reason,
            "again": 2 * STEADY}


def _status(bench: Bench, run: Run, seen: dict[str, int], part: float) -> str:
    if run.ended:
        return {"finished": "measured", "failed": "it failed", "cancelled": "it was stopped"}[run.state]
    if run.cancel:
        return "stopping: what goes on at this moment ends first"
    if not seen["done"]:
        return "measuring: the first part" if seen["of"] else "loading what is measured"
    left = (bench.store.now - (run.started or bench.store.now)) * (1 - part) / part
    return f"measuring: {seen['done']} of {seen['of']}, {roughly(left)} left if the rest goes like this"
