"""The way from a finished run to its owner's account on the Hub; only where this lab is a Space that lets people sign in.

Gradio keeps a sign-in in the visitor's own signed cookie. It is read here for the length of one request.
"""
from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lab.contracts import LabError
from lab.pushing import push
from lab.ui.bench import Bench
from lab.ui.wording import task_said

PLACE = "/hub"
NEEDED = ("SPACE_ID", "OAUTH_CLIENT_ID")  # a Space has both once its card says `hf_oauth: true`
LIBRARIES = ("authlib", "itsdangerous")  # what gradio[oauth] brings; a Space has it


def offered() -> bool:
    return all(os.environ.get(name) for name in NEEDED) and all(find_spec(name) for name in LIBRARIES)


def routes(bench: Bench, endpoint: str | None = None) -> list[Route]:
    """None where nobody can sign in. `endpoint` is another Hub than huggingface.co."""

    async def about(request: Request) -> Response:
        return JSONResponse({"name": _name(_signed(request))}, headers={"cache-control": "no-store"})

    async def send(request: Request) -> Response:
        try:
            said, signed = await _said(request), _signed(request)
            if signed is None:
                raise LabError("you are not signed in to the Hub: press the button at the top of the page first")
            run = bench.mine(str(said.get("run")), str(said.get("owner", "")))
            done = await run_in_threadpool(push, bench.store.folder(run.id) / "adapter", str(said.get("name", "")), signed["access_token"], endpoint)
            found = {"repository": done.repository, "address": done.address}
        except LabError as error:
            found = {"error": str(error)}
        return JSONResponse(found, headers={"cache-control": "no-store"})

    return [Route(f"{PLACE}/about", about, methods=["POST"]), Route(f"{PLACE}/push", send, methods=["POST"])] if offered() else []


def owner(bench: Bench, request: Any) -> str:
    """The key of the account that is signed in, the same in every browser and nobody else's to guess; "" where there is none."""
    if not offered():
        return ""
    inner = getattr(request, "request", None) or request  # gradio's has starlette's in it
    signed = _valid(inner.scope.get("session", {}).get("oauth_info"))
    account = str((signed or {}).get("userinfo", {}).get("sub") or _name(signed))
    return "hub-" + hmac.new(bench.store.salt().encode(), account.encode(), hashlib.sha256).hexdigest()[:48] if account else ""


def usual_name(settings: Mapping[str, Any], run_id: str) -> str:
    """lora-minilm-l6-movies-1a2b3c; of an uploaded set without its title, since names of repositories are seen by more than their owner."""
    task = str(settings.get("task", ""))
    said = "own-data" if task_said(task) != task else task
    return f"{settings['method']['name']}-{settings['model']}-{said}-{run_id[:6]}".replace("_", "-")


async def _said(request: Request) -> Mapping[str, Any]:
    try:
        said = json.loads(await request.body())
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, Mapping):
        raise LabError("the page sent nothing that can be read: load it again")
    return said


def _signed(request: Request) -> Mapping[str, Any] | None:
    """As gradio keeps it, as long as it is valid."""
    return _valid(request.scope.get("session", {}).get("oauth_info"))


def _valid(found: Any) -> Mapping[str, Any] | None:
    if not isinstance(found, Mapping) or not isinstance(found.get("access_token"), str):
        return None
    return None if isinstance(found.get("expires_at"), int | float) and found["expires_at"] < time.time() else found


def _name(signed: Mapping[str, Any] | None) -> str:
    return str((signed or {}).get("userinfo", {}).get("preferred_username", ""))
