"""A tensor of the base before and after, and what a model that drifted says of general English."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lab.lens import Specimen
from lab.lenses import _matrices
from lab.lenses._parts import short
from lab.tasks._general_text import paragraphs

MOST_WORDS = 20
ROWS = 4096  # of the word table at once
AT_ONCE = 2  # paragraphs, whose logits over 49,152 words are some 60 MB


def pair(specimen: Specimen, name: str) -> tuple[Tensor, Tensor]:
    """As float64; a bias that was not there before is zeros."""
    path, _, kind = name.rpartition(".")
    base, layer = specimen.base.get_submodule(path), _matrices.found(specimen.module, path)
    if not isinstance(base, torch.nn.Linear) and type(base).__name__ != "Conv1D":
        return getattr(base, kind).detach().double(), _read(layer, kind, getattr(base, kind)).double()
    place = 0 if kind == "weight" else 1
    before, after = _matrices.own(base)[place], _matrices.effective(layer)[place]
    after = torch.zeros(len(layer.weight)) if after is None else after
    return torch.zeros_like(after) if before is None else before, after


def _read(layer: Any, kind: str, before: Tensor) -> Tensor:
    """A tensor of no linear: of a wrapped word table what comes out for each word, of a norm with weights of its own those."""
    if _matrices.wrapped(layer):
        ids = torch.arange(len(before), device=before.device)
        with torch.no_grad():
            return torch.cat([layer(ids[first:first + ROWS]) for first in range(0, len(ids), ROWS)])
    return (layer.own[kind] if hasattr(layer, "own") else getattr(layer, kind)).detach()


def told(before: Tensor, after: Tensor) -> tuple[dict[str, float | None], Any]:
    change = after - before
    whole, length = float(before.norm()), float(change.norm())
    cell = {"relative": short(length / whole) if whole else None, "norm": short(length), "largest": short(change.abs().max()),
            "moved": short((change != 0).double().mean())}
    return cell, _matrices.around(change, 0.0)


def words(specimen: Specimen) -> list[dict[str, Any]]:
    """The rows of the word table that moved furthest against their own length."""
    before, after = pair(specimen, f"{specimen.shape.embedding}.weight")
    if before.dim() != 2 or specimen.tokenizer is None:
        return []
    far = (after - before).norm(dim=1) / before.norm(dim=1).clamp(min=1e-30)
    far = far.where(before.norm(dim=1) > 0, 0.0)
    best = far.topk(min(MOST_WORDS, len(far)))
    cosines, shown = _matrices.cosines(after, before), specimen.tokenizer.decode
    return [{"id": word, "text": shown([word]), "relative": short(value), "cosine": short(cosines[word])}
            for value, word in zip(best.values.tolist(), best.indices.tolist(), strict=True) if value > 0]


def general(specimen: Specimen, count: int) -> dict[str, Any]:
    """Mean KL(base || trained) of the next token, in nats."""
    row = specimen.texts(1)[0]
    texts = [specimen.tokenizer(each.text)["input_ids"][:specimen.spec.shape.positions] for each in paragraphs()[:count]]
    rows, total, tokens = [replace(row, ids=tuple(ids), label=0, answer=()) for ids in texts], 0.0, 0
    for batch in specimen.batches(rows, AT_ONCE):
        real = batch.mask[:, 1:].bool()
        base, tuned = _says(specimen, batch)
        each = functional.kl_div(tuned, base, log_target=True, reduction="none").sum(-1)  # (batch, tokens - 1)
        total, tokens = total + float(each[real].sum()), tokens + int(real.sum())
    return {"kl": short(total / tokens), "tokens": tokens, "paragraphs": len(rows)}


def _says(specimen: Specimen, batch: Any) -> Iterator[Tensor]:
    """(batch, tokens - 1, vocabulary) log-probabilities of the base and of the trained model; virtual tokens stand in front."""
    for model in (specimen.base, specimen.module):
        logits = specimen.run(model, batch).logits
        yield logits[:, -batch.ids.shape[1]:-1].float().log_softmax(-1)
