"""What peft's tuners beside LoRA share: where they can be put, in words, and seeds for what they draw once and never train."""
from __future__ import annotations

from collections.abc import Iterable
from math import gcd

from lab.contracts import Base, Linear, Shape, Support, Worked
from lab.methods._targets import supported


def modules(shape: Shape, targets: tuple[str, ...]) -> list[str]:
    """Module paths of the chosen matrices, as peft's `target_modules` wants them."""
    return [linear.module for linear in shape.select(targets)]


def plain_linears(targets: tuple[str, ...], shape: Shape) -> Support:
    """For tuners that know no matrices that lie transposed, as GPT-2's do."""
    support = supported(targets, shape)
    if support.ok and any(linear.conv1d for linear in shape.select(targets)):
        return Support(False, f"a {shape.model_type} model keeps its matrices transposed, in Conv1D layers, and peft puts this method on Linear layers only; "
                       "lora, ia3 and vera work there, or choose another model such as smollm2-135m")
    return support


def divides(knob: str, size: int, linears: Iterable[Linear], *sides: str) -> Support:
    """Whether a size cuts the chosen sides (`inputs`, `outputs`) of all these matrices into equal parts."""
    sizes = [(getattr(linear, side), side, linear.role) for linear in linears for side in sides]
    for length, side, role in sizes:
        if length % size:
            return Support(False, f"{knob} is {size}: it must divide the {side} of every chosen matrix, and {role} has {length}; "
                           f"{largest_divisor(sizes_of(linears, *sides))} divides them all")
    return Support(True)


def sizes_of(linears: Iterable[Linear], *sides: str) -> set[int]:
    return {getattr(linear, side) for linear in linears for side in sides}


def largest_divisor(lengths: Iterable[int], most: int | None = None) -> int:
    """The largest number, at most `most`, that divides all lengths."""
    common = gcd(*lengths)
    return next(size for size in range(min(common, most or common), 0, -1) if common % size == 0)


def _draw(base: Base) -> int:
    import torch

    return int(torch.randint(2**31, ()))


# A seed for numbers that are drawn once and kept: it follows from the run's seed, from which torch's generator was set for `attach`.
# It lies in peft's config, so that whoever loads the adapter draws the same again.
DRAWN_SEED = Worked("int(torch.randint(2**31, ()))", _draw)
