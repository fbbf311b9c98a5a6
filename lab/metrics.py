"""The scores of a task: what each compares, how it is counted, and how far it would move with other items of the same kind.

Written answers are compared with all the answers that count as right; an item without any expects an empty answer, as in SQuAD 2.0. Only the
libraries that a metric needs are loaded, when it is first counted.
"""
from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, NamedTuple

from lab.contracts import LabError, shorten

RESAMPLES = 300  # the standard error of a standard error is then about 1 / sqrt(2 * 300) = 4 % of it
RESAMPLE_SEED = 0  # equal answers have an equal standard error
TER_CELLS = 50_000  # words of an answer times words of a right one, summed: TER tries every shift of words, up to 0.2 ms a cell
GOLDEN = (sqrt(5) - 1) / 2

Texts = Sequence[str]
References = Sequence[Sequence[str]]  # for each text its right answers, as many as there are


class Score(NamedTuple):
    """The standard error is that of a new draw of items; 0 for a single item, which says nothing about it."""

    value: float
    standard_error: float


class Counts(NamedTuple):
    """What was counted for each item, and how a sum or a list of it becomes a score: items are read once, groups and resamples pick from them."""

    places: Sequence[int]  # the items that were counted
    rows: Any  # an array, one row for each of `places`
    score: Callable[[Any], Score]

    def among(self, wanted: Iterable[int]) -> Score | None:
        """Over some of the items; None where none of them was counted."""
        chosen = set(wanted)
        rows = [row for row, place in enumerate(self.places) if place in chosen]
        return self.score(self.rows[rows]) if rows else None


@dataclass(frozen=True)
class Metric:
    """`most` is the field's own scale. `counts` is None for what the engine counts itself, without a written answer."""

    key: str
    about: str  # for a student who has never met it
    most: float
    digits: int  # decimals shown
    higher_is_better: bool = True
    counts: Callable[[Texts, References], Counts] | None = None

    @property
    def measure(self) -> Callable[[Texts, References], Score] | None:
        """Scores written answers against the right ones of each."""
        return (lambda texts, references: _counted(self, texts, references).among(range(len(texts)))) if self.counts else None


def measured(names: Iterable[str], texts: Texts, references: References, groups: Sequence[str] | None = None) -> dict[str, Score]:
    """Each metric over all items and, as `BLEU (seen)`, over each group of them; an item of group "" belongs to none.

    A group of which TER counted no item has no TER. Raises LabError for a metric that there is not, and for lists that do not fit together.
    """
    if groups is not None and len(groups) != len(texts):
        raise LabError(f"there are {len(groups):,} groups for {len(texts):,} answers: give each answer one, or no groups at all")
    found: dict[str, Score] = {}
    for name in names:
        counts = _counted(find(name), texts, references)
        parts = {name: range(len(texts))} | {
            f"{name} ({group})": [place for place, other in enumerate(groups or ()) if other == group] for group in dict.fromkeys(groups or ()) if group}
        found |= {part: score for part, places in parts.items() if (score := counts.among(places)) is not None}
    return found


def find(name: str) -> Metric:
    if name not in METRICS:
        raise LabError(f'unknown metric "{shorten(name)}": there are {", ".join(METRICS)}')
    return METRICS[name]


def _counted(metric: Metric, texts: Texts, references: References) -> Counts:
    if metric.counts is None:
        written = ", ".join(key for key, other in METRICS.items() if other.counts)
        raise LabError(f"{metric.key} is not counted on written answers: choose {written}")
    if len(texts) != len(references):
        raise LabError(f"there are {len(texts):,} answers and right answers for {len(references):,}: give each answer its own")
    if not texts:
        raise LabError(f"there is no answer to count {metric.key} on: give at least one")
    return metric.counts(texts, [tuple(right) or ("",) for right in references])


# ── scores of each item, averaged ─────────────────────────────────────────────────────────────────────────────────────


def _averaged(score: Callable[[str, Sequence[str]], float]) -> Callable[[Texts, References], Counts]:
    def counts(texts: Texts, references: References) -> Counts:
        import numpy

        rows = numpy.array([score(text, right) for text, right in zip(texts, references, strict=True)], dtype=float)
        return Counts(range(len(texts)), rows, _mean)

    return counts


def _mean(rows: Any) -> Score:
    """With the spread over n, not n - 1: for scores of 0 and 1 that is accuracy's own binomial formula."""
    mean = float(rows.mean())
    return Score(mean, share_error(mean, len(rows)) if mean in (0.0, 1.0) else float(rows.std() / sqrt(len(rows))))


def share_error(share: float, items: int) -> float:
    """Binomial standard error of a share of `items`, sqrt(p (1 - p) / n). Where none or all are right that would be 0, as if nothing else could ever
    come: there it is taken with two successes and two failures added (Agresti and Coull 1998)."""
    if 0 < share < 1:
        return sqrt(share * (1 - share) / items)
    assumed = (share * items + 2) / (items + 4)
    return sqrt(assumed * (1 - assumed) / (items + 4))


def normalized(text: str) -> str:
    """As SQuAD's evaluation reads an answer (Rajpurkar et al., 2016): no capitals, no ASCII punctuation, no articles, single spaces."""
    bare = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def exact_match(text: str, right: Sequence[str]) -> float:
    return float(normalized(text) in [normalized(each) for each in right])


