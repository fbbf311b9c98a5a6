"""What is needed to start a lab as a program, to wait for it, and to have its page checked."""
from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from tests._breadth import WHOLE

ROOT = Path(__file__).parent.parent.parent
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync",
         "--disable-features=PreloadTopChromeWebUI,WebUITabStrip", "--disable-extensions", "--mute-audio"]  # of Chromium


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except (URLError, OSError):
        return False


def wait_for(happened: Callable[[], bool], seconds: float, trouble: str) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, trouble
        time.sleep(0.05)


WIDTHS = (320, 390, 768, 1024, 1440)


def widths(page: Any, *pixels: int) -> Iterator[int]:
    """Makes the window as wide as each of these in turn; fails where something sticks out of it."""
    for width in pixels:
        page.set_viewport_size({"width": width, "height": 844})
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        yield width


LOOKS = ((1440, "light"), (390, "dark"))
ALL_LOOKS = tuple(itertools.product((1440, 390), ("light", "dark")))


def findings(page: Any, axe: str, where: str, part: str = "body") -> list[str]:
    """What the accessibility checker finds serious or critical in a part of the page, wide and light, narrow and dark (with LAB_WHOLE all four), each with
    the elements concerned."""
    page.evaluate(axe)
    found = []
    for width, scheme in ALL_LOOKS if WHOLE else LOOKS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(300)
        result = page.evaluate("part => axe.run(part === 'body' ? document : document.querySelector(part), {resultTypes: ['violations']})", part)
        serious = [each for each in result["violations"] if each["impact"] in ("serious", "critical")]
        found += [f"{where}, {width} pixels, {scheme}: {each['id']} {[node['target'] for node in each['nodes']][:4]}" for each in serious]
    return found
