"""How threads of one tensor operation wait for each other: to be set before torch is loaded.

They spin for a moment, then sleep. On 2 cores, in one run side by side: a SmolLM2 step (LoRA, 8 texts) took 0.54 s so, 0.68 s with
OpenMP's own choice (spin long) and 0.88 s with none (sleep at once); with two busy programs beside it a run of the seeded BERT
took 0.17 s so, over 10 s with OpenMP's own choice, and 0.2 s with none.
"""
from __future__ import annotations

import os
from collections.abc import MutableMapping

SPINS = "10000"


def allowed_cores() -> int:
    """Cores that the system lets this process run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spin_briefly(environment: MutableMapping[str, str]) -> None:
    """Set it where nobody chose otherwise; read by GNU OpenMP, which torch uses on Linux, ignored elsewhere."""
    environment.setdefault("GOMP_SPINCOUNT", SPINS)