def token_f1(text: str, right: Sequence[str]) -> float:
    """Against the right answer it comes closest to."""
    return max(_overlap(normalized(text).split(), normalized(each).split()) for each in right)


def _overlap(written: list[str], right: list[str]) -> float:
    """F1 of two bags of words; where one of them is empty, 1 if both are, as SQuAD 2.0 has it (Rajpurkar et al., 2018)."""
    if not written or not right:
        return float(written == right)
    return 2 * (Counter(written) & Counter(right)).total() / (len(written) + len(right))


class Words:
    """Splits as rouge-score does for English; its own pattern drops every letter but a to z, so that an answer in Greek would be empty."""

    def tokenize(self, text: str) -> list[str]:
        return re.findall(r"[^\W_]+", text.lower())


def _rouge_l(texts: Texts, references: References) -> Counts:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], tokenizer=Words())
    return _averaged(lambda text, right: scorer.score_multi(right, text)["rougeL"].fmeasure)(texts, references)


# ── scores of all items together, by sacrebleu ────────────────────────────────────────────────────────────────────────


def _sacrebleu(kind: str, **settings: Any) -> Callable[[Texts, References], Counts]:
    """Its own bootstrap tells half of an interval and takes its seed from the environment, so what it counts for each item is resampled here.

    The methods with an underscore are those that its `Metric` declares for every metric to fill in; a test holds them to `corpus_score`.
    """
    def counts(texts: Texts, references: References) -> Counts:
        import numpy
        from sacrebleu import metrics

        metric = getattr(metrics, kind)(**settings)
        places = _affordable(texts, references) if kind == "TER" else range(len(texts))
        most = max(len(references[place]) for place in places)
        columns = [[(*references[place], *[None] * most)[column] for place in places] for column in range(most)]  # None where an item has fewer
        rows = numpy.array(metric._extract_corpus_statistics([texts[place] for place in places], columns))
        return Counts(places, rows, lambda part: _resampled(part, lambda total: metric._compute_score_from_stats(total.tolist()).score))

    return counts


def _resampled(rows: Any, score: Callable[[Any], float]) -> Score:
    """The score of the sum of all rows, and how it spreads when as many items are drawn again with replacement (Koehn, 2004)."""
    import numpy

    random, items, whole = numpy.random.default_rng(RESAMPLE_SEED), len(rows), float(score(rows.sum(0)))
    if items == 1:  # rounding alone would differ
        return Score(whole, 0.0)
    drawn = [score(numpy.bincount(random.integers(items, size=items), minlength=items) @ rows) for _ in range(RESAMPLES)]
    return Score(whole, float(numpy.std(drawn, ddof=1)))


def _affordable(texts: Texts, references: References) -> list[int]:
    """As many items as TER_CELLS allow, at least one, spread evenly over the list: multiples of the golden ratio fill it without a pattern."""
    chosen, left = [], TER_CELLS
    for place in sorted(range(len(texts)), key=lambda place: place * GOLDEN % 1):
        left -= len(texts[place].split()) * sum(len(right.split()) for right in references[place])
        if chosen and left < 0:
            break
        chosen.append(place)
    return sorted(chosen)


METRICS: Mapping[str, Metric] = {metric.key: metric for metric in (
    Metric("accuracy", "The share of items whose label is right: 0 is none, 1 is all.", 1.0, 3),
    Metric("BLEU", "Compares runs of one to four words in the answers with those in the right answers, over all items together, and lowers the score of "
           "answers that are too short: 0 shares none, 100 is word for word. Counted by sacrebleu.", 100.0, 1, counts=_sacrebleu("BLEU", force=True)),
    Metric("chrF", "Compares runs of one to six letters (chrF2: what is missing weighs twice as much as what is too much), so that a wrong ending costs "
           "less than a wrong word: 0 shares none, 100 is letter for letter. Counted by sacrebleu.", 100.0, 1, counts=_sacrebleu("CHRF")),
    Metric("TER", "Translation edit rate: how many words must be inserted, deleted, replaced or moved to reach the nearest right answer, for 100 of its "
           "words: 0 is none, and bad answers can need more than 100. Counted by sacrebleu; it is slow, so long lists are sampled.",
           100.0, 1, higher_is_better=False, counts=_sacrebleu("TER")),
    Metric("ROUGE-L", "The longest sequence of words that stands in the answer and in the nearest right answer in the same order, gaps allowed, as F1: 0 "
           "shares no word, 1 is all of them. Counted by rouge-score, words not stemmed.", 1.0, 3, counts=_rouge_l),
    Metric("exact match", "The share of answers that are a right answer once capitals, punctuation, articles and spaces are ignored, as SQuAD counts: 0 is "
           "none, 1 is all.", 1.0, 3, counts=_averaged(exact_match)),
    Metric("token F1", "How far the words of the answer and of the nearest right answer overlap in any order, as SQuAD counts: 0 shares none, 1 has the "
           "same words.", 1.0, 3, counts=_averaged(token_f1)),
    Metric("token accuracy", "The share of the right answers' tokens that the model would have chosen, with the right tokens before each given: 0 is none, "
           "1 is all.", 1.0, 3),
)}
