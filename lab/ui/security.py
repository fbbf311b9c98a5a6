"""What guards every answer of the page: it may talk to its own server only, be framed only by a Space's page, and be sent no more than it can need."""
from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

# Gradio starts with an inline script and compiles our loaders from strings: 'unsafe-inline' and 'unsafe-eval' cannot be avoided with it.
# What they could be abused for is cut off elsewhere: no outside address may be contacted, and no text of a person becomes HTML.
POLICY = "; ".join((
    "default-src 'self'", "script-src 'self' 'unsafe-inline' 'unsafe-eval'", "style-src 'self' 'unsafe-inline'", "img-src 'self' data: blob:",
    "font-src 'self' data:", "connect-src 'self'", "worker-src 'self' blob:", "object-src 'none'", "base-uri 'self'", "form-action 'self'",
    "frame-ancestors 'self' https://huggingface.co",
))
LARGEST_BODY_BYTES = 3_000_000  # an uploaded file may have 2 MB, a question to the page a few kilobytes
HEADERS = {
    "content-security-policy": POLICY, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), microphone=(), geolocation=()", "cross-origin-opener-policy": "same-origin",
}
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Guard:
    """ASGI middleware; streams pass through it unbuffered."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        received = 0

        async def limited() -> MutableMapping[str, Any]:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return {"type": "http.disconnect"} if received > LARGEST_BODY_BYTES else message

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *((name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in names)]
            await send(message)

        if _announced(scope) > LARGEST_BODY_BYTES:
            await guarded({"type": "http.response.start", "status": 413, "headers": []})
            return await send({"type": "http.response.body", "body": b"too large"})
        return await self.app(scope, limited, guarded)


def _announced(scope: Scope) -> int:
    """Bytes that the request says it has."""
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0
