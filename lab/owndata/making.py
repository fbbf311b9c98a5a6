"""From a table and a choice of columns to items in three splits: what is left out is counted, what a student should know is said.

Shares of labels stay as they are in the file, so accuracy has to beat the share of the most frequent one. Which item goes where is decided by the SHA-256 of
its text: the same file is split in the same way everywhere.
"""
from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from statistics import median
from typing import Any

from lab.contracts import Item, LabError, Splits, shorten
from lab.owndata.columns import MOST_LABELS, SPLITS, Choice
from lab.owndata.reading import Table
from lab.tasks._splits import TEST, VALIDATION, letters, order

FEWEST = 5  # items of a label: three to learn from, one to choose with, one to test on
FEWEST_PROMPTS = 10
SMALL = 20  # items of a label below which its score says little
LONGEST_LABEL = 40
MOST_ANSWERS = 5  # that count as right to one prompt
LETTERS_A_TOKEN = 4  # of English in the vocabularies here; other languages take more tokens
TOKENS = (32, 128)  # of a text that a run reads, unless said otherwise
ANSWER_TOKENS = (8, 64)
SHORT_ANSWER = 3  # words, up to which an answer is right or wrong as a whole
KEY = "own data"
EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.-]*\w")  # begins at a border only: else each letter of a long word is a beginning
PHONE = re.compile(r"(?<![\w.])\+?\d(?:[ ()/.-]{0,2}\d){8,14}(?![\w.])")


@dataclass(frozen=True)
class Made:
    """A set that can be kept. `found` are the labels of the file with their counts, before any was renamed or left out."""

    choice: Choice
    labels: tuple[str, ...]
    words: tuple[str, ...]
    splits: Splits
    found: tuple[tuple[str, int], ...]
    notes: tuple[str, ...]
    tokens: int
    answer_tokens: int = 0
    metric: str = "accuracy"
    metrics: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """{split: {label: items}}; of answers there is one kind, called all."""
        return {split: {label: sum(item.label == place for item in getattr(self.splits, split)) for place, label in enumerate(self.labels or ("all",))}
                for split in ("train", "validation", "test")}

    @property
    def majority(self) -> float:
        """The share of the most frequent label among the test items, which is what naming it always would score."""
        test = list(self.counts["test"].values())
        return max(test) / sum(test) if self.labels else 0.0


@dataclass(frozen=True)
class Row:
    """What is wanted of a row: where it stands, its text, its label or answer, and the split that it names."""

    line: int
    text: str
    answer: str
    split: str = ""


def made(table: Table, choice: Choice) -> Made:
    """Raises LabError for what no model could be trained on."""
    rows, notes = _rows(table, choice)
    return _labelled(rows, choice, notes) if choice.kind == "labels" else _answered(rows, choice, notes)


def _rows(table: Table, choice: Choice) -> tuple[list[Row], list[str]]:
    """Rows with both parts; those without are counted."""
    text, answer = table.columns.index(choice.text), table.columns.index(choice.answer)
    split = table.columns.index(choice.split) if choice.split else None
    rows, without = [], 0
    for line, cells in zip(table.lines, table.rows, strict=True):
        said, told = clean(cells[text]), clean(cells[answer])
        if not said or not told:
            without += 1
            continue
        rows.append(Row(line, said, told, _split(cells[split], line) if split is not None else ""))
    if not rows:
        raise LabError(f'no row has something in both "{shorten(choice.text)}" and "{shorten(choice.answer)}": choose other columns')
    what = "label" if choice.kind == "labels" else "answer"
    return rows, [*table.notes, *([f"{without:,} {_rows_said(without)} left out: the text or the {what} is empty."] if without else [])]


