"""A lab as a program of its own, and a browser to look at its page with."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.ui._serving import FLAGS, ROOT, answers, free_port, wait_for


@contextmanager
def looked_at(**environment: str) -> Iterator[tuple[Any, str]]:
    """(browser, address) once a worker is warm."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = [sys.executable, "-m", "lab", "serve", "--port", str(port), "--data", folder]
        lab = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}/"
            wait_for(lambda: answers(url), 240, "the lab does not answer")
            wait_for(lambda: any((Path(folder) / "workers").glob("*.ready")), 300, "no worker gets warm")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
                yield browser, url
                browser.close()
        finally:
            lab.terminate()
            lab.wait(60)
