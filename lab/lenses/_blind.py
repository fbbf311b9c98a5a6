"""Vectors that look like a prompt and say nothing, beside the prompt itself."""
from __future__ import annotations

import torch
from torch.nn.functional import normalize

from lab.lenses._vocabulary import Vocabulary


def variants(words: Vocabulary, now: torch.Tensor, then: torch.Tensor, chance: torch.Generator) -> dict[str, torch.Tensor]:
    """Each (n, width): the prompt, as it was before training, and three kinds of chance, drawn in this order."""
    ahead, moved = words.offsets(now), (now - then).norm(dim=1, keepdim=True)
    picked = words.ids[torch.randint(len(words.ids), (len(now),), generator=chance).to(words.ids.device)]
    orders = torch.stack([torch.randperm(now.shape[1], generator=chance) for _ in now]).to(now.device)
    return {
        "trained": now, "init": then,
        "direction": words.mean + ahead.norm(dim=1, keepdim=True) * _directions(now, chance),
        "noise": words.rows(picked) + moved * _directions(now, chance),
        "permuted": words.mean + ahead.gather(1, orders),
    }


def _directions(like: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    return normalize(torch.randn(like.shape, generator=chance), dim=1).to(like)