def clean(text: str) -> str:
    """Lines end in one way, and nothing is around them."""
    return re.sub(r"\n{3,}", "\n\n", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def _split(value: str, line: int) -> str:
    found = SPLITS.get(value.strip().lower())
    if found is None:
        raise LabError(f'line {line} has the split "{shorten(value, 20)}": must be train, validation or test; or choose no split column')
    return found


# ── labels ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _labelled(rows: list[Row], choice: Choice, notes: list[str]) -> Made:
    found = Counter(" ".join(row.answer.split()) for row in rows)
    _check_found(found, choice)
    names = {label: " ".join(choice.names.get(label, label).split()) for label in found}
    rows = [replace(row, answer=names[label]) for row in rows if names[label := " ".join(row.answer.split())]]
    labels = tuple(sorted({row.answer for row in rows}, key=_natural))
    _check_labels(labels, choice)
    items, said = _distinct(rows, {label: place for place, label in enumerate(labels)})
    counts = Counter(labels[item.label] for item, _ in items)
    for label in labels:
        if counts[label] < FEWEST:
            raise LabError(f'label "{label}" has {counts[label]} different texts: at least {FEWEST}; give it another label\'s name, or leave it out')
    splits, told = _dealt(items, len(labels))
    words = words_of(labels)
    spelled = [] if words == tuple(f" {label}" for label in labels) else [
        f"Decoders write a letter for each label ({', '.join(f'{word.strip()} for {label}' for word, label in zip(words, labels, strict=True))}): "
        "they are told apart by the first token of what they write, and these names may begin alike."]
    tokens, long = _tokens([item.text for item, _ in items], 12)
    made = Made(choice, labels, words, splits, tuple(sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))), (), tokens)
    return replace(made, notes=(*notes, *said, *told, *_sizes(made), *spelled, *long, *personal(item.text for item, _ in items)))


def _check_found(found: Counter[str], choice: Choice) -> None:
    if len(found) > MOST_LABELS:
        raise LabError(f'column "{shorten(choice.answer)}" has {len(found):,} different values: at most {MOST_LABELS} labels; choose another column, or say '
                       "that it holds answers to write")
    if len(found) == 1:
        raise LabError(f'column "{shorten(choice.answer)}" has one label only, "{shorten(next(iter(found)))}": there is nothing to tell apart; '
                       "at least 2 are needed")


def _check_labels(labels: Sequence[str], choice: Choice) -> None:
    if len(labels) < 2:
        raise LabError(f"{len(labels)} label{'s' * (len(labels) != 1)} would be left: at least 2; leave fewer out, or give them different names")
    long = next((label for label in labels if len(label) > LONGEST_LABEL), None)
    if long:
        raise LabError(f'label "{shorten(long)}" has {len(long)} characters: at most {LONGEST_LABEL}; give it a shorter name, or choose another column than '
                       f'"{shorten(choice.answer)}"')


def _natural(label: str) -> tuple[bool, float, str]:
    """Numbers by their value, then names by the alphabet."""
    try:
        return (False, float(label), label)
    except ValueError:
        return (True, 0.0, label.casefold())


def words_of(labels: Sequence[str]) -> tuple[str, ...]:
    """What a decoder writes for each: the name, or a letter where two names might begin with the same token. Digits are such: some vocabularies part them
    from the space in front, which is then what all begin with."""
    begins = {label[:3].casefold() for label in labels}
    told = len(begins) == len(labels) and all(label[0].isascii() and label[0].isalpha() for label in labels)
    return tuple(f" {label}" for label in labels) if told else tuple(f" {chr(ord('a') + place)}" for place in range(len(labels)))


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _answered(rows: list[Row], choice: Choice, notes: list[str]) -> Made:
    """A prompt that comes several times has several right answers."""
    rows = [replace(row, answer=" ".join(row.answer.split())) for row in rows]  # a written answer ends with its line
    same: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        same[row.split, letters(row.text)].append(row)
    answers = {key: tuple(dict.fromkeys(row.answer for row in group))[:MOST_ANSWERS] for key, group in same.items()}
    items = [(Item(f"row-{group[0].line}", group[0].text, document=f"row-{group[0].line}", answers=answers[key]), key[0]) for key, group in same.items()]
    more = len(rows) - len(items)
    said = [f"{more:,} {_rows_said(more)} put to an earlier row with the same prompt: each of its answers counts as right."] if more else []
    if len({row.answer for row in rows}) == 1:
        raise LabError(f'column "{shorten(choice.answer)}" has the same answer in every row, "{shorten(rows[0].answer)}": there is nothing to learn; '
                       "choose another column")
    if len(items) < FEWEST_PROMPTS:
        raise LabError(f"there are {len(items)} different prompts: at least {FEWEST_PROMPTS}; add rows")
    splits, told = _dealt(items, 1)
    lengths = sorted(len(answer) for item, _ in items for answer in item.answers[:1])
    wanted = ceil(lengths[int(0.95 * (len(lengths) - 1))] / LETTERS_A_TOKEN * 1.2) + 2
    answer_tokens = min(max(wanted, ANSWER_TOKENS[0]), ANSWER_TOKENS[1])
    cut = sum(length > answer_tokens * LETTERS_A_TOKEN for length in lengths)
    short = median(len(item.answers[0].split()) for item, _ in items) <= SHORT_ANSWER
    metric, metrics = ("exact match", ("token F1",)) if short else ("ROUGE-L", ("chrF", "BLEU"))
    tokens, long = _tokens([item.text for item, _ in items], 4)
    if cut:
        long = [*long, f"About {cut:,} answers are longer than the {answer_tokens} tokens that are written at most; their end is not learned."]
    notes = [*notes, *said, *told, *long, *personal(text for item, _ in items for text in (item.text, *item.answers))]
    return Made(choice, (), (), splits, (), tuple(notes), tokens, answer_tokens, metric, metrics)


