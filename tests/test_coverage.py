"""What the course texts say is found in a lesson that is there, or left out for a reason; each claim of the course stands where it is said to stand."""
from __future__ import annotations

import re
from pathlib import Path

import pytest

from lab.lessons.front import front

LESSONS = Path(__file__).parent.parent / "lessons"
CLAIMS = range(1, 34)


def rows() -> list[tuple[str, str, str, str]]:
    lines = (LESSONS / "coverage.md").read_text(encoding="utf-8").splitlines()
    cells = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines if line.startswith("|")]
    return [cell for cell in cells if cell[0] != "text" and not set("".join(cell)) <= {"-"}]


def claimed(lesson: str) -> set[int]:
    """The numbers of the claims in its front matter."""
    path = LESSONS / f"{lesson}.md"
    return {claim["number"] for claim in front(path.read_text(encoding="utf-8"), path.name).data.get("claims", {}).values() if "number" in claim}


def test_every_row_has_a_lesson_that_is_there_or_a_reason() -> None:
    assert len(rows()) > 150
    for row in rows():
        assert len(row) == 4, row
        _, what, lesson, note = row
        assert what and (lesson or note), row
        assert not lesson or (LESSONS / f"{lesson}.md").is_file(), f"{what}: there is no lesson {lesson}"


@pytest.mark.parametrize("row", [row for row in rows() if re.match(r"\d+", row[3])], ids=lambda row: row[1][:40])
def test_a_claim_stands_in_the_lesson_that_is_named(row: tuple[str, str, str, str]) -> None:
    number = int(re.match(r"\d+", row[3])[0])
    assert number in claimed(row[2]), f"{row[2]} has no claim with number: {number}"


def test_every_claim_of_the_course_is_found() -> None:
    found = {int(number[0]) for row in rows() if (number := re.match(r"\d+", row[3]))}
    assert found == set(CLAIMS)


def test_every_lesson_is_named() -> None:
    assert {row[2] for row in rows()} - {""} == {path.stem for path in LESSONS.glob("[0-9]*.md")}
