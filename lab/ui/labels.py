"""What stands in a chart: names that are short and yet all different, and round numbers on an axis."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import ceil, floor, log10

SHORT = 22  # letters of a name beside a mark or a line
CUT = " … "
STEPS = (1, 2, 5, 10)
CLOCK = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18000, 36000)  # seconds
FINER = 4  # times a step is made longer where two of its numbers would be written alike


def short(name: str, most: int = SHORT) -> str:
    """Cut in the middle, since names of a series differ at their ends: Full … 0.00001"""
    if len(name) <= most:
        return name
    words = name.split()
    last = words[-1] if len(words) > 1 and len(words[-1]) <= most // 2 else ""
    head, room = "", most - len(last) - len(CUT)
    for word in words[:-1] if last else ():
        if len(f"{head} {word}".strip()) > room:
            break
        head = f"{head} {word}".strip()
        if word.endswith(","):
            break
    if head:
        return f"{head.rstrip(',:;')}{CUT}{last}"
    end = last or name[len(name) - most // 3:]
    return f"{name[:most - len(end) - 1].rstrip()}…{end.lstrip()}"


def shorts(names: Iterable[str], most: int = SHORT) -> dict[str, str]:
    """Each name as it stands beside the others: no two are alike, so where they would be more of them is left."""
    every = list(dict.fromkeys(names))
    found = {name: short(name, most) for name in every}
    while most < max(map(len, every), default=0):
        most += 2
        alike = {label for label in found.values() if list(found.values()).count(label) > 1}
        found = {name: short(name, most) if label in alike else label for name, label in found.items()}
    return found


def round_numbers(low: float, high: float, said: Callable[[float], str] = str, clock: bool = False) -> list[float]:
    """About four between two ends, in steps of 1, 2 or 5 times a power of ten, or of whole minutes and hours where `clock`; none is written as another."""
    step = (high - low) / 4
    for _ in range(FINER):
        step = _step(step, clock)
        found = [place * step for place in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]
        if len({said(each) for each in found}) == len(found):
            break
        step *= 1.01
    return found


def _step(least: float, clock: bool) -> float:
    if clock and 1 < least <= CLOCK[-1]:
        return float(next(each for each in CLOCK if each >= least))
    power = 10.0 ** floor(log10(least))
    return next(each * power for each in STEPS if each * power >= least * (1 - 1e-9))


def powers(low: float, high: float) -> list[float]:
    """Round numbers of a logarithmic axis: powers of ten, and between them 2 and 5 where there are fewer than three."""
    first, last = floor(log10(low)), ceil(log10(high))
    for each in ((1,), (1, 2, 5)):
        found = [part * 10.0**power for power in range(first, last + 1) for part in each if low <= part * 10.0**power <= high]
        if len(found) > 2:
            break
    return found


def apart(values: Sequence[float], ratio: float) -> int:
    """How many values can be told apart in a chart: neighbours within this ratio are one."""
    count, last = 0, None
    for value in sorted(values):
        if last is None or value > ratio * last:
            count, last = count + 1, value
    return count
