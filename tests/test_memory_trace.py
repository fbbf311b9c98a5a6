"""Steps foretold on tensors without memory, against steps that were measured, full traces, the published rule and published GPU runs."""
from __future__ import annotations

import time
from typing import Any

import pytest

from lab import catalogue
from lab.accounting.presets import preset
from lab.accounting.shapes import shape_of
from lab.accounting.why import RULE, per_unit
from lab.engine import job
from lab.forecast.answer import answered
from lab.forecast.forecaster import Forecaster
from lab.forecast.order import SHORT, Order
from tests._breadth import spread
from tests._memory import Here, both, error_of_forecast, foretold
from tests._patience import within

GB, GIB = 1e9, 2**30
QUICK = [("seed-bert", "lora"), ("seed-llama", "full"), ("seed-llama", "qlora")]


def agrees(foretold: dict[str, Any], seen: dict[str, Any], tolerance: float = 0.01) -> None:
    """The peak as a whole, and what stands in it for the whole step to the byte."""
    assert abs(foretold["peak_bytes"] / seen["peak_bytes"] - 1) <= tolerance, (foretold["parts"], seen["parts"])
    for part in ("weights", "optimizer"):
        assert foretold["parts"][part] == pytest.approx(seen["parts"][part], rel=tolerance, abs=64)


@pytest.mark.parametrize(("model", "method"), QUICK)
def test_the_lab_s_step_is_foretold(model: str, method: str, workshop: Any, finish: Any) -> None:
    agrees(*both(workshop, finish, model=model, task="toy", method=method, dtype="float32", batch=8))


@pytest.mark.parametrize(("model", "method"), [("seed-bert", "bitfit"), ("seed-llama", "norms"), ("seed-bert", "full")])
def test_mixed_precision_is_foretold(model: str, method: str, workshop: Any, finish: Any) -> None:
    agrees(*both(workshop, finish, model=model, task="toy", method=method, dtype="bfloat16", batch=8))


def test_a_run_of_two_steps_is_foretold_like_a_longer_one() -> None:
    """AdaLoRA in a run so short takes ranks away at once."""
    short, long = (foretold(Order.parse({"model": "seed-bert", "task": "toy", "method": "adalora", "steps": steps}), 4, 32) for steps in (2, 60))
    assert short["traced"] and short["peak_bytes"] == long["peak_bytes"]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["seed-bert", "seed-llama", "seed-t5"])
@pytest.mark.parametrize("method", ["lora", "full", "bitfit", "prompt_tuning"])
def test_a_batch_without_padding_is_foretold(method: str, model: str, workshop: Any, finish: Any) -> None:
    """transformers makes no mask for it."""
    if method != "bitfit" or model == "seed-bert":
        agrees(*both(workshop, finish, padded=False, model=model, task="toy", method=method, dtype="float32", batch=8))


def fitting(*models: str) -> list[tuple[str, str]]:
    """(method, model) that go together and train."""
    return [(key, model) for model in models for key, kind in catalogue.entries("methods").items()
            if kind().supports(shape_of(catalogue.find("models", model).config)).ok and kind.fixed.get("steps") != 0]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "model"), spread(fitting(*(key for key, model in catalogue.entries("models").items() if model.seeded))))
def test_every_method_s_step_is_foretold(method: str, model: str, workshop: Any, kept_workshop: Any, finish: Any) -> None:
    shape = shape_of(catalogue.find("models", model).config)
    task, where = ("digits", kept_workshop) if shape.kind == "vision" else ("toy", workshop)
    agrees(*both(where, finish, model=model, task=task, method=method, dtype="float32", batch=8))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["seed-llama", "seed-t5"])
@pytest.mark.parametrize("task", ["random_pairs", "table_to_text"])
def test_written_answers_are_foretold(task: str, model: str, workshop: Any, finish: Any) -> None:
    agrees(*both(workshop, finish, model=model, task=task, method="lora", dtype="float32", batch=4))


def test_short_attention_is_what_the_engine_takes_for_short() -> None:
    assert SHORT == job.SHORT
    for tokens in (SHORT - 40, SHORT + 1):
        order = Order.parse({"model": "minilm-l6", "method": "lora", "tokens": tokens})
        assert order.spec.attention == job.attention(order.spec.model_copy(update={"attention": "auto"}), "cpu")


# ── depth, batch and length ───────────────────────────────────────────────────────────────────────────────────────────

LLAMA = {"model_type": "llama", "num_hidden_layers": 6, "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96,
         "vocab_size": 300, "max_position_embeddings": 512}
T5 = {"model_type": "t5", "num_layers": 5, "num_decoder_layers": 6, "d_model": 64, "d_kv": 16, "d_ff": 96, "num_heads": 4, "vocab_size": 300,
      "decoder_start_token_id": 0}


