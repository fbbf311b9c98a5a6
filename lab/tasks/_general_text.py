"""General English for measuring forgetting: sixty paragraphs of plain prose, written for the lab and never trained on by any of its tasks.

The perplexity of these before and after fine-tuning says how much of its English a model lost. A page of the Web would not do: most models have
read it, and some tasks are made of such pages. The text is under the lab's own licence.
"""
from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

FILE = "general_text.txt"
WORDS = (40, 90)  # of a paragraph


class Paragraph(NamedTuple):
    """One paragraph, about a subject of its own: the unit over which errors of the perplexity are counted."""

    id: str
    text: str


def paragraphs(assets: Path | None = None) -> tuple[Paragraph, ...]:
    """All sixty, in the order of the file, where empty lines part them; by default of the `assets` folder beside `lab`."""
    folder = assets or Path(__file__).parents[2] / "assets"
    texts = (folder / FILE).read_text(encoding="utf-8").strip().split("\n\n")
    return tuple(Paragraph(f"general-{number}", " ".join(text.split())) for number, text in enumerate(texts))
