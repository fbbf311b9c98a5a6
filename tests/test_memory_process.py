"""The tracing process and what stands around it: limits of time and memory, a restart after a death, orders that make no sense, what would help."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab.accounting.points import PARTS, Recording, Section, place_of
from lab.accounting.presets import preset
from lab.accounting.why import why
from lab.cli import main
from lab.contracts import LabError
from lab.forecast.answer import static
from lab.forecast.forecaster import Forecaster
from lab.forecast.helps import changes, helps
from lab.forecast.order import Order
from lab.forecast.tracer import Tracer, Untraceable
from tests._patience import within

ROOT = Path(__file__).parent.parent
SMALL = {"model_type": "llama", "num_hidden_layers": 6, "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 96, "vocab_size": 300,
         "max_position_embeddings": 512}


def asked(**more: Any) -> Order:
    return Order.parse({"model": {"config": SMALL}, "method": "lora", "batch": 4, "tokens": 40, **more})


class ByHand:
    """Stands where the tracing process does: a step whose bytes follow a formula, or a refusal."""

    process, ready = None, True

    def __init__(self, fails: str = "") -> None:
        self.fails, self.asked = fails, 0

    def warm(self) -> None:
        pass

    def record(self, *orders: Mapping[str, Any]) -> list[Recording]:
        return [self.one(order) for order in orders]

    def one(self, order: Mapping[str, Any]) -> Recording:
        self.asked += 1
        if self.fails:
            raise Untraceable(self.fails)
        spec, kept = order["spec"], (2 if order["spec"]["checkpointing"] else 30) * order["batch"] * order["tokens"] * 64
        depth = spec["model"]["config"]["num_hidden_layers"]
        rows = [np.array([[1000.0 * depth, 0, 0, kept * (block + 1), 10]]) for block in range(depth)]
        sections = [Section(phase, 0, place_of(block, depth, order["tail"]), block, (f"model.layers.{block}",), rows[block])
                    for phase, blocks in (("forward", range(depth)), ("backward", reversed(range(depth)))) for block in blocks]
        return Recording((depth,), tuple(sections), {f"model.layers.{block}.mlp": kept for block in range(depth)})

    def close(self) -> None:
        pass


# ── the forecaster, with a tracer by hand ─────────────────────────────────────────────────────────────────────────────


def test_an_answer_has_everything_a_page_shows(tmp_path: Path) -> None:
    found = Forecaster(tmp_path, ByHand()).memory(asked())
    assert set(found["parts"]) == set(PARTS) and sum(found["parts"].values()) == found["peak_bytes"] == 6 * 1000 + 6 * 30 * 4 * 40 * 64 + 10
    assert [point["block"] for point in found["timeline"]] == [*range(6), *reversed(range(6))]
    assert [point["module"] for point in found["timeline"]][:6] == [f"model.layers.{block}" for block in range(6)]
    assert [row["layer"] for row in found["layers"]] == [*range(6), None] and found["layers"][3]["modules"] == {"mlp": 30 * 4 * 40 * 64}
    assert all(isinstance(sentence, str) for sentence in found["assumptions"])
    explained = why(found, asked().spec.method, asked().spec.shape, batch=4, positions=40, optimizer="adamw", trainable=1)
    assert explained["largest"] == "activations" and explained["numbers"]["per token, text and width"] == 30 and len(explained["sentences"]) == 2


def test_the_first_look_costs_two_traces_and_the_next_none(tmp_path: Path) -> None:
    tracer = ByHand()
    forecaster = Forecaster(tmp_path, tracer)
    first = forecaster.memory(asked())
    assert tracer.asked == 2 and forecaster.memory(asked()) == first and tracer.asked == 2
    assert forecaster.at_once(asked(batch=5)) is None
    forecaster.fit(asked())
    before = tracer.asked
    assert forecaster.memory(asked(batch=5, tokens=77))["parts"]["activations"] == 6 * 30 * 5 * 77 * 64
    assert tracer.asked == before, "another batch and length need no further trace"
    longer = asked(model={"config": {**SMALL, "num_hidden_layers": 60}})
    assert forecaster.memory(longer)["parts"]["weights"] == 60_000 and tracer.asked == before, "nor does another number of like blocks"


def test_another_gpu_needs_no_further_trace(tmp_path: Path) -> None:
    tracer = ByHand()
    forecaster = Forecaster(tmp_path, tracer)
    first, before = forecaster.memory(asked(device="NVIDIA T4", dtype="bfloat16")), tracer.asked
    other = forecaster.memory(asked(device="0.6 GB", dtype="bfloat16"))
    assert tracer.asked == before and other["parts"] == first["parts"]
    assert (first["device"], first["fits"], other["device"], other["fits"]) == ("NVIDIA T4", "fits", "0.6 GB", "too_large")
    assert any("Ampere" in said for said in first["assumptions"]) and not any("Ampere" in said for said in other["assumptions"])
    assert forecaster.memory(asked(dtype="bfloat16"))["fits"] is None and tracer.asked > before, "the CPU is another matter"


def test_a_glance_has_the_same_peak_as_a_close_look(tmp_path: Path) -> None:
    forecaster = Forecaster(tmp_path, ByHand())
    forecaster.fit(asked())
    close, glance = (forecaster.at_once(asked(batch=7), closely=closely) for closely in (True, False))
    assert glance["timeline"] == glance["layers"] == [] and close["layers"] and {**close, "timeline": [], "layers": []} == glance


def test_a_fit_is_made_in_the_background(tmp_path: Path) -> None:
    forecaster = Forecaster(tmp_path, ByHand())
    forecaster.prepare(asked())
    ends = time.monotonic() + 10
    while forecaster.at_once(asked(batch=9)) is None and time.monotonic() < ends:
        time.sleep(0.01)
    assert forecaster.at_once(asked(batch=9)) is not None
    forecaster.close()


def test_what_cannot_be_traced_has_a_static_part(tmp_path: Path) -> None:
    order = asked(method={"name": "lora", "rank": 8}, dtype="bfloat16")
    found = Forecaster(tmp_path, ByHand(fails="no")).memory(order)
    trainable, total = order.spec.counts.trainable, order.spec.counts.total
    assert not found["traced"] and found["parts"]["optimizer"] == 8 * trainable and found["parts"]["activations"] == 0
    assert found["parts"]["weights"] == 2 * (total - trainable) + 4 * trainable and "no" in found["assumptions"][0]
    assert found == static(order, "no")


def test_damaged_files_are_made_again(tmp_path: Path) -> None:
    forecaster = Forecaster(tmp_path, ByHand())
    forecaster.fit(asked())
    forecaster.memory(asked(batch=1))
    for path in tmp_path.rglob("*.*"):
        path.write_bytes(b"not what it was")
    tracer = ByHand()
    again = Forecaster(tmp_path, tracer)
    assert again.memory(asked())["traced"] and again.memory(asked(batch=1))["traced"] and tracer.asked == 4


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    forecaster = Forecaster(tmp_path / "file", ByHand())
    assert forecaster.memory(asked())["traced"] and forecaster.fit(asked()) is not None


def test_what_would_help_is_ranked_by_bytes(tmp_path: Path) -> None:
    order = asked(method="full", device="NVIDIA T4", dtype="bfloat16")
    words = [text for text, _ in changes(order)]
    assert any("checkpointing" in text for text in words) and any("LoRA" in text for text in words) and not any("NF4" in text for text in words)
    found = helps(Forecaster(tmp_path, ByHand()), order)
    assert [each["saves"] for each in found] == sorted((each["saves"] for each in found), reverse=True)
    assert found[0]["spec"] == {"checkpointing": True} and found[0]["saves"] == 6 * 28 * 4 * 40 * 64
    assert {"batch": 2} in [each["spec"] for each in found]


# ── bad input ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("change", "said"), [
    ({"model": {"config": {"hidden_size": 8}}}, "model_type"), ({"model": {"config": {**SMALL, "model_type": "unheard-of"}}}, "unheard-of"),
    ({"model": {"config": {**SMALL, "num_hidden_layers": 10**9}}}, "num_hidden_layers"), ({"model": {"config": {**SMALL, "hidden_size": -64}}}, "hidden_size"),
    ({"model": {"config": {**SMALL, "vocab_size": 0}}}, "vocab_size"), ({"model": {"config": {**SMALL, "num_attention_heads": 7}}}, "must divide"),
    ({"device": "GeForce 256"}, "NVIDIA T4"), ({"device": 7}, "NVIDIA T4"), ({"batch": 0}, "batch"), ({"tokens": 10**9}, "tokens"),
    ({"quantization": "nf4", "method": "full"}, "quantis"), ({"optimizer": "adamw_8bit"}, "need a GPU"),
    ({"model": {"config": SMALL, "num_labels": -1}}, "num_labels is -1"), ({"model": {"config": SMALL, "class": "BertModel"}}, "class is"),
    ({"model": "gtp2"}, "gtp2"), ({"model": {"config": SMALL, "weights": "x"}}, "config"),
])
def test_orders_that_make_no_sense_are_refused_at_once(change: dict[str, Any], said: str) -> None:
    began = time.perf_counter()
    with pytest.raises(LabError, match=said):
        asked(**change)
    assert time.perf_counter() - began < within(0.5)


def test_a_huge_file_is_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(2**30)
    began = time.perf_counter()
    assert main(["memory", str(path)]) == main(["count", str(path)]) == 2 and time.perf_counter() - began < within(1)
    assert "1,073,741,824 bytes" in capsys.readouterr().err


def test_count_takes_a_gpu_s_name_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({"model": preset("llama-7b").model, "method": {"name": "lora", "rank": 8}, "device": "NVIDIA L40S"}))
    assert main(["count", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trainable"] == 4_194_304


# ── the process itself ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def tracer() -> Iterator[Tracer]:
    found = Tracer()
    yield found
    found.close()


@pytest.mark.slow
def test_it_answers_dies_and_answers_again(tracer: Tracer, tmp_path: Path) -> None:
    forecaster = Forecaster(tmp_path, tracer)
    first = forecaster.memory(asked())
    assert first["traced"]
    os.kill(tracer.process, signal.SIGKILL)
    while tracer.process is not None:  # on a busy machine a killed process takes a while to be gone
        time.sleep(0.05)
    assert forecaster.memory(asked(batch=5))["traced"]


@pytest.mark.slow
def test_it_is_stopped_when_it_takes_too_long(tracer: Tracer) -> None:
    tracer.warm()
    tracer.answer_seconds = 0.05
    try:
        with pytest.raises(Untraceable, match="took more than"):
            tracer.record(asked(model=preset("llama-7b").model).to_trace((40,), 4, 40))
    finally:
        tracer.answer_seconds = 30.0
    assert tracer.process is None


@pytest.mark.slow
def test_it_has_limited_memory(tmp_path: Path) -> None:
    """A method that looks at numbers is given some, and a model that is too large for that cannot have them."""
    small = Tracer(budget_bytes=2**28)
    try:
        order = asked(model={"config": {**SMALL, "hidden_size": 4096, "intermediate_size": 8192}}, method="vblora")
        found = Forecaster(tmp_path, small).memory(order)
        assert found["parts"]["weights"] > 0, "with a trace or without, there is an answer"
    finally:
        small.close()


@pytest.mark.slow
def test_it_ends_with_whoever_started_it() -> None:
    program = "from lab.forecast.tracer import Tracer; t = Tracer(); t.warm(); print(t.process, flush=True); import os; os._exit(1)"
    process = int(subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True).stdout)
    ends = time.monotonic() + 10
    while Path(f"/proc/{process}").exists() and time.monotonic() < ends:
        time.sleep(0.05)
    assert not Path(f"/proc/{process}").exists()


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(("key", "method"), [("llama-7b", "lora"), ("llama-65b", "qlora")])
def test_how_long_a_large_model_takes(key: str, method: str, tracer: Tracer, tmp_path: Path) -> None:
    """7B and 65B within 6 s when they were never seen, at once when they were; the process is warm."""
    tracer.warm()
    order = Order.parse({"model": preset(key).model, "method": method, "batch": 1, "tokens": 512, "checkpointing": True, "device": "NVIDIA RTX A6000",
                         "dtype": "bfloat16", "optimizer": "paged_adamw_8bit"})
    forecaster = Forecaster(tmp_path, tracer)
    began = time.perf_counter()
    found = forecaster.memory(order)
    cold = time.perf_counter() - began
    assert found["traced"] and cold < 6
    began = time.perf_counter()
    assert Forecaster(tmp_path, tracer).memory(order) == found and time.perf_counter() - began < 0.5
    if key == "llama-65b":
        assert found["fits"] == "fits", "the QLoRA paper's claim: 65B on a card of 48 GB"


@pytest.mark.slow
def test_the_command_line_tells_all_that_was_promised(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({"model": {"config": SMALL, "class": "LlamaForCausalLM"}, "method": {"name": "lora"}, "device": "NVIDIA L40S"}))
    ended = subprocess.run([sys.executable, "-m", "lab", "memory", str(path), "--json", "--cache", str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    found = json.loads(ended.stdout)
    assert ended.returncode == 0 and {"peak_bytes", "peak_moment", "parts", "moments", "reserved_bytes", "assumptions"} <= set(found)
    assert {"forward_end", "backward_peak", "optimizer_peak"} <= {moment["name"] for moment in found["moments"]}
    assert found["reserved_bytes"] > found["peak_bytes"] == sum(found["parts"].values())
