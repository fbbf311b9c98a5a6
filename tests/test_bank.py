"""The question bank is read strictly, its two forms are equivalent, and answers are scored."""
from __future__ import annotations

from pathlib import Path

import pytest

from lab.contracts import LabError
from lab.lessons.bank import FORMS, ITEMS, MISCONCEPTIONS, Bank, read

FILE = Path(__file__).parent.parent / "lessons" / "bank.yaml"


@pytest.fixture(scope="module")
def bank() -> Bank:
    return read(FILE)


def test_all_twelve_wrong_ideas_are_asked_about_in_both_forms(bank: Bank) -> None:
    """In ten items: two of them hold a second wrong idea in another of their answers."""
    asked = [[question.about for question in bank.forms[form]] for form in FORMS]
    assert asked[0] == asked[1] and len(asked[0]) == ITEMS
    assert sorted(each for about in asked[0] for each in about) == sorted(MISCONCEPTIONS)


def test_neither_a_place_nor_a_length_gives_the_answer_away(bank: Bank) -> None:
    """Always the first, or always the longest, must not pass the test."""
    for questions in bank.forms.values():
        places = [next(place for place, option in enumerate(question.options) if option.right) for question in questions]
        assert all(places.count(place) <= 5 for place in set(places)) and len(set(places)) >= 3
        longest = sum(max(question.options, key=lambda option: len(option.text)).right for question in questions)
        assert longest <= 7


def test_answers_are_scored(bank: Bank) -> None:
    right = [next(number for number, option in enumerate(question.options, 1) if option.right) for question in bank.forms["A"]]
    assert bank.scored("A", right) == (True,) * ITEMS and bank.scored("A", [None] * ITEMS) == (False,) * ITEMS
    wrong = [right[0] % len(bank.forms["A"][0].options) + 1, *right[1:]]
    assert bank.scored("A", wrong) == (False, *(True,) * (ITEMS - 1))
    for form, answers, complaint in (("C", right, 'unknown form "C": there are A, B'), ("A", right[1:], "9 answers for 10 questions"),
                                     ("A", [9, *right[1:]], "answer 1 is 9: must be 1 to"), ("A", [True, *right[1:]], "answer 1 is True")):
        with pytest.raises(LabError, match=complaint):
            bank.scored(form, answers)


@pytest.mark.parametrize(("old", "new", "complaint"), [
    ("  B:\n", "  C:\n", "line 2: the forms are A, C: there must be A and B"),
    ("misconception: M3", "misconception: M13", 'line 12: misconception is "M13": must be one of M1, M2'),
    ("misconception: M3", "misconception: M5", "question 2 is about M3 and that of form A about M5"),
    ("also: M2", "also: M20", 'line 4: misconception is "M20": must be one of M1, M2'),
    ("      also: M2\n", "", "question 1 is about M1 and M2 and that of form A about M1"),
    ("M3\n      ask:", "M3\n      asks:", 'unknown key "forms.A.1.asks": there are ask, options, misconception'),
    ("{text: \"Training had no effect\", says", "{text: \"Training had no effect\", right: true, says", "exactly one is right"),
    ("forms:\n", "forms: [\n", "is not YAML"),
], ids=lambda value: value[:20] if isinstance(value, str) else "")
def test_what_is_wrong_is_said_with_line_and_way_out(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    text = FILE.read_text()
    assert old in text
    (tmp_path / "bank.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(LabError) as error:
        read(tmp_path / "bank.yaml")
    assert str(error.value).startswith("bank.yaml") and complaint in str(error.value), str(error.value)


def test_a_question_is_not_asked_twice_and_none_is_missing(tmp_path: Path) -> None:
    text = FILE.read_text()
    first = text[text.index("    - misconception: M1\n"):text.index("    - misconception: M3\n")]
    (tmp_path / "bank.yaml").write_text(text.replace(first, "", 1))
    with pytest.raises(LabError, match="line 3: form A has 9 questions: it must have 10"):
        read(tmp_path / "bank.yaml")
    second = text.index("    - misconception: M1\n", text.index("  B:"))
    (tmp_path / "bank.yaml").write_text(text[:second] + first + text[text.index("    - misconception: M3\n", second):])
    with pytest.raises(LabError, match="this is asked on line 4 already"):
        read(tmp_path / "bank.yaml")
    with pytest.raises(LabError, match="cannot read"):
        read(tmp_path / "gone.yaml")
