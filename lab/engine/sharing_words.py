"""Written answers of several runs from one batch: each row with its own parts, its own stop and its own longest answer."""
from __future__ import annotations

from collections.abc import Sequence
from threading import Event
from typing import Any

import torch

from lab.engine.decoding import Decoding, Stopping, settled
from lab.engine.learner import starts_alone
from lab.engine.sharing import Row, Shared


class _Own(Stopping):
    """Ends each row at its own stop, or when it has as many words as its own task allows."""

    def __init__(self, tokenizer: Any, hows: Sequence[Decoding], said: int) -> None:
        super().__init__(tokenizer, (), said, Event())
        self.hows = hows

    def __call__(self, input_ids: torch.Tensor, scores: Any, **others: Any) -> torch.Tensor:
        self.ended = self.ended or [False] * len(input_ids)
        for place, (row, how) in enumerate(zip(input_ids[:, self.said:].tolist(), self.hows, strict=True)):
            self.stops = how.stop
            self.ended[place] = self.ended[place] or len(row) >= how.longest or (bool(how.stop) and self._stops(row))
        return torch.tensor(self.ended, device=input_ids.device)


@torch.no_grad()
def write(shared: Shared, rows: Sequence[Row]) -> list[str]:
    """The most likely token each time, all rows together."""
    tokenizer = shared.pristine.tokenizer
    hows = [Decoding(row.own.spec.goal.answer_tokens, row.own.spec.goal.stop) for row in rows]
    both = starts_alone(shared.module)  # its start token is among what it gives back
    laid = shared.laid(rows, left=not both)
    with shared.parts_of(rows) as adapters, settled(shared.module, tokenizer, Decoding(max(how.longest for how in hows))) as ends:
        found = shared.module.generate(inputs_embeds=laid.embeds, attention_mask=laid.mask, stopping_criteria=[_Own(tokenizer, hows, int(both))], **adapters)
    return [_text(tokenizer, line[int(both):][:how.longest], ends, how) for line, how in zip(found.tolist(), hows, strict=True)]


def _text(tokenizer: Any, tokens: list[int], ends: set[int], how: Decoding) -> str:
    tokens = tokens[:min((place for place, token in enumerate(tokens) if token in ends), default=len(tokens))]
    return how.cut(tokenizer.decode(tokens, skip_special_tokens=True)).strip()