def asked(config: dict[str, Any], method: Any = "lora", **more: Any) -> Order:
    return Order.parse({"model": {"config": config}, "method": method, "batch": 4, "tokens": 40, **more})


def in_full(order: Order, batch: int, tokens: int) -> dict[str, Any]:
    """Every block recorded."""
    from lab.accounting.points import Deep

    return answered(order, Deep(Here().one(order.to_trace(order.plan.depths, batch, tokens)), {}))


@pytest.mark.parametrize(("config", "method", "more"), [
    (LLAMA, "lora", {}), *(pytest.param(*row, marks=pytest.mark.slow) for row in (
        (LLAMA, "full", {"optimizer": "adamw_foreach"}), (LLAMA, {"name": "top_layers", "layers": 2}, {}), (T5, "lora", {}),
        (LLAMA, "lora", {"checkpointing": True}), (LLAMA, "lora", {"device": "NVIDIA T4", "quantization": "nf4_double"}))),
])
def test_few_blocks_stand_for_all(config: dict[str, Any], method: Any, more: dict[str, Any]) -> None:
    order = asked(config, method, **more)
    few, all_of_it = foretold(order, 4, 40), in_full(order, 4, 40)
    for one, two in zip(few["moments"], all_of_it["moments"], strict=True):
        assert one["name"] == two["name"] and one["bytes"] == pytest.approx(two["bytes"], rel=2e-3)
    assert [row["bytes"] for row in few["layers"]] == [row["bytes"] for row in all_of_it["layers"]]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "more"), [("lora", {}), ("prompt_tuning", {"device": "NVIDIA L4"})])
def test_a_fit_answers_any_batch_and_length(method: str, more: dict[str, Any], tmp_path: Any) -> None:
    order, here = asked(LLAMA | {"hidden_size": 512, "intermediate_size": 1024}, method, **more), Here()
    forecaster = Forecaster(tmp_path, here)
    assert forecaster.fit(order) is not None
    for batch, tokens in ((4, 40), (7, 33), (32, 400)):
        other, recorded = order.changed(batch=batch, tokens=tokens), here.asked
        began = time.perf_counter()
        found = forecaster.memory(other)
        assert time.perf_counter() - began < within(0.2) and here.asked == recorded
        whole = foretold(other, batch, tokens)
        assert [moment["bytes"] for moment in found["moments"]] == pytest.approx([moment["bytes"] for moment in whole["moments"]], rel=1e-3)
    assert Forecaster(tmp_path, here).at_once(order.changed(batch=9)) is not None, "the fit lies on the disk"


def test_an_answer_is_kept(tmp_path: Any) -> None:
    here, order = Here(), asked(LLAMA)
    first = Forecaster(tmp_path, here).memory(order)
    asked_before = here.asked
    assert Forecaster(tmp_path, here).memory(order) == first and here.asked == asked_before
    assert sum(first["parts"].values()) == first["peak_bytes"] == max(moment["bytes"] for moment in first["moments"])
    assert {"forward_end", "backward_peak", "optimizer_peak"} <= {moment["name"] for moment in first["moments"]}
    assert first["reserved_bytes"] is None and max(point["bytes"] for point in first["timeline"]) == first["peak_bytes"]


# ── the rule ──────────────────────────────────────────────────────────────────────────────────────────────────────────

GPT2 = {"model_type": "gpt2", "n_layer": 4, "n_embd": 256, "n_head": 8, "n_positions": 512, "vocab_size": 100, "activation_function": "gelu"}
BERT = {"model_type": "bert", "num_hidden_layers": 4, "hidden_size": 256, "num_attention_heads": 8, "intermediate_size": 1024, "vocab_size": 100}
RULES = [
    ("full", "full", {}), ("passing", "prompt_tuning", {}), ("passing", "bitfit", {}), ("lora_fused", {"name": "lora", "targets": ["query"]}, {}),
    ("lora_ffn", {"name": "lora", "targets": ["ffn"]}, {}), ("lora_all", {"name": "lora", "targets": ["all"]}, {}),
    ("lora_all_dropout", {"name": "lora", "targets": ["all"], "dropout": 0.1}, {}),
    ("lora_all_dropout_float32", {"name": "lora", "targets": ["all"], "dropout": 0.1}, {"adapter_dtype": "float32"}),
    ("checkpointed", "full", {"checkpointing": True}),
]
QUICK_RULES = ("full", "passing", "lora_all_dropout_float32")


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "method", "more"), [
    pytest.param(*row, marks=[] if row[0] in QUICK_RULES and row[1] != "bitfit" else pytest.mark.slow) for row in RULES], ids=str)
