"""The test before and after the course: questions of one form, and what came of the answers, with an explanation of each."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lab.contracts import LabError
from lab.lessons.bank import Bank
from lab.ui.sheet import sheet

COLUMNS = ("form", "question", "misconception", "answer", "right")


def asked(bank: Bank | None, form: str) -> dict[str, Any]:
    """Without the right answers. Raises LabError for a form that there is not."""
    questions = _bank(bank).forms.get(form)
    if questions is None:
        raise LabError(f"form is {form[:10]}: there are {', '.join(_bank(bank).forms)}")
    return {"form": form, "questions": [{"ask": each.ask, "options": [option.text for option in each.options]} for each in questions]}


def marked(bank: Bank | None, form: str, answers: Any) -> dict[str, Any]:
    """{"right": how many, "of", "rows": what is said to each answer, "csv": the same for a teacher}."""
    given: Sequence[int | None] = answers if isinstance(answers, list) else []
    right = _bank(bank).scored(form, given)
    questions = _bank(bank).forms[form]
    rows = [{"right": fine, "says": "" if chosen is None else each.options[chosen - 1].says, "answer": next(one.text for one in each.options if one.right)}
            for fine, chosen, each in zip(right, given, questions, strict=True)]
    lines = [(form, place, " ".join(each.about), "" if chosen is None else chosen, int(fine))
             for place, (each, chosen, fine) in enumerate(zip(questions, given, right, strict=True), 1)]
    return {"right": sum(right), "of": len(right), "rows": rows, "csv": sheet(COLUMNS, lines)}


def _bank(bank: Bank | None) -> Bank:
    if bank is None:
        raise LabError("this lab has no test: it was started without a question bank")
    return bank
