"""The number formats of a comparison, said before it starts where they are several, with what that spoils. Left open, all arms get what is faster here."""
from __future__ import annotations

from collections.abc import Sequence

from lab.compare.says import listed, named
from lab.ui.bench import Bench
from lab.ui.compare.parts import Part

OPEN = "auto"  # what this machine finds faster: known when a run begins


def told(bench: Bench, found: Sequence[Part]) -> list[str]:
    """Nothing where no run is left to make, or where all are of one format without further ado."""
    if all(part.ended for part in found):
        return []
    kinds: dict[str, list[str]] = {}
    for part in found:
        kinds.setdefault(part.arm, []).append(_kind(bench, part))
    if len({kind for each in kinds.values() for kind in each} - {OPEN}) > 1:
        each = "; ".join(f"{named(arm)}: {listed(list(dict.fromkeys(seen)))}" for arm, seen in kinds.items())
        return [f"the arms compute in different number formats ({each}): scores may differ a little by that, and neither memory nor times compare"]
    return []


def _kind(bench: Bench, part: Part) -> str:
    """Of a run that is there as it was, else as it will be made."""
    if part.result.started:
        return part.result.started.dtype
    return bench.paces.dtype(part.alike or part.spec)
