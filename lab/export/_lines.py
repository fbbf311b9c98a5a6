"""A script as lines: what it may be long and wide, how a call is broken, and the value that goes out."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.contracts import Worked
from lab.export import _marks
from lab.methods._starts import quoted

LONGEST = 40  # lines
WIDEST = 120  # characters of a line


@dataclass(frozen=True)
class Script:
    """`marked` is the source with marks on what speaks of a part of the model."""

    marked: str

    @property
    def text(self) -> str:
        return _marks.plain(self.marked) + "\n"

    @property
    def lines(self) -> int:
        return self.marked.count("\n") + 1

    def spans(self) -> list[list[_marks.Span]]:
        """For each line [text, kind of token, roles of the parts it speaks of]."""
        return _marks.spans(self.marked)


@dataclass
class Lines:
    """Lines, some of which stand only where there is room: the lower the rank the sooner."""

    found: list[tuple[str, int]] = field(default_factory=list)

    def add(self, *lines: str, rank: int = 0) -> None:
        self.found += [(line, rank) for line in lines]

    def gap(self, rank: int) -> None:
        self.add("", rank=rank)

    def joined(self) -> str:
        needed = sum(rank == 0 for _, rank in self.found)
        spare = sorted(rank for _, rank in self.found if rank)[:max(0, LONGEST - needed)]
        most = spare[-1] if spare else 0
        return "\n".join(line for line, rank in self.found if rank <= most)


def source(value: Any) -> str:
    """As Python; a float that is a whole number without its point."""
    if isinstance(value, Worked):
        return value.text
    if isinstance(value, str):
        return quoted(value)
    return repr(int(value)) if isinstance(value, float) and value.is_integer() else repr(value)


def call(opening: str, arguments: Sequence[str], closing: str) -> list[str]:
    """In one line where it fits, else with the arguments below, filled up to the widest line."""
    whole = f"{opening}{', '.join(arguments)}{closing}"
    if len(_marks.plain(whole)) <= WIDEST:
        return [whole]
    indent = " " * (len(opening) - len(opening.lstrip()) + 4)
    rows = [indent]
    for place, argument in enumerate(arguments):
        piece = argument + (closing if place == len(arguments) - 1 else ",")
        if rows[-1] != indent and len(_marks.plain(f"{rows[-1]} {piece}")) > WIDEST:
            rows.append(indent + piece)
        else:
            rows[-1] += piece if rows[-1] == indent else f" {piece}"
    return [opening, *rows]
