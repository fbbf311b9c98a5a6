"""What frozen lower blocks give for a text, kept: where nothing below block k is trained, no text goes through those blocks twice.

It stays what it is until another base is loaded, so later looks at validation items, further epochs and other runs start at block k.
With dropout the lower blocks give something else each time; then they run as always.
"""
from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn

from lab.contracts import Shape

LARGEST_BYTES = 256 * 2**20
Kept = OrderedDict[bytes, Tensor]  # (tokens, width) behind the last frozen block, by token ids; the oldest goes first


def keep(module: Any, shape: Shape, kept: Kept) -> int:
    """Put this under a model; returns how many of its blocks it spares."""
    below = spared(module, shape)
    if not below:
        return 0
    blocks = list(module.get_submodule(shape.blocks))
    lookup = Lookup(kept, blocks[:below])
    module.get_submodule(shape.blocks.rpartition(".")[0] if shape.kind == "decoder" else "").register_forward_pre_hook(lookup.begin, with_kwargs=True)
    for place, block in enumerate(blocks[:below]):
        block.forward = lookup.around(place, block.forward)
    return below


def spared(module: Any, shape: Shape) -> int:
    """How many of the lowest blocks give the same for a text as long as the model lives."""
    if hasattr(module, "get_base_model") or shape.kind == "seq2seq":
        return 0  # a peft method starts at the first block, or in front of it; a writing stack depends on more than the text
    blocks = list(module.get_submodule(shape.blocks))
    below = next((place for place, block in enumerate(blocks) if _moves(block)), len(blocks))
    return 0 if _moves(module.get_submodule(shape.embedding)) else below


def _moves(module: nn.Module) -> bool:
    return any(weight.requires_grad for weight in module.parameters())


class Lookup:
    """One per model: what is known about the batch that goes through it now."""

    def __init__(self, kept: Kept, blocks: list[nn.Module]) -> None:
        self.kept, self.blocks = kept, blocks
        self.keys: list[tuple[bytes, int]] = []  # of each row, with its number of real tokens; empty where nothing may be kept
        self.found: Tensor | None = None

    def begin(self, model: nn.Module, args: tuple[Any, ...], inputs: dict[str, Any]) -> None:
        """Look each row of the batch up, in front of the first block."""
        ids, mask = inputs.get("input_ids"), inputs.get("attention_mask")
        self.keys, self.found = [], None
        if ids is None or mask is None or inputs.get("past_key_values") is not None or self._noisy():
            return
        lengths = mask.sum(1).tolist()
        depth = len(self.blocks).to_bytes(2, "little")
        self.keys = [(depth + row[:length].numpy().tobytes(), length) for row, length in zip(ids, lengths, strict=True)]
        rows = [self.kept.get(key) for key, _ in self.keys]
        if all(row is not None for row in rows):
            self.found = nn.utils.rnn.pad_sequence(rows, batch_first=True)
            for key, _ in self.keys:
                self.kept.move_to_end(key)

    def around(self, place: int, forward: Any) -> Any:
        """The forward of a frozen block: nothing where the batch is known; the last one keeps what it gives."""
        def passed(hidden_states: Tensor, *args: Any, **others: Any) -> Any:
            if self.found is not None:
                return self.found if place == len(self.blocks) - 1 else hidden_states
            out = forward(hidden_states, *args, **others)
            if place == len(self.blocks) - 1 and self.keys:
                self._store(out.detach())
            return out

        return passed

    def _noisy(self) -> bool:
        return any(part.training and part.p > 0 for block in self.blocks for part in block.modules() if isinstance(part, nn.Dropout))

    def _store(self, out: Tensor) -> None:
        for (key, length), row in zip(self.keys, out, strict=True):
            self.kept[key] = row[:length].clone()
        size = sum(row.numel() * row.element_size() for row in self.kept.values())
        while size > LARGEST_BYTES:
            _, gone = self.kept.popitem(last=False)
            size -= gone.numel() * gone.element_size()
