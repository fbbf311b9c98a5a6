"""Separate random generators by purpose, so that two methods with one seed share data order, labels and head whatever else they draw."""
from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def seed_for(seed: int, purpose: str) -> int:
    """An independent 63-bit seed for `order`, `labels`, `head`, `adapter` or `dropout`."""
    return int.from_bytes(hashlib.sha256(f"{purpose}:{seed}".encode()).digest()[:8], "big") >> 1


def generator(seed: int, purpose: str) -> torch.Generator:
    return torch.Generator().manual_seed(seed_for(seed, purpose))


@contextmanager
def drawn_from(seed: int, purpose: str) -> Iterator[None]:
    """Inside, torch's global generators are those of the purpose; outside they are as before."""
    with torch.random.fork_rng():
        torch.manual_seed(seed_for(seed, purpose))
        yield
