"""Where in a model's states the words of a text lie, whatever a method put beside them."""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lab.lens import Specimen
from lab.lenses._parts import parts_of


def begun(specimen: Specimen, batch: Any) -> dict[str, Any]:
    """An encoder-decoder has to be told with which token its answer starts."""
    config = specimen.base.config
    if not config.is_encoder_decoder:
        return {}
    return {"decoder_input_ids": batch.ids.new_full((len(batch.ids), 1), config.decoder_start_token_id)}


def at_words(specimen: Specimen, batch: Any, states: Tensor, writing: bool = False) -> Tensor:
    """(n, …) of (batch, positions, …): the real words, or the patches of an image, or in the stack that `writes` after reading the start of its answer."""
    if writing:
        return states[:, -1]
    if specimen.shape.kind == "vision":  # the class token stands in front of the patches
        return states[:, 1:].flatten(0, 1)
    rows = torch.arange(len(states), device=states.device).unsqueeze(1)
    return states[rows, _places(specimen, batch.mask, states.shape[1])][batch.mask.bool()]


def _places(specimen: Specimen, mask: Tensor, length: int) -> Tensor:
    """(batch, tokens) position of each word; vectors of a prompt stand in front of all, behind the real ones, or in their middle."""
    words, extra = torch.arange(mask.shape[1], device=mask.device).expand(mask.shape), length - mask.shape[1]
    where = next((getattr(part, "position", "front") for part in parts_of(specimen.spec) if part.virtual_tokens_used()), "front")
    if not extra or where == "front":
        return words + extra
    real = mask.sum(1, keepdim=True)
    return words + extra * (words >= (real // 2 if where == "middle" else real))
