"""Where the vectors of a soft prompt start. Torch lives here: imported only while a method is attached."""
from __future__ import annotations

import torch
from torch import nn

from lab.contracts import Base, LabError
from lab.methods._starts import COMMON


def start(init: str, tokens: int, base: Base, text: str) -> torch.Tensor | None:
    """(tokens, width), or None for `random`: the library's own start, standard normal."""
    if init == "random":
        return None
    table = base.module.get_submodule(base.shape.embedding).weight.detach()
    if init == "norm_matched":
        vectors = torch.randn(tokens, table.shape[1])
        return vectors / vectors.norm(dim=1, keepdim=True) * table[_common(base)].float().norm(dim=1).median().cpu()
    if init == "vocabulary":
        ids = _common(base)
        rows = torch.tensor(ids)[torch.randperm(len(ids))[:tokens]]
    else:
        words = text if init == "text" else " ".join(word.strip() for word in base.words)
        rows = torch.tensor(base.tokenizer(words, add_special_tokens=False)["input_ids"], dtype=torch.long)
        if not len(rows):
            raise LabError(f'text is "{text}": it has no token, so nothing can start from it')
    repeats = -(-tokens // len(rows))
    return table[rows.repeat(repeats)[:tokens]].float()


def _common(base: Base) -> list[int]:
    """Ids of the most common real tokens: special and unused rows left out."""
    special = set(base.tokenizer.all_special_ids)
    known = (token for token in range(len(base.tokenizer)) if token not in special)
    names = base.tokenizer.convert_ids_to_tokens
    return [token for token in known if not names(token).startswith("[unused")][:COMMON]


def keys_and_values(base: Base, text: str, tokens: int, width: int) -> torch.Tensor:
    """(tokens, 2 x layers x width): what the frozen model's attention would look up had it read this text, repeated to the wanted length.

    Block after block, first all keys of a position, then all its values, as peft lays out a prefix.
    """
    from transformers import DynamicCache, EncoderDecoderCache

    words = base.tokenizer(text, add_special_tokens=False)["input_ids"]
    if not words:
        raise LabError(f'text is "{text}": it has no token, so nothing can start from it')
    ids = torch.tensor([(words * -(-tokens // len(words)))[:tokens]], device=base.module.device)
    cache = DynamicCache()
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "past_key_values": cache}
    if base.shape.kind == "seq2seq":
        inputs |= {"decoder_input_ids": ids, "past_key_values": EncoderDecoderCache(cache, DynamicCache())}
    if base.shape.kind != "encoder":
        inputs["use_cache"] = True
    training = base.module.training
    with torch.no_grad():
        base.module.eval()(**inputs)
    base.module.train(training)
    rows = [part[0].transpose(0, 1).reshape(tokens, width) for layer in cache.layers for part in (layer.keys, layer.values)]
    return torch.cat(rows, 1).float()


def begin_prefix(encoder: nn.Module, start: torch.Tensor) -> None:
    """Let peft's prefix start at given keys and values. A network that puts them out gets the last layer that does so best (exactly, if it is wide enough)."""
    with torch.no_grad():
        if not encoder.prefix_projection:
            encoder.embedding.weight.copy_(start)
            return
        last = encoder.transform[-1]
        middle = encoder.transform[:-1](encoder.embedding.weight)  # (tokens, hidden)
        last.bias.copy_(start.mean(0))
        last.weight.copy_(torch.linalg.lstsq(middle, start - last.bias, driver="gelsd").solution.T)


class As(nn.Module):
    """A parametrization: what is trained stays in float32 and is handed on in the base's number format."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight.to(self.dtype)
