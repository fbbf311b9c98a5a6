"""Comparisons that come with the lab: what is recorded of them is what their report is made of, and what is there is not run again."""
from __future__ import annotations

from pathlib import Path

import pytest

from lab.compare import Comparison, report
from lab.comparing import Shelf, questions, record, results
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


def test_an_arm_that_fails_is_recorded_with_its_reason(workshop: Workshop, tmp_path: Path) -> None:
    hot = {"lr": 100.0, "clip": 0.0, "warmup": 0.0, "steps": 60, "method": "full"}
    arms = [{"name": "LoRA"}, {"name": "hot", "change": hot}]
    asked = Comparison.parse({"title": "Too hot?", "base": {**TINY, "model": "seed-llama"}, "arms": arms, "seeds": [0]})
    assert record(asked.runs.values(), workshop, tmp_path) == 2 and record(asked.runs.values(), workshop, tmp_path) == 0
    kept = {name: Shelf(tmp_path).of(asked.run(name, 0)).result for name in asked.specs}
    assert {name: result.state for name, result in kept.items()} == {"LoRA": "finished", "hot": "failed"} and "learning rate" in kept["hot"].advice
    told = report(asked, results(asked, tmp_path))
    assert told["state"] == "finished" and [run["state"] for run in told["arms"][1]["runs"]] == ["failed"] and told["arms"][1]["runs"][0]["reason"]


def test_what_could_not_begin_is_not_recorded(workshop: Workshop, tmp_path: Path) -> None:
    two = [{"name": "rank 2", "change": {"method": {"rank": 2}}}, {"name": "rank 4", "change": {"method": {"rank": 4}}}]
    missing = Comparison.parse({"title": "Is it there?", "base": {**TINY, "model": "gpt2"}, "arms": two, "seeds": [0]})
    offline = Workshop(tmp_path / "cache", offline=True)
    assert record(missing.runs.values(), offline, tmp_path) == 0 and not list(tmp_path.rglob("*.jsonl.gz"))


@pytest.mark.slow
def test_whatever_was_recorded_is_the_run_that_its_settings_are_today() -> None:
    """A knob that came later must not make another run of it: it would be looked for in vain."""
    streams = [read(path) for path in sorted(SHIPPED.parent.rglob("*.jsonl.gz"))]
    assert len(streams) > 200
    assert [each.key for each in streams if each.spec.fingerprint != each.result.started.fingerprint] == []


@pytest.mark.parametrize("key", questions(SHIPPED))
def test_what_ships_is_read_and_has_ended(key: str) -> None:
    comparison = questions(SHIPPED)[key]
    found = results(comparison, SHIPPED)
    assert all(result.state in ("finished", "failed") for result in found.values())
    assert report(comparison, found)["state"] == ("finished" if len(found) == len({spec.fingerprint for spec in comparison.runs.values()}) else "running")
