"""As much of the Hub as a download asks for, on this machine: repositories of models and data sets, a server that can break half-way."""
from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

ROOT = Path(__file__).parents[1]
LARGE = (".safetensors", ".parquet", ".bin")  # files whose hash the Hub tells


@dataclass
class Repository:
    """Of a model or a data set, at one commit of one revision."""

    files: dict[str, bytes]
    revision: str = "main"
    commit: str = "c" * 40
    told: dict[str, str] = field(default_factory=dict)  # hashes that are told in place of the true ones

    def listing(self, name: str) -> bytes:
        return json.dumps({"id": name, "sha": self.commit, "siblings": [self.sibling(*file) for file in self.files.items()]}).encode()

    def sibling(self, name: str, content: bytes) -> dict[str, Any]:
        sha256 = self.told.get(name, hashlib.sha256(content).hexdigest())
        large = {"lfs": {"sha256": sha256, "size": len(content), "pointerSize": 100}}
        return {"rfilename": name, "size": len(content), **(large if name.endswith(LARGE) else {})}


class Handler(BaseHTTPRequestHandler):
    """`left` is how many bytes the server still gives before it breaks off, None for no end; `asked` is who asked for which file from where."""

    repositories: dict[str, Repository]
    asked: list[tuple[str, str]]
    left: int | None = None
    gate: threading.Event  # files are given once it is open

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        for name, repository in self.repositories.items():
            kind, repo = name.split("/", 1)
            about, files = f"/api/{name}", f"/{'datasets/' if kind == 'datasets' else ''}{repo}/resolve/{repository.commit}/"
            if path in (f"{about}/revision/{repository.revision}", f"{about}/revision/{repository.commit}"):
                return self.answer(repository.listing(repo))
            if path.startswith(files) and path.removeprefix(files) in repository.files:
                return self.send(path.removeprefix(files), repository.files[path.removeprefix(files)])
        return self.send_error(404)

    def answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def send(self, name: str, content: bytes) -> None:
        """A file, or the rest of it."""
        start = self.headers.get("Range", "")
        self.asked.append((name, start))
        self.gate.wait(60)
        begin = int(start.removeprefix("bytes=").rstrip("-") or 0)
        rest, given = content[begin:], len(content) if self.left is None else self.left
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(rest[:given])
        if self.left is not None:
            type(self).left, self.close_connection = max(0, given - len(rest)), True

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextmanager
def serving() -> Iterator[tuple[type[Handler], str]]:
    """The handler, to fill with repositories, and its address."""
    handler = type("OwnHandler", (Handler,), {"repositories": {}, "asked": [], "gate": threading.Event()})
    handler.gate.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield handler, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


PROGRAM = """
import sys
from pathlib import Path
from _archives import model_of
from lab import catalogue
from lab.contracts import LabError, Package
from lab.supply import Supply
asked = Supply(Path(sys.argv[1])).ASK
try:
    while True:
        event = next(asked)
        print(event.what, event.done_bytes, event.total_bytes, flush=True)
except StopIteration as end:
    print("READY", end.value.sha256, flush=True)
except LabError as error:
    print("REFUSED", error, flush=True)
"""


def start(cache: Path, ask: str, **settings: str) -> subprocess.Popen[str]:
    """`ask` a supply, in a program of its own: the Hub's client reads HF_ENDPOINT when it is imported."""
    environment = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")}
    environment |= {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", **settings}
    command = [sys.executable, "-c", PROGRAM.replace("ASK", ask), str(cache)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment)


def said(cache: Path, ask: str, **settings: str) -> str:
    return start(cache, ask, **settings).communicate(timeout=120)[0]


# ── to write to ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Account:
    """Whose token is taken, what was made under that name, and each request with its `authorization`. A Space is kept as `spaces/owner/name`."""

    name: str = "student"
    token: str = "hf_student"
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    public: set[str] = field(default_factory=set)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)
    trouble: int = 0  # the status that every request to write is answered with


