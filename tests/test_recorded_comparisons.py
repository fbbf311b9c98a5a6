"""Comparisons that come with the lab: what is recorded of them is what their report is made of, and what is there is not run again."""
from __future__ import annotations

from pathlib import Path

import pytest

from lab.compare import Comparison, report
from lab.comparing import questions, record, results
from lab.engine import Workshop
from lab.recording import read

SHIPPED = Path(__file__).parent.parent / "assets" / "comparisons"
TINY = {"model": "seed-bert", "task": "toy", "method": "lora", "steps": 3, "batch": 4, "eval_items": 20, "eval_every": 0, "dtype": "float32"}
ASKED = Comparison.parse({"title": "Which?", "base": TINY, "arms": [{"name": "LoRA"}, {"name": "head", "change": {"method": "head"}}], "seeds": [0, 1]})


def test_runs_are_recorded_once_and_reported(workshop: Workshop, tmp_path: Path) -> None:
    assert record(ASKED.runs.values(), workshop, tmp_path, seconds=-1) == 0
    assert record([*ASKED.runs.values()] * 2, workshop, tmp_path) == 4 and record(ASKED.runs.values(), workshop, tmp_path) == 0
    found = results(ASKED, tmp_path)
    assert set(found) == {spec.fingerprint for spec in ASKED.runs.values()}
    told = report(ASKED, found)
    assert told["state"] == "finished" and all(None not in arm["scores"] and arm["peak_bytes"] and arm["adapter_bytes"] for arm in told["arms"])
    assert all(result.losses and result.seen("answers") for result in found.values())


def test_whatever_was_recorded_is_the_run_that_its_settings_are_today() -> None:
    """A knob that came later must not make another run of it: it would be looked for in vain."""
    streams = [read(path) for path in sorted(SHIPPED.parent.rglob("*.jsonl.gz"))]
    assert len(streams) > 200
    assert [each.key for each in streams if each.spec.fingerprint != each.result.started.fingerprint] == []


@pytest.mark.parametrize("key", questions(SHIPPED))
def test_what_ships_is_read_and_has_ended(key: str) -> None:
    comparison = questions(SHIPPED)[key]
    found = results(comparison, SHIPPED)
    assert all(result.state == "finished" for result in found.values())
    assert report(comparison, found)["state"] == ("finished" if len(found) == len({spec.fingerprint for spec in comparison.runs.values()}) else "running")
