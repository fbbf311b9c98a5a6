"""`python -m lab together`: several run folders asked in one batch, timed, and mixed, with bad input refused in words."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.cli import main
from lab.engine import Workshop

SHORT = {"steps": 2, "batch": 2, "eval_items": 4, "eval_every": 0, "dtype": "float32", "tokens": 24, "train_items": 40}


@pytest.fixture(scope="module")
def runs(workshop: Workshop, run: Any, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    home = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        run(workshop, home / str(seed), model="seed-llama", task="toy", method="lora", seed=seed, **SHORT)
    return [str(home / "0"), str(home / "1")]


@pytest.fixture
def told(runs: list[str], workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> Any:
    def ask(*options: str, folders: list[str] = runs) -> tuple[int, str, str]:
        code = main(["together", *folders, "--cache", str(workshop.supply.cache), *options])
        return code, *capsys.readouterr()

    return ask


def test_one_text_is_answered_by_all(told: Any, runs: list[str]) -> None:
    code, out, _ = told("--text", "a fine day", "--json")
    found = json.loads(out)
    assert code == 0 and [row["who"] for row in found["rows"]] == ["tuned", "base"] * 2 and len(found["storage"]["parts"]) == 2
    _, out, _ = told("--text", "a fine day")
    assert all(f"{run}: negative " in out for run in runs) and "2 whole copies" in out


def test_batches_are_timed(told: Any) -> None:
    code, out, _ = told("--time", "1")
    assert code == 0 and out.count("texts of each") == 3 and "times as fast" in out and "largest difference of the answers" in out


def test_a_mix_is_scored_in_a_table(told: Any) -> None:
    code, out, _ = told("--mix", "sum", "--weights", "0.5,0.5", "--items", "20", "--split", "test")
    assert code == 0 and "the mix" in out and "perplexity" in out and "McNemar p" in out and "all answers alike" in out


@pytest.mark.parametrize(("options", "why"), [
    (("--mix", "sum", "--weights", "1"), "one for each"), (("--mix", "sum", "--weights", "a,b"), "numbers with commas"), (("--mix", "magic"), "way is"),
    (("--time", "0"), "at least 1"), (("--text", " "), "is empty")])
def test_bad_input_is_refused(options: tuple[str, ...], why: str, told: Any) -> None:
    code, _, trouble = told(*options)
    assert code == 2 and why in trouble


def test_a_folder_that_is_none(told: Any, runs: list[str], tmp_path: Path) -> None:
    assert "there is no folder" in told("--text", "x", folders=[runs[0], str(tmp_path / "nothing")])[2]
    assert "choose 2 to 8" in told("--text", "x", folders=runs[:1])[2]
    assert "not on this machine any more" in told("--text", "x", folders=[runs[0], str(tmp_path)])[2]
