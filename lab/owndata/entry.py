"""Tasks by key: those of the catalogue, and those that somebody uploaded."""
from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from lab import catalogue
from lab.contracts import LabError, Splits, Task
from lab.owndata.shelf import Kept, Shelf, is_own, said_gone

OWN = "the uploader's own"


def task(key: Any) -> Task:
    """Raises LabError for a key that names nothing here."""
    return entry(Shelf().find(key)) if is_own(key) else catalogue.find("tasks", key)


def known(key: Any) -> Task | None:
    """The same, or None."""
    try:
        return task(key)
    except LabError:
        return None


def read(folder: Path | None, key: str) -> Splits:
    """Needs no folder: the items lie where runs are kept."""
    return Shelf().splits(key)


def entry(kept: Kept) -> Task:
    """The set as a task: everything that a task of the catalogue gives works with it."""
    sizes = kept.sizes
    counted = f"{sizes['train']:,} texts to train on, {sizes['validation']:,} for validation, {sizes['test']:,} for the test."
    writes = kept.kind == "answers"
    return Task(
        key=kept.key, title=kept.title,
        about=f"Your own data: {'answers to write' if writes else ', '.join(kept.labels[:6]) + (' …' if len(kept.labels) > 6 else '')}. {counted}",
        rule="Uploaded by who uses it: the lab has not looked at how labels or answers were made.", licence=OWN,
        source="An uploaded file, which is not published.",
        prompt="{text}\nAnswer:" if writes else "Text: {text}\nLabel:", metric=kept.metric, metrics=kept.metrics, read=partial(read, key=kept.key),
        start="Answer the text:" if writes else "Label the text:",
        labels=kept.labels, words=kept.words, answer_tokens=kept.answer_tokens, defaults=_defaults(kept, writes), gone=said_gone(kept) if kept.gone else "",
    )


def _defaults(kept: Kept, writes: bool) -> dict[str, Any]:
    """Written answers cost a pass for each token, so fewer are asked for."""
    return {"tokens": kept.tokens, "steps": 50, "batch": 4, "eval_items": 60} if writes else {"tokens": kept.tokens}
