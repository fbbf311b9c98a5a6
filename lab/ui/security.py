"""What guards every answer of the page: who may ask, how often, how much and for what; and that the page talks to its own server only."""
from __future__ import annotations

import json
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lab.owndata.reading import LARGEST_BYTES
from lab.ui import rates
from lab.ui.own import UPLOADS

# Gradio starts with an inline script and compiles our loaders from strings: 'unsafe-inline' and 'unsafe-eval' cannot be avoided with it.
# What they could be abused for is cut off elsewhere: no outside address may be contacted, and no text of a person becomes HTML.
POLICY = "; ".join((
    "default-src 'self'", "script-src 'self' 'unsafe-inline' 'unsafe-eval'", "style-src 'self' 'unsafe-inline'", "img-src 'self' data: blob:",
    "font-src 'self' data:", "connect-src 'self'", "worker-src 'self' blob:", "object-src 'none'", "base-uri 'self'", "form-action 'self'",
    "frame-ancestors 'self' https://huggingface.co",
))
LARGEST_BODY_BYTES = 3_000_000  # a question to the page has a few kilobytes
LARGEST_UPLOAD_BYTES = LARGEST_BYTES + 100_000  # a file of somebody's own, with what is said about it
HEADERS = {
    "content-security-policy": POLICY, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), microphone=(), geolocation=()", "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin", "x-permitted-cross-domain-policies": "none",
}
# Doors of Gradio's that the page does not use: files in and out of its temporary folder, other addresses, its programming interface, its developers' tools.
SHUT = ("/upload", "/upload_progress", "/file=", "/file/", "/proxy=", "/stream/", "/call/", "/run/", "/api/", "/custom_component/", "/process_recording",
        "/deep_link", "/dev/", "/vibe", "/undo-vibe", "/profiling/", "/run-history", "/runs", "/openapi.json", "/info", "/token", "/app_id")
SHUT_TOP = ("/monitoring", "/docs", "/redoc", "/openapi.json")
API = "/gradio_api"
AROUND = ("security.py", "kept.py")  # the middleware
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Guard:
    """ASGI middleware; streams pass through it unbuffered. `per_minute` requests of one visitor, LAB_RATE where it is not given."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], per_minute: int | None = None, proxies: int | None = None) -> None:
        self.app = app
        second = (per_minute or rates.allowed_per_minute()) / 60
        self.proxies = rates.proxies() if proxies is None else proxies
        self.visitors, self.addresses = rates.Buckets(second), rates.Buckets(second * rates.ADDRESS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # the page has none
            return await send({"type": "websocket.close", "code": 1008})
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        most = LARGEST_UPLOAD_BYTES if scope["path"].endswith(UPLOADS) else LARGEST_BODY_BYTES
        answer = Answer(send)
        if shut(scope["path"]):
            return await answer.refuse(404, "there is nothing here")
        if foreign(scope, bool(self.proxies)):
            return await answer.refuse(403, "another page may not ask this one")
        address = self._address(scope)
        scope = {**scope, "client": (address, 0)}  # for all behind: the doors of the class count by it
        rates.ASKING.set(address)  # and whoever queues a run, on a thread that inherits it
        if wait := self.addresses.take(address):
            return await answer.too_many(wait)
        if _announced(scope) > most:
            return await answer.refuse(413, "too large")
        first = await receive() if scope["method"] == "POST" else None
        if first and (name := rates.owner(first.get("body", b""))) and (wait := self.visitors.take(name)):
            return await answer.too_many(wait)
        try:
            return await self.app(scope, _limited(receive, first, most), answer.send)
        except Exception as error:
            if not ours(error):  # Gradio met a body it cannot read, or a component that is not there
                return await answer.refuse(400, "the page sent nothing that can be read: load it again")
            traceback.print_exc()  # for whoever hosts the lab
            return await answer.refuse(500, "the lab made a mistake with this request")

    def _address(self, scope: Scope) -> str:
        forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return rates.address((scope.get("client") or ("",))[0], forwarded, self.proxies)


class Answer:
    """Adds the headers to whatever is sent."""

    def __init__(self, send: Send) -> None:
        self._send, self.begun = send, False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            names = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *((name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in names)]
        await self._send(message)

    async def refuse(self, status: int, words: str, *headers: tuple[bytes, bytes]) -> None:
        """In words and in JSON; nothing where an answer is on its way already."""
        if self.begun:
            return
        await self.send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json"), *headers]})
        await self._send({"type": "http.response.body", "body": json.dumps({"error": words}).encode()})

    async def too_many(self, seconds: float) -> None:
        await self.refuse(429, f"too many requests: wait {seconds:.1f} seconds", (b"retry-after", str(int(seconds) + 1).encode()))


def ours(error: Exception) -> bool:
    """Whether an exception comes from the lab's own code, or only passed by here: what stands around Gradio is in the way of each request."""
    here = Path(__file__).parent
    passed = {str(here / name) for name in AROUND}
    names = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    return any(name.startswith(str(here.parent)) and name not in passed for name in names) or names[-1] in passed


def shut(path: str) -> bool:
    """Whether a path is one of Gradio's that the page has no use for."""
    return path.startswith(SHUT_TOP) or (path.startswith(API) and path.removeprefix(API).startswith(SHUT))


def foreign(scope: Scope, proxied: bool = False) -> bool:
    """Whether a page of somebody else's asks: a browser says so. Following a link to the lab is nobody's question; where only the origin is
    said, it has to be the host that is asked, of the proxy in front where there is one."""
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    reading = scope["method"] in ("GET", "HEAD")
    site = headers.get(b"sec-fetch-site")
    if site:
        return site not in ("same-origin", "none") and not (reading and headers.get(b"sec-fetch-mode") == "navigate")
    hosts = {headers.get(b"host"), headers.get(b"x-forwarded-host") if proxied else None}
    origin = headers.get(b"origin")
    return bool(origin) and not reading and _host(origin) not in hosts


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _limited(receive: Receive, first: Message | None, most: int) -> Receive:
    """Ends a body that grows beyond what it may, whatever it announced; what was read of it already comes first."""
    received, kept = 0, [first] if first else []

    async def limited() -> Message:
        nonlocal received
        message = kept.pop() if kept else await receive()
        received += len(message.get("body", b""))
        return {"type": "http.disconnect"} if received > most else message

    return limited


def _announced(scope: Scope) -> int:
    """Bytes that the request says it has."""
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0