def test_bytes_of_activations_per_token_and_width(rule: str, method: Any, more: dict[str, Any]) -> None:
    """34 where every weight trains, 20 where the gradient only passes, and what lies between; rank 1 adds next to nothing of its own."""
    if isinstance(method, dict):
        method = {**method, "rank": 1}
    order = asked(GPT2, method, **{"dtype": "bfloat16", "adapter_dtype": "bfloat16", "attention": "eager", "device": "NVIDIA T4", **more})
    batch, tokens = 8, 128
    block = foretold(order, batch, tokens)["layers"][1]["bytes"]
    positions = tokens + order.spec.method.virtual_tokens_used()
    assert per_unit(block, batch, positions, order.spec.shape, rule != "checkpointed") == pytest.approx(RULE[rule], abs=0.35)


# ── GPUs that others measured ─────────────────────────────────────────────────────────────────────────────────────────

PUBLISHED = [  # peft's method comparison: Llama-3.2-3B, bfloat16, batch 4, 768 tokens, AdamW, no checkpointing; GiB reserved
    ("full", 36.2), ({"name": "lora", "rank": 32}, 20.8), ({"name": "lora", "rank": 10, "targets": ["ffn"]}, 23.0), ({"name": "dora", "rank": 32}, 22.9),
    ("ia3", 21.6), ({"name": "prompt_tuning", "virtual_tokens": 200}, 22.7),
]


@pytest.mark.parametrize(("method", "gib"), PUBLISHED[1:2] + [pytest.param(*row, marks=pytest.mark.slow) for row in (PUBLISHED[0], *PUBLISHED[2:])])
def test_published_runs_on_a_gpu(method: Any, gib: float) -> None:
    order = Order.parse({"model": preset("llama-3.2-3b").model, "method": method, "dtype": "bfloat16", "batch": 4, "tokens": 768,
                         "optimizer": "adamw_foreach", "device": "NVIDIA L40S"})
    found = foretold(order, 4, 768)
    assert 0.92 <= found["peak_bytes"] / GIB / gib <= 1.0
    assert found["reserved_bytes"] > found["peak_bytes"] and found["fits"] == "fits"


def test_attention_s_kernel_gives_trained_positions_their_gradient() -> None:
    """T5 adds a trained table of positions to the scores: its gradient comes out of the kernel, a number for each score before it is summed."""
    order = asked({"model_type": "t5", "num_layers": 2, "num_decoder_layers": 2, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_heads": 4, "vocab_size": 100,
                   "decoder_start_token_id": 0}, "full", dtype="bfloat16", device="NVIDIA T4")
    found = foretold(order, 2, 32)
    assert next(moment for moment in found["moments"] if moment["name"] == "optimizer_peak")["parts"]["gradients"] >= 2 * order.spec.counts.trainable


@pytest.mark.slow
def test_optimizers_differ_by_their_states() -> None:
    """Bytes a trained parameter, all in bfloat16: two states of 16 bits, two of 8 with a scale for each 256, none on the card, none, next to none."""
    config = {**LLAMA, "hidden_size": 512, "intermediate_size": 1024}
    per = {}
    for optimizer in ("adamw", "adamw_foreach", "adamw_fused", "adamw_8bit", "paged_adamw_8bit", "sgd", "adafactor"):
        order = asked(config, "full", dtype="bfloat16", optimizer=optimizer, device="NVIDIA T4")
        found = foretold(order, 4, 40)
        per[optimizer] = found["parts"]["optimizer"] / order.spec.counts.trainable
    assert [round(per[name], 1) for name in ("adamw", "adamw_foreach", "adamw_fused", "adamw_8bit", "sgd")] == [4.0, 4.0, 4.0, 2.0, 0.0]
    assert per["paged_adamw_8bit"] < 0.1 and per["adafactor"] < 0.1


@pytest.mark.parametrize(("quantization", "bits"), [
    ("nf4_double", 4.127), *(pytest.param(*row, marks=pytest.mark.slow) for row in (("nf4", 4.50), ("fp4", 4.50), ("int8", 8.0)))])
def test_bits_of_a_quantised_weight(quantization: str, bits: float) -> None:
    config = {**LLAMA, "hidden_size": 2048, "intermediate_size": 4096, "vocab_size": 8}
    order = asked(config, "lora", dtype="bfloat16", quantization=quantization, device="NVIDIA L4")
    shape = order.spec.shape
    matrices = sum(linear.inputs * linear.outputs for linear in shape.linears if linear.layer is not None)
    parts = foretold(order, 4, 40)["moments"][0]["parts"]
    others = (shape.total - matrices) * 2 + order.spec.counts.trainable * 4
    assert (parts["weights"] - others) * 8 / matrices == pytest.approx(bits, abs=0.03 if quantization == "int8" else 0.005)


# ── runs ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_s_own_batch_is_foretold(run: Any, workshop: Any) -> None:
    """Padding and all. Of every method on the real models: tests/test_goals.py."""
    result = run(workshop, model="seed-bert", task="toy", method="lora", dtype="float32", steps=4, eval_items=20, eval_every=0)
    assert abs(error_of_forecast(result)) <= 0.01
