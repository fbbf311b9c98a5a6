"""How the arms of a comparison are drawn: the same colour, line and marker in every chart of the page and in a report."""
from __future__ import annotations

from collections.abc import Sequence

from lab.spec import RunSpec
from lab.ui import charts
from lab.ui.charts import COLOURS

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
FEW_DASHES = 3  # of one colour, before an arm that is not the first of its method takes a neighbouring one


def looks(specs: Sequence[RunSpec | None]) -> list[dict[str, str]]:
    """A colour, a line and a marker for each arm. The first arm of a method has the method's own colour and marker, as in every other chart; a second one
    has them too, with another line, and where lines run out a neighbouring colour; where all arms are of one method, each has a colour. No two arms have the
    same colour and line."""
    keys = [spec.method.key if spec else "" for spec in specs]
    first = [place for place, key in enumerate(keys) if key not in keys[:place]]
    ways: dict[int, tuple[str, str]] = {}
    for place in (*first, *(place for place in range(len(specs)) if place not in first)):  # a method's own colour is nobody's neighbour
        own = charts.colour(keys[place]) if keys[place] else charts.GREY
        near = COLOURS[COLOURS.index(own) + 1:] + COLOURS[:COLOURS.index(own)] if own in COLOURS else COLOURS
        few = [(own, dash) for dash in (DASHES if place in first else DASHES[:FEW_DASHES] if len(first) > 1 else DASHES[:1])]
        free = (way for way in (*few, *((colour, dash) for dash in DASHES for colour in (own, *near))) if way not in ways.values())
        ways[place] = next(free, few[0])
    return [{"colour": ways[place][0], "dash": ways[place][1], "symbol": charts.marker(key) if key else charts.MARKERS[0]} for place, key in enumerate(keys)]
