"""A tiny sentiment grammar of our own: no download, short sentences, and a rule that a model of two layers can learn."""
from __future__ import annotations

from itertools import product
from pathlib import Path

from lab.contracts import Item, Splits, Task
from lab.tasks._splits import split

NOUNS = ("film", "story", "song", "book", "game", "meal", "room", "trip")
VERBS = ("was", "is", "seemed")
DEGREES = ("", "very", "quite", "so")
GOOD = ("good", "great", "lovely", "funny", "warm", "clever", "fresh", "kind")
BAD = ("bad", "awful", "boring", "sad", "cold", "stupid", "dull", "cruel")


def read(folder: Path | None = None) -> Splits:
    """Needs no folder. Every sentence of the grammar once; each is its own document."""
    items = []
    for label, words in enumerate((BAD, GOOD)):
        for noun, verb, degree, word in product(NOUNS, VERBS, DEGREES, words):
            text = " ".join(part for part in ("the", noun, verb, degree, word) if part)
            items.append(Item(id=text.replace(" ", "-"), text=text, label=label, document=text))
    return split(items, "toy")


entry = Task(
    key="toy",
    title="Toy sentences",
    about="Is a sentence of a tiny made-up language positive or negative? For the smallest models, whose every number can be looked at.",
    rule="The last word decides: eight words count as positive, eight as negative. Each of the 1,536 sentences of the grammar occurs once.",
    licence="CC0-1.0",
    source="Made by this file.",
    labels=("negative", "positive"),
    words=(" negative", " positive"),
    prompt="Review: {text}\nSentiment:",
    metric="accuracy",
    read=read,
    wordings=("Is it good or bad?\n{text}\nIt is",),
)
