"""What is needed to start a lab as a program, to wait for it, and to have its page checked."""
from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).parent.parent.parent


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


def findings(page: Any, axe: str, where: str, part: str = "body") -> list[str]:
    """What the accessibility checker finds serious or critical in a part of the page, each with the elements concerned."""
    page.wait_for_timeout(300)
    page.evaluate(axe)
    result = page.evaluate("part => axe.run(part === 'body' ? document : document.querySelector(part), {resultTypes: ['violations']})", part)
    serious = [each for each in result["violations"] if each["impact"] in ("serious", "critical")]
    return [f"{where}: {each['id']} {[node['target'] for node in each['nodes']][:4]}" for each in serious]
