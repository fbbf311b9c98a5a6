"""The question bank: two equivalent forms of one test, for before and after the course, read strictly from one file."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from lab.contracts import LabError, shorten
from lab.lessons.front import Front, checked, whole
from lab.lessons.lesson import STRICT, Quiz

FORMS = ("A", "B")
ITEMS = 10
MISCONCEPTIONS = tuple(f"M{number}" for number in range(1, 13))


class Question(Quiz):
    """An item: which wrong idea it is about, a second one that another of its answers holds, and 3 to 5 answers of which one is right."""

    misconception: Annotated[str, Field(min_length=1)]
    also: str = ""

    @property
    def about(self) -> tuple[str, ...]:
        return (self.misconception, self.also) if self.also else (self.misconception,)


class Bank(BaseModel):
    """Question k of each form is about the same wrong idea."""

    model_config = STRICT

    forms: dict[str, list[Question]]

    def scored(self, form: str, answers: Sequence[int | None]) -> tuple[bool, ...]:
        """Whether each answer, counted from 1, is right; None for a question left open. Raises LabError for what is no answer."""
        questions = self.forms.get(form)
        if questions is None:
            raise LabError(f'unknown form "{shorten(form)}": there are {", ".join(self.forms)}')
        if len(answers) != len(questions):
            raise LabError(f"there are {len(answers)} answers for {len(questions)} questions: give one for each, null for one left open")
        return tuple(_right(number, question, chosen) for number, (question, chosen) in enumerate(zip(questions, answers, strict=True), 1))


def _right(number: int, question: Question, chosen: Any) -> bool:
    if chosen is None:
        return False
    if not isinstance(chosen, int) or isinstance(chosen, bool) or not 1 <= chosen <= len(question.options):
        raise LabError(f"answer {number} is {shorten(chosen)}: must be 1 to {len(question.options)}")
    return question.options[chosen - 1].right


def read(path: Path) -> Bank:
    """Raises LabError with file, line and way out."""
    try:
        found = whole(path.read_text(encoding="utf-8"), path.name)
    except OSError as error:
        raise LabError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise LabError(f"{path.name} is not text in UTF-8: save it as such") from None
    bank = checked(found, path.name, Bank, lambda place: Question if len(place) > 2 else Bank)
    _check(bank, found, path.name)
    return bank


def _check(bank: Bank, found: Front, name: str) -> None:
    if tuple(bank.forms) != FORMS:
        there = ", ".join(bank.forms) or "none"
        raise LabError(f"{name}, line {found.line('forms')}: the forms are {there}: there must be {' and '.join(FORMS)}, in this order")
    asked: dict[str, int] = {}
    for form, questions in bank.forms.items():
        if len(questions) != ITEMS:
            raise LabError(f"{name}, line {found.line('forms', form)}: form {form} has {len(questions)} questions: it must have {ITEMS}")
        for place, question in enumerate(questions):
            line = found.line("forms", form, place)
            unknown = next((each for each in question.about if each not in MISCONCEPTIONS), None)
            if unknown is not None:
                raise LabError(f'{name}, line {line}: misconception is "{shorten(unknown)}": must be one of {", ".join(MISCONCEPTIONS)}')
            if len(question.options) < 3:
                raise LabError(f"{name}, line {line}: has {len(question.options)} options: at least 3, or half of those who guess are right")
            if question.ask in asked:
                raise LabError(f"{name}, line {line}: this is asked on line {asked[question.ask]} already; ask it in another way")
            asked[question.ask] = line
    for place, (one, other) in enumerate(zip(*bank.forms.values(), strict=True)):
        if one.about != other.about:
            line = found.line("forms", FORMS[1], place)
            raise LabError(f"{name}, line {line}: question {place + 1} is about {' and '.join(other.about)} and that of form {FORMS[0]} about "
                           f"{' and '.join(one.about)}: "
                           "both forms must ask about the same, in the same order")
