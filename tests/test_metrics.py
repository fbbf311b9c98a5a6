"""The scores of written answers: by hand, against the libraries, and their standard errors against a simulation."""
from __future__ import annotations

import subprocess
import sys
import time
from itertools import pairwise
from math import exp, isfinite, sqrt
from pathlib import Path
from random import Random

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF, TER

from lab.contracts import LabError
from lab.metrics import METRICS, TER_CELLS, Score, Words, measured, normalized

WRITTEN = [key for key, metric in METRICS.items() if metric.measure]
SACREBLEU = {"BLEU": BLEU, "chrF": CHRF, "TER": TER}


def score(name: str, texts: list[str], references: list[list[str]]) -> Score:
    return measured([name], texts, references)[name]


def sentences(items: int, seed: int = 0, references: int = 1, words: int = 12) -> tuple[list[str], list[list[str]]]:
    """Right sentences of a small vocabulary, and answers in which every fifth word or so is another one."""
    random = Random(seed)
    vocabulary = [f"word{number}" for number in range(60)]
    right = [[" ".join(random.choices(vocabulary, k=words + random.randrange(4))) for _ in range(references)] for _ in range(items)]
    texts = [" ".join(random.choice(vocabulary) if random.random() < 0.2 else word for word in each[0].split()) for each in right]
    return texts, right


# ── values ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_scales() -> None:
    assert list(METRICS) == ["accuracy", "BLEU", "chrF", "TER", "ROUGE-L", "exact match", "token F1", "token accuracy"]
    for key, metric in METRICS.items():
        assert metric.key == key
        assert (metric.most, metric.digits) == ((100.0, 1) if key in SACREBLEU else (1.0, 3))
        assert metric.higher_is_better == (key != "TER")
        assert (metric.measure is None) == (key in ("accuracy", "token accuracy"))
        assert metric.about.endswith(".")


@pytest.mark.parametrize("name", WRITTEN)
def test_the_two_ends(name: str) -> None:
    right = [["the cat sat on the mat today"], ["she reads five long books a week"]]
    best, worst = (METRICS[name].most, 0.0) if METRICS[name].higher_is_better else (0.0, METRICS[name].most)
    assert score(name, [each[0] for each in right], right).value == pytest.approx(best)
    assert score(name, ["XX " * 6, "XX " * 6], right).value == pytest.approx(worst, abs=15 if name == "TER" else 0)


