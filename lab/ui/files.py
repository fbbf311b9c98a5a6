"""What a run leaves to take home beside its adapter: a report that opens offline, its result, its events."""
from __future__ import annotations

import json
import re
import time
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from lab import catalogue, export, reporting
from lab.contracts import LabError
from lab.events import RunResult, fold, to_json
from lab.recording import Recorded
from lab.store import Run
from lab.ui import address
from lab.ui.bench import Bench, pass_of
from lab.ui.picture import RECORDED, title
from lab.ui.picture import made as told_made

KINDS = {"report.html": "text/html", "result.json": "application/json", "events.jsonl": "application/x-ndjson"}
OFFERS = (("report.html", "Report"), ("result.json", "Result (JSON)"), ("events.jsonl", "Events (JSON lines)"))
ADAPTER = "Adapter"


def offered(run: Run, result: RunResult) -> list[dict[str, str]]:
    """[{"href", "name", "words"}] of a run of the store, as far as there is something; script and notebook come in one archive with their data."""
    if result.started is None:
        return []
    given = f"?pass={pass_of(run)}"
    found = [_offer(run.id, _stem(run), kind, words, given) for kind, words in OFFERS]
    if result.adapter_bytes:
        found.insert(0, {"href": f"adapter/{run.id}.zip{given}", "name": "", "words": ADAPTER})
    try:
        spec = run.spec
        if spec.task in catalogue.entries("tasks"):  # data of one's own stay with their owner
            export.script(spec)
            found.append({"href": f"script.zip?spec={address.query(spec)}", "name": f"{_stem(run)}-script.zip", "words": "Script and notebook"})
    except LabError:  # forty plain lines cannot do what this run did
        pass
    return found


def of_recorded(recorded: Recorded) -> list[dict[str, str]]:
    return [_offer(RECORDED + recorded.key, recorded.key, kind, words) for kind, words in OFFERS]


def _offer(run: str, stem: str, kind: str, words: str, given: str = "") -> dict[str, str]:
    return {"href": f"run/{quote(run, safe='')}/{kind}{given}", "name": f"{stem}-{kind}", "words": words}


def route(bench: Bench) -> Route:
    def file(request: Request) -> Response:
        kind, name = request.path_params["kind"], request.path_params["run"]
        try:
            if kind not in KINDS:
                raise LabError(f'unknown file "{kind[:40]}" of a run: there are {", ".join(KINDS)}')
            text, stem = _recorded(bench, name, kind) if name.startswith(RECORDED) else _kept(bench, name, kind, request.query_params.get("pass", ""))
        except LabError as error:
            return PlainTextResponse(str(error), 404)
        return Response(text, media_type=KINDS[kind], headers={"content-disposition": f'attachment; filename="{stem}-{kind}"', "cache-control": "no-store"})

    return Route("/run/{run}/{kind}", file)


def _kept(bench: Bench, run_id: str, kind: str, given: str) -> tuple[str, str]:
    run = bench.store.run(run_id)
    bench.check_taker(run, given)
    lines = [line for _, line in bench.store.lines(run.id)]
    if not lines:
        raise LabError("this run has not begun: there is nothing to take home yet")
    if kind == "events.jsonl":
        return "\n".join(lines) + "\n", _stem(run)
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(run.created))
    return _made(bench.store.result(run.id), run.title or title(run.settings), f"Run on {when}.", kind), _stem(run)


def _recorded(bench: Bench, name: str, kind: str) -> tuple[str, str]:
    found = next((each for each in bench.recorded if RECORDED + each.key == name), None)
    if found is None:
        raise LabError(f'unknown recorded run "{name[:80]}"')
    if kind == "events.jsonl":
        return "\n".join(map(to_json, found.events)) + "\n", found.key
    return _made(fold(found.events), title(found.spec.to_dict()), told_made(found), kind), found.key


def _made(result: RunResult, name: str, made: str, kind: str) -> str:
    if kind == "report.html":
        return reporting.of_run(result, name, made)
    return json.dumps(result.to_dict(), ensure_ascii=False, indent=1) + "\n"


def _stem(run: Run) -> str:
    settings: dict[str, Any] = run.settings
    return re.sub(r"[^A-Za-z0-9.-]+", "-", f"{settings['method']['name']}-{settings['model']}-{run.id[:6]}")
