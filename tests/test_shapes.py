"""The sizes that arithmetic gives for each architecture, tensor by tensor against the real classes of transformers, on torch's `meta` device."""
from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as draw

from lab import catalogue
from lab.accounting.architectures import ARCHITECTURES
from lab.accounting.shapes import kind_of, shape_of
from lab.contracts import LabError, Shape

SMALL = {"num_hidden_layers": 2, "hidden_size": 24, "num_attention_heads": 4, "intermediate_size": 40, "vocab_size": 50}
GPT2 = {"model_type": "gpt2", "n_layer": 2, "n_embd": 24, "n_head": 4, "n_positions": 16, "vocab_size": 50}
OPT = {"model_type": "opt", "num_hidden_layers": 2, "hidden_size": 24, "num_attention_heads": 4, "ffn_dim": 40, "vocab_size": 50, "max_position_embeddings": 16}
T5 = {"model_type": "t5", "num_layers": 2, "d_model": 24, "d_kv": 8, "d_ff": 40, "num_heads": 4, "vocab_size": 50}
VIT = {**SMALL, "model_type": "vit", "image_size": 8, "patch_size": 2, "num_channels": 1}
DISTILBERT = {"model_type": "distilbert", "n_layers": 2, "dim": 24, "n_heads": 4, "hidden_dim": 40, "vocab_size": 50}
FALCON = {"model_type": "falcon", "num_hidden_layers": 2, "hidden_size": 24, "num_attention_heads": 4, "vocab_size": 50}
CONFIGS: list[dict[str, Any]] = [
    *({"pad_token_id": None, **model.config} for model in catalogue.entries("models").values()),
    *({**SMALL, "model_type": name} for name in ("bert", "roberta", "xlm-roberta", "llama", "gpt_neox")),
    {**SMALL, "model_type": "bert", "type_vocab_size": 5, "max_position_embeddings": 40},
    DISTILBERT, {**DISTILBERT, "sinusoidal_pos_embds": True, "max_position_embeddings": 40},
    {**SMALL, "model_type": "llama", "num_key_value_heads": 2, "tie_word_embeddings": True},
    {**SMALL, "model_type": "llama", "num_key_value_heads": 1, "head_dim": 10, "attention_bias": True, "mlp_bias": True},
    *({**SMALL, "model_type": name, "num_key_value_heads": 2, **more} for name in ("mistral", "qwen2", "qwen3", "gemma")
      for more in ({}, {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}, {"tie_word_embeddings": False, "head_dim": 10})),
    {**SMALL, "model_type": "mistral", "num_attention_heads": 8}, {**SMALL, "model_type": "qwen2", "num_attention_heads": 32, "hidden_size": 64},
    {**SMALL, "model_type": "qwen2", "num_key_value_heads": None},
    GPT2, {**GPT2, "n_inner": 36, "tie_word_embeddings": False}, {**GPT2, "n_inner": None},
    {**SMALL, "model_type": "gpt_neox", "attention_bias": False, "tie_word_embeddings": True},
    OPT, {**OPT, "word_embed_proj_dim": 12}, {**OPT, "enable_bias": False, "layer_norm_elementwise_affine": False}, {**OPT, "do_layer_norm_before": False},
    {**OPT, "word_embed_proj_dim": 12, "tie_word_embeddings": False}, {**OPT, "_remove_final_layer_norm": True},
    T5, {**T5, "num_decoder_layers": 3}, {**T5, "num_decoder_layers": 1, "feed_forward_proj": "gated-gelu", "relative_attention_num_buckets": 8},
    {**T5, "tie_word_embeddings": False, "feed_forward_proj": "gated-gelu"}, {**T5, "feed_forward_proj": "gated-silu", "d_kv": 5}, {**T5, "model_type": "mt5"},
    FALCON, {**FALCON, "new_decoder_architecture": True, "num_kv_heads": 2, "bias": True}, {**FALCON, "multi_query": False, "parallel_attn": False},
    {**FALCON, "new_decoder_architecture": True, "num_ln_in_parallel_attn": 1, "ffn_hidden_size": 30, "tie_word_embeddings": False},
    *({**SMALL, "model_type": name, "num_key_value_heads": 2, **more}
      for name in ("gemma2", "gemma3_text", "granite", "olmo2", "smollm3", "starcoder2", "stablelm")
      for more in ({}, {"tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True, "use_bias": False, "use_qkv_bias": True})),
    {**SMALL, "model_type": "gemma2", "num_attention_heads": 8}, {**SMALL, "model_type": "phi"},
    {**SMALL, "model_type": "phi", "num_key_value_heads": 2, "tie_word_embeddings": True},
    {"model_type": "bloom", "n_layer": 2, "hidden_size": 24, "n_head": 4, "vocab_size": 50},
    VIT, {**VIT, "qkv_bias": False, "num_channels": 3}, {**VIT, "image_size": [8, 12], "patch_size": [4, 3]}, {**VIT, "image_size": 9},
]
KNOWN = {  # as peft, the papers or the models' own files say them
    "distilbert-base": ({**DISTILBERT, "n_layers": 6, "dim": 768, "n_heads": 12, "hidden_dim": 3072, "vocab_size": 30522}, 66_362_880),
    "gpt2-medium": ({**GPT2, "n_layer": 24, "n_embd": 1024, "n_head": 16, "n_positions": 1024, "vocab_size": 50257}, 354_823_168),
    "opt-350m": ({**OPT, "num_hidden_layers": 24, "hidden_size": 1024, "num_attention_heads": 16, "ffn_dim": 4096, "vocab_size": 50272,
                  "max_position_embeddings": 2048, "word_embed_proj_dim": 512, "do_layer_norm_before": False}, 331_196_416),
    "t5-small": ({**T5, "num_layers": 6, "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_heads": 8, "vocab_size": 32128}, 60_506_624),
    "vit-base": ({**VIT, "num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072, "image_size": 224,
                  "patch_size": 16, "num_channels": 3}, 85_798_656),
    "mistral-7b": ({**SMALL, "model_type": "mistral", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 8,
                    "intermediate_size": 14336, "vocab_size": 32000}, 7_241_732_096),
}


def real(config: dict[str, Any]) -> Any:
    """The model as the lab means it, without memory for its weights: no pooler, and an output layer where it writes."""
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    # special tokens inside the small vocabulary: some classes refuse others
    made = AutoConfig.for_model(**{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, **config})
    kind = kind_of(config)
    with torch.device("meta"):
        if kind == "decoder":
            return AutoModelForCausalLM.from_config(made)
        if kind == "seq2seq":
            model = AutoModelForSeq2SeqLM.from_config(made)
            if config.get("tie_word_embeddings") is False:  # from a config T5 is always tied; its files bring an output layer of their own
                model.lm_head = torch.nn.Linear(made.d_model, made.vocab_size, bias=False)
            return model
        return AutoModel.from_config(made, **({} if config["model_type"] == "distilbert" else {"add_pooling_layer": False}))


def counted(shape: Shape) -> dict[str, tuple[int, ...]]:
    ours = [(weight.name, weight.sizes) for weight in shape.weights]
    for linear in shape.linears:
        ours.append((f"{linear.module}.weight", linear.weight_sizes))
        ours += [(f"{linear.module}.bias", (linear.outputs,))] if linear.bias else []
    assert len(ours) == len(dict(ours)), "a tensor is counted twice"
    return dict(ours)


def named(config: Any) -> str:
    return "-".join(str(value) for key, value in config.items() if key not in SMALL or value != SMALL[key])[:60] if isinstance(config, dict) else str(config)


def agrees(config: dict[str, Any]) -> None:
    shape, model = shape_of(config), real(config)
    found = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    assert counted(shape) == found
    assert shape.total == sum(weight.numel() for weight in model.parameters())
    for layer in range(shape.layers):
        block = {f"{shape.block(layer)}.{name}" for name, _ in model.get_submodule(shape.block(layer)).named_parameters()}
        ours = {name for name in counted(shape) if name.startswith(f"{shape.block(layer)}.")}
        numbered = {weight.name for weight in shape.weights if weight.layer == layer}
        assert block == ours and numbered <= block
        assert all(linear.module.startswith(f"{shape.block(layer)}.") for linear in shape.linears if linear.layer == layer)
    assert type(model.get_submodule(shape.blocks)).__name__ == "ModuleList"
    model.get_submodule(shape.embedding)


@pytest.mark.parametrize("config", CONFIGS, ids=named)
def test_every_tensor_is_counted_once_under_its_own_name(config: dict[str, Any]) -> None:
    agrees(config)


def test_every_architecture_is_tried() -> None:
    assert {config["model_type"] for config in CONFIGS} == set(ARCHITECTURES)


TOTALS = {"distilbert": 66_362_880, "bert-mini": 11_104_768, "minilm-l6": 22_565_376, "gpt2": 124_439_808, "pythia-70m": 70_426_624,
          "pythia-160m": 162_322_944, "smollm2-135m": 134_515_008, "smollm2-360m": 361_821_120, "qwen2.5-0.5b": 494_032_768, "flan-t5-small": 76_961_152}


@pytest.mark.parametrize("key", [key for key, model in catalogue.entries("models").items() if not model.seeded])
def test_the_catalogue_s_real_models_have_the_published_sizes(key: str) -> None:
    """Encoders without their pooler; tied output layers once."""
    assert shape_of(catalogue.find("models", key).config).total == TOTALS[key]


@pytest.mark.parametrize("name", KNOWN)
def test_totals_that_are_known(name: str) -> None:
    config, total = KNOWN[name]
    assert shape_of(config).total == total


@settings(max_examples=40, deadline=None)
@given(data=draw.data(), layers=draw.integers(1, 3), heads=draw.integers(1, 4), head=draw.integers(1, 6), ffn=draw.integers(1, 30),
       vocabulary=draw.integers(5, 60), switches=draw.lists(draw.booleans(), min_size=4, max_size=4))
@pytest.mark.slow
def test_whatever_the_sizes(data: Any, layers: int, heads: int, head: int, ffn: int, vocabulary: int, switches: list[bool]) -> None:
    """Sizes drawn at random; heads are of an even width, which rotary positions need."""
    one, two, three, tied = switches
    width = heads * head * 2
    common = {"num_hidden_layers": layers, "hidden_size": width, "num_attention_heads": heads, "intermediate_size": ffn, "vocab_size": vocabulary}
    agrees(data.draw(draw.sampled_from([
        {**common, "model_type": "bert", "max_position_embeddings": ffn},
        {"model_type": "distilbert", "n_layers": layers, "dim": width, "n_heads": heads, "hidden_dim": ffn, "vocab_size": vocabulary},
        {**common, "model_type": "llama", "num_key_value_heads": heads if one else 1, "attention_bias": two, "mlp_bias": three, "tie_word_embeddings": tied},
        {**common, "model_type": "qwen2", "num_key_value_heads": heads if one else 1, "tie_word_embeddings": tied},
        {"model_type": "gpt2", "n_layer": layers, "n_embd": width, "n_head": heads, "n_inner": ffn if one else None, "vocab_size": vocabulary,
         "tie_word_embeddings": tied},
        {**common, "model_type": "gpt_neox", "attention_bias": two, "tie_word_embeddings": tied},
        {"model_type": "opt", "num_hidden_layers": layers, "hidden_size": width, "num_attention_heads": heads, "ffn_dim": ffn, "vocab_size": vocabulary,
         "word_embed_proj_dim": head if one else width, "enable_bias": two, "do_layer_norm_before": three, "tie_word_embeddings": tied},
        {"model_type": "t5", "num_layers": layers, "num_decoder_layers": heads, "d_model": width, "d_kv": head, "d_ff": ffn, "num_heads": heads,
         "vocab_size": vocabulary, "feed_forward_proj": "gated-gelu" if one else "relu", "tie_word_embeddings": tied},
        {**common, "model_type": "vit", "image_size": 4 + ffn, "patch_size": 1 + head % 4, "num_channels": heads, "qkv_bias": one},
    ])))


def test_an_output_layer_of_its_own_comes_back_from_the_files_of_a_t5(tmp_path: Any) -> None:
    """FLAN-T5's files hold one, and its config says so: what is loaded has it, although a T5 made from the config has not."""
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    config = {**T5, "tie_word_embeddings": False, "pad_token_id": 0, "eos_token_id": 1}
    model = AutoModelForSeq2SeqLM.from_config(AutoConfig.for_model(**config))
    model.lm_head = torch.nn.Linear(24, 50, bias=False)
    model.save_pretrained(tmp_path)
    found = {name: tuple(weight.shape) for name, weight in AutoModelForSeq2SeqLM.from_pretrained(tmp_path).named_parameters()}
    assert found == counted(shape_of(config))


def test_kinds() -> None:
    assert [kind_of(config) for config in (DISTILBERT, GPT2, OPT, T5, VIT)] == ["encoder", "decoder", "decoder", "seq2seq", "vision"]


@pytest.mark.parametrize(("config", "change"), [
    (DISTILBERT, {"dim": 0}), (DISTILBERT, {"n_heads": 5}), (DISTILBERT, {"hidden_dim": None}), (GPT2, {"n_embd": 10**9}), (GPT2, {"n_head": 7}),
    (GPT2, {"n_inner": -1}), (GPT2, {"add_cross_attention": True}), (OPT, {"ffn_dim": "wide"}), (OPT, {"word_embed_proj_dim": 0}),
    (T5, {"num_decoder_layers": 0}), (T5, {"d_kv": 2.5}), (VIT, {"patch_size": 9}), (VIT, {"image_size": "8"}), (VIT, {"image_size": [8, 0]}),
    (VIT, {"num_attention_heads": 5}), ({**SMALL, "model_type": "gpt_neox"}, {"num_attention_heads": 5}),
])
def test_sizes_that_fit_no_model_are_refused_by_name(config: dict[str, Any], change: dict[str, Any]) -> None:
    with pytest.raises(LabError) as caught:
        shape_of({**config, **change})
    assert next(iter(change)) in str(caught.value)


# ── targets ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def chosen(config: dict[str, Any], *targets: str) -> list[str]:
    return [linear.module for linear in shape_of(config).select(targets)]


@pytest.mark.parametrize("config", [GPT2, {**SMALL, "model_type": "gpt_neox"}], ids=["gpt2", "gpt_neox"])
def test_on_a_fused_projection_each_of_the_three_means_the_whole(config: dict[str, Any]) -> None:
    whole = chosen(config, "qkv")
    assert len(whole) == 2
    for targets in (("query",), ("key",), ("value",), ("query", "value"), ("query", "key", "value", "qkv")):
        assert chosen(config, *targets) == whole
    assert set(chosen(config, "attention")) == set(whole) | set(chosen(config, "output"))
    assert len(chosen(config, "all")) == 2 * 4


def test_module_suffixes_of_a_family_are_targets_too() -> None:
    assert chosen(GPT2, "c_attn") == chosen(GPT2, "qkv")
    assert chosen(GPT2, "c_proj") == [f"transformer.h.{layer}.{part}.c_proj" for layer in (0, 1) for part in ("attn", "mlp")]
    assert len(chosen(T5, "EncDecAttention.q")) == 2 and len(chosen(T5, "q")) == len(chosen(T5, "query")) == 6


@pytest.mark.parametrize(("config", "target"), [
    ({**SMALL, "model_type": "bert"}, "qkv"), (GPT2, "q_proj"), (T5, "ffn_gate"), ({**SMALL, "model_type": "gpt_neox"}, "lm_head"),
    ({**OPT, "word_embed_proj_dim": 12}, "project_in"),
])
def test_what_stands_in_no_block_is_no_target(config: dict[str, Any], target: str) -> None:
    with pytest.raises(LabError, match=f'targets has "{target}", which names nothing in a {config["model_type"]} model: use '):
        chosen(config, "output", target)


def test_the_blocks_of_an_encoder_decoder_are_numbered_through() -> None:
    shape = shape_of({**T5, "num_decoder_layers": 3})
    assert [shape.block(layer) for layer in range(shape.layers)] == [*(f"encoder.block.{n}" for n in range(2)), *(f"decoder.block.{n}" for n in range(3))]
    assert [sum(linear.layer == layer for linear in shape.linears) for layer in range(5)] == [6, 6, 10, 10, 10]