def test_bleu_by_hand() -> None:
    """Five of six words, four of five pairs, three of four triples, two of three runs of four; the answer is one word short of seven."""
    found = score("BLEU", ["one two three four five nine"], [["one two three four five six seven"]])
    assert found.value == pytest.approx(100 * exp(1 - 7 / 6) * (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25)


def test_chrf_by_hand() -> None:
    """`abc` in `abcd`: every run of the answer is right; of the reference's runs 3 of 4, 2 of 3, 1 of 2 are found. No run of four in the answer."""
    precision, recall = 1.0, (3 / 4 + 2 / 3 + 1 / 2) / 3
    assert score("chrF", ["abc"], [["abcd"]]).value == pytest.approx(100 * 5 * precision * recall / (4 * precision + recall))


def test_ter_by_hand() -> None:
    """One move of a block of words and one replaced word, for seven right words."""
    assert score("TER", ["d e f a b c x"], [["a b c d e f g"]]).value == pytest.approx(100 * 2 / 7)


def test_rouge_l_by_hand() -> None:
    """`police the gunman` is a sequence of both: three of four words either way. The nearest of two right answers counts."""
    assert score("ROUGE-L", ["police kill the gunman"], [["police killed the gunman"]]).value == pytest.approx(3 / 4)
    assert score("ROUGE-L", ["police kill the gunman"], [["no", "Police kill: the gunman!"]]).value == pytest.approx(1)
    assert score("ROUGE-L", ["Ελλάδα και Ρώμη"], [["Ελλάδα Ρώμη"]]).value == pytest.approx(2 * 2 / 5)


def test_exact_match_and_token_f1_by_hand() -> None:
    texts = ["The  Eiffel Tower!", "Paris, France", "in Rome", ""]
    right = [["eiffel tower"], ["Paris", "Paris in France"], ["Athens"], ["a"]]
    assert normalized("The  Eiffel-Tower, an   A!") == "eiffeltower"
    assert normalized("theatre another banana") == "theatre another banana"
    assert score("exact match", texts, right).value == pytest.approx((1 + 0 + 0 + 1) / 4)  # "a" alone is an article: nothing is left of it
    assert score("token F1", texts, right).value == pytest.approx((1 + 2 * 2 / 5 + 0 + 1) / 4)


@pytest.mark.parametrize("name", WRITTEN)
def test_empty_answers_and_references(name: str) -> None:
    found = {pair: score(name, [pair[0]], [[pair[1]]]).value for pair in (("", "some words"), ("some words", ""), ("", ""))}
    bad = 100.0 if name == "TER" else 0.0
    assert found["", "some words"] == found["some words", ""] == pytest.approx(bad)
    if name in ("exact match", "token F1", "TER"):
        assert found["", ""] == (0.0 if name == "TER" else 1.0)
    assert score(name, ["", "x"], [[], ["x"]]) == score(name, ["", "x"], [[""], ["x"]])


# ── against the libraries ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", SACREBLEU)
@pytest.mark.parametrize("references", [1, 3])
def test_sacrebleu_gives_the_same(name: str, references: int) -> None:
    texts, right = sentences(20, references=references)
    assert score(name, texts, right).value == pytest.approx(SACREBLEU[name]().corpus_score(texts, list(zip(*right, strict=True))).score)


@pytest.mark.parametrize("name", SACREBLEU)
def test_items_may_have_different_numbers_of_references(name: str) -> None:
    texts, right = sentences(8, references=3)
    uneven = [each[:1 + place % 3] for place, each in enumerate(right)]
    padded = [[each[column] if column < len(each) else None for each in uneven] for column in range(3)]
    assert score(name, texts, uneven).value == pytest.approx(SACREBLEU[name]().corpus_score(texts, padded).score)


@settings(deadline=None)
@given(some.lists(some.text(some.characters(max_codepoint=127)), min_size=2, max_size=4))
def test_rouge_score_gives_the_same_for_english(texts: list[str]) -> None:
    text, *right = texts
    assert score("ROUGE-L", [text], [right]).value == pytest.approx(RougeScorer(["rougeL"]).score_multi(right, text)["rougeL"].fmeasure)


def test_words_of_other_alphabets() -> None:
    assert Words().tokenize("Ça va, Москва_и 東京! It's 20%") == ["ça", "va", "москва", "и", "東京", "it", "s", "20"]


# ── standard errors ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_standard_error_of_a_mean() -> None:
    found = score("exact match", ["yes"] * 30 + ["no"] * 70, [["yes"]] * 100)
    assert found == (pytest.approx(0.3), pytest.approx(sqrt(0.3 * 0.7 / 100)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["BLEU", "chrF"])
def test_the_bootstrap_gives_the_spread_over_new_items(name: str) -> None:
    """The score of 80 items, again and again with new items, spreads as far as one bootstrap over 80 items says."""
    scores = [score(name, *sentences(80, seed)) for seed in range(60)]
    spread = float(numpy.std([found.value for found in scores], ddof=1))
    assert float(numpy.mean([found.standard_error for found in scores])) == pytest.approx(spread, rel=0.25)  # spread itself: 9 %
    assert score(name, *sentences(80)) == scores[0]


@pytest.mark.parametrize("name", WRITTEN)
def test_one_item_half_right_has_no_standard_error(name: str) -> None:
    found = score(name, ["one two three"], [["one two four"]])
    assert found.standard_error == 0.0 or found.value in (0.0, 1.0)


@pytest.mark.parametrize(("said", "share"), [("yes", 1.0), ("no", 0.0)])
def test_all_or_none_right_is_not_certain(said: str, share: float) -> None:
    found = score("exact match", [said] * 16, [["yes"]] * 16)
    assert found == (share, pytest.approx(sqrt(2 / 20 * 18 / 20 / 20)))  # two of each kind added


# ── groups, errors, strange input, cost ───────────────────────────────────────────────────────────────────────────────


def test_groups() -> None:
    texts, right = sentences(30)
    groups = ["seen" if place % 3 else "unseen" for place in range(29)] + [""]
    found = measured(["BLEU", "TER", "exact match"], texts, right, groups)
    assert list(found) == [f"{name}{group}" for name in ("BLEU", "TER", "exact match") for group in ("", " (unseen)", " (seen)")]
    for name in ("BLEU", "TER", "exact match"):
        seen = [place for place, group in enumerate(groups) if group == "seen"]
        assert found[f"{name} (seen)"] == score(name, [texts[place] for place in seen], [right[place] for place in seen])
        assert found[name] == score(name, texts, right)


def test_errors_say_what_to_do() -> None:
    for call, words in (
        (lambda: measured(["blue"], ["a"], [["a"]]), 'unknown metric "blue": there are accuracy, BLEU'),
        (lambda: measured(["accuracy"], ["a"], [["a"]]), "accuracy is not counted on written answers: choose BLEU"),
        (lambda: measured(["BLEU"], [], []), "no answer to count BLEU on"),
        (lambda: measured(["BLEU"], ["a", "b"], [["a"]]), "2 answers and right answers for 1"),
        (lambda: measured(["BLEU"], ["a"], [["a"]], ["x", "y"]), "2 groups for 1 answers"),
    ):
        with pytest.raises(LabError, match=words):
            call()


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(some.lists(some.tuples(some.text(max_size=30), some.lists(some.text(max_size=30), max_size=3)), min_size=1, max_size=4))
def test_strange_strings(items: list[tuple[str, list[str]]]) -> None:
    found = measured(WRITTEN, [text for text, _ in items], [right for _, right in items])
    for name, (value, error) in found.items():
        assert isfinite(value) and isfinite(error) and value >= 0 and error >= 0
        assert name == "TER" or value <= METRICS[name].most * (1 + 1e-9)


@pytest.mark.parametrize("name", [name for name in WRITTEN if name != "TER"])
def test_three_hundred_items_take_less_than_a_second(name: str) -> None:
    texts, right = sentences(300)
    measured([name], texts[:1], right[:1])  # loads the library
    began = time.process_time()
    measured([name], texts, right, ["seen", "unseen"] * 150)
    assert time.process_time() - began < 1


@pytest.mark.slow
def test_ter_counts_no_more_than_it_can_afford() -> None:
    """A spread sample of a long list of long answers, exactly all of a short one, and never less than one item."""
    counts = METRICS["TER"].counts
    short = counts(*sentences(20))
    assert list(short.places) == list(range(20))
    texts, right = sentences(600)
    places = counts(texts, right).places
    words = sum(len(texts[place].split()) * len(right[place][0].split()) for place in places)
    assert TER_CELLS * 0.98 < words <= TER_CELLS
    assert max(late - early for early, late in pairwise(places)) <= 3 * 600 / len(places)
    endless = ["word " * 100_000, "word"]
    assert len(counts(endless, [["word word"], ["word"]]).places) == 1


def test_importing_the_table_loads_no_library() -> None:
    program = "import sys; from lab.metrics import METRICS; print(sorted({'torch', 'numpy', 'sacrebleu', 'rouge_score', 'nltk'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent)
    assert found.stdout.strip() == "[]"
