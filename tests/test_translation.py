"""A translation of the page: read strictly, and named by the host's configuration."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.classroom import configuration, translation
from lab.contracts import LabError

GERMAN = {"language": "de", "words": {"Train": "Trainieren", "{} of {} runs": "{2} Läufe, davon {1}"}}


def test_a_translation_is_read_from_where_the_configuration_lies(tmp_path: Path) -> None:
    (tmp_path / "de.json").write_text(json.dumps(GERMAN), encoding="utf-8")
    (tmp_path / "class.yaml").write_text("translation: de.json\n")
    settings = configuration.read(tmp_path / "class.yaml", {})
    assert translation.read(settings.translation).words["Train"] == "Trainieren"
    assert configuration.read(None, {"LAB_TRANSLATION": str(tmp_path / "de.json")}).translation == tmp_path / "de.json"


@pytest.mark.parametrize(("text", "says"), [
    (None, "cannot be read"),
    ("{", "no JSON"),
    ("[]", "not of the form"),
    ('{"language": "de"}', "not of the form"),
    ('{"language": "<script>", "words": {}}', "not of the form"),
    ('{"language": "de", "words": {"Train": 3}}', "'Train' has no text"),
    ('{"language": "de", "words": {"{} runs": "Läufe"}}', "'{} runs' has 1 numbers"),
    ('{"language": "de", "words": {"{} of {}": "{1} von {1}"}}', "does not have each of them once"),
])
def test_what_is_wrong_with_it_is_said_at_the_start(text: str | None, says: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "de.json").write_text(text, encoding="utf-8")
    (tmp_path / "class.yaml").write_text("translation: de.json\n")
    with pytest.raises(LabError, match=says) as error:
        configuration.read(tmp_path / "class.yaml", {})
    assert "class.yaml" in str(error.value) and "de.json" in str(error.value)
