"""The model as the loop sees it: a batch goes in, a loss comes out, whether the model classifies, chooses between label words or writes."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from lab.engine.fast.blocks import Code
from lab.engine.texts import UNSAID, Batch


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


Given = Callable[[Batch], tuple[dict[str, torch.Tensor], torch.Tensor]]  # a model's arguments, and the mask of its positions


def texts(batch: Batch) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """A text model's arguments."""
    return {"input_ids": batch.ids, "attention_mask": batch.mask}, batch.mask


def images(inks: int, config: Any) -> Given:
    """A vision model's arguments: square images of one channel, -1 (paper) to 1 (darkest); positions are patches, behind the class token."""
    side = config.image_size

    def given(batch: Batch) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        pixels = batch.ids.view(-1, config.num_channels, side, side) / (inks / 2) - 1
        return {"pixel_values": pixels}, batch.ids.new_ones(len(batch.ids), (side // config.patch_size) ** 2)

    return given


def features(module: Any, given: Given, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """(batch, positions, width) of the last layer, and the mask of the positions that count."""
    arguments, mask = taken(module, given, batch)
    return module(**arguments).last_hidden_state, mask


def taken(module: Any, given: Given, batch: Batch) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """A model's arguments in its own number format, and the mask of the positions that count."""
    arguments, mask = given(batch)
    return {name: value.to(module.dtype) if value.is_floating_point() else value for name, value in arguments.items()}, mask


class Classifier:
    """A model that gives features, with the lab's own head outside it."""

    def __init__(self, module: Any, head: Head, codes: Sequence[Code] = (), given: Given = texts) -> None:
        """`codes` run the module's blocks where a fast path does."""
        self.module, self.head, self.given, self.codes = module, head, given, codes

    def scores(self, batch: Batch) -> torch.Tensor:
        """(batch, labels) logits."""
        return self.head(*features(self.module, self.given, batch))

    def loss(self, batch: Batch) -> torch.Tensor:
        return functional.cross_entropy(self.scores(batch), batch.labels)


class Writer:
    """A language model that answers with label words: `answers` are the token ids they begin with."""

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
        if starts_alone(self.module):
            return continued(self.module, batch, begun(self.module, batch.labels.new_empty(len(batch.ids), 0)))[:, -1].float()
        places = batch.last - batch.ids.shape[1]  # (batch,), negative
        rows = torch.arange(len(places), device=places.device)
        return at(self.module, batch, rows, places).float()


class Author:
    """A language model that answers with a text: it learns each token of the answer from the prompt and the right tokens before it."""

    head = None

    def __init__(self, module: Any, codes: Sequence[Code] = ()) -> None:
        """`codes` run the module's blocks where a fast path does."""
        self.module, self.codes = module, codes

    def loss(self, batch: Batch) -> torch.Tensor:
        """Cross-entropy, the mean over all tokens of all answers; prompt and padding carry none."""
        logits, tokens = self.logits(batch)
        return functional.cross_entropy(logits, tokens)

    def logits(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """(n, vocabulary) logits where an answer's tokens are due, text after text, and (n,) those tokens."""
        rows, steps = (batch.answers != UNSAID).nonzero(as_tuple=True)
        tokens = batch.answers[rows, steps]
        if starts_alone(self.module):
            logits = continued(self.module, batch, begun(self.module, batch.answers[:, :-1].clamp(min=0)))
            return logits[rows, steps - batch.answers.shape[1]].float(), tokens
        lengths = (batch.answers != UNSAID).sum(1)
        places = (batch.last - lengths + 1)[rows] + steps - batch.ids.shape[1]  # (n,), negative: counted from the end
        return at(self.module, batch, rows, places).float(), tokens


def at(module: Any, batch: Batch, rows: torch.Tensor, places: torch.Tensor, past: Any = None) -> torch.Tensor:
    """(n, vocabulary) logits of a decoder at (rows, places), the only ones that are computed. `past`: keys and values in front, which the mask counts."""
    hook = to_vocabulary(module).register_forward_pre_hook(lambda layer, hidden: (hidden[0][rows, places].unsqueeze(0),))  # (1, n, width)
    try:
        kept = {"use_cache": False} if past is None else {"use_cache": True, "past_key_values": past}
        return module(input_ids=batch.ids, attention_mask=batch.mask, **kept).logits[0]
    finally:
        hook.remove()


def to_vocabulary(module: Any) -> nn.Module:
    """The layer that turns a hidden state into logits."""
    model = module.get_base_model() if hasattr(module, "get_base_model") else module
    return model.get_output_embeddings()


def starts_alone(module: Any) -> bool:
    """Whether the answer is written by a stack of its own, as in an encoder-decoder, instead of continuing the text."""
    return bool(module.config.is_encoder_decoder)


def begun(module: Any, said: torch.Tensor) -> torch.Tensor:
    """(batch, 1 + tokens): what the writing stack reads, the start token first."""
    model = module.get_base_model() if hasattr(module, "get_base_model") else module
    return torch.cat([said.new_full((len(said), 1), model.config.decoder_start_token_id), said], dim=1)


def continued(module: Any, batch: Batch, said: torch.Tensor) -> torch.Tensor:
    """(batch, positions, vocabulary) logits of an encoder-decoder that has read the texts and written `said`; the last positions are those of `said`."""
    return module(input_ids=batch.ids, attention_mask=batch.mask, decoder_input_ids=said, use_cache=False).logits
