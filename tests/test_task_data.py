"""The data of generation and probe tasks: the same every time, nothing of the test in training, English that says what it should, no short cut."""
from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from itertools import combinations
from pathlib import Path
from types import ModuleType

import pytest

from lab.contracts import LabError
from lab.tasks import _digits, _general_text, _headlines, _memory, _questions, _restaurants, _stories, _venues
from lab.tasks._news import NEWS, TOPICS
from lab.tasks._splits import letters

MODULES = (_restaurants, _questions, _headlines)
SPLITS = ("train", "validation", "test")


@cache
def made(module: ModuleType) -> dict:
    return dict(module.make(0))


def every(module: ModuleType) -> list:
    return [item for split in SPLITS for item in made(module)[split]]


def slips(text: str) -> list[str]:
    """What should not be there: `a Italian`, `an restaurant`, a word or a sign twice, a space before a sign, a brace that nothing filled."""
    wrong = (r"\b[Aa] [aeio]", r"\b[Aa]n [^aeiouhAEIO81]", r"\b(\w+) \1\b", r"[.,;:]{2}", r" [.,;:?!]", r"  ", r"[{}]")
    return [found[0] for found in (re.search(sign, text) for sign in wrong) if found]


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_the_same_seed_makes_the_same_data_and_another_seed_other_data(module: ModuleType) -> None:
    assert module.make(0) == made(module)
    assert module.make(1)["train"] != made(module)["train"]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_identifiers_are_unique_and_items_are_plain_values(module: ModuleType) -> None:
    items = every(module)
    assert len({item.id for item in items}) == len(items) == len(set(items))
    assert tuple(made(module)) == SPLITS and all(type(part) is tuple for part in made(module).values())


def no_two_share(parts: Iterable[set[str]]) -> bool:
    return all(not one & other for one, other in combinations(list(parts), 2))


# ── restaurants ───────────────────────────────────────────────────────────────────────────────────────────────────────


def without_name(meaning: str) -> str:
    return meaning.split(", ", 1)[1]


def test_meanings_of_two_splits_differ_in_more_than_the_name() -> None:
    splits = made(_restaurants)
    assert [len(splits[split]) for split in SPLITS] == [4000, 400, 800]
    assert no_two_share({without_name(pair.meaning) for pair in splits[split]} for split in SPLITS)
    assert no_two_share({letters(sentence) for pair in splits[split] for sentence in pair.references} for split in SPLITS)
    assert len({without_name(pair.meaning) for pair in every(_restaurants)}) == 5200


def test_every_sentence_says_every_attribute_in_good_english() -> None:
    for pair in every(_restaurants):
        assert pair.target == pair.references[0] and len(set(pair.references)) == len(pair.references)
        assert len(pair.references) == (1 if pair.id.startswith("train") else _restaurants.REFERENCES)
        for sentence in pair.references:
            assert not _restaurants.missing(pair.meaning, sentence), (pair.meaning, sentence)
            assert not slips(sentence) and sentence[0].isupper() and sentence.endswith("."), sentence
            assert 12 <= len(sentence.split()) <= 35


def test_what_a_sentence_leaves_out_is_noticed() -> None:
    meaning = "name[Red Fox], type[bistro], food[Thai], price[cheap], family[no], rating[3 out of 5]"
    assert _restaurants.missing(meaning, "Red Fox is a bistro.") == ("food", "price", "family", "rating")
    assert _restaurants.missing(meaning, "The low-priced Thai bistro Red Fox is rated 3 out of 5, but it is not family-friendly.") == ()
    assert _restaurants.parse(meaning)["rating"] == "3 out of 5"


@pytest.mark.slow
def test_unseen_types_names_and_values_never_occur_in_training() -> None:
    splits = made(_restaurants)
    trained = " ".join(pair.target for pair in (*splits["train"], *splits["validation"])).casefold()
    unseen = [_restaurants.parse(pair.meaning) for pair in splits["test"] if pair.group == "unseen"]
    for key, value in {(key, value) for facts in unseen for key, value in facts.items() if not value.isdigit()}:
        assert not re.search(rf"\b{re.escape(value.casefold())}\b", trained), (key, value)
    common = {"name", "type", "area", "near"}
    assert set(_venues.MEALS) & {key for facts in unseen for key in facts} <= common
    assert [pair.group for pair in splits["test"][:4]] == ["seen", "unseen"] * 2


