"""The rank of every word beside a vector, and sets of words as common as given ones."""
from __future__ import annotations

from collections.abc import Sequence

import torch

from lab.lenses._vocabulary import Vocabulary

WINDOW = 1000  # places up and down the vocabulary in which words count as equally common: tokenizers number common tokens first


def closeness(words: Vocabulary, vectors: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """(n, …) reciprocal rank, by centred cosine among the rows that words stand behind, of those at `places` (…) of `words.ids`."""
    ahead = words.offsets(vectors.float())
    scores = torch.cat([ahead @ rows.T for rows in words.directions()], 1)  # (n, considered), times |p - mu|
    found = vectors.new_empty((len(vectors), *places.shape))
    for position, line in enumerate(scores):
        order = line.argsort(descending=True)
        ranks = torch.empty_like(order)
        ranks[order] = torch.arange(1, len(order) + 1, device=order.device)
        found[position] = 1 / ranks[places]
    return found


def as_common(words: Vocabulary, places: Sequence[int], sets: int, chance: torch.Generator) -> torch.Tensor:
    """(sets, len(places)) places of words that stand near each of these in the vocabulary, and begin a word or go on with one as it does."""
    return torch.stack([_drawn(words, place, places, sets, chance) for place in places], 1)


def _drawn(words: Vocabulary, place: int, taken: Sequence[int], sets: int, chance: torch.Generator) -> torch.Tensor:
    ids = words.ids.tolist()
    like = _kind(words.texts[ids[place]])
    around = range(max(0, place - WINDOW), min(len(ids), place + WINDOW + 1))
    near = [each for each in around if each not in taken and _kind(words.texts[ids[each]]) == like]
    near = near or [each for each in range(len(ids)) if each not in taken] or [place]  # a vocabulary of a few words
    return torch.tensor(near)[torch.randint(len(near), (sets,), generator=chance)]


def _kind(text: str) -> tuple[bool, bool]:
    plain = text.strip()
    return text[:1] == " ", plain.isalpha()
