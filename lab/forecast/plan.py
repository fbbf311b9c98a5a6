"""How few blocks are enough: the depths at which a model is recorded, so that all others follow."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.accounting.shapes import shape_of
from lab.contracts import LabError, Method, Shape

LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_decoder_layers")  # what configs call their number of blocks
PER_LAYER = ("layer_types", "max_window_layers", "no_rope_layers")  # lists and limits that go by a block's number
MOST_BLOCKS = 48  # recorded one by one where no block is like its neighbour


@dataclass(frozen=True)
class Plan:
    """`short` is the depth of each stack in the recorded model; `fewer` the stacks that need a second recording with one block less."""

    depths: tuple[int, ...]
    short: tuple[int, ...]
    tail: int  # blocks at the end of each stack that stand for themselves
    fewer: tuple[int, ...]

    def without_one(self, stack: int) -> tuple[int, ...]:
        return tuple(depth - (place == stack) for place, depth in enumerate(self.short))


def plan(method: Method, config: Mapping[str, Any]) -> Plan:
    """Where all blocks but the first and the last few are alike, three and one less; where they are not, all of them."""
    shape = shape_of(config)
    stacks = _alike(method, shape)
    whole = tuple(len(stack) for stack in stacks)
    least = max(max(1, len(stack) - _run(stack)) for stack in stacks)
    for tail in (least, least + 1):  # a method may not want as few as two
        short = tuple(min(len(stack), 2 + tail) for stack in stacks)
        found = Plan(whole, short, tail, tuple(stack for stack, (few, all_of_it) in enumerate(zip(short, whole, strict=True)) if few < all_of_it))
        if sum(short) <= MOST_BLOCKS and all(_stands_for(method, config, depths, tail, stacks) for depths in (short, *map(found.without_one, found.fewer))):
            return found
    if sum(whole) > MOST_BLOCKS:
        raise LabError(f"{method.title} treats the {shape.layers} blocks of this model differently, and at most {MOST_BLOCKS} can be traced one by one")
    return Plan(whole, whole, least, ())


def _stands_for(method: Method, config: Mapping[str, Any], depths: tuple[int, ...], tail: int, stacks: list[list[Any]]) -> bool:
    """Whether the method does to the blocks of a model of these depths what it does to the first and the last ones of the whole."""
    if depths == tuple(map(len, stacks)):
        return True
    shape = shape_of(with_depths(config, depths))
    if not method.supports(shape).ok:
        return False
    return all(few == [*many[:max(0, len(few) - tail)], *many[-min(tail, len(few)):]] for few, many in zip(_alike(method, shape), stacks, strict=True))


def _alike(method: Method, shape: Shape) -> list[list[Any]]:
    """For each block of each stack, what is trained in it: blocks with equal entries are alike."""
    trained: dict[int | None, list[Any]] = {}
    for place in method.places(shape):
        if place.role != "position":  # T5's first block has a table that the others use
            trained.setdefault(place.layer, []).append((place.role, *(sizes for _, sizes in place.tensors)))
    per_block = [trained.get(layer, []) for layer in range(shape.layers)]
    cut = shape.encoder_layers
    return [per_block[:cut], per_block[cut:]] if cut else [per_block]


def _run(stack: list[Any]) -> int:
    """Where the blocks that are like the second one end."""
    return next((place for place in range(2, len(stack)) if stack[place] != stack[1]), len(stack))


def with_depths(config: Mapping[str, Any], depths: tuple[int, ...]) -> dict[str, Any]:
    """The same model with other numbers of blocks."""
    changed = {key: value for key, value in config.items() if key not in PER_LAYER}
    for key in LAYERS:
        if config.get(key) is not None:
            changed[key] = depths[0]
    if len(depths) > 1:
        changed["num_decoder_layers"] = depths[1]
    return changed