# ── splits ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _distinct(rows: Sequence[Row], labels: Mapping[str, int]) -> tuple[list[tuple[Item, str]], list[str]]:
    """One item a text in each split, none where its labels disagree: texts that differ in case, spaces or punctuation only are one."""
    same: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        same[letters(row.text)].append(row)
    found, twice, apart = [], 0, 0
    for group in same.values():
        if len({row.answer for row in group}) > 1:
            apart += len(group)
            continue
        kept = {row.split: row for row in reversed(group)}
        twice += len(group) - len(kept)
        found += [(Item(f"row-{row.line}", row.text, labels[row.answer], f"row-{row.line}"), split) for split, row in reversed(kept.items())]
    said = [f"{twice:,} {_rows_said(twice)} left out: the same text comes more than once."] if twice else []
    if apart:
        said.append(f"{apart:,} {_rows_said(apart)} left out: the same text comes with different labels.")
    return found, said


def _dealt(items: Sequence[tuple[Item, str]], labels: int) -> tuple[Splits, list[str]]:
    """Into the splits that the rows name, or by shares of each label."""
    said: list[str] = []
    if any(split for _, split in items):
        given, said = _given(items)
    else:
        given = {"train": [item for item, _ in items]}
    taken = []
    for split, share in (("test", TEST), ("validation", VALIDATION)):
        if not given.get(split):
            taken.append((split, share))
    left = given["train"]
    for split, share in taken:
        given[split], left = _taken(left, share / (1 - (TEST if split == "validation" and len(taken) == 2 else 0)), labels)
        if said or any(split for _, split in items):
            said = [*said, f"No row is marked {split}: {len(given[split]):,} of the training rows were taken for it."]
    given["train"] = left
    _check_splits(given, labels)
    return Splits(*(mixed(given[split]) for split in ("train", "validation", "test"))), said


def _given(items: Sequence[tuple[Item, str]]) -> tuple[dict[str, list[Item]], list[str]]:
    """A text that stands in two splits stays where it is tested, else where choices are made with it."""
    given: dict[str, list[Item]] = {"train": [], "validation": [], "test": []}
    seen: set[str] = set()
    lost: Counter[str] = Counter()
    for split in ("test", "validation", "train"):
        own = [item for item, said in items if said == split]
        given[split] = [item for item in own if letters(item.text) not in seen]
        lost[split] = len(own) - len(given[split])
        seen |= {letters(item.text) for item in own}
    said = [f"{lost[split]:,} {split} {_rows_said(lost[split])} left out: the same text stands among the {others} rows, where it would be known already."
            for split, others in (("train", "validation or test"), ("validation", "test")) if lost[split]]
    if not given["train"]:
        raise LabError("no row is left to train on: mark rows as train in the split column, or choose no split column")
    return given, said


def _taken(items: Sequence[Item], share: float, labels: int) -> tuple[list[Item], list[Item]]:
    """This share of each label, at least one of it where there are two; and the rest."""
    taken: list[Item] = []
    for label in range(labels):
        own = sorted((item for item in items if item.label == label), key=lambda item: order(KEY, letters(item.text)))
        taken += own[:max(1 if len(own) > 1 else 0, round(share * len(own)))]
    ids = {item.id for item in taken}
    return taken, [item for item in items if item.id not in ids]


