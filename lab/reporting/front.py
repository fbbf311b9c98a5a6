"""The front of two measures: the arms that no other beats in both."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from lab.reporting.measures import Measure, shaken, spread
from lab.ui.labels import apart

Point = tuple[str, tuple[float, float, float], tuple[float, float, float]]  # an arm's name; value, below and above of each measure


COSTS = ("trainable", "train_items", "peak_bytes", "train_seconds")  # what a score may cost, the steadiest first
APART = 1.05  # a smaller ratio between the largest and the smallest is none to draw


def cost_of(arms: Sequence[Mapping[str, Any]], chosen: Sequence[Measure]) -> Measure | None:
    """The steadiest cost that tells two of three arms apart, else the one that tells most, of those that none of them owes to the machine's load; None where
    they all cost the same."""
    by_key = {each.key: each for each in chosen}
    steady = [by_key[key] for key in COSTS if not any(shaken(by_key[key], arm) for arm in arms)]
    best = max(steady, key=lambda measure: min(spreads(measure, arms), ceil(2 * len(arms) / 3)), default=None)
    return best if best is not None and spreads(best, arms) > 1 else None


def spreads(measure: Measure, arms: Sequence[Mapping[str, Any]]) -> int:
    """How many places of its axis arms stand at."""
    return apart([value for arm in arms if (value := measure.of(arm)) is not None], APART)


def placed(arms: Sequence[Mapping[str, Any]], x: Measure, y: Measure) -> tuple[list[Point], list[str]]:
    """The arms that have both; and those of them that no front is made of, since a time cannot be told from the machine's load."""
    points = [(arm["name"], over, up) for arm in arms if (over := spread(x, arm)) is not None and (up := spread(y, arm)) is not None]
    return points, [arm["name"] for arm in arms if any(arm["name"] == point[0] for point in points) and (shaken(x, arm) or shaken(y, arm))]


def front(points: Sequence[Point], x: Measure, y: Measure) -> list[Point]:
    """Those that no other is at least as good as in both and better in one, by x."""
    def ahead(one: Point, other: Point) -> bool:
        gaps = [measure.better * (one[place][0] - other[place][0]) for place, measure in ((1, x), (2, y))]
        return min(gaps) >= 0 and max(gaps) > 0

    return sorted((point for point in points if not any(ahead(other, point) for other in points)), key=lambda point: (point[1][0], point[2][0]))
