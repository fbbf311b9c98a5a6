"""Own data on the page: a file is looked at, kept as a task of this browser, listed and removed.

A file comes as the body of a request, behind one line of JSON that says who sends it and what was chosen. It is read again with every choice, so nothing
of it is kept before that is asked for.
"""
from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lab import catalogue
from lab.contracts import LabError
from lab.owndata import columns, making, reading
from lab.owndata.entry import entry
from lab.owndata.shelf import MOST_SETS, Kept, keep_days
from lab.ui.bench import Bench
from lab.ui.wording import percent, plain, size

PLACE = "/own-data"
UPLOADS = (f"{PLACE}/look", f"{PLACE}/keep")  # nothing else may be sent so much
SHOWN = 5  # rows of the preview
LONGEST_CELL = 160
LONGEST_LINE = 20_000  # bytes of what is said about a file
AT_A_TIME = 2  # files that are read
MOST_WAITING = 20  # with their files, which lie in memory


def routes(bench: Bench) -> list[Route]:
    def kept(said: Mapping[str, Any], content: bytes) -> dict[str, Any]:
        bench.meter.check()
        table = reading.read(content, str(said.get("name", "")), _header(said))
        made = making.made(table, columns.Choice.parse(said.get("choice", {}), table))
        return {"set": row(bench.owndata.keep(made, str(said.get("title", "")), str(said.get("owner", ""))))}

    def listed(said: Mapping[str, Any], _: bytes) -> dict[str, Any]:
        return {"sets": [row(each) for each in bench.owndata.of(str(said.get("owner", "")))], "limits": limits(bench.settings.retention.runs_days)}

    def removed(said: Mapping[str, Any], _: bytes) -> dict[str, Any]:
        return {"removed": bench.owndata.remove(str(said.get("key", "")), str(said.get("owner", ""))).key}

    door = Door()
    answers = {"look": (look, door), "keep": (kept, door), "list": (listed, Door(MOST_WAITING)), "remove": (removed, Door(MOST_WAITING))}
    return [Route(f"{PLACE}/{name}", _answering(*answer), methods=["POST"]) for name, answer in answers.items()]


class Door:
    """Lets some in at a time, and some wait, with the files that they bring: who comes then is turned away before theirs is read."""

    def __init__(self, at_a_time: int = AT_A_TIME) -> None:
        self._turn, self._there = asyncio.Semaphore(at_a_time), 0

    async def through(self, request: Request, answer: Callable[[Mapping[str, Any], bytes], dict[str, Any]]) -> dict[str, Any]:
        """Waits on no thread that others need. Raises LabError where too many wait already."""
        if self._there >= MOST_WAITING:
            raise LabError("others are having their files read: try again in a moment")
        self._there += 1
        try:
            said, content = _parts(await request.body())
            async with self._turn:
                return await run_in_threadpool(answer, said, content)
        finally:
            self._there -= 1


def _answering(answer: Callable[[Mapping[str, Any], bytes], dict[str, Any]], door: Door) -> Callable[[Request], Any]:
    """What a person can put right comes back as {"error"}; reading happens beside the page's own thread."""

    async def asked(request: Request) -> Response:
        try:
            found = await door.through(request, answer)
        except ClientDisconnect:
            return Response(status_code=413)
        except LabError as error:
            found = {"error": str(error)}
        return JSONResponse(found, headers={"cache-control": "no-store"})

    return asked


def _parts(body: bytes) -> tuple[Mapping[str, Any], bytes]:
    line, _, content = body.partition(b"\n")
    try:
        said = json.loads(line) if len(line) <= LONGEST_LINE else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, Mapping):
        raise LabError("the page sent nothing that can be read: load it again")
    return said, content


def _header(said: Mapping[str, Any]) -> bool | None:
    return said["header"] if isinstance(said.get("header"), bool) else None


def look(said: Mapping[str, Any], content: bytes) -> dict[str, Any]:
    """The file as it was read, and what would be made of it; where nothing can be made of it, why not, beside the columns to choose others."""
    table = reading.read(content, str(said.get("name", "")), _header(said))
    found = {"columns": columns.about(table), "rows": len(table.rows), "how": table.how, "header": table.header if "JSON" not in table.how else None,
             "notes": list(table.notes), "preview": [[_short(cell) for cell in row] for row in table.rows[:SHOWN]]}
    try:
        choice = columns.Choice.parse(said.get("choice", {}), table)
    except LabError as error:  # another header has other columns: begin anew
        return {**found, "error": str(error), "choice": columns.guess(table).to_dict()}
    try:
        return {**found, "choice": choice.to_dict(), "report": _report(making.made(table, choice))}
    except LabError as error:
        return {**found, "error": str(error), "choice": choice.to_dict()}


def _report(made: making.Made) -> dict[str, Any]:
    told = making.report(made)
    return {**told, "majority": percent(told["majority"]) if made.labels else "", "fewest": making.FEWEST}


def _short(cell: str) -> str:
    return cell if len(cell) <= LONGEST_CELL else cell[:LONGEST_CELL] + "…"


def row(kept: Kept) -> dict[str, Any]:
    """A set as the menus of tasks know one, and until when it is kept."""
    task = entry(kept)
    unfit = {key: fits.reason for key, model in catalogue.entries("models").items() if not (fits := task.fits(model.kind)).ok}
    return {"key": task.key, "title": task.title, "about": task.about, "rule": task.rule, "licence": task.licence, "source": task.source, "unfit": unfit,
            "texts": f"{sum(kept.sizes.values()):,} texts, {size(kept.bytes)}", "until": time.strftime("%d %B %Y", time.gmtime(kept.expires))}


def limits(runs_days: float | None = None) -> dict[str, Any]:
    """Said before a file is chosen, and enforced while it is read; `runs_days` is how long this lab keeps runs."""
    stays = "until you delete it" if runs_days is None else f"until you delete it, at most {plain(runs_days)} days"
    days = f"{plain(keep_days())} day{'s' * (keep_days() != 1)}"
    return {"bytes": reading.LARGEST_BYTES, "sets": MOST_SETS,
            "words": f"{reading.LARGEST_BYTES / 1e6:.0f} MB, {reading.MOST_ROWS:,} rows, {reading.LONGEST_TEXT:,} characters a text, "
                     f"{columns.MOST_LABELS} labels, {making.FEWEST} texts at least of each label",
            "privacy": [["Sent", "to this lab's server and nowhere else. Nothing is kept before you press “Use this data”."],
                        ["Kept", f"for this browser only, {days} or until you remove it; then the texts go. Names of set and labels stay, so that runs can "
                                 "still be read. Whoever hosts the lab can read its disk."],
                        ["Runs", f"show a few of the test texts with their answers. A run stays {stays}; nobody else can open it before you "
                                 "share it."],
                        ["Adapters", "may remember texts that they were trained on: think before you hand one on."]]}
