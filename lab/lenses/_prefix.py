"""The keys and values of a prefix as they stand in each block, and those that the base has for the words of texts."""
from __future__ import annotations

from typing import Any

import torch

from lab.lens import Specimen


def trained(module: Any) -> torch.Tensor:
    """(n, blocks, 2, width) float32: of each virtual token its key and its value in each block."""
    encoder = module.prompt_encoder[module.active_adapter]
    with torch.no_grad():
        table = encoder.embedding.weight
        rows = encoder.transform(table) if hasattr(encoder, "transform") else table  # a network puts them out while it trains; only they are kept
    config = module.active_peft_config
    return rows.detach().float().view(len(rows), config.num_layers, 2, -1)


def of_words(specimen: Specimen, batch: Any) -> torch.Tensor:
    """(words, blocks, 2) lengths of the base's own keys and values. A writing stack is shown the text as if it were an answer."""
    from transformers import DynamicCache, EncoderDecoderCache

    cache = DynamicCache()
    inputs: dict[str, Any] = {"past_key_values": cache}
    if specimen.shape.kind == "seq2seq":
        inputs = {"past_key_values": EncoderDecoderCache(cache, DynamicCache()), "decoder_input_ids": batch.ids}
    if specimen.shape.kind != "encoder":
        inputs["use_cache"] = True
    specimen.run(specimen.base, batch, **inputs)
    sides = [torch.stack([_lengths(part) for part in (layer.keys, layer.values)], -1) for layer in cache.layers]
    return torch.stack(sides, 2)[batch.mask.bool()]


def _lengths(part: torch.Tensor) -> torch.Tensor:
    """(batch, tokens) of (batch, heads, tokens, width of a head): of all heads together."""
    return part.float().square().sum((1, 3)).sqrt()