class Writing(BaseHTTPRequestHandler):
    """As much of the Hub as an upload asks for: who one is, a new repository, which files are large, those by git-lfs, and a commit of the others."""

    account: Account
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.handled("GET")

    def do_POST(self) -> None:
        self.handled("POST")

    def do_PUT(self) -> None:
        self.handled("PUT")

    def handled(self, method: str) -> None:
        path, body = unquote(urlsplit(self.path).path), self.rfile.read(int(self.headers.get("Content-Length") or 0))
        own = self.account
        own.asked.append((method, path, self.headers.get("authorization", "")))
        if path.startswith("/objects/"):  # a place to put a large file, which needs no token of the Hub
            own.objects[path.removeprefix("/objects/")] = body
            return self.answer({})
        if self.headers.get("authorization") != f"Bearer {own.token}":
            return self.answer({"error": "Invalid username or password."}, 401)
        if own.trouble:
            return self.answer({"error": "no"}, own.trouble)
        if path == "/api/whoami-v2":
            return self.answer({"name": own.name, "type": "user", "orgs": []})
        if path == "/api/repos/create":
            return self.created(json.loads(body))
        if path == "/api/validate-yaml":  # the head of a card
            head = yaml.safe_load(json.loads(body)["content"].split("---\n")[1])
            return self.answer({"errors": [] if isinstance(head, dict) else [{"message": "no mapping"}], "warnings": []})
        known = sorted(own.repositories, key=len, reverse=True)  # a Space before a model of the same name
        repository = next((name for name in known if f"/{name}/" in f"{path}/" or f"/{name}." in path), None)
        if repository is None:
            return self.answer({"error": "Repository not found"}, 404)
        return self.written(path, repository, body)

    def created(self, asked: dict[str, Any]) -> None:
        kind = "spaces/" if asked.get("type") == "space" else ""
        name = f"{kind}{asked.get('organization') or self.account.name}/{asked['name']}"
        known = name in self.account.repositories
        if not known:
            self.account.repositories[name] = {}
            if not (asked.get("private") or asked.get("visibility") == "private"):
                self.account.public.add(name)
        said = {"error": "You already created this model repo"} if known else {}
        self.answer({"url": f"http://{self.headers['host']}/{name}", **said}, 409 if known else 200)

    def written(self, path: str, repository: str, body: bytes) -> None:
        own, files = self.account, self.account.repositories[repository]
        if path.endswith("/preupload/main"):
            modes = {each["path"]: "lfs" if each["path"].endswith(LARGE) else "regular" for each in json.loads(body)["files"]}
            return self.answer({"files": [{"path": name, "uploadMode": mode, "shouldIgnore": False, "oid": None} for name, mode in modes.items()]})
        if path.endswith("/info/lfs/objects/batch"):
            wanted = json.loads(body)["objects"]
            return self.answer({"transfer": "basic", "objects": [{**each, "actions": {"upload": {"href": f"http://{self.headers['host']}/objects/{each['oid']}"}}}
                                                                 for each in wanted]})
        if path.endswith("/commit/main"):
            for line in map(json.loads, body.decode().splitlines()):
                if line["key"] == "file":
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                elif line["key"] == "lfsFile":
                    files[line["value"]["path"]] = own.objects[line["value"]["oid"]]
                elif line["key"] == "deletedFile":
                    del files[line["value"]["path"]]
            return self.answer({"commitUrl": f"http://{self.headers['host']}/{repository}/commit/{'c' * 40}", "commitOid": "c" * 40, "success": True})
        about = f"/api/{repository}" if repository.startswith("spaces/") else f"/api/models/{repository}"
        if path == about or path.startswith(f"{about}/revision"):
            listed = [{"rfilename": name} for name in files]
            return self.answer({"id": repository.removeprefix("spaces/"), "private": repository not in own.public, "sha": "c" * 40, "siblings": listed})
        if path.startswith(f"{about}/tree/main"):
            return self.answer([{"type": "file", "path": name, "size": len(content), "oid": "0" * 40} for name, content in files.items()])
        return self.answer({"error": f"not known here: {path}"}, 404)

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
def writing() -> Iterator[tuple[Account, str]]:
    """An account, and the address of a Hub that knows it."""
    account = Account()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OwnWriting", (Writing,), {"account": account}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield account, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
