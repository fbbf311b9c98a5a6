"""Headlines: a short news paragraph, and a headline for it. The smallest kind of summary."""
from __future__ import annotations

from pathlib import Path

from lab.contracts import Item, Splits, Task
from lab.tasks import _headlines


def read(folder: Path | None = None) -> Splits:
    """Needs no folder."""
    return Splits(**{
        split: tuple(Item(news.id, news.paragraph, document=news.id, answers=news.references) for news in paragraphs)
        for split, paragraphs in _headlines.make().items()
    })


entry = Task(
    key="headline",
    title="Headlines",
    about="Write the headline of a short news paragraph: say what matters, leave out the rest. 4,000 paragraphs to train on.",
    rule="A grammar of our own writes the paragraph from invented facts, and three headlines that only say what stands in it.",
    licence="CC0-1.0",
    source="Made by the lab.",
    prompt="News: {text}\nHeadline:",
    wordings=(
        "{text}\n\nA short headline for this news:",
        "Summarise the news in a headline of five to nine words.\n\n{text}\n\nHeadline:",
    ),
    metric="ROUGE-L",
    metrics=("chrF", "BLEU"),
    answer_tokens=20,
    read=read,
    defaults={"tokens": 80, "steps": 50, "batch": 4, "eval_items": 60},
)
