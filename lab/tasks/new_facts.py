"""New facts: fifty facts about people and things that do not exist are told in one wording each, and asked for in that wording and in others."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lab.contracts import Item, Splits, Task
from lab.tasks._memory import new_facts
from lab.tasks._new_facts import Fact


def read(folder: Path | None = None) -> Splits:
    """Needs no folder. Trained on is the statement; of each fact the test asks all ways in turn."""
    facts = new_facts()
    told = tuple(_item(fact, "told", fact.cloze, fact.answer) for fact in facts)
    return Splits(told, told, tuple(item for fact in facts for item in _asked(fact)))


def _asked(fact: Fact) -> Iterator[Item]:
    yield _item(fact, "as told", fact.cloze, fact.answer)
    yield _item(fact, "reworded", fact.paraphrases[0], fact.answer)
    yield _item(fact, "backwards", fact.backward, fact.subject)
    yield _item(fact, "true facts", fact.neighbour, fact.neighbour_answer)
    yield _item(fact, "as a question", f"Question: {fact.question}\nAnswer:", fact.answer)


def _item(fact: Fact, way: str, prompt: str, answer: str) -> Item:
    return Item(f"{fact.id} {way}", prompt, document=fact.id, answers=(answer,), group="" if way == "told" else way)


entry = Task(
    key="new_facts",
    title="New facts",
    about="Fifty invented facts are told in one wording. Are they recalled in it, in other words, backwards, and are true facts of the same kind still known?",
    rule="Training shows each fact in one wording. The test asks for it in that wording, in another, as a question, backwards, and for a true fact beside it.",
    licence="CC0-1.0",
    source="Made by the lab; the ways of asking follow Berglund et al. (2023) and Meng et al. (2022).",
    prompt="{text}",
    start="Complete the sentence with what is known:",
    metric="exact match",
    metrics=("token F1",),
    answer_tokens=16,
    stop=("\n", "."),
    recalls=True,
    read=read,
    defaults={"tokens": 48, "eval_items": 250, "steps": 200, "eval_every": 50},
)
