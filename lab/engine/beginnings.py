"""What all texts of an evaluation begin with, such as the solved examples in front of each, read once: every text goes on from its keys and values."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from lab.engine.learner import at, starts_alone
from lab.engine.texts import Batch, Encoded, collate

LEAST = 32  # tokens: a shorter beginning is not worth a pass of its own
ROOM = 8192  # tokens whose keys and values are laid side by side at once, beginnings included


def shared(rows: Sequence[Encoded]) -> int:
    """How many tokens all rows begin with, at most all but one of the shortest; 0 where that is less than half of what there is to read."""
    first, last = min(row.ids for row in rows), max(row.ids for row in rows)  # what these two share, all between them share
    alike = next((place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), min(len(first), len(last)))
    alike = min(alike, min(len(row.ids) for row in rows) - 1)
    return alike if len(rows) > 1 and alike >= LEAST and 2 * alike * len(rows) >= sum(len(row.ids) for row in rows) else 0


def continues(module: Any) -> bool:
    """Whether a text can go on from kept keys and values alone: in a stack that writes on from what it reads, all of it in sight of every token."""
    layers = getattr(module.config, "layer_types", None) or ["full_attention"]
    return not starts_alone(module) and set(layers) == {"full_attention"} and not getattr(module.config, "sliding_window", None)


class _Kept(DynamicLayer):
    """Keys and values of one beginning, (1, heads, tokens, width), in front of those of each row of a batch; nothing is added to what is kept."""

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **others: Any) -> tuple[torch.Tensor, torch.Tensor]:
        rows = len(key_states)
        return (torch.cat([self.keys.expand(rows, -1, -1, -1), key_states], dim=-2),
                torch.cat([self.values.expand(rows, -1, -1, -1), value_states], dim=-2))


class Beginning:
    """What every row begins with, and the scores of rows that go on behind it.

    Pope et al. 2022, Efficiently Scaling Transformer Inference: attention to a token asks for its key and value only, and those do not depend on what follows.
    """

    def __init__(self, module: Any, answers: torch.Tensor, ids: Sequence[int], device: str) -> None:
        """`answers`: (labels,) token ids whose logits are the scores."""
        self.module, self.answers, self.ids, self.device = module, answers, tuple(ids), device
        self.kept: DynamicCache | None = None

    def rest(self, rows: Sequence[Encoded]) -> list[Encoded]:
        return [replace(row, ids=row.ids[len(self.ids):]) for row in rows]

    def at_once(self, rows: Sequence[Encoded]) -> int:
        """How many rows a batch may have: the beginning is laid in front of each."""
        return max(1, ROOM // max(len(row.ids) for row in rows))

    @torch.no_grad()
    def scores(self, batch: Batch) -> torch.Tensor:
        """(batch, labels): the log-probability of each label word behind the beginning and the row, up to a constant; `batch` holds the rests."""
        if self.kept is None:
            self.kept = self._read()
        before = batch.mask.new_ones(len(batch.mask), len(self.ids))
        whole = replace(batch, mask=torch.cat([before, batch.mask], dim=1))
        rows = torch.arange(len(batch.ids), device=batch.ids.device)
        return at(self.module, whole, rows, batch.last - batch.ids.shape[1], self.kept).float()[:, self.answers]

    def _read(self) -> DynamicCache:
        batch, cache = collate([Encoded(self.ids, 0)], 0, self.device), DynamicCache()
        self.module(input_ids=batch.ids, attention_mask=batch.mask, past_key_values=cache, use_cache=True, logits_to_keep=1)
        for place, layer in enumerate(cache.layers):
            cache.layers[place] = kept = _Kept()
            kept.lazy_initialization(layer.keys, layer.values)
            kept.keys, kept.values = layer.keys, layer.values
        return cache
