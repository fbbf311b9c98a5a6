"""A wall clock that can be moved, for programs that find this folder on PYTHONPATH: the seconds in the file LAB_MOVED_CLOCK are added to it."""
from __future__ import annotations

import os
import time
from pathlib import Path

_true, _file, _known = time.time, Path(os.environ.get("LAB_MOVED_CLOCK", os.devnull)), [float("-inf"), 0.0]


def moved() -> float:
    """Seconds since the epoch, by the moved clock; the file is read ten times a second at most."""
    if time.monotonic() - _known[0] > 0.1:
        try:
            _known[:] = time.monotonic(), float(_file.read_text(encoding="ascii") or 0)
        except (OSError, ValueError):
            _known[:] = time.monotonic(), 0.0
    return _true() + _known[1]


time.time = moved
