"""Random pairs: learn by heart which invented word belongs to which. Nothing can be guessed, so what is recalled was stored in the trained parameters."""
from __future__ import annotations

from pathlib import Path

from lab.contracts import Item, Splits, Task
from lab.tasks import _memory


def read(folder: Path | None = None) -> Splits:
    """Needs no folder. The same pairs in every split, on purpose: what counts is how much comes back."""
    return Splits(**{
        split: tuple(Item(pair.id, pair.key, document=pair.id, answers=(pair.value,)) for pair in pairs)
        for split, pairs in _memory.make().items()
    })


entry = Task(
    key="random_pairs",
    title="Random pairs",
    about="Learn by heart which made-up word belongs to which: how much can a method store? The number of pairs is the number of training items, at most 256.",
    rule="Both words of a pair are drawn at random, so no pair can be guessed from another; one holds 18.9 bits. The test asks for the pairs trained on.",
    licence="CC0-1.0",
    source="Made by the lab.",
    prompt="{text} ->",
    start="Write the word that belongs to this one:",
    metric="exact match",
    answer_tokens=12,
    recalls=True,
    read=read,
    defaults={"tokens": 16, "train_items": 64, "eval_items": 256, "steps": 300, "eval_every": 75},
)
