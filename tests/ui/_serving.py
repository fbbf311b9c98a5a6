"""What is needed to start a lab as a program and wait for it."""
from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
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
