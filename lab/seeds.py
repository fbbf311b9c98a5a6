"""A seed for each purpose, so that two methods with one seed share data order, labels and head whatever else they draw."""
from __future__ import annotations

import hashlib


def seed_for(seed: int, purpose: str) -> int:
    """An independent 63-bit seed for `order`, `labels`, `head`, `adapter` or `dropout`."""
    return int.from_bytes(hashlib.sha256(f"{purpose}:{seed}".encode()).digest()[:8], "big") >> 1
