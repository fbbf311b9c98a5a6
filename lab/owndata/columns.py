"""Which column holds what, guessed from names and values; a person can always say otherwise."""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lab.contracts import LabError, shorten
from lab.owndata.reading import Table

MOST_LABELS = 20
TEXTS = ("text", "sentence", "review", "prompt", "question", "content", "comment", "message", "tweet", "body", "input", "instruction", "utterance", "document")
LABELS = ("label", "class", "category", "sentiment", "target", "intent", "rating", "topic", "tag", "y", "stars", "score", "emotion")
ANSWERS = ("answer", "completion", "response", "output", "summary", "target", "reply", "translation", "headline")
SPLIT = ("split", "set", "fold", "partition", "subset")
SPLITS = {"train": "train", "training": "train", "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
          "test": "test", "testing": "test", "eval": "test", "evaluation": "test"}
Kind = Literal["labels", "answers"]


@dataclass(frozen=True)
class Choice:
    """What a person chooses: the columns, what they hold, and what each label is to be called (nothing leaves it out)."""

    text: str
    answer: str  # the column of labels, or of answers
    kind: Kind
    split: str = ""
    names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: Any, table: Table) -> Choice:
        """From the dict form; what is left out is guessed."""
        if not isinstance(data, Mapping):
            raise LabError(f"a choice of columns is an object: this is {shorten(data)}")
        said = {key: value for key, value in data.items() if value not in (None, "")}
        kind = said.get("kind", "")
        if kind not in ("", "labels", "answers"):
            raise LabError(f'kind is "{shorten(kind)}": must be labels or answers')
        guessed = guess(table, kind or None, said.get("text"), said.get("answer"))
        names = said.get("names", {})
        if not isinstance(names, Mapping) or not all(isinstance(part, str) for pair in names.items() for part in pair):
            raise LabError("names is no mapping from labels to labels: load the page again")
        made = cls(str(said.get("text", guessed.text)), str(said.get("answer", guessed.answer)), guessed.kind,
                   guessed.split if "split" not in data else str(data["split"] or ""), dict(names))
        made.check(table)
        return made

    def check(self, table: Table) -> None:
        for what, column in (("text", self.text), ("label" if self.kind == "labels" else "answer", self.answer), ("split", self.split)):
            if (column or what != "split") and column not in table.columns:
                raise LabError(f'{what} is column "{shorten(column)}": there are {", ".join(shorten(name, 20) for name in table.columns)}')
        if len({self.text, self.answer, self.split}) < 3:
            twice = self.text if self.text in (self.answer, self.split) else self.answer
            raise LabError(f'column "{shorten(twice)}" is chosen twice: choose another for one of them')

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def guess(table: Table, kind: Kind | None = None, text: str | None = None, answer: str | None = None) -> Choice:
    """Names first, then values: texts are long, labels few."""
    seen = {name: [row[place] for row in table.rows] for place, name in enumerate(table.columns)}
    split = next((name for name in table.columns if name not in (text, answer) and _is_split(name, seen[name])), "")
    free = [name for name in table.columns if name != split]
    others = [name for name in free if name != answer]
    text = text or _named(TEXTS, others) or max(others, key=lambda name: sum(map(len, seen[name])))
    rest = [name for name in free if name != text]
    if not rest:  # the one column left looks like a split and may be the label
        rest, split = [split], ""
    few = [name for name in rest if len(set(map(str.strip, seen[name])) - {""}) <= min(MOST_LABELS, len(table.rows) / 2)]
    if answer is None:
        labels, answers = _named(LABELS, few), _named(ANSWERS, rest)
        if kind == "answers":
            answer = answers or max(rest, key=lambda name: sum(map(len, seen[name])))
        else:
            answer = labels or (None if kind == "labels" else answers) or (min(few, key=lambda name: len(set(seen[name]))) if few else rest[0])
    if kind is None:
        kind = "labels" if answer in few or _named(LABELS, [answer]) else "answers"
    return Choice(text, answer, kind, split if split != answer else "")


def _named(names: tuple[str, ...], columns: list[str]) -> str | None:
    """The column that is called like the first of these."""
    lower = {column.strip().lower(): column for column in reversed(columns)}
    return next((lower[name] for name in names if name in lower), None)


def _is_split(name: str, values: list[str]) -> bool:
    found = {value.strip().lower() for value in values}
    return name.strip().lower() in SPLIT and found <= set(SPLITS) and len({SPLITS[value] for value in found}) > 1


def about(table: Table) -> list[dict[str, Any]]:
    """Every column with how many different values it has, for the menus."""
    return [{"name": name, "different": len(Counter(row[place] for row in table.rows)),
             "characters": round(sum(len(row[place]) for row in table.rows) / len(table.rows))} for place, name in enumerate(table.columns)]
