"""Separate random generators by purpose, so that two methods with one seed share data order, labels and head whatever else they draw."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lab.seeds import seed_for


def generator(seed: int, purpose: str) -> torch.Generator:
    return torch.Generator().manual_seed(seed_for(seed, purpose))


@contextmanager
def drawn_from(seed: int, purpose: str) -> Iterator[None]:
    """Inside, torch's global generators are those of the purpose; outside they are as before."""
    with torch.random.fork_rng():
        torch.manual_seed(seed_for(seed, purpose))
        yield
