"""`python -m lab compare`: exit codes, JSON on standard output, progress on standard error, and going on after Ctrl-C."""
from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.cli import main
from lab.compare import Comparison
from lab.engine import precision

ROOT = Path(__file__).parent.parent
TOY = {"base": {"model": "seed-bert", "task": "toy", "method": "lora", "steps": 4, "eval_items": 40}, "seeds": [0, 1, 2],
       "arms": [{"name": "LoRA", "change": {}}, {"name": "head", "change": {"method": "head"}}]}


@pytest.fixture
def compare(tmp_path: Path, workshop: Any, capsys: pytest.CaptureFixture[str]) -> Any:
    """In this process, where torch is loaded already: (exit code, standard output, standard error)."""

    def run(comparison: Any, *options: object) -> tuple[int, str, str]:
        (tmp_path / "comparison.json").write_text(json.dumps(comparison))
        code = main(["compare", str(tmp_path / "comparison.json"), "--out", str(tmp_path / "out"), "--cache", str(workshop.supply.cache), *map(str, options)])
        return code, *capsys.readouterr()

    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield run
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_json_is_one_document_and_the_file(tmp_path: Path, compare: Any) -> None:
    code, out, error = compare(TOY, "--json")
    assert code == 0, error
    result = json.loads(out)
    assert result == json.loads((tmp_path / "out" / "result.json").read_text())
    assert [set(each) >= {"name", "spec", "runs"} for each in result["arms"]] == [True, True]
    assert [each["rates"] for each in result["arms"]] == [None, None], "nobody looked for a learning rate of this small model"
    assert set(result["pairs"][0]) >= {"a", "b", "difference", "low", "high", "p", "verdict", "more_seeds"}
    assert "run 1 of 6: LoRA, seed 0: accuracy" in error and "run 2 of 6: head, seed 0" in error
    code, out, error = compare(TOY)
    assert code == 0 and error.count("already there") == 6
    assert "LoRA  accuracy" in out and "shared by all arms: base weights, data" in out and ("Cannot tell" in out or " beats " in out)


def test_all_arms_calculate_in_what_this_machine_finds_faster(compare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "CLEARLY", 0.0)  # bfloat16 wherever it is a machine's choice
    mixed = {**TOY, "arms": [TOY["arms"][0], {"name": "full", "change": {"method": "full"}}], "seeds": [0, 1]}
    code, out, error = compare(mixed, "--json")
    assert code == 0, error
    assert {run["dtype"] for arm in json.loads(out)["arms"] for run in arm["runs"]} == {"bfloat16"}


@pytest.mark.parametrize(("comparison", "words"), [
    ({**TOY, "arms": TOY["arms"][:1]}, "arms must be a list of 2 to 12, not of 1"),
    ({**TOY, "arms": [*TOY["arms"], {"name": "x", "change": {"method": {"rank": 0}}}]}, 'arm "x": rank is 0: must be 1 to 256'),
    ({**TOY, "base": {**TOY["base"], "model": "gtp2"}}, 'base: unknown model "gtp2"'),
])
def test_bad_input_is_exit_code_2_and_nothing_runs(comparison: Any, words: str, tmp_path: Path, compare: Any) -> None:
    code, out, error = compare(comparison)
    assert code == 2 and words in error and not out and not (tmp_path / "out").exists()


def test_a_failed_run_is_exit_code_1_and_the_others_are_there(compare: Any) -> None:
    hot = {"lr": 100.0, "clip": 0.0, "warmup": 0.0, "steps": 60, "method": "full"}
    base, arms = {**TOY["base"], "model": "seed-llama"}, [{"name": "LoRA"}, {"name": "hot", "change": hot}]
    code, out, error = compare({"base": base, "arms": arms, "seeds": [0]}, "--json")
    arms = json.loads(out)["arms"]
    assert code == 1 and [arm["runs"][0]["state"] for arm in arms] == ["finished", "failed"] and "hot, seed 0 failed" in error
    assert "warning: hot and the base differ in" in error


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGINT") or sys.platform == "win32", reason="needs Unix signals")
def test_ctrl_c_keeps_what_has_ended_and_says_how_to_go_on(tmp_path: Path, workshop: Any) -> None:
    long = {"name": "long", "change": {"steps": 5000, "eval_every": 0}}
    (tmp_path / "comparison.json").write_text(json.dumps({**TOY, "arms": [TOY["arms"][1], long]}))
    command = [sys.executable, "-m", "lab", "compare", tmp_path / "comparison.json", "--out", tmp_path / "out", "--cache", workshop.supply.cache, "--json"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    for line in process.stderr:
        if line.startswith("run 2 of 6"):
            break
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 130 and "1 of 6 runs are kept" in error and "the same command again goes on" in error
    assert json.loads(out)["state"] == "cancelled" == json.loads((tmp_path / "out" / "result.json").read_text())["state"]
    assert json.loads(out)["arms"][0]["runs"][0]["state"] == "finished"


def test_the_comparison_of_the_readme_is_one() -> None:
    blocks = re.findall(r"^```\n(\{.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) == 1 and Comparison.from_json(blocks[0]).specs["rank 1"].method.settings()["rank"] == 1
