"""What a method trains in a model: roles down, blocks across, and what lies outside the blocks."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.accounting.counts import by_layer
from lab.contracts import Shape, listing
from lab.spec import RunSpec
from lab.ui.formula import ROLE_WORDS, layers_said
from lab.ui.wording import percent, whole

FAINTEST = 0.15  # of the full colour: few numbers are still seen


def trains(spec: RunSpec) -> dict[str, Any]:
    """{"blocks", "rows": [{"name", "each", "all", "cells": 0…1, "texts"}], "outside", "sums", "about"}"""
    counts, found = spec.counts, by_layer(spec.method, spec.shape)
    outside, blocks = found.pop(None, {}), [found.get(layer, {}) for layer in range(spec.shape.layers)]
    roles = list(dict.fromkeys(role for block in blocks for role in block))
    most = max((count for block in blocks for count in block.values()), default=0)
    around = [(ROLE_WORDS.get(role, role), count) for role, count in outside.items()] + ([("new head", counts.head)] if counts.head else [])
    return {
        "blocks": spec.shape.layers, "rows": [_row(role, [block.get(role, 0) for block in blocks], most) for role in roles],
        "outside": [{"name": name, "text": whole(count)} for name, count in around], "about": _about(spec, found, sum(outside.values())),
        "sums": [["method", whole(counts.method)], ["new head", whole(counts.head)], ["frozen", whole(counts.frozen)], ["in all", whole(counts.total)]],
    }


def _row(role: str, counts: list[int], most: int) -> dict[str, Any]:
    return {"name": ROLE_WORDS.get(role, role), "each": whole(max(counts)), "all": whole(sum(counts)), "texts": [whole(count) for count in counts],
            "cells": [round(max(FAINTEST, count / most), 3) if count else 0 for count in counts]}


def _about(spec: RunSpec, blocks: Mapping[int, Mapping[str, int]], outside: int) -> str:
    counts = spec.counts
    if not counts.trainable:
        return f"Nothing is trained; all {whole(counts.total)} parameters stay as they are."
    whole_of_it = f"{whole(counts.trainable)} of {whole(counts.total)} parameters are trained, {percent(counts.trainable / counts.total)}"
    parts = [_inside(blocks, spec.shape)] if blocks else []
    parts += [f"{whole(outside)} outside the blocks"] if outside else []
    parts += [f"{whole(counts.head)} in a new head"] if counts.head else []
    return f"{whole_of_it}: {listing(parts)}."


def _inside(blocks: Mapping[int, Mapping[str, int]], shape: Shape) -> str:
    sums = [sum(block.values()) for block in blocks.values()]
    where = layers_said(sorted(blocks), shape.layers).replace("layers", "blocks")
    return f"{whole(sums[0])} in each of {where.removeprefix('all ')}" if len(set(sums)) == 1 and len(sums) > 1 else f"{whole(sum(sums))} in {where}"
