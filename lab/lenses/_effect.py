"""What vectors do in the place of a soft prompt: the evaluation items asked again with others there, or with none."""
from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional

from lab.lens import Progress, Scored, Specimen
from lab.lenses import _prompt

HOOKS = ("_forward_pre_hooks", "_forward_hooks")


def asked(specimen: Specimen, variants: Sequence[torch.Tensor | None], items: int) -> Generator[Progress, None, list[Scored]]:
    """What the model answers with each of these (n, width) in front of the texts; None for no prompt at all."""
    found = []
    for place, given in enumerate(variants):
        asking = _without(specimen, items) if given is None else _with(specimen, given, items)
        while True:
            try:
                yield place * items + next(asking), len(variants) * items
            except StopIteration as end:
                found.append(end.value)
                break
    return found


def losses(specimen: Specimen, scored: Scored) -> torch.Tensor | None:
    """(items,) loss of each item, in their order; None where answers are written."""
    if scored.logits is None:
        return None
    labels = torch.tensor([row.label for row in specimen.texts(scored.items)], device=scored.logits.device)
    return functional.cross_entropy(scored.logits, labels, reduction="none")


def paired_error(specimen: Specimen, one: Scored, other: Scored) -> float | None:
    """Standard error of the difference of two losses on the same items; None where the losses of single items are not known."""
    first, second = losses(specimen, one), losses(specimen, other)
    if first is None or second is None or len(first) < 2:
        return None
    return float((first - second).std() / len(first) ** 0.5)


@contextmanager
def unprompted(specimen: Specimen) -> Iterator[Any]:
    """The model without the prompt; other parts of a combination stay on it."""
    module = specimen.module
    reads = module.get_encoder() if specimen.base.config.is_encoder_decoder else module
    if not hasattr(specimen.spec.method, "parts"):
        yield specimen.base
    elif hasattr(reads, "soft_prompt"):
        with _unhooked(reads):
            yield module
    else:
        yield module.get_base_model()


@contextmanager
def _unhooked(part: Any) -> Iterator[None]:
    """Vectors in the middle, at the end or on the words come in by hooks."""
    kept = [(hooks := getattr(part, name), dict(hooks)) for name in HOOKS]
    try:
        for hooks, _ in kept:
            hooks.clear()
        yield
    finally:
        for hooks, own in kept:
            hooks.update(own)


def _with(specimen: Specimen, given: torch.Tensor, items: int) -> Generator[int, None, Scored]:
    with _prompt.replaced(specimen.module, given):
        return (yield from specimen.scored(items=items))


def _without(specimen: Specimen, items: int) -> Generator[int, None, Scored]:
    with unprompted(specimen) as module:
        return (yield from specimen.scored(module, items))
