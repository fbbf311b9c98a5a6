"""As much of ZeroGPU's scheduling service as the `spaces` package asks for: who may have a GPU for how long, which process uses it, when it is given back."""
from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Service:
    """`left` is the quota of seconds that is told when none is lent, None lends to everybody."""

    address: str = ""
    left: int | None = None
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def of(self, what: str) -> list[dict[str, str]]:
        return [given for name, given in self.asked if name == what]


class Handler(BaseHTTPRequestHandler):
    service: Service

    def do_POST(self) -> None:
        parts = urlsplit(self.path)
        name, given = parts.path.strip("/"), {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.service.asked.append((name, given))
        if name != "schedule":
            return self.answer({})
        if self.service.left is not None:
            return self.answer({"left": self.service.left, "wait": "PT1H"}, 429)
        number = len(self.service.of("schedule"))
        return self.answer({"idle": False, "nvidiaIndex": number, "nvidiaUUID": f"GPU-{number}", "allowToken": f"allow-{number}"})

    def answer(self, value: Any, status: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextmanager
def lending() -> Iterator[Service]:
    service = Service()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OwnHandler", (Handler,), {"service": service}))
    service.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
