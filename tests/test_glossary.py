"""The glossary is read strictly, and explains what lessons and forms say."""
from __future__ import annotations

from pathlib import Path

import pytest

from lab import catalogue
from lab.contracts import LabError
from lab.lessons.front import front
from lab.lessons.glossary import Entry, read
from lab.spec import RunSpec

LESSONS = Path(__file__).parent.parent / "lessons"
PLAIN = {"model", "task", "method", "tokens", "attention", "device", "batch", "steps", "seed", "eval_every", "adapter_dtype", "tested_on", "train_items",
         "mistake"}


@pytest.mark.parametrize("path", sorted(LESSONS.glob("[0-9]*.md")), ids=lambda path: path.stem)
def test_every_term_of_a_lesson_is_explained(path: Path) -> None:
    known = read(LESSONS / "glossary.md")
    terms = front(path.read_text(encoding="utf-8"), path.name).data.get("terms", [])
    assert not [term for term in terms if term.lower() not in known]


def test_words_of_the_form_are_explained() -> None:
    """What a student is asked to set and no child would know."""
    known = read(LESSONS / "glossary.md")
    assert not [name for name in set(RunSpec.model_fields) - PLAIN if name.replace("_", " ") not in known]


def test_every_method_is_explained_by_its_name() -> None:
    """What stands in brackets behind a name says which kind it is, and is left out where it is no name."""
    known = read(LESSONS / "glossary.md")
    names = {entry.title.partition(" (")[0].lower() for entry in catalogue.entries("methods").values()} | {"houlsby", "pfeiffer"}
    assert not names - set(known)


def test_a_word_is_found_by_each_of_its_forms() -> None:
    known = read(LESSONS / "glossary.md")
    assert known["lora+"].term == "LoRA+" and known["residual"] is known["skip connection"]
    assert len({entry.term for entry in known.values()}) > 100


@pytest.mark.parametrize(("text", "complaint"), [
    ("**rank**: A number.\n**rank**: Another.\n", 'g.md, line 2: "rank" is explained under rank already'),
    ("**rank** (also: r): A number.\n\n**alpha** (also: R): Another.\n", 'line 3: "R" is explained under rank already'),
    ("# Words\n**rank** A number.\n", "line 2: "),
    ("**rank**: A number without an end\n", "with a full stop"),
    (f"**rank**: {'long ' * 60}.\n", "characters"),
    ("# Words\nnothing\n", "explains nothing"),
], ids=lambda value: value[:24])
def test_what_is_wrong_is_said_with_line_and_way_out(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "g.md").write_text(text)
    with pytest.raises(LabError) as error:
        read(tmp_path / "g.md")
    assert complaint in str(error.value) and str(error.value).startswith("g.md")


def test_other_lines_explain_nothing(tmp_path: Path) -> None:
    (tmp_path / "g.md").write_text("# Words\n\n**rank** (also: r, ranks): A number. It is whole.\n")
    assert read(tmp_path / "g.md") == dict.fromkeys(("rank", "r", "ranks"), Entry("rank", ("r", "ranks"), "A number. It is whole."))
    with pytest.raises(LabError, match="cannot read"):
        read(tmp_path / "none.md")
