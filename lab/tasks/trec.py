"""TREC question classification: what kind of thing a question asks for.

The sixth kind, abbreviations, has 95 questions in all: with every kind equally often it would leave 9 of each to test on. It is left out.
"""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lab.contracts import HubData, Item, Splits, Task
from lab.tasks._hub import cut, labelled, splits

# the repository itself holds a script, which is never run; the Hub's own copy of its rows is plain Parquet
HUB = HubData("CogComp/trec", {"train": "default/train/*.parquet", "test": "default/test/*.parquet"}, revision="refs/convert/parquet")
NAMES = ("ABBR", "ENTY", "DESC", "HUM", "LOC", "NUM")
LABELS = ("entity", "description", "human", "location", "number")
VALIDATED = 800  # of the 5,452 published training questions


def read(folder: Path | None) -> Splits:
    """There is no published validation set: a part of the training set serves as one."""
    test, published = (_without_abbreviations(labelled(folder, HUB, name, "text", "coarse_label", NAMES)) for name in ("test", "train"))
    validation, train = cut(published, "trec", VALIDATED)
    return splits("trec", test, validation, train, labels=len(LABELS))


def _without_abbreviations(items: list[Item]) -> list[Item]:
    return [replace(item, label=item.label - 1) for item in items if NAMES[item.label] != "ABBR"]


entry = Task(
    key="trec",
    title="TREC (5 kinds of question, needs the Hub)",
    about="What does a question ask for: a thing, a description, people, a place or a number? Short questions, about 10 words. About 3,500 to train on, "
          "and 325 to test on, so small differences cannot be told from chance.",
    rule="People sorted the questions into six kinds. The rarest, abbreviations, is left out; of the others every kind stands equally often, no text twice. "
         "Test items are from the published test set, validation items from the training set.",
    licence="unknown (the data set's card says so)",
    source="Xin Li and Dan Roth (2002): Learning Question Classifiers. COLING. CogComp/trec on the Hub.",
    labels=LABELS,
    words=tuple(f" {label}" for label in LABELS),
    prompt="Question: {text}\nAnswer type:",
    start="Name what the question asks for, a thing, a description, people, a place or a number:",
    metric="accuracy",
    read=read,
    hub=HUB,
    wordings=(
        "{text}\nThe answer to this question is the name of a",
        "Does the question ask for an entity, a description, a human, a location or a number?\nQuestion: {text}\nIt asks for a",
    ),
    defaults={"tokens": 48, "eval_items": 325},
)
