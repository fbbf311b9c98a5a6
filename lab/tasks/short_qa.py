"""Short question answering: a passage about people and places that do not exist, a question, and the words of the passage that answer it."""
from __future__ import annotations

from pathlib import Path

from lab.contracts import Item, Splits, Task
from lab.tasks import _questions


def read(folder: Path | None = None) -> Splits:
    """Needs no folder."""
    return Splits(**{
        split: tuple(Item(asked.id, f"{asked.passage}\nQuestion: {asked.question}", document=asked.document, answers=(asked.answer,),
                          group=asked.kind if split == "test" else "") for asked in questions)
        for split, questions in _questions.make().items()
    })


entry = Task(
    key="short_qa",
    title="Short questions",
    about="Answer a question with the words of a short passage. Each passage tells two similar stories, so the question decides. 4,000 to train on.",
    rule="A grammar of our own writes the passage from invented facts; the answer stands in it word for word. Five kinds of question in turn.",
    licence="CC0-1.0",
    source="Made by the lab; scored as in SQuAD (Rajpurkar et al., 2016).",
    prompt="Passage: {text}\nAnswer:",
    start="Answer the question about the passage in a few words:",
    wordings=(
        "{text}\nThe answer in a few words of the passage:",
        "Read the passage and answer the question with words from it.\n\n{text}\nShort answer:",
    ),
    metric="exact match",
    metrics=("token F1",),
    answer_tokens=12,
    read=read,
    defaults={"tokens": 112, "steps": 40, "batch": 4, "eval_items": 100},
)