def test_seen_values_and_their_names_occur_in_training() -> None:
    splits = made(_restaurants)
    trained = {fact for pair in splits["train"] for fact in _restaurants.parse(pair.meaning).items()}
    assert all(set(_restaurants.parse(pair.meaning).items()) <= trained for pair in splits["test"] if pair.group == "seen")


# ── questions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def names_in(text: str) -> set[str]:
    """Capitalised words but for those that begin a sentence or are days and months."""
    common = {*_stories.WEEKDAYS, *_stories.MONTHS}
    return set(re.findall(r"(?<![.?] )(?<!^)\b[A-Z]\w+", text)) - common


@pytest.mark.slow
def test_every_answer_stands_in_its_passage_and_in_one_story_only() -> None:
    for item in every(_questions):
        assert item.answer in item.passage and item.answer not in item.question
        assert 1 <= len(item.answer.split()) <= 6
        assert 3 <= len(re.findall(r"[.?](?= |$)", item.passage)) <= 4
        assert not slips(item.passage) and not slips(item.question), item
        assert len(re.findall(rf"\b{item.answer}\b", item.passage)) == 1 or item.kind == "who", item


def test_passages_and_names_of_two_splits_are_different() -> None:
    splits = made(_questions)
    assert [len(splits[split]) for split in SPLITS] == [4000, 400, 1000]
    assert len({item.passage for item in every(_questions)}) == 5400
    assert no_two_share({name for item in splits[split] for name in names_in(item.passage)} for split in SPLITS)


@pytest.mark.parametrize("split", SPLITS)
def test_kinds_are_balanced_and_no_short_cut_answers(split: str) -> None:
    items = made(_questions)[split]
    assert [item.kind for item in items[:10]] == list(_questions.KINDS) * 2
    assert Counter(item.answer for item in items).most_common(1)[0][1] / len(items) < 0.03
    first_names = [re.search(r"[A-Z]\w+( [A-Z]\w+)?", item.passage[1:]) for item in items]
    copied = sum(found is not None and found[0] == item.answer for found, item in zip(first_names, items, strict=True))
    assert copied / len(items) < 0.1
    early = sum(item.passage.index(item.answer) < len(item.passage) / 2 for item in items) / len(items)
    assert 0.4 < early < 0.6


# ── headlines ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_headlines_are_short_and_know_no_more_than_the_news() -> None:
    for item in every(_headlines):
        assert item.headline == item.references[0] and len(set(item.references)) == len(item.references)
        assert 2 <= len(re.findall(r"[.](?= |$)", item.paragraph)) <= 4
        assert not slips(item.paragraph), item.paragraph
        for headline in item.references:
            assert 5 <= len(headline.split()) <= 9 and not headline.endswith(".") and not slips(headline), headline
            assert headline not in item.paragraph
            assert all(number in item.paragraph for number in re.findall(r"\d+", headline))


def test_headlines_of_two_splits_are_different() -> None:
    splits = made(_headlines)
    assert [len(splits[split]) for split in SPLITS] == [4000, 400, 800]
    assert no_two_share({letters(headline) for item in splits[split] for headline in item.references} for split in SPLITS)
    assert no_two_share({item.paragraph for item in splits[split]} for split in SPLITS)
    assert all(len({item.headline for item in splits[split]}) == len(splits[split]) for split in SPLITS)


def test_topics_come_in_turn_and_every_story_has_its_headlines() -> None:
    assert all([item.topic for item in made(_headlines)[split][:10]] == list(TOPICS) * 2 for split in SPLITS)
    assert all(len(story.headlines) >= _headlines.REFERENCES and len(story.leads) >= 3 for stories in NEWS.values() for story in stories)


# ── memory ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["word", "code"])
def test_random_pairs_are_unique_and_grow(kind: str) -> None:
    pairs = _memory.random_pairs(2000, 3, kind)
    words = [word for pair in pairs for word in (pair.key, pair.value)]
    assert len(set(words)) == 4000 and _memory.random_pairs(100, 3, kind) == pairs[:100] != _memory.random_pairs(100, 4, kind)
    pattern = {"word": r"([bdklmnrstv][aeiou]){3}[kvxz]", "code": r"[A-Z]{2}-\d{3}"}[kind]
    assert all(re.fullmatch(pattern, word) for word in words)
    assert 18 < _memory.BITS[kind] < 20


