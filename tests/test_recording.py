"""Recordings: what the command leaves, that it holds what every lens sees, and that one knob's recording does not replace another's."""
from __future__ import annotations

from pathlib import Path

import pytest

from lab.contracts import LabError
from lab.engine import Workshop
from lab.lens import Probe, Trace, fitting
from lab.recording import read, record, shelf
from lab.spec import RunSpec

TINY = {"model": "seed-llama", "task": "toy", "steps": 4, "batch": 2, "tokens": 24, "eval_items": 8, "eval_every": 0, "dtype": "float32"}


def spec_of(**knobs: str | int) -> RunSpec:
    return RunSpec.parse({**TINY, "method": {"name": "prompt_tuning", "virtual_tokens": 3, **knobs}})


@pytest.mark.slow
def test_a_recording_holds_what_every_lens_sees(workshop: Workshop, tmp_path: Path) -> None:
    spec = spec_of()
    recorded = read(record(spec, workshop, tmp_path))
    assert recorded.spec == spec and recorded.result.state == "finished" and recorded.made["command"] == "python -m lab.recording"
    seen = {each.lens for each in recorded.result.observed}
    assert {*fitting(spec, Trace), *fitting(spec, Probe)} <= seen
    assert recorded.result.seen("swap_test") == recorded.result.seen("prompt_neighbours")["swap"]
    fewer = read(record(spec, workshop, tmp_path, ["prompt_neighbours", "swap_test"]))
    assert {each.lens for each in fewer.result.observed} & set(fitting(spec, Probe)) == {"prompt_neighbours", "swap_test"}


@pytest.mark.slow
def test_another_start_is_another_recording_and_another_seed_replaces_it(workshop: Workshop, tmp_path: Path) -> None:
    lora = {**TINY, "method": {"name": "lora", "rank": 1}}
    for changed in ({}, {"seed": 1}, {"method": {"name": "lora", "rank": 1, "init": "gaussian"}}):
        record(RunSpec.parse({**lora, **changed}), workshop, tmp_path)
    names = [path.name.rsplit("_", 1)[0] for path in sorted(tmp_path.iterdir())]
    assert names == ["seed-llama_toy_lora-gaussian", "seed-llama_toy_lora"]
    kept = shelf(tmp_path)
    assert [each.spec.seed for each in kept] == [0, 1]


def test_a_run_that_fails_is_not_recorded(workshop: Workshop, tmp_path: Path) -> None:
    spec = RunSpec.parse({**TINY, "model": "minilm-l6", "method": "lora"})  # which this offline workshop does not have
    with pytest.raises(LabError, match="the run ended as failed"):
        record(spec, workshop, tmp_path)
    assert not list(tmp_path.iterdir())
