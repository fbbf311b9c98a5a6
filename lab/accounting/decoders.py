"""Further decoders, nobody's base here but counted and traced from their configs: where each differs from Llama, as a row of facts."""
from __future__ import annotations

from dataclasses import dataclass

from lab.accounting.configs import Config, divide, norm, output, rows, size, sizes, table
from lab.contracts import LabError, Linear, Shape, Weight

INPUT, AFTER = "input_layernorm", "post_attention_layernorm"
FOUR = (INPUT, AFTER, "pre_feedforward_layernorm", "post_feedforward_layernorm")


@dataclass(frozen=True)
class Facts:
    """What a config of the family leaves out, and how its modules are named and biased."""

    positions: int
    kv_heads: int = 0  # where the config does not say; 0 for as many as query heads
    head: int = 0  # width of a head where the config does not say; 0 for width / heads
    tied: bool = False
    norms: tuple[str, ...] = (INPUT, AFTER)
    final: str = "model.norm"
    shifts: bool = False  # norms with a bias
    head_norms: int = 0  # 1: a norm of one head's width on queries and keys, 2: of all heads' together
    output: str = "o_proj"
    ffn: tuple[str, ...] = ("gate_proj", "up_proj", "down_proj")
    bias: tuple[str, bool] = ("attention_bias", False)  # the config's key for biases of query, key and value, and its default
    output_biased: bool = True  # whether the output has one where they have
    ffn_bias: tuple[str, bool] = ("", False)
    word_bias: bool = False  # of the layer from vectors to words
    refused: tuple[str, ...] = ()  # switches that change the tensors in ways that are not counted here


FACTS = {
    "gemma2": Facts(8192, 4, 256, True, FOUR),
    "gemma3_text": Facts(131_072, 4, 256, True, FOUR, head_norms=1),
    "granite": Facts(2048, ffn_bias=("mlp_bias", False)),
    "olmo2": Facts(2048, norms=(AFTER, "post_feedforward_layernorm"), head_norms=2),
    "phi": Facts(2048, norms=(INPUT,), final="model.final_layernorm", shifts=True, output="dense", ffn=("fc1", "fc2"), bias=("", True), ffn_bias=("", True),
                 word_bias=True, refused=("qk_layernorm",)),
    "smollm3": Facts(32_768, 4, tied=True, ffn_bias=("mlp_bias", False)),
    "stablelm": Facts(4096, 32, shifts=True, bias=("use_qkv_bias", False), output_biased=False, refused=("qk_layernorm", "use_parallel_residual")),
    "starcoder2": Facts(4096, 2, tied=True, shifts=True, ffn=("c_fc", "c_proj"), bias=("use_bias", True), ffn_bias=("use_bias", True)),
}


def decoder(config: Config) -> Shape:
    """A decoder of one of these families."""
    family = config["model_type"]
    facts = FACTS[family]
    for key in facts.refused:
        if config.get(key):
            raise LabError(f"{key} of the config is true: the lab counts a {family} model only without it; leave it out")
    layers, width, heads = sizes(config)
    ffn, vocabulary = size(config, "intermediate_size", "ffn"), size(config, "vocab_size", "vocabulary")
    kv_heads = size(config, "num_key_value_heads", "heads", heads if config.get("num_key_value_heads", 0) is None else facts.kv_heads or heads)
    if not facts.head:
        divide(width, heads, "hidden_size num_attention_heads")
    divide(heads, kv_heads, "num_attention_heads num_key_value_heads")
    head = size(config, "head_dim", "width", facts.head or width // heads)
    linears: list[Linear] = []
    weights = [table("model.embed_tokens.weight", vocabulary, width), *norm(None, facts.final, width, facts.shifts)]
    for layer in range(layers):
        at = f"model.layers.{layer}"
        linears += rows(layer, at, _linears(config, facts, width, heads * head, kv_heads * head, ffn))
        weights += [each for name in facts.norms for each in norm(layer, f"{at}.{name}", width, facts.shifts)]
        weights += _head_norms(facts, layer, at, head, heads, kv_heads)
    linears += output(config, width, vocabulary, facts.tied)
    if facts.word_bias and linears[-1].role == "lm_head":
        linears[-1] = Linear("lm_head", None, "lm_head", width, vocabulary, True)
    elif facts.word_bias:
        weights.append(Weight("lm_head", None, "lm_head.bias", (vocabulary,)))
    return Shape(family, "decoder", layers, width, heads, kv_heads, ffn, vocabulary, size(config, "max_position_embeddings", "positions", facts.positions),
                 "model.layers", "model.embed_tokens", tuple(linears), tuple(weights))


def _linears(config: Config, facts: Facts, width: int, queries: int, keys: int, ffn: int) -> dict[str, tuple[str, int, int, bool]]:
    bias, ffn_bias = (bool(config.get(key, default)) for key, default in (facts.bias, facts.ffn_bias))
    found = {"query": ("self_attn.q_proj", width, queries, bias), "key": ("self_attn.k_proj", width, keys, bias),
             "value": ("self_attn.v_proj", width, keys, bias), "output": (f"self_attn.{facts.output}", queries, width, bias and facts.output_biased)}
    *first, last = (f"mlp.{name}" for name in facts.ffn)
    roles = ("ffn_gate", "ffn_in") if len(first) == 2 else ("ffn_in",)
    return found | {role: (name, width, ffn, ffn_bias) for role, name in zip(roles, first, strict=True)} | {"ffn_out": (last, ffn, width, ffn_bias)}


def _head_norms(facts: Facts, layer: int, at: str, head: int, heads: int, kv_heads: int) -> list[Weight]:
    if not facts.head_norms:
        return []
    queries, keys = (head, head) if facts.head_norms == 1 else (heads * head, kv_heads * head)
    return [*norm(layer, f"{at}.self_attn.q_norm", queries, bias=False), *norm(layer, f"{at}.self_attn.k_norm", keys, bias=False)]


def bloom(config: Config) -> Shape:
    """Query, key and value are one matrix, head by head; a norm stands behind the word embeddings; positions are slopes without weights."""
    layers, width, heads = sizes(config, "n_layer num_hidden_layers", "hidden_size n_embed", "n_head num_attention_heads")
    vocabulary = size(config, "vocab_size", "vocabulary")
    divide(width, heads, "hidden_size n_head")
    linears: list[Linear] = []
    weights = [table("transformer.word_embeddings.weight", vocabulary, width), *norm(None, "transformer.word_embeddings_layernorm", width),
               *norm(None, "transformer.ln_f", width)]
    for layer in range(layers):
        at = f"transformer.h.{layer}"
        linears += rows(layer, at, {
            "qkv": ("self_attention.query_key_value", width, 3 * width, True), "output": ("self_attention.dense", width, width, True),
            "ffn_in": ("mlp.dense_h_to_4h", width, 4 * width, True), "ffn_out": ("mlp.dense_4h_to_h", 4 * width, width, True),
        })
        weights += [*norm(layer, f"{at}.{INPUT}", width), *norm(layer, f"{at}.{AFTER}", width)]
    linears += output(config, width, vocabulary, tied=True)
    return Shape("bloom", "decoder", layers, width, heads, heads, 4 * width, vocabulary, size(config, "seq_length", "positions", 2048), "transformer.h",
                 "transformer.word_embeddings", tuple(linears), tuple(weights))


MORE = {**dict.fromkeys(FACTS, decoder), "bloom": bloom}
