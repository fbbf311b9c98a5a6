"""The sizes of a model from its transformers config: one table of architectures, keyed by `model_type`, names turned into roles.

Covers configs nobody has weights of. Sizes are those of the bare encoder without pooler, or of the causal language model.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lab.contracts import Kind, LabError, Linear, Shape, Weight, shorten

LARGEST = {"layers": 1_000, "width": 1_000_000, "heads": 10_000, "ffn": 10_000_000, "vocabulary": 10_000_000, "positions": 100_000_000}


def shape_of(config: Mapping[str, Any]) -> Shape:
    """Raises LabError for an unknown architecture or for sizes that fit no model."""
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in ARCHITECTURES:
        raise LabError(f'the config\'s model_type is "{shorten(model_type)}": the lab knows {", ".join(ARCHITECTURES)}')
    return ARCHITECTURES[model_type](config)


def _size(config: Mapping[str, Any], key: str, kind: str, default: int | None = None) -> int:
    value = config.get(key, default)
    if value is None and default is not None:
        value = default
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST[kind]:
        raise LabError(f"{key} of the config is {shorten(value)}: must be a whole number from 1 to {LARGEST[kind]:,}")
    return value


def _divides(config: Mapping[str, Any], width: int, heads: int, kv_heads: int) -> None:
    if width % heads and not config.get("head_dim"):
        raise LabError(f"num_attention_heads is {heads}: it must divide hidden_size, which is {width}")
    if heads % kv_heads:
        raise LabError(f"num_key_value_heads is {kv_heads}: it must divide num_attention_heads, which is {heads}")


def _bert(config: Mapping[str, Any]) -> Shape:
    layers, width = _size(config, "num_hidden_layers", "layers"), _size(config, "hidden_size", "width")
    heads, ffn = _size(config, "num_attention_heads", "heads"), _size(config, "intermediate_size", "ffn")
    vocabulary, positions = _size(config, "vocab_size", "vocabulary"), _size(config, "max_position_embeddings", "positions", 512)
    types = _size(config, "type_vocab_size", "vocabulary", 2)
    _divides(config, width, heads, heads)
    linears: list[Linear] = []
    weights = [
        Weight("embedding", None, "embeddings.word_embeddings.weight", (vocabulary, width)),
        Weight("embedding", None, "embeddings.position_embeddings.weight", (positions, width)),
        Weight("embedding", None, "embeddings.token_type_embeddings.weight", (types, width)),
        *_norm(None, "embeddings.LayerNorm", width),
    ]
    for layer in range(layers):
        at = f"encoder.layer.{layer}"
        linears += [
            Linear("query", layer, f"{at}.attention.self.query", width, width, True),
            Linear("key", layer, f"{at}.attention.self.key", width, width, True),
            Linear("value", layer, f"{at}.attention.self.value", width, width, True),
            Linear("output", layer, f"{at}.attention.output.dense", width, width, True),
            Linear("ffn_in", layer, f"{at}.intermediate.dense", width, ffn, True),
            Linear("ffn_out", layer, f"{at}.output.dense", ffn, width, True),
        ]
        weights += [*_norm(layer, f"{at}.attention.output.LayerNorm", width), *_norm(layer, f"{at}.output.LayerNorm", width)]
    return Shape("bert", "encoder", layers, width, heads, heads, ffn, vocabulary, positions,
                 "encoder.layer", "embeddings.word_embeddings", tuple(linears), tuple(weights))


def _llama(config: Mapping[str, Any]) -> Shape:
    layers, width = _size(config, "num_hidden_layers", "layers"), _size(config, "hidden_size", "width")
    heads, ffn = _size(config, "num_attention_heads", "heads"), _size(config, "intermediate_size", "ffn")
    kv_heads = _size(config, "num_key_value_heads", "heads", heads)
    vocabulary, positions = _size(config, "vocab_size", "vocabulary"), _size(config, "max_position_embeddings", "positions", 2048)
    _divides(config, width, heads, kv_heads)
    head = _size(config, "head_dim", "width", width // heads)
    attention_bias, ffn_bias = bool(config.get("attention_bias", False)), bool(config.get("mlp_bias", False))
    linears: list[Linear] = []
    weights = [Weight("embedding", None, "model.embed_tokens.weight", (vocabulary, width))]
    for layer in range(layers):
        at = f"model.layers.{layer}"
        linears += [
            Linear("query", layer, f"{at}.self_attn.q_proj", width, heads * head, attention_bias),
            Linear("key", layer, f"{at}.self_attn.k_proj", width, kv_heads * head, attention_bias),
            Linear("value", layer, f"{at}.self_attn.v_proj", width, kv_heads * head, attention_bias),
            Linear("output", layer, f"{at}.self_attn.o_proj", heads * head, width, attention_bias),
            Linear("ffn_gate", layer, f"{at}.mlp.gate_proj", width, ffn, ffn_bias),
            Linear("ffn_in", layer, f"{at}.mlp.up_proj", width, ffn, ffn_bias),
            Linear("ffn_out", layer, f"{at}.mlp.down_proj", ffn, width, ffn_bias),
        ]
        weights += [Weight("norm", layer, f"{at}.input_layernorm.weight", (width,)), Weight("norm", layer, f"{at}.post_attention_layernorm.weight", (width,))]
    weights.append(Weight("norm", None, "model.norm.weight", (width,)))
    if not config.get("tie_word_embeddings", False):
        linears.append(Linear("lm_head", None, "lm_head", width, vocabulary, False))
    return Shape("llama", "decoder", layers, width, heads, kv_heads, ffn, vocabulary, positions,
                 "model.layers", "model.embed_tokens", tuple(linears), tuple(weights))


def _norm(layer: int | None, name: str, width: int) -> tuple[Weight, Weight]:
    return Weight("norm", layer, f"{name}.weight", (width,)), Weight("norm", layer, f"{name}.bias", (width,))


ARCHITECTURES: dict[str, Callable[[Mapping[str, Any]], Shape]] = {"bert": _bert, "llama": _llama}


def kind_of(config: Mapping[str, Any]) -> Kind:
    return shape_of(config).kind