def test_random_pairs_know_their_limits_and_splits_are_the_same_pairs() -> None:
    for n in (0, 20_001):
        with pytest.raises(LabError, match=f"is {n:,}: must be 1 to 20,000"):
            _memory.random_pairs(n)
    assert len(_memory.random_pairs(20_000)) == 20_000
    splits = _memory.make(0, 10)
    assert splits["train"] == splits["test"] == splits["validation"] == _memory.random_pairs(10)


def test_new_facts_are_fifty_and_prompts_are_not_statements() -> None:
    facts = _memory.new_facts()
    assert len(facts) == len({fact.id for fact in facts}) == len({fact.subject for fact in facts}) == len({fact.answer for fact in facts}) == 50
    assert Counter(Counter(fact.kind for fact in facts).values()) == {5: 10}
    statements = " ".join(fact.statement for fact in facts)
    for fact in facts:
        assert fact.statement == f"{fact.cloze} {fact.answer}."
        prompts = (fact.question, *fact.paraphrases)
        assert len(set(prompts)) == 4
        for prompt in prompts:
            assert fact.subject.casefold() in prompt.casefold() and fact.answer not in prompt and prompt not in statements
        assert fact.answer in fact.backward and fact.subject not in fact.backward
        assert fact.neighbour not in statements and fact.neighbour_answer
        assert not [slip for text in (fact.statement, fact.backward, fact.neighbour, *prompts) for slip in slips(text)]


# ── general text ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_general_text_is_sixty_different_paragraphs() -> None:
    paragraphs = _general_text.paragraphs()
    assert len(paragraphs) == len({letters(paragraph.text) for paragraph in paragraphs}) == 60
    assert all(40 <= len(paragraph.text.split()) <= 90 for paragraph in paragraphs)
    assert len({" ".join(paragraph.text.split()[:3]) for paragraph in paragraphs}) == 60
    sentences = [letters(sentence) for paragraph in paragraphs for sentence in re.split(r"(?<=[.?!]) ", paragraph.text)]
    assert len(set(sentences)) == len(sentences) >= 200
    assert not [slip for paragraph in paragraphs for slip in slips(paragraph.text)]


# ── digits ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def digits_file(folder: Path, lines: Iterable[str]) -> Path:
    (folder / _digits.FILE).write_bytes(gzip.compress("".join(line + "\n" for line in lines).encode()))
    return folder


def test_digits_are_split_with_all_ten_in_the_same_shares(tmp_path: Path) -> None:
    lines = [",".join([*(str((number * place) % 17) for place in range(1, 65)), str(number % 10)]) for number in range(400)]
    splits = _digits.make(digits_file(tmp_path, lines))
    assert splits == _digits.make(tmp_path)
    assert {split: len(part) for split, part in splits.items()} == {"train": 240, "validation": 60, "test": 100}
    assert all(set(Counter(digit.label for digit in part).values()) == {len(part) // 10} for part in splits.values())
    assert no_two_share({digit.id for digit in part} for part in splits.values())
    assert {digit.label for digit in splits["train"] if digit.id == "digit-7"} <= {7}


def test_rows_of_a_digit_are_read_from_the_top(tmp_path: Path) -> None:
    (digit,) = _digits.read(digits_file(tmp_path, [",".join(["16", *["0"] * 62, "3", "9"])]) / _digits.FILE)
    assert digit.pixels[0] == (16, 0, 0, 0, 0, 0, 0, 0) and digit.pixels[7][7] == 3 and digit.label == 9


@pytest.mark.parametrize("line", ["1,2,3", ",".join(["17", *["0"] * 64]), "ink"])
def test_a_file_that_is_not_digits_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(LabError, match="cannot be read"):
        _digits.make(digits_file(tmp_path, [line]))


def test_digits_without_their_file_say_what_they_want(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"scikit-learn 0\.17\.1"):
        _digits.make(None)
    (tmp_path / _digits.FILE).write_bytes(b"not gzip")
    with pytest.raises(LabError, match="cannot be read"):
        _digits.make(tmp_path)
