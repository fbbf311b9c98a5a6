"""What is the same for every visitor, made and compressed once a minute instead of once a visit: the page itself, scripts, styles and fonts.

Gradio copies its whole description of the page for each visitor and compresses each script again for each; a class that opens the lab at the same
moment would wait for both.
"""
from __future__ import annotations

import asyncio
import gzip
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import brotli

from lab.ui.security import Message, Receive, Scope, Send

PAGES = ("/", "/config")  # they hold the address under which the lab was asked for
FILES = ("/assets/", "/static/", "/lab-assets/", "/lesson-figures/", "/theme.css", "/glossary.json", "/translation.json")
SECONDS = 60.0  # a changed file is seen after this
MOST, MOST_BYTES = 600, 60_000_000  # kept answers, and their sum
SMALLEST_BYTES = 400  # that are worth compressing
PACKED = ("font/woff2", "image/png", "image/jpeg", "image/webp")
ADDRESS = (b"host", b"x-forwarded-host", b"x-forwarded-proto", b"x-gradio-server")  # what Gradio makes the page's address of
PERSONAL = (b"authorization", b"range", b"if-none-match", b"if-modified-since")  # an answer to these is for one visitor


@dataclass(frozen=True)
class Kept:
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    until: float

    @property
    def messages(self) -> list[Message]:
        return [{"type": "http.response.start", "status": 200, "headers": list(self.headers)}, {"type": "http.response.body", "body": self.body}]


class Once:
    """ASGI middleware. Visitors who ask for the same at the same time wait for one answer."""

    def __init__(self, app: Callable[..., Awaitable[None]], clock: Callable[[], float] = time.monotonic) -> None:
        self.app, self.clock = app, clock
        self._kept: OrderedDict[tuple[Any, ...], Kept] = OrderedDict()
        self._bytes = 0
        self._making: WeakValueDictionary[tuple[Any, ...], asyncio.Lock] = WeakValueDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = same_for_all(scope)
        if key is None:
            await self.app(scope, receive, send)
            return
        lock = self._making.setdefault(key, asyncio.Lock())
        async with lock:
            found = self._found(key)
            said = [] if found else await _answer(self.app, scope, receive)
            if said and (found := await asyncio.to_thread(_kept, said, key[-1], self.clock() + SECONDS)):
                self._keep(key, found)
        for message in found.messages if found else said:
            await send(message)

    def _found(self, key: tuple[Any, ...]) -> Kept | None:
        found = self._kept.get(key)
        if found is None or found.until < self.clock():
            return None
        self._kept.move_to_end(key)
        return found

    def _keep(self, key: tuple[Any, ...], found: Kept) -> None:
        self._drop(key)
        self._kept[key] = found
        self._bytes += len(found.body)
        while len(self._kept) > MOST or self._bytes > MOST_BYTES:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: tuple[Any, ...]) -> None:
        if (old := self._kept.pop(key, None)) is not None:
            self._bytes -= len(old.body)


def same_for_all(scope: Scope) -> tuple[Any, ...] | None:
    """Under what the answer is kept; None where it is for this visitor alone."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return None
    path, headers = scope["path"].removeprefix(scope.get("root_path", "")), dict(scope["headers"])
    page = path in PAGES
    if not (page or path.startswith(FILES)) or any(name in headers for name in PERSONAL) or b"deep_link" in scope["query_string"]:
        return None
    accepted = headers.get(b"accept-encoding", b"")
    packing = next((each for each in (b"br", b"gzip") if each in accepted), b"")
    address = (scope.get("scheme"), scope.get("root_path"), *(headers.get(name) for name in ADDRESS)) if page else ()
    return (path, *address, packing)


async def _answer(app: Callable[..., Awaitable[None]], scope: Scope, receive: Receive) -> list[Message]:
    """All that the lab says to it, without compression: that is done here."""
    said: list[Message] = []

    async def listen(message: Message) -> None:
        said.append(message)

    plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
    await app({**scope, "headers": plain}, receive, listen)
    return said


def _kept(said: list[Message], packing: bytes, until: float) -> Kept | None:
    """None for what is no whole answer, and for one that sets a cookie: that is somebody's own."""
    start, parts = said[0], said[1:]
    headers = [(name.lower(), value) for name, value in start.get("headers", ())]
    names = dict(headers)
    if start["status"] != 200 or b"set-cookie" in names or b"content-encoding" in names or any(part["type"] != "http.response.body" for part in parts):
        return None
    body = b"".join(part.get("body", b"") for part in parts)
    kind = names.get(b"content-type", b"").split(b";")[0].decode("latin-1")
    headers = [(name, value) for name, value in headers if name not in (b"content-length", b"vary")]
    if packing and len(body) >= SMALLEST_BYTES and kind not in PACKED:
        body = brotli.compress(body, quality=5) if packing == b"br" else gzip.compress(body, 6)
        headers.append((b"content-encoding", packing))
    return Kept((*headers, (b"content-length", str(len(body)).encode()), (b"vary", b"Accept-Encoding")), body, until)