def _check_splits(given: Mapping[str, Sequence[Item]], labels: int) -> None:
    for split, least in (("train", 2), ("validation", 1), ("test", 2)):
        if len(given[split]) < least:
            raise LabError(f"{len(given[split])} {split} row{'s' * (len(given[split]) != 1)} would be left: at least {least}; add rows, "
                           "or choose no split column")
    missing = set(range(labels)) - {item.label for item in given["train"]}
    if missing:
        raise LabError(f"{len(missing)} of the {labels} labels have no training row: mark some as train, or choose no split column")


def mixed(items: Iterable[Item]) -> tuple[Item, ...]:
    """One of each label first, then all in an order of which every beginning holds about the shares of the whole."""
    own: dict[int, list[Item]] = defaultdict(list)
    for item in sorted(items, key=lambda item: order(KEY, letters(item.text))):
        own[item.label].append(item)
    placed = [((place + 0.5) / len(group) if place else -1.0, label, item) for label, group in own.items() for place, item in enumerate(group)]
    return tuple(item for _, _, item in sorted(placed, key=lambda part: part[:2]))


# ── what a student should know ────────────────────────────────────────────────────────────────────────────────────────


def _sizes(made: Made) -> list[str]:
    """Small labels, and a large one."""
    counts = made.counts
    whole = {label: sum(counts[split][label] for split in counts) for label in made.labels}
    small = [label for label, count in whole.items() if count < SMALL]
    largest = max(whole, key=lambda label: whole[label])
    said = [f"Few texts of {_listed(small)}: fewer than {SMALL} each, so little is learned of them, and their part of the score is noise."] if small else []
    if made.majority > 1.5 / len(made.labels) or made.majority >= 0.6:
        said.append(f'"{largest}" is the answer to {made.majority:.0%} of the test texts: always naming it scores {made.majority:.2f}, '
                    "and accuracy has to beat that.")
    test = sum(counts["test"].values())
    if test < 100:
        said.append(f"The test has {test:,} texts, so a score has a standard error of up to {0.5 / test ** 0.5:.2f}.")
    return said


def _tokens(texts: Sequence[str], around: int) -> tuple[int, list[str]]:
    """How many tokens a run reads of a text, `around` of them the question's, and what that cuts. No vocabulary is at hand, so letters stand for tokens."""
    lengths = sorted(ceil(len(text) / LETTERS_A_TOKEN * 1.15) + around for text in texts)
    wanted = 16 * ceil(lengths[int(0.9 * (len(lengths) - 1))] / 16)
    tokens = min(max(wanted, TOKENS[0]), TOKENS[1])
    cut = sum(length > tokens for length in lengths)
    return tokens, [f"About {cut:,} of {len(texts):,} texts are longer than the {tokens} tokens that a run reads; their end is cut. "
                    "“Longest text” among the advanced settings changes that."] if cut else []


def personal(texts: Iterable[str]) -> list[str]:
    """A note, no verdict: whoever uploads decides."""
    found = [(bool(EMAIL.search(text)), bool(PHONE.search(text))) for text in texts]
    mails, phones = sum(mail for mail, _ in found), sum(phone for _, phone in found)
    what = " and ".join([*([f"an email address in {mails:,}"] if mails else []), *([f"a telephone number in {phones:,}"] if phones else [])])
    return [f"What looks like {what} of the texts: leave personal data out, unless you may use it."] if what else []


def _listed(labels: Sequence[str]) -> str:
    shown = [f'"{label}"' for label in labels[:4]]
    return ", ".join(shown) + (f" and {len(labels) - 4} more" if len(labels) > 4 else "")


def _rows_said(count: int) -> str:
    return "rows were" if count != 1 else "row was"


def report(made: Made) -> dict[str, Any]:
    """For the page and the command line."""
    counts = made.counts
    return {
        "kind": made.choice.kind, "labels": list(made.labels), "words": [word.strip() for word in made.words], "notes": list(made.notes),
        "found": [{"label": label, "count": count, "name": made.choice.names.get(label, label)} for label, count in made.found],
        "splits": {split: sum(part.values()) for split, part in counts.items()},
        "counts": [{"label": label, **{split: counts[split][label] for split in counts}} for label in made.labels],
        "majority": made.majority, "metric": made.metric, "tokens": made.tokens, "answer_tokens": made.answer_tokens,
    }
