"""Counts and bytes by arithmetic, against real transformers models and an independent measurement."""
from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest
import torch
import transformers
from torch.profiler import ProfilerActivity, profile

from lab.accounting.memory import estimate
from lab.accounting.shapes import shape_of
from lab.accounting.tracing import PARTS
from lab.contracts import LabError
from lab.engine.fast.compiled import as_written
from lab.engine.job import Job, prepare
from lab.engine.measure import measured_step
from lab.spec import RunSpec

LLAMA_7B = {"model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32, "intermediate_size": 11008, "vocab_size": 32000}
GPT2_MEDIUM = {"model_type": "gpt2", "n_layer": 24, "n_embd": 1024, "n_head": 16, "n_positions": 1024, "vocab_size": 50257}
MT0_LARGE = {"model_type": "mt5", "num_layers": 24, "d_model": 1024, "d_kv": 64, "d_ff": 2816, "num_heads": 16, "vocab_size": 250112}
VIT = {"model_type": "vit", "num_hidden_layers": 4, "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128, "image_size": 8, "patch_size": 2}


@pytest.mark.parametrize(("method", "trainable", "total"), [
    ({"name": "lora", "rank": 8, "targets": ["query", "value"]}, 4_194_304, 6_742_609_920),  # printed by peft for this model
    ({"name": "lora", "rank": 8, "targets": ["q_proj", "v_proj"]}, 4_194_304, 6_742_609_920),
    ({"name": "prompt_tuning", "virtual_tokens": 20}, 20 * 4096, 6_738_415_616 + 20 * 4096),
    ({"name": "full"}, 6_738_415_616, 6_738_415_616),
    ({"name": "houlsby", "bottleneck": 24}, 32 * 2 * (2 * 4096 * 24 + 24 + 4096), 6_738_415_616 + 32 * 2 * (2 * 4096 * 24 + 24 + 4096)),
])
def test_a_model_nobody_has_here_is_counted_from_its_config(method: dict[str, Any], trainable: int, total: int) -> None:
    counts = RunSpec.parse({"model": {"config": LLAMA_7B, "class": "LlamaForCausalLM"}, "method": method}).counts
    assert (counts.trainable, counts.total, counts.head) == (trainable, total, 0)
    assert counts.to_dict()["share"] == trainable / total


@pytest.mark.parametrize(("config", "method", "by_role"), [
    (GPT2_MEDIUM, {"name": "lora", "rank": 8, "targets": ["query"]}, {"qkv": 24 * 8 * (1024 + 3072)}),
    (GPT2_MEDIUM, {"name": "lora", "rank": 8, "targets": ["query", "key", "value"]}, {"qkv": 24 * 8 * (1024 + 3072)}),
    (GPT2_MEDIUM, {"name": "houlsby", "bottleneck": 24}, dict.fromkeys(("output", "ffn_out"), 24 * (2 * 1024 * 24 + 24 + 1024))),
    (MT0_LARGE, {"name": "lora", "rank": 8, "targets": ["query", "value"]}, dict.fromkeys(("query", "value"), 2_359_296 // 2)),  # printed by peft
    (MT0_LARGE, {"name": "prompt_tuning", "virtual_tokens": 20}, {"prompt": 2 * 20 * 1024}),  # one prompt for each of the two stacks
    (VIT, {"name": "lora", "rank": 4, "targets": "ffn"}, {"ffn_in": 4 * 4 * (64 + 128), "ffn_out": 4 * 4 * (64 + 128)}),
])
def test_other_kinds_of_model_are_counted_by_role(config: dict[str, Any], method: dict[str, Any], by_role: dict[str, int]) -> None:
    counts = RunSpec.parse({"model": {"config": config, "num_labels": 10}, "method": method}).counts
    assert counts.by_role == by_role and counts.head == (650 if config is VIT else 0)


SMALL = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 300, "max_position_embeddings": 64}
SMALL_DISTILBERT = {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128, "vocab_size": 300, "max_position_embeddings": 64}


@pytest.mark.parametrize(("name", "config", "labels"), [
    ("BertForSequenceClassification", {"model_type": "bert", **SMALL}, 3), ("BertModel", {"model_type": "bert", **SMALL}, None),
    ("RobertaForSequenceClassification", {"model_type": "roberta", **SMALL}, None), ("RobertaModel", {"model_type": "roberta", **SMALL}, None),
    ("XLMRobertaForSequenceClassification", {"model_type": "xlm-roberta", **SMALL}, 5),
    ("DistilBertForSequenceClassification", {"model_type": "distilbert", **SMALL_DISTILBERT}, 3),
    ("ViTForImageClassification", VIT, 7), ("ViTModel", VIT, None), ("LlamaForCausalLM", {"model_type": "llama", **SMALL}, None),
])
def test_a_named_class_is_counted_with_its_own_pooler_and_head(name: str, config: dict[str, Any], labels: int | None) -> None:
    counts = RunSpec.parse({"model": {"config": config, "class": name, "num_labels": labels}, "method": "full", "tokens": 16}).counts
    sizes = {key: value for key, value in config.items() if key != "model_type"} | ({"num_labels": labels} if labels else {})
    with torch.device("meta"):
        module = getattr(transformers, name)(transformers.AutoConfig.for_model(config["model_type"], **sizes))
    assert counts.total == sum(weight.numel() for weight in module.parameters())
    assert counts.head == sum(weight.numel() for part, weight in module.named_parameters() if part.startswith(("classifier", "pre_classifier")))


def test_prompt_tuning_on_roberta_as_peft_prints_it() -> None:
    config = {"model_type": "roberta", "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
              "vocab_size": 50_265, "max_position_embeddings": 514, "type_vocab_size": 1}
    model = {"config": config, "class": "RobertaForSequenceClassification", "num_labels": 2}
    counts = RunSpec.parse({"model": model, "method": {"name": "prompt_tuning", "virtual_tokens": 8}}).counts
    assert (counts.trainable, counts.method, counts.head) == (598_274, 6_144, 592_130)


@pytest.mark.parametrize("named", ["BertForMaskedLM", "LlamaForSequenceClassification", "Llama", "", 7])
def test_a_class_that_is_not_counted_is_refused(named: Any) -> None:
    with pytest.raises(LabError, match="ForCausalLM"):
        RunSpec.parse({"model": {"config": LLAMA_7B, "class": named}, "method": "lora"})


def test_equal_configs_share_their_sizes_and_others_do_not() -> None:
    assert shape_of(LLAMA_7B) is shape_of(dict(LLAMA_7B))
    assert shape_of({**LLAMA_7B, "tie_word_embeddings": True}).total == shape_of(LLAMA_7B).total - 32_000 * 4096
    assert shape_of(MappingProxyType(VIT)).positions == shape_of({**VIT, "image_size": (8, 8)}).positions == 17
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(LabError, match="nested too deeply"):
        shape_of({**LLAMA_7B, "x": deep})


@pytest.mark.parametrize("change", [
    {"model_type": "unheard-of"}, {"model_type": None}, {"num_hidden_layers": 10**9}, {"hidden_size": -1}, {"hidden_size": 0}, {"hidden_size": "wide"},
    {"hidden_size": "4096"},
    {"num_attention_heads": 7}, {"num_key_value_heads": 5}, {"vocab_size": 10**12}, {"num_hidden_layers": True},
])
def test_sizes_that_fit_no_model_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(LabError) as caught:
        shape_of({**LLAMA_7B, **change})
    assert next(iter(change)) in str(caught.value)


@pytest.mark.parametrize("model", ["seed-bert", "seed-llama"])
@pytest.mark.parametrize("method", ["lora", "full", "prompt_tuning", "houlsby"])
def test_the_measured_step_agrees_with_the_allocator(method: str, model: str, workshop: Any, finish: Any) -> None:
    """In a model of 30,000 weights the scratch space inside a kernel, which only the allocator sees, is a few percent."""
    agrees_with_the_allocator(finish(prepare(RunSpec.parse({"model": model, "task": "toy", "method": method, "dtype": "float32"}), workshop))[1], 0.08)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["minilm-l6", "smollm2-135m"])
@pytest.mark.parametrize("method", ["lora", "prompt_tuning", "houlsby", "top_layers"])
def test_the_measured_step_agrees_with_the_allocator_on_real_models(method: str, model: str, real_workshop: Any, finish: Any) -> None:
    agrees_with_the_allocator(finish(prepare(RunSpec.parse({"model": model, "method": method, "dtype": "float32"}), real_workshop))[1], 0.01)


def agrees_with_the_allocator(job: Job, tolerance: float) -> None:
    """torch's own profiler sees every allocation; storage by storage we must come to the same peak."""
    weights = [*job.trained(), *(job.learner.head.parameters() if job.learner.head is not None else ())]
    optimizer = torch.optim.AdamW(weights, lr=1e-3, foreach=False)
    batch = job.batch(job.texts.train[:8])
    everything = [*job.module.parameters(), *job.module.buffers(), *(job.learner.head.parameters() if job.learner.head is not None else ())]

    def update() -> None:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def step() -> dict[str, Any]:
        return measured_step(everything, weights, optimizer, lambda: job.learner.loss(batch), update)[1]

    job.module.train()
    with as_written(job.learner.codes):  # as a run measures its step: what is compiled cannot be looked into
        step()
        found = step()
        before = sum(found["moments"][0]["parts"][part] for part in ("weights", "optimizer"))
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            job.learner.loss(batch).backward()
            update()
    running = highest = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            running += event.nbytes()
            highest = max(highest, running)
    assert abs(before + highest - found["peak_bytes"]) <= tolerance * found["peak_bytes"]
    assert set(found["parts"]) == set(PARTS) and sum(found["parts"].values()) == found["peak_bytes"]
    states = sum(weight.numel() for weight in weights) * 8
    assert states <= found["parts"]["optimizer"] <= states + 64 * len(weights)
    assert job.pristine.intact


@pytest.mark.parametrize("method", ["lora", "full", "prompt_tuning"])
def test_the_estimate_errs_on_the_safe_side(method: str, run: Any, workshop: Any) -> None:
    result = run(workshop, model="seed-llama", task="toy", method=method, steps=4, dtype="float32", tokens=16)
    spec = RunSpec.parse(result.started.spec)
    guess = estimate(spec.method, spec.shape, spec.counts, batch=spec.batch, tokens=spec.tokens, dtype="float32", optimizer="adamw", checkpointing=False)
    assert sum(guess["parts"].values()) == guess["peak_bytes"]
    assert 0.5 < guess["peak_bytes"] / result.seen("memory")["peak_bytes"] < 4
