"""The knob `targets`: which linear layers a method works on, as roles, groups of roles or module-name suffixes."""
from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from lab.contracts import LabError, Shape, Support, shorten


def _as_tuple(value: Any) -> tuple[str, ...]:
    """Accept "attention", ["query", "value"] or a tuple; refuse anything else by name."""
    parts = (value,) if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not parts or not all(isinstance(part, str) and 0 < len(part) <= 100 for part in parts):
        raise ValueError(f"targets is {shorten(value)}: give a list of roles such as query and value, or attention, ffn, all")
    if len(parts) > 32:
        raise ValueError(f"targets has {len(parts)} entries: at most 32")
    return tuple(dict.fromkeys(parts))


Targets = Annotated[tuple[str, ...], BeforeValidator(_as_tuple), Field(json_schema_extra={"choices": "targets"})]


def supported(targets: tuple[str, ...], shape: Shape) -> Support:
    """Whether every target names something in this model."""
    try:
        shape.select(targets)
    except LabError as error:
        return Support(False, str(error))
    return Support(True)
