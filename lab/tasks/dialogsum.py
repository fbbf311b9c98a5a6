"""DialogSum: a spoken dialogue of everyday life, and its summary in one to three sentences."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.contracts import HubData, Item, Splits, Task
from lab.tasks._hub import rows, splits
from lab.tasks._splits import letters

# the repository itself holds CSV; the Hub's own copy of its rows is Parquet
HUB = HubData(
    "knkarthick/dialogsum", {name: f"default/{name}/*.parquet" for name in ("train", "validation", "test")}, revision="refs/convert/parquet",
)


def read(folder: Path | None) -> Splits:
    parts = {name: _dialogues(rows(folder, HUB, name, {"dialogue": (), "summary": ()})) for name in HUB.files}
    return splits("dialogsum", **parts)


def _dialogues(found: Iterable[dict[str, Any]]) -> Iterator[Item]:
    """One item a dialogue: in the test set three people wrote a summary of each, on three rows."""
    dialogues: dict[str, Item] = {}
    for row in found:
        text, summary = _lines(row["dialogue"] or ""), " ".join((row["summary"] or "").split())
        if not text or not summary:
            continue
        item = dialogues.setdefault(letters(text), Item(row["id"], text, document=row["id"]))
        if summary not in item.answers:
            dialogues[letters(text)] = replace(item, answers=(*item.answers, summary))
    yield from dialogues.values()


def _lines(dialogue: str) -> str:
    """One turn a line."""
    return "\n".join(" ".join(line.split()) for line in dialogue.splitlines() if line.strip())


entry = Task(
    key="dialogsum",
    title="DialogSum (summaries of dialogues, needs the Hub)",
    about="Summarise a spoken dialogue, written as #Person1# and #Person2#, in one to three sentences. 6,000 of 12,460 dialogues to train on, about 500 each "
          "for validation and test. Dialogues are long, about 130 words: a step takes several times as long as with reviews.",
    rule="People wrote the summaries: one for a dialogue to train on, up to three for one of the test set, and any of them counts as right. "
         "The published splits; no dialogue twice.",
    licence="CC BY-NC-SA 4.0: not for commercial use; the dialogues belong to those who wrote them",
    source="Yulong Chen, Yang Liu, Liang Chen and Yue Zhang (2021): DialogSum: A Real-Life Scenario Dialogue Summarization Dataset. Findings of ACL. "
           "knkarthick/dialogsum on the Hub.",
    prompt="Dialogue:\n{text}\n\nSummary:",
    start="Summarise the dialogue in one or two sentences:",
    wordings=(
        "{text}\n\nIn short, what the two people talk about:",
        "Summarise the dialogue in one or two sentences.\n\n{text}\n\nSummary:",
    ),
    metric="ROUGE-L",
    metrics=("chrF",),
    answer_tokens=80,
    read=read,
    hub=HUB,
    defaults={"tokens": 384, "batch": 4, "eval_items": 60},
)
