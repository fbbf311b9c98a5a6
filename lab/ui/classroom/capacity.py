"""What this lab can do for a class and how it stands: for the desk, for a health check and for a scraper of metrics, from the same figures."""
from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

import lab
from lab.contracts import LabError, listing
from lab.ui import wording
from lab.ui.bench import Bench

PLACE = "/gradio_api/lab"
HOUR_SECONDS = 3600.0
LATEST = 50  # ended runs that waiting and training times are taken from


@dataclass(frozen=True)
class Standing:
    """Figures at one moment; times in seconds, None where nothing is known yet."""

    workers: dict[str, int]  # how many in each state
    waiting: int
    running: int
    questions: int
    oldest_wait: float
    counts: dict[str, dict[str, int]]
    disk: int
    free_disk: int
    memory: int
    members: int
    ended_last_hour: int
    median_wait: float | None
    median_run: float | None


def standing(bench: Bench) -> Standing:
    store, workers = bench.store, list(bench.workers())
    queue, use = store.queue(limit=1), bench.meter.use
    counts = store.counts()
    ended = store.rows("SELECT started - created, finished - started FROM runs WHERE kind = 'train' AND reused = 0 AND state = 'finished' "
                       "ORDER BY number DESC LIMIT ?", LATEST)
    oldest = store.rows("SELECT min(created) FROM runs WHERE state = 'queued' AND kind <> 'question'")[0][0] if queue else None
    busy = {kind: states for kind, states in counts.items() if kind != "question"}
    return Standing(
        {state: sum(worker.state == state for worker in workers) for state in ("starting", "idle", "running", "waiting")},
        sum(states.get("queued", 0) for states in busy.values()), sum(states.get("running", 0) for states in busy.values()),
        sum(counts.get("question", {}).get(state, 0) for state in ("queued", "running")), max(0.0, store.now - oldest) if oldest else 0.0, counts,
        use.disk, use.free_disk, use.memory, store.rows("SELECT count(*) FROM members")[0][0],
        store.rows("SELECT count(*) FROM runs WHERE kind = 'train' AND reused = 0 AND finished > ?", store.now - HOUR_SECONDS)[0][0],
        median(row[0] for row in ended) if ended else None, median(row[1] for row in ended) if ended else None)


def capacity(bench: Bench) -> list[dict[str, str]]:
    """[{"name", "value", "about"}] for the desk."""
    here = standing(bench)
    workers = sum(here.workers.values())
    said = [f"{many} {state}" for state, many in here.workers.items() if many]
    hourly = HOUR_SECONDS / here.median_run * max(1, workers) if here.median_run else None
    full = _trouble(bench)
    return [
        {"name": "Workers", "value": str(workers), "about": listing(said) or "none"},
        {"name": "Ended in an hour", "value": wording.whole(here.ended_last_hour), "about": f"about {wording.whole(hourly)} can" if hourly else "the last"},
        {"name": "A run takes", "value": wording.seconds(here.median_run) if here.median_run is not None else "–",
         "about": f"median of at most {LATEST} that finished last"},
        {"name": "It waits", "value": wording.seconds(here.median_wait) if here.median_wait is not None else "–",
         "about": "median of the same"},
        {"name": "Disk", "value": wording.size(here.disk), "about": full or f"{wording.size(here.free_disk)} free"},
        {"name": "Page", "value": wording.size(here.memory), "about": "memory of this process"},
    ]


def _trouble(bench: Bench) -> str:
    try:
        bench.meter.check()
    except LabError:
        return "no room: new runs are refused"
    return ""


# ── for machines ──────────────────────────────────────────────────────────────────────────────────────────────────────


def routes(bench: Bench) -> list[Route]:
    def healthz(request: Request) -> Response:
        found = health(bench)
        return JSONResponse(found, 200 if found["ok"] else 503, headers={"cache-control": "no-store"})

    def scraped(request: Request) -> Response:
        return PlainTextResponse(metrics(bench), media_type="text/plain; version=0.0.4", headers={"cache-control": "no-store"})

    return [Route(f"{PLACE}/healthz", healthz), Route(f"{PLACE}/metrics", scraped)]


def health(bench: Bench) -> dict[str, Any]:
    """`ok` is whether runs are taken and will be run: the database can be read, a worker lives, no budget is used up."""
    try:
        here = standing(bench)
    except LabError as error:
        return {"ok": False, "version": lab.__version__, "trouble": _public(error)}
    alive = sum(many for state, many in here.workers.items() if state != "waiting")
    trouble = [*([] if alive else ["no worker is there"]), *([_trouble(bench)] if _trouble(bench) else [])]
    return {"ok": not trouble, "version": lab.__version__, "trouble": "; ".join(trouble), "workers": here.workers,
            "queue": {"waiting": here.waiting, "running": here.running, "questions": here.questions, "oldest_wait_seconds": round(here.oldest_wait, 1)},
            "disk": {"used_bytes": here.disk, "free_bytes": here.free_disk}, "memory_bytes": here.memory}


def _public(error: LabError) -> str:
    """Without the path that the store's words begin with."""
    return "the database cannot be read" if "sqlite3" in str(error) else str(error)


def metrics(bench: Bench) -> str:
    """Prometheus' text form."""
    here, lines = standing(bench), []

    def tell(name: str, kind: str, about: str, values: list[tuple[str, float]]) -> None:
        lines.extend([f"# HELP {name} {about}", f"# TYPE {name} {kind}", *(f"{name}{labels} {value:g}" if abs(value) < 1e6 else f"{name}{labels} {value:.0f}"
                                                                          for labels, value in values)])

    tell("lab_info", "gauge", "The version of the lab.", [(f'{{version="{lab.__version__}"}}', 1)])
    tell("lab_workers", "gauge", "Workers by state.", [(f'{{state="{state}"}}', many) for state, many in here.workers.items()])
    tell("lab_queue_waiting", "gauge", "Runs and looks that wait.", [("", here.waiting)])
    tell("lab_queue_running", "gauge", "Runs and looks that go on.", [("", here.running)])
    tell("lab_queue_questions", "gauge", "Questions that wait or are answered.", [("", here.questions)])
    tell("lab_queue_oldest_wait_seconds", "gauge", "How long the run that waits longest has waited.", [("", here.oldest_wait)])
    tell("lab_runs", "gauge", "Runs of the history by kind and state.",
         [(f'{{kind="{kind}",state="{state}"}}', many) for kind, states in sorted(here.counts.items()) for state, many in sorted(states.items())])
    tell("lab_runs_ended_last_hour", "gauge", "Trainings that ended within the last hour.", [("", here.ended_last_hour)])
    tell("lab_members", "gauge", "Members of the class.", [("", here.members)])
    tell("lab_disk_used_bytes", "gauge", "Bytes of the data folder.", [("", here.disk)])
    tell("lab_disk_free_bytes", "gauge", "Bytes free on its disk.", [("", here.free_disk)])
    tell("lab_page_memory_bytes", "gauge", "Resident memory of the page's process.", [("", here.memory)])
    return "\n".join(lines) + "\n"
