"""Soft prompts as lenses meet them: the vectors a run reads in front of its texts, taken out and put in, whichever method made them."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from lab.lenses._soft import ADDED, NONE, PREFIX, SOFT, has_prompt, prompt_of  # noqa: F401  (found here too by lenses that need the vectors anyway)


def vectors(module: Any) -> torch.Tensor:
    """(n, width) float32, a copy: what stands beside a text. Of an encoder-decoder those of the reading stack, the only ones peft puts anywhere."""
    own = _own(module)
    if own is not None:
        return own.weight.detach().float().clone()
    with torch.no_grad():
        return module.get_prompt(1)[0, :_tokens(module)].detach().float().clone()


@contextmanager
def replaced(module: Any, given: torch.Tensor) -> Iterator[None]:
    """Let the module read these vectors, (n, width), in place of its own; put back in the end, bit by bit."""
    own = _own(module)
    encoder = None if own is not None else module.prompt_encoder[module.active_adapter]
    table, handle = (own if encoder is None else encoder.embedding).weight, None
    kept = table.data
    if kept.shape[1] == given.shape[1] and len(kept) >= len(given):  # of an encoder-decoder the further rows are read by nothing
        table.data = torch.cat([given.to(kept), kept[len(given):]])
    if encoder is not None:  # where the vectors come out of a network, its output is replaced
        handle = encoder.register_forward_hook(
            lambda part, inputs, output: torch.cat([given.to(output).expand(len(output), -1, -1), output[:, len(given):]], 1))
    try:
        yield
    finally:
        table.data = kept
        if handle is not None:
            handle.remove()


def _own(module: Any) -> Any:
    """The lab's own table of vectors, where they stand in the middle, at the end or on the words."""
    reads = module.get_encoder() if getattr(module.config, "is_encoder_decoder", False) else module
    return getattr(reads, "soft_prompt", None)


def _tokens(module: Any) -> int:
    return module.active_peft_config.num_virtual_tokens
