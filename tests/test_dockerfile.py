"""The Docker file: linted, and held against the lab it packs. It is not built here."""
from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from lab import hosting
from lab.cli import _parser
from lab.store import Store
from lab.ui.bench import Bench
from lab.ui.classroom import capacity

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def lines() -> list[tuple[str, str]]:
    """(instruction, the rest) with continued lines joined."""
    text = re.sub(r"\\\n\s*", "", "\n".join(line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")))
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def test_hadolint_has_nothing_to_say() -> None:
    found = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if not found:
        pytest.skip("hadolint is not installed: it comes with requirements-dev.txt")
    done = subprocess.run([found, "--no-color", str(ROOT / "Dockerfile")], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_copied_exists_and_is_what_a_space_gets_too(lines: list[tuple[str, str]]) -> None:
    copied = {name for instruction, rest in lines if instruction == "COPY" for name in rest.split()[:-1]}
    assert copied == {*hosting.FOLDERS, *hosting.FILES, hosting.REQUIREMENTS} and all((ROOT / name).exists() for name in copied)
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert allowed == copied


def test_it_starts_the_lab_by_its_own_command_line_as_nobody_special(lines: list[tuple[str, str]]) -> None:
    said = dict(lines)
    program, *arguments = json.loads(said["ENTRYPOINT"])[1:]
    options = _parser().parse_args(["serve", *arguments])
    assert program == "app.py" and (options.host, options.port) == ("0.0.0.0", 7860) and said["EXPOSE"] == "7860"
    names = [instruction for instruction, _ in lines]
    assert said["USER"] == "1000:1000" and names.index("USER") < names.index("ENTRYPOINT") and "STOPSIGNAL" in names
    folders = dict(part.split("=", 1) for instruction, rest in lines if instruction == "ENV" for part in rest.split())
    assert folders["LAB_DATA"] == "/data/lab" and folders["LAB_CACHE"].startswith("/data/") and said["VOLUME"] == "/data"
    assert said["FROM"].startswith("python:3.11-")


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False), (404, False)])
def test_the_container_is_healthy_where_the_lab_says_so(lines: list[tuple[str, str]], tmp_path: Path, status: int, healthy: bool) -> None:
    """Its own command, asked of a lab that answers so."""
    paths: list[str] = []

    class Told(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    said = dict(lines)["HEALTHCHECK"]
    command = json.loads(said.partition("CMD ")[2])
    assert command[0] == "python" and f":{dict(lines)['EXPOSE']}/" in command[2]
    with HTTPServer(("127.0.0.1", 0), Told) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        code = command[2].replace(":7860/", f":{server.server_port}/")
        done = subprocess.run([sys.executable, *command[1:-1], code], capture_output=True, timeout=60, check=False)
        server.shutdown()
    assert (done.returncode == 0) == healthy
    with Store(tmp_path) as store:
        assert paths == [next(route.path for route in capacity.routes(Bench(store)) if route.path.endswith("healthz"))]
