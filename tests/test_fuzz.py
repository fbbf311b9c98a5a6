"""A few hundred bad specs, files and requests against a real page; thousands by hand: `python -m tests.load.fuzz 10000`."""
from __future__ import annotations

import json

import pytest

from lab.spec import RunSpec
from tests.load import fuzz


@pytest.mark.slow
def test_bad_input_harms_nothing() -> None:
    found, _ = fuzz.fuzz(450, seed=20)
    assert not found.wrong, json.dumps(found.wrong[:5], indent=1)
    assert found.kinds["spec"] == 150 and sum(found.statuses.values()) == 300
    assert found.refused > 100 and found.statuses[200] > 20, "both refused and taken input was among it"
    assert found.kinds["class"] > 20 and found.admitted > 5, "doors of the class were asked, and opened"


def test_what_is_wrong_is_seen(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script can fail: an exception that is no LabError, a traceback in an answer, another's run."""
    page = type("Place", (), {"data": "/data/x", "last_words": staticmethod(lambda: "")})
    assert "mistake" in fuzz.wrong(500, b"", page) and "tells of the machine" in fuzz.wrong(200, b"Traceback (most recent call last)", page)
    assert "tells of the machine" in fuzz.wrong(200, b"see /data/x/lab.sqlite3", page) and "told to another" in fuzz.wrong(200, b"kept to myself", page)
    assert "tells a secret" in fuzz.wrong(200, fuzz.CODE.encode(), page) and "tells a secret" in fuzz.wrong(200, fuzz.SECRET.encode(), page, True)
    assert "told to another" in fuzz.wrong(200, fuzz.VICTIM.encode(), page, True)
    assert fuzz.wrong(200, b"kept to myself", page, True) == "", "the desk sees what waits"
    assert fuzz.wrong(200, b"{}", page) == fuzz.wrong(404, b"", page) == ""
    found = fuzz.Found()
    monkeypatch.setattr(RunSpec, "parse", classmethod(lambda cls, given: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        fuzz.specs(__import__("random").Random(0), 1, found)
