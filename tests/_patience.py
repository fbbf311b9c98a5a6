"""How long something may take: what is asked of it, and five times that where other tests share the machine."""
from __future__ import annotations

import os

SLACK = 5 if "PYTEST_XDIST_WORKER" in os.environ else 1


def within(seconds: float) -> float:
    return SLACK * seconds
