"""How the Class tab is asked: JSON in, JSON out, by routes of our own, which know the client; what a person can put right comes back as {"error"}."""
from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lab.contracts import LabError

PLACE = "/class"
LARGEST_BYTES = 20_000
Answer = Callable[[Mapping[str, Any], str], dict[str, Any]]


def route(name: str, answer: Answer) -> Route:
    """`answer` is given what was said and the client's address, on a thread beside the page's own."""

    async def asked(request: Request) -> Response:
        try:
            said = _read(await request.body())
            found = await run_in_threadpool(answer, said, request.client.host if request.client else "")
        except ClientDisconnect:
            return Response(status_code=413)
        except LabError as error:
            found = {"error": str(error)}
        return JSONResponse(found, headers={"cache-control": "no-store"})

    return Route(f"{PLACE}/{name}", asked, methods=["POST"])


def _read(body: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(body) if len(body) <= LARGEST_BYTES else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, Mapping):
        raise LabError("the page sent nothing that can be read: load it again")
    return said


def text(said: Mapping[str, Any], name: str, longest: int = 300) -> str:
    """A text that was said; "" for anything else, and for what is longer than it can be."""
    value = said.get(name)
    return value if isinstance(value, str) and len(value) <= longest else ""
