"""What hooks behind a layer add to it, measured while a model reads: as adapters are loaded, and as they are trained."""
from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor

from lab.contracts import Linear
from lab.lens import Progress, Specimen
from lab.lenses import _matrices, _reading, _switch
from lab.lenses._parts import short

AT_ONCE = 16


def measured(specimen: Specimen, linears: Sequence[Linear], rows: Sequence[Any]) -> Generator[Progress, None, dict[Linear, tuple[dict[str, float], Any]]]:
    """For each layer the spread of |added| / |h| over real positions, and its histogram."""
    ratios: dict[Linear, list[Tensor]] = {linear: [] for linear in linears}
    done = 0
    for batch in specimen.batches(rows, AT_ONCE):
        for linear, found in _of_batch(specimen, linears, batch).items():
            ratios[linear].append(found)
        done += len(batch.ids)
        yield done, len(rows)
    return {linear: _spread(torch.cat(found)) for linear, found in ratios.items()}


def _of_batch(specimen: Specimen, linears: Sequence[Linear], batch: Any) -> dict[Linear, Tensor]:
    """(real positions,) ratios of each layer."""
    found: dict[Linear, Tensor] = {}

    def taken(linear: Linear, given: Tensor, added: Tensor) -> Tensor:
        """In float32 until here, because in 16 bits a small sum rounds away."""
        ratio = (added - given).norm(dim=-1) / given.float().norm(dim=-1).clamp(min=1e-30)
        found[linear] = _reading.at_words(specimen, batch, ratio, linear.layer >= specimen.shape.encoder_layers > 0)
        return added.to(given.dtype)

    undo = []
    try:
        for linear in linears:
            layer = _matrices.found(specimen.module, linear.module)
            undo += [layer.register_forward_hook(lambda part, inputs, given: given.float(), prepend=True).remove]
            undo += _switch.bypassed(layer, lambda given, added, linear=linear: taken(linear, given, added))
        specimen.run(specimen.module, batch, **_reading.begun(specimen, batch))
    finally:
        for take_off in undo:
            take_off()
    return found


def _spread(ratios: Tensor) -> tuple[dict[str, float], Any]:
    low, middle, high = torch.quantile(ratios.double(), torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)).tolist()
    cell = {"gate": short(middle), "low": short(low), "high": short(high)}
    return cell, _matrices.histogram(ratios, 0.0, float(ratios.max()))
