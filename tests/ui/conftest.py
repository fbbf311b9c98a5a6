"""A lab of its own and a real Chromium for the browser tests; where there is none they are skipped, and in CI they fail instead."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from _serving import FLAGS, ROOT, answers, free_port, wait_for


@dataclass(frozen=True)
class Lab:
    """A running lab: its address, its program, and how long it took to answer."""

    url: str
    process: subprocess.Popen[str]
    data: Path
    seconds: float


def missing(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"browser tests cannot be skipped in CI: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """`python -m lab serve` on a free port, with an empty folder of runs and of weights: only seeded models are used."""
    with served(tmp_path_factory) as found:
        yield found


@contextmanager
def served(tmp_path_factory: pytest.TempPathFactory, **settings: str) -> Iterator[Lab]:
    """The same as a context, with settings of its host as variables of the environment."""
    data, port = tmp_path_factory.mktemp("lab"), free_port()
    environment = {**os.environ, "LAB_CACHE": str(tmp_path_factory.mktemp("cache")), **settings}
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "lab", "serve", "--port", str(port), "--data", str(data)], cwd=ROOT, env=environment,
                               text=True, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/"
    try:
        wait_for(lambda: answers(url), 240, "the lab does not answer")
        seconds = time.monotonic() - began
        wait_for(lambda: any((data / "workers").glob("*.ready")), 300, "no worker gets warm")
        yield Lab(url, process, data, seconds)
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed: pip install -r requirements-dev.txt")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        missing("there is no Chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def browser(chromium: Any) -> Any:
    """One browser window for the first visit of each test: what it has loaded and compiled is kept, what belongs to a visitor is not."""
    return chromium.new_context(accept_downloads=True)


@pytest.fixture
def visitor(chromium: Any, browser: Any, lab: Lab) -> Iterator[Callable[..., Any]]:
    """Opens a page in a browser of its own: `visitor("?run=…", width=390)`. Script errors and outside requests fail the test."""
    contexts, pages, trouble = [], [], []

    def another() -> Any:
        contexts.append(chromium.new_context(accept_downloads=True))
        return contexts[-1]

    def visit(path: str = "", *, width: int = 1440, height: int = 900, scheme: str = "light", context: Any = None) -> Any:
        page = (context or (another() if pages else browser)).new_page()
        pages.append(page)
        if context is None:
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # nothing is drawn sixty times a second
        page.set_default_timeout(60_000)  # a browser beside another one on two busy cores
        page.on("pageerror", lambda error: trouble.append(f"script error: {error}"))
        page.on("request", lambda request: None if request.url.startswith((lab.url, "data:", "blob:")) else trouble.append(f"outside request: {request.url}"))
        page.goto(lab.url + path)
        page.wait_for_selector(".bench")
        return page

    browser.new_cdp_session(blank := browser.new_page()).send("Storage.clearDataForOrigin", {"origin": lab.url.rstrip("/"), "storageTypes": "all"})
    blank.close()
    yield visit
    for context in contexts:
        context.close()
    for page in browser.pages:
        page.close()
    assert not trouble


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, an accessibility checker, fetched with npm for this session only."""
    if not shutil.which("npm"):
        pytest.skip("axe-core is fetched with npm, and there is no npm on this machine")
    folder = tmp_path_factory.mktemp("axe")
    fetched = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "axe-core@4"], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    script = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        pytest.skip(f"axe-core cannot be fetched: {fetched.stderr.strip()[-200:]}")
    return script.read_text(encoding="utf-8")
