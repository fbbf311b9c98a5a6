"""The model as the loop sees it: a batch goes in, one score per label comes out, for encoders and decoders alike."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from lab.engine.fast.blocks import Code
from lab.engine.texts import Batch


class Head(nn.Module):
    """Mean over the real tokens, one linear layer; float32. Virtual tokens in front are left out by position."""

    def __init__(self, width: int, labels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, labels)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.linear(pooled(hidden, mask))


def pooled(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(batch, width) mean over the real tokens, in float32."""
    hidden = hidden[:, -mask.shape[1]:].float()  # (batch, tokens, width): the last positions are the text's
    real = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * real).sum(1) / real.sum(1)


class Classifier:
    """An encoder with the lab's own head outside it."""

    def __init__(self, module: Any, head: Head, codes: Sequence[Code] = ()) -> None:
        """`codes` run the module's blocks where a fast path does."""
        self.module, self.head, self.codes = module, head, codes

    def scores(self, batch: Batch) -> torch.Tensor:
        """(batch, labels) logits."""
        return self.head(self.module(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state, batch.mask)

    def loss(self, batch: Batch) -> torch.Tensor:
        return functional.cross_entropy(self.scores(batch), batch.labels)


class Writer:
    """A decoder that answers with label words: `answers` are the token ids they begin with."""

    head = None

    def __init__(self, module: Any, answers: Sequence[int], device: str, codes: Sequence[Code] = ()) -> None:
        """`codes` run the module's blocks where a fast path does."""
        self.module, self.answers, self.codes = module, torch.tensor(answers, device=device), codes

    def scores(self, batch: Batch) -> torch.Tensor:
        """(batch, labels): the log-probability of each label word, up to a constant."""
        return self._last(batch)[:, self.answers]

    def loss(self, batch: Batch) -> torch.Tensor:
        """Cross-entropy over the whole vocabulary at the one position where the answer is due; prompt and padding carry no loss."""
        return functional.cross_entropy(self._last(batch), self.answers[batch.labels])

    def _last(self, batch: Batch) -> torch.Tensor:
        """(batch, vocabulary) logits behind the last real token, the only ones that are computed.

        Positions are counted from the end, so virtual tokens in front do not shift them.
        """
        places = batch.last - batch.ids.shape[1]  # (batch,), negative
        rows = torch.arange(len(places), device=places.device)
        hook = self._to_vocabulary().register_forward_pre_hook(lambda layer, hidden: (hidden[0][rows, places].unsqueeze(1),))  # (batch, 1, width)
        try:
            return self.module(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).logits[:, 0].float()
        finally:
            hook.remove()

    def _to_vocabulary(self) -> nn.Module:
        """The layer that turns a hidden state into logits."""
        model = self.module.get_base_model() if hasattr(self.module, "get_base_model") else self.module
        return model.get_output_embeddings()
