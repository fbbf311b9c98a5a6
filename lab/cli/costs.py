"""Counts and bytes of a spec, foretold: nothing is downloaded."""
from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.cli.commands import Commands
from lab.cli.printing import printed
from lab.forecast.forecaster import Forecaster
from lab.forecast.order import Order
from lab.supply import default_cache


def add(commands: Commands) -> None:
    commands.add("count", _count, "count trainable parameters; downloads nothing", data=True).add_argument("spec", type=Path, metavar="SPEC.json")
    memory = commands.add("memory", _memory, "foretell the memory of a training step, part by part; downloads nothing", data=True)
    memory.add_argument("spec", type=Path, metavar="SPEC.json", help="`device` in it may also be a GPU from `devices`, or a size such as 12 GB")
    memory.add_argument("--cache", type=Path, default=None, help="folder of earlier answers")


def _count(options: argparse.Namespace) -> int:
    return printed(Order.read(options.spec).spec.counts.to_dict(), options.json, lambda counts: (
        f"{name:10} {value:,}" for name, value in counts.items() if isinstance(value, int)))


def _memory(options: argparse.Namespace) -> int:
    """A process of its own traces the step; an answer that was given before needs none."""
    forecaster = Forecaster((options.cache or default_cache()) / "forecast")
    try:
        found = forecaster.memory(Order.read(options.spec))
    finally:
        forecaster.close()
    return printed(found, options.json, _parts)


def _parts(found: dict[str, Any]) -> Iterator[str]:
    yield f"peak       {found['peak_bytes'] / 1e9:,.3f} GB at the {found['peak_moment'].replace('_', ' ')}, on {found['device']}"
    for part, size in found["parts"].items():
        yield f"{part:12} {size / 1e9:10,.3f} GB"
    for moment in found["moments"]:
        yield f"{moment['name']:15} {moment['bytes'] / 1e9:7,.3f} GB"
    if found["reserved_bytes"]:
        reserved = f"reserved   {found['reserved_bytes'] / 1e9:,.3f} GB, at most {found['reserved_most_bytes'] / 1e9:,.3f} GB"
        yield f"{reserved}; {found['fits'].replace('_', ' ')}" if found["fits"] else reserved
    yield from found["assumptions"]
