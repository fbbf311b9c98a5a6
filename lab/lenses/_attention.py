"""How much attention the place where an answer is due pays to each vector of a prompt or prefix, and what the states at a prompt's places would say.

Attention is written out for the look (`eager`), because fused attention keeps no weights; the config is put back afterwards.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from lab.lens import Specimen
from lab.lenses import _prompt, _reading

LENS_TEXTS = 4  # behind the words at the places of a prompt that does not stand in front; in front they depend on no text
MOST_CELLS = 800  # words told of a prompt: with many vectors, of evenly spaced layers


@dataclass
class Masses:
    """Sums over texts, or for an encoder over words, as attention is read there from every word."""

    vectors: torch.Tensor  # (layers, n)
    even: float = 0.0  # what each vector would get if attention were even
    asked: int = 0

    @property
    def mean(self) -> torch.Tensor:
        return self.vectors / self.asked


@contextmanager
def written_out(module: Any) -> Iterator[None]:
    configs = {id(part.config): part.config for part in module.modules() if hasattr(getattr(part, "config", None), "_attn_implementation")}
    kept = [(config, config._attn_implementation) for config in configs.values()]
    try:
        for config, _ in kept:
            config._attn_implementation = "eager"
        yield
    finally:
        for config, name in kept:
            config._attn_implementation = name


def add(masses: Masses | None, specimen: Specimen, module: Any, batch: Any) -> Masses:
    """With one more batch."""
    with written_out(module):
        output = specimen.run(module, batch, output_attentions=True, **_reading.begun(specimen, batch))
    layers = [layer.float().mean(1) for layer in _attended(specimen, output)]  # (batch, queries, keys)
    places = virtual(specimen, batch)  # (batch, n)
    found = torch.stack([_asking(specimen, batch, layer.gather(2, places.unsqueeze(1).expand(-1, layer.shape[1], -1))) for layer in layers])
    masses = masses or Masses(found.new_zeros(len(found), found.shape[2]))
    masses.vectors += found.sum(1)
    masses.even += _even(specimen, batch, found.shape[2])
    masses.asked += found.shape[1]
    return masses


def virtual(specimen: Specimen, batch: Any) -> torch.Tensor:
    """(batch, n) places of the vectors among what is looked at; a prefix stands in front of all keys."""
    method = _prompt.prompt_of(specimen.spec) or specimen.spec.method
    own = torch.arange(method.virtual_tokens, device=batch.ids.device).expand(len(batch.ids), -1)
    real = batch.mask.sum(1, keepdim=True)
    return own + {"middle": real // 2, "end": real}.get(getattr(method, "position", "front"), 0)


def _attended(specimen: Specimen, output: Any) -> Sequence[torch.Tensor]:
    """(batch, heads, queries, keys) of each block. An encoder-decoder's answer looks at a prompt across the stacks, and at a prefix in its own."""
    if specimen.shape.kind != "seq2seq":
        return output.attentions
    return output.cross_attentions if _prompt.prompt_of(specimen.spec) else output.decoder_attentions


def _asking(specimen: Specimen, batch: Any, rows: torch.Tensor) -> torch.Tensor:
    """(asked, …) of (batch, queries, …): where the answer is due, or all words where the answer is made of their mean."""
    if specimen.shape.kind == "encoder":
        return _reading.at_words(specimen, batch, rows)
    if specimen.shape.kind == "seq2seq":
        return rows[:, -1]
    due = batch.last + rows.shape[1] - batch.ids.shape[1]
    return rows[torch.arange(len(rows), device=rows.device), due]


def _even(specimen: Specimen, batch: Any, n: int) -> float:
    """Sum over those that ask of one over how many places they may look at: all vectors and all real words, or of an answer that has just begun its start."""
    real = batch.mask.sum(1)
    if specimen.shape.kind == "seq2seq" and not _prompt.prompt_of(specimen.spec):
        real = torch.ones_like(real)
    return float(((real if specimen.shape.kind == "encoder" else 1) / (real + n)).sum())


def words_at_places(specimen: Specimen, module: Any) -> list[list[tuple[int, int, float]]]:
    """For each vector, from the first block looked at to the last: (layer, token, probability) of the likeliest next word, were its state the last one."""
    front = getattr(_prompt.prompt_of(specimen.spec), "position", "front") == "front"
    batch = next(specimen.batches(specimen.texts(1 if front else LENS_TEXTS)))
    states = specimen.run(module, batch, output_hidden_states=True).hidden_states[1:]
    places = virtual(specimen, batch)
    rows = torch.arange(len(places), device=places.device).unsqueeze(1)
    found: list[list[tuple[int, int, float]]] = [[] for _ in range(places.shape[1])]
    for layer in _spaced(len(states), places.shape[1]):
        chances = torch.stack([_said(specimen, one, layer == len(states) - 1) for one in states[layer][rows, places]]).mean(0)  # (n, vocabulary)
        best = chances.max(1)
        for position, (chance, token) in enumerate(zip(best.values.tolist(), best.indices.tolist(), strict=True)):
            found[position].append((layer, token, chance))
    return found


def _spaced(layers: int, n: int) -> list[int]:
    many = min(layers, max(4, MOST_CELLS // n))
    return sorted({round(layers - 1 - step * (layers - 1) / max(1, many - 1)) for step in range(many)})


def _said(specimen: Specimen, states: torch.Tensor, last: bool) -> torch.Tensor:
    """(n, vocabulary) probabilities; the states behind the last block come with the final norm on."""
    base = specimen.base
    norm = next((weight.name.rpartition(".")[0] for weight in reversed(specimen.shape.weights) if weight.role == "norm" and weight.layer is None), "")
    with torch.no_grad():
        if norm and not last:
            states = base.get_submodule(norm)(states)
        out = next((part for name, part in base.named_modules() if name.endswith("project_out")), None)  # in some OPT models
        states = out(states) if out is not None and not last else states
        return base.get_output_embeddings()(states).float().softmax(-1)
