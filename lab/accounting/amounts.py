"""Amounts of bytes as people read them: the one rule by which sentences, charts and tables round them."""
from __future__ import annotations

THIN = "\u202f"  # between a number and its unit


def size(amount: float) -> str:
    """Bytes with a decimal unit and three digits: 181 MB, 71.6 MB, 4.20 GB; −1.31 MB of a difference."""
    if amount < 0:
        return f"−{size(-amount)}"
    for unit, worth in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if amount >= worth * 0.9995:
            value = amount / worth
            return f"{value:.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f}{THIN}{unit}"
    return f"{amount:.0f}{THIN}bytes"
