"""The command line as a person or a script uses it: real processes, exit codes, JSON on standard output, errors on standard error."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lab import catalogue
from lab.cli import main
from lab.events import fold, from_json
from lab.spec import RunSpec
from lab.store import Store

ROOT = Path(__file__).parent.parent
TOY = {"model": "seed-llama", "method": {"name": "lora", "rank": 2}, "steps": 5}


def lab(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "lab", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, **options)


def written(folder: Path, spec: Any) -> Path:
    path = folder / "spec.json"
    path.write_text(json.dumps(spec))
    return path


@pytest.fixture(scope="module")
def cache(workshop: Any) -> Path:
    return workshop.supply.cache


@pytest.mark.parametrize("folder", ["models", "methods", "tasks", "lenses"])
def test_catalogues_are_listed(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([folder, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert sorted(row["key"] for row in rows) == sorted(catalogue.entries(folder))
    assert main([folder]) == 0
    assert all(row["key"] in capsys.readouterr().out for row in rows[:1])


def test_methods_tell_knobs_and_where_they_can_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    main(["methods", "--json"])
    methods = {row["key"]: row for row in json.loads(capsys.readouterr().out)}
    rank = next(knob for knob in methods["lora"]["knobs"] if knob["name"] == "rank")
    assert (rank["low"], rank["high"], rank["default"], rank["peft"]) == (1, 256, 8, "r") and rank["help"]
    assert methods["lora"]["supports"]["minilm-l6"] == {"ok": True, "reason": ""}
    assert methods["in_context"]["supports"]["minilm-l6"]["reason"]
    for row in methods.values():
        assert row["family"] in ("selective", "additive", "reparameterised", "none") and row["paper"]["link"]
        assert row["strengths"] and row["weaknesses"] and row["latency"] in ("none", "until merged", "always")
    assert methods["dora"]["quantizable"] == ["nf4", "nf4_double", "fp4"] and methods["bitfit"]["needs_biases"]


def test_counting_needs_no_download_and_no_torch(tmp_path: Path) -> None:
    path = written(tmp_path, {"model": "minilm-l6", "method": {"name": "lora", "rank": 8}})
    done = lab("count", path, "--json", env={**os.environ, "LAB_CACHE": str(tmp_path / "none"), "PYTHONPROFILEIMPORTTIME": "1"})
    counts = json.loads(done.stdout)
    assert counts == {"trainable": 74498, "method": 73728, "head": 770, "frozen": 22565376, "total": 22639874, "share": 74498 / 22639874,
                      "by_role": {"query": 36864, "value": 36864}}
    assert " torch" not in done.stderr.split("import time:")[-1] and "| torch\n" not in done.stderr
    assert not (tmp_path / "none").exists()


@pytest.fixture
def train(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """`python -m lab train` in this process, where torch is loaded already: (exit code, standard output, standard error)."""

    def run(spec: Any, *options: object) -> tuple[int, str, str]:
        code = main(["train", str(written(tmp_path, spec)), "--cache", str(cache), *map(str, options)])
        return code, *capsys.readouterr()

    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield run
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_a_run_leaves_its_folder_and_its_events(tmp_path: Path, train: Any) -> None:
    code, out, error = train(TOY, "--out", tmp_path / "run", "--events", "-")
    assert code == 0, error
    events = [from_json(line) for line in out.splitlines()]
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"spec.json", "events.jsonl", "result.json", "report.html", "adapter"}
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result == json.loads(json.dumps(fold(events).to_dict()))
    assert (tmp_path / "run" / "events.jsonl").read_text() == out
    assert RunSpec.read(tmp_path / "run" / "spec.json") == RunSpec.parse(TOY)
    step = json.loads(next(line for line in out.splitlines() if '"stepped"' in line))
    assert {"event", "step", "loss", "lr", "seconds"} <= set(step) and step["step"] == 1


def test_json_is_one_document(train: Any) -> None:
    code, out, _ = train(TOY, "--json")
    assert json.loads(out)["state"] == "finished" and code == 0


def test_a_person_is_told_in_words(train: Any) -> None:
    code, out, error = train(TOY)
    assert code == 0 and "step    1  loss" in out and "tuned     accuracy" in out and "finished:" in out and "Loading torch" in error


def test_models_say_where_they_come_from_and_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    assert main(["models", "--json"]) == 0
    rows = {row["key"]: row for row in json.loads(capsys.readouterr().out)}
    assert {key for key, row in rows.items() if row["here"]} == {key for key, row in rows.items() if row["seeded"]}
    assert [key for key, row in rows.items() if row["needs_hub"]] == list(rows)[-8:], "what any machine can have comes first"
    assert main(["models"]) == 0
    words = capsys.readouterr().out
    assert "Needs the Hugging Face Hub, once." in words and "Made on this machine." in words


@pytest.mark.parametrize(("spec", "words"), [
    ({**TOY, "method": {"name": "lora", "rank": 0}}, "rank is 0: must be 1 to 256"),
    ({**TOY, "model": "gtp2"}, 'unknown model "gtp2"'),
    ({"model": "seed-bert", "method": "in_context"}, "cannot be used here"),
    ({"model": "seed-bert", "task": "table_to_text", "method": "lora"}, "an encoder writes none"),
    ({"model": "seed-vit", "task": "toy", "method": "lora"}, "this model reads images"),
    ({"model": "seed-llama", "task": "digits", "method": "lora"}, "this model reads texts"),
    ({"model": {"config": {"model_type": "llama", "num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8,
                           "vocab_size": 9}}, "method": "lora"}, "counted, not trained"),
])
def test_bad_input_is_exit_code_2_and_nothing_runs(spec: Any, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(written(tmp_path, spec)), "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr()
    assert words in said.err and not said.out and not (tmp_path / "run").exists()


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["count", str(tmp_path / "no.json")]) == 2
    assert "cannot read" in capsys.readouterr().err
    assert main(["runs", "--data", str(tmp_path / "no")]) == 2


def test_a_run_that_fails_is_exit_code_1(train: Any) -> None:
    hot = {"model": "seed-llama", "method": "full", "lr": 100.0, "clip": 0.0, "warmup": 0.0, "steps": 60}
    code, out, error = train(hot, "--json")
    assert code == 1 and json.loads(out)["state"] == "failed" and "learning rate" in error


def test_an_output_folder_that_cannot_be_made(tmp_path: Path, train: Any) -> None:
    (tmp_path / "file").write_text("in the way")
    code, _, error = train(TOY, "--out", tmp_path / "file" / "run")
    assert code == 2 and "give another folder" in error


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGINT") or sys.platform == "win32", reason="needs Unix signals")
def test_ctrl_c_ends_a_run_with_what_it_has(tmp_path: Path, cache: Path) -> None:
    path = written(tmp_path, {**TOY, "steps": 5000, "eval_every": 0})
    process = subprocess.Popen([sys.executable, "-m", "lab", "train", path, "--out", tmp_path / "run", "--cache", cache], cwd=ROOT,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    for line in process.stdout:
        if line.startswith("step "):
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["state"] == "cancelled" and result["losses"]


def test_runs_lists_the_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store(tmp_path / "data", clock=time.time) as store:
        made = store.submit(RunSpec.parse(TOY), "somebody", title="first")
    assert main(["runs", "--json", "--data", str(tmp_path / "data")]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["id"], row["state"], row["title"]) for row in rows] == [(made.id, "queued", "first")]


def test_devices_say_where_a_run_can_go(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["key"] == "cpu" and rows[0]["bytes"] > 0
