"""The names of each architecture's tensors, turned into roles: one table keyed by `model_type`, checked tensor by tensor against transformers.

What a config leaves out has the value that transformers would give it; the sizes themselves may not be left out.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import partial

from lab.accounting.configs import Config, divide, norm, output, rows, sides, size, sizes, table
from lab.accounting.decoders import MORE
from lab.contracts import LabError, Linear, Shape, Weight

# ── encoders ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _bert(config: Config) -> Shape:
    """RoBERTa has the same tensors; its first two positions stand for padding and are never a text's."""
    layers, width, heads = sizes(config)
    ffn, vocabulary = size(config, "intermediate_size", "ffn"), size(config, "vocab_size", "vocabulary")
    positions, types = size(config, "max_position_embeddings", "positions", 512), size(config, "type_vocab_size", "vocabulary", 2)
    divide(width, heads, "hidden_size num_attention_heads")
    linears: list[Linear] = []
    weights = [
        table("embeddings.word_embeddings.weight", vocabulary, width), table("embeddings.position_embeddings.weight", positions, width),
        table("embeddings.token_type_embeddings.weight", types, width), *norm(None, "embeddings.LayerNorm", width),
    ]
    for layer in range(layers):
        at = f"encoder.layer.{layer}"
        linears += rows(layer, at, {
            "query": ("attention.self.query", width, width, True), "key": ("attention.self.key", width, width, True),
            "value": ("attention.self.value", width, width, True), "output": ("attention.output.dense", width, width, True),
            "ffn_in": ("intermediate.dense", width, ffn, True), "ffn_out": ("output.dense", ffn, width, True),
        })
        weights += [*norm(layer, f"{at}.attention.output.LayerNorm", width), *norm(layer, f"{at}.output.LayerNorm", width)]
    return Shape(config["model_type"], "encoder", layers, width, heads, heads, ffn, vocabulary,
                 positions if config["model_type"] == "bert" else max(1, positions - 2),
                 "encoder.layer", "embeddings.word_embeddings", tuple(linears), tuple(weights))


def _distilbert(config: Config) -> Shape:
    layers, width, heads = sizes(config, "n_layers num_hidden_layers", "dim hidden_size", "n_heads num_attention_heads")
    ffn, vocabulary = size(config, "hidden_dim", "ffn"), size(config, "vocab_size", "vocabulary")
    positions = size(config, "max_position_embeddings", "positions", 512)
    divide(width, heads, "dim n_heads")
    linears: list[Linear] = []
    weights = [table("embeddings.word_embeddings.weight", vocabulary, width), table("embeddings.position_embeddings.weight", positions, width),
               *norm(None, "embeddings.LayerNorm", width)]
    for layer in range(layers):
        at = f"transformer.layer.{layer}"
        linears += rows(layer, at, {
            "query": ("attention.q_lin", width, width, True), "key": ("attention.k_lin", width, width, True),
            "value": ("attention.v_lin", width, width, True), "output": ("attention.out_lin", width, width, True),
            "ffn_in": ("ffn.lin1", width, ffn, True), "ffn_out": ("ffn.lin2", ffn, width, True),
        })
        weights += [*norm(layer, f"{at}.sa_layer_norm", width), *norm(layer, f"{at}.output_layer_norm", width)]
    return Shape("distilbert", "encoder", layers, width, heads, heads, ffn, vocabulary, positions,
                 "transformer.layer", "embeddings.word_embeddings", tuple(linears), tuple(weights))


def _vit(config: Config) -> Shape:
    """Patches instead of words: `positions` are the patches and one more for the class token; there is no vocabulary."""
    layers, width, heads = sizes(config)
    ffn, channels = size(config, "intermediate_size", "ffn"), size(config, "num_channels", "width", 3)
    (height, across), (down, right) = sides(config, "image_size"), sides(config, "patch_size")
    if down > height or right > across:
        raise LabError(f"patch_size is {max(down, right)}: it must be at most image_size, which is {min(height, across)}")
    positions, bias = (height // down) * (across // right) + 1, bool(config.get("qkv_bias", True))
    divide(width, heads, "hidden_size num_attention_heads")
    linears: list[Linear] = []
    weights = [
        table("embeddings.cls_token", 1, 1, width), table("embeddings.position_embeddings", 1, positions, width),
        table("embeddings.patch_embeddings.projection.weight", width, channels, down, right), table("embeddings.patch_embeddings.projection.bias", width),
        *norm(None, "layernorm", width),
    ]
    for layer in range(layers):
        at = f"layers.{layer}"
        linears += rows(layer, at, {
            "query": ("attention.q_proj", width, width, bias), "key": ("attention.k_proj", width, width, bias),
            "value": ("attention.v_proj", width, width, bias), "output": ("attention.o_proj", width, width, True),
            "ffn_in": ("mlp.fc1", width, ffn, True), "ffn_out": ("mlp.fc2", ffn, width, True),
        })
        weights += [*norm(layer, f"{at}.layernorm_before", width), *norm(layer, f"{at}.layernorm_after", width)]
    return Shape("vit", "vision", layers, width, heads, heads, ffn, 0, positions, "layers", "embeddings.patch_embeddings.projection",
                 tuple(linears), tuple(weights))


# ── decoders ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _llama(config: Config, *, positions: int = 2048, kv_heads: int | None = None, head: int | None = None, tied: bool = False,
           bias: bool | None = None, output_bias: bool | None = None, may_bias_ffn: bool = False, head_norms: bool = False) -> Shape:
    """What differs in the family: defaults, and which layers have a bias (None: those that the config's `attention_bias` says)."""
    layers, width, heads = sizes(config)
    ffn, vocabulary = size(config, "intermediate_size", "ffn"), size(config, "vocab_size", "vocabulary")
    missing = heads if "num_key_value_heads" in config or kv_heads is None else kv_heads
    kv_heads = size(config, "num_key_value_heads", "heads", missing)
    if not config.get("head_dim") and head is None:
        divide(width, heads, "hidden_size num_attention_heads")
    divide(heads, kv_heads, "num_attention_heads num_key_value_heads")
    head = size(config, "head_dim", "width", max(1, width // heads) if head is None or "head_dim" in config else head)
    said = bool(config.get("attention_bias", False))
    bias, output_bias = said if bias is None else bias, said if output_bias is None else output_bias
    ffn_bias = may_bias_ffn and bool(config.get("mlp_bias", False))
    linears: list[Linear] = []
    weights = [table("model.embed_tokens.weight", vocabulary, width), *norm(None, "model.norm", width, bias=False)]
    for layer in range(layers):
        at = f"model.layers.{layer}"
        linears += rows(layer, at, {
            "query": ("self_attn.q_proj", width, heads * head, bias), "key": ("self_attn.k_proj", width, kv_heads * head, bias),
            "value": ("self_attn.v_proj", width, kv_heads * head, bias), "output": ("self_attn.o_proj", heads * head, width, output_bias),
            "ffn_gate": ("mlp.gate_proj", width, ffn, ffn_bias), "ffn_in": ("mlp.up_proj", width, ffn, ffn_bias),
            "ffn_out": ("mlp.down_proj", ffn, width, ffn_bias),
        })
        weights += [*norm(layer, f"{at}.input_layernorm", width, bias=False), *norm(layer, f"{at}.post_attention_layernorm", width, bias=False)]
        if head_norms:
            weights += [*norm(layer, f"{at}.self_attn.q_norm", head, bias=False), *norm(layer, f"{at}.self_attn.k_norm", head, bias=False)]
    linears += output(config, width, vocabulary, tied=tied)
    return Shape(config["model_type"], "decoder", layers, width, heads, kv_heads, ffn, vocabulary,
                 size(config, "max_position_embeddings", "positions", positions), "model.layers", "model.embed_tokens", tuple(linears), tuple(weights))


def _gpt2(config: Config) -> Shape:
    """Query, key and value are one matrix, and every layer of a block is a Conv1D, whose weight lies transposed."""
    layers, width, heads = sizes(config, "n_layer num_hidden_layers", "n_embd hidden_size", "n_head num_attention_heads")
    ffn, vocabulary = size(config, "n_inner", "ffn", 4 * width), size(config, "vocab_size", "vocabulary")
    positions = size(config, "n_positions max_position_embeddings", "positions", 1024)
    divide(width, heads, "n_embd n_head")
    linears: list[Linear] = []
    weights = [table("transformer.wte.weight", vocabulary, width), table("transformer.wpe.weight", positions, width),
               *norm(None, "transformer.ln_f", width)]
    for layer in range(layers):
        at = f"transformer.h.{layer}"
        linears += rows(layer, at, {
            "qkv": ("attn.c_attn", width, 3 * width, True), "output": ("attn.c_proj", width, width, True),
            "ffn_in": ("mlp.c_fc", width, ffn, True), "ffn_out": ("mlp.c_proj", ffn, width, True),
        }, conv1d=True)
        weights += [*norm(layer, f"{at}.ln_1", width), *norm(layer, f"{at}.ln_2", width)]
    linears += output(config, width, vocabulary, tied=True)
    return Shape("gpt2", "decoder", layers, width, heads, heads, ffn, vocabulary, positions, "transformer.h", "transformer.wte",
                 tuple(linears), tuple(weights))


def _gpt_neox(config: Config) -> Shape:
    """Pythia's architecture: query, key and value are one matrix, head by head."""
    layers, width, heads = sizes(config)
    ffn, vocabulary = size(config, "intermediate_size", "ffn"), size(config, "vocab_size", "vocabulary")
    bias = bool(config.get("attention_bias", True))
    divide(width, heads, "hidden_size num_attention_heads")
    linears: list[Linear] = []
    weights = [table("gpt_neox.embed_in.weight", vocabulary, width), *norm(None, "gpt_neox.final_layer_norm", width)]
    for layer in range(layers):
        at = f"gpt_neox.layers.{layer}"
        linears += rows(layer, at, {
            "qkv": ("attention.query_key_value", width, 3 * width, bias), "output": ("attention.dense", width, width, bias),
            "ffn_in": ("mlp.dense_h_to_4h", width, ffn, True), "ffn_out": ("mlp.dense_4h_to_h", ffn, width, True),
        })
        weights += [*norm(layer, f"{at}.input_layernorm", width), *norm(layer, f"{at}.post_attention_layernorm", width)]
    linears += output(config, width, vocabulary, tied=False)
    return Shape("gpt_neox", "decoder", layers, width, heads, heads, ffn, vocabulary, size(config, "max_position_embeddings", "positions", 2048),
                 "gpt_neox.layers", "gpt_neox.embed_in", tuple(linears), tuple(weights))


def _opt(config: Config) -> Shape:
    """Words may be narrower than the blocks (opt-350m): two linears, in and out, then stand between. Positions are numbered from 2."""
    layers, width, heads = sizes(config)
    ffn, vocabulary = size(config, "ffn_dim", "ffn"), size(config, "vocab_size", "vocabulary")
    positions, narrow = size(config, "max_position_embeddings", "positions", 2048), size(config, "word_embed_proj_dim", "width", width)
    bias, norms = bool(config.get("enable_bias", True)), bool(config.get("layer_norm_elementwise_affine", True))
    divide(width, heads, "hidden_size num_attention_heads")
    linears: list[Linear] = []
    weights = [table("model.decoder.embed_tokens.weight", vocabulary, narrow), table("model.decoder.embed_positions.weight", positions + 2, width)]
    for layer in range(layers):
        at = f"model.decoder.layers.{layer}"
        linears += rows(layer, at, {
            "query": ("self_attn.q_proj", width, width, bias), "key": ("self_attn.k_proj", width, width, bias),
            "value": ("self_attn.v_proj", width, width, bias), "output": ("self_attn.out_proj", width, width, bias),
            "ffn_in": ("fc1", width, ffn, bias), "ffn_out": ("fc2", ffn, width, bias),
        })
        weights += [*norm(layer, f"{at}.self_attn_layer_norm", width), *norm(layer, f"{at}.final_layer_norm", width)] if norms else []
    if config.get("do_layer_norm_before", True) and not config.get("_remove_final_layer_norm", False) and norms:
        weights += norm(None, "model.decoder.final_layer_norm", width)
    if narrow != width:
        linears += [Linear("embedding", None, "model.decoder.project_in", narrow, width, False),
                    Linear("embedding", None, "model.decoder.project_out", width, narrow, False)]
    linears += output(config, narrow, vocabulary, tied=True)
    return Shape("opt", "decoder", layers, width, heads, heads, ffn, vocabulary, positions, "model.decoder.layers", "model.decoder.embed_tokens",
                 tuple(linears), tuple(weights))


def _falcon(config: Config) -> Shape:
    """Attention and feed-forward part may read the same input; all query heads share one key head, or several groups of them each one."""
    layers, width, heads = sizes(config)
    ffn, vocabulary = size(config, "ffn_hidden_size", "ffn", 4 * width), size(config, "vocab_size", "vocabulary", 65_024)
    newer, bias = (bool(config.get(name, False)) for name in ("new_decoder_architecture", "bias"))
    parallel = bool(config.get("parallel_attn", True))
    divide(width, heads, "hidden_size num_attention_heads")
    one_key = not newer and bool(config.get("multi_query", True))
    kv_heads = 1 if one_key else size(config, "num_kv_heads", "heads", heads) if newer else heads
    apart = int(config.get("num_ln_in_parallel_attn") or 1 + newer) == 2
    names = ("ln_attn", "ln_mlp") if parallel and apart else ("input_layernorm",) if parallel else ("input_layernorm", "post_attention_layernorm")
    linears: list[Linear] = []
    weights = [table("transformer.word_embeddings.weight", vocabulary, width), *norm(None, "transformer.ln_f", width)]
    for layer in range(layers):
        at = f"transformer.h.{layer}"
        linears += rows(layer, at, {
            "qkv": ("self_attention.query_key_value", width, (heads + 2 * kv_heads) * (width // heads), bias),
            "output": ("self_attention.dense", width, width, bias),
            "ffn_in": ("mlp.dense_h_to_4h", width, ffn, bias), "ffn_out": ("mlp.dense_4h_to_h", ffn, width, bias),
        })
        weights += [each for name in names for each in norm(layer, f"{at}.{name}", width)]
    linears += output(config, width, vocabulary, tied=True)
    return Shape("falcon", "decoder", layers, width, heads, kv_heads, ffn, vocabulary, size(config, "max_position_embeddings", "positions", 2048),
                 "transformer.h", "transformer.word_embeddings", tuple(linears), tuple(weights))


# ── encoder-decoders ──────────────────────────────────────────────────────────────────────────────────────────────────


def _t5(config: Config, feed_forward: str = "relu") -> Shape:
    """Blocks are numbered through, the encoder's first. A decoder block has two attentions: query, key, value and output each stand in it twice.

    `tie_word_embeddings` false (T5 1.1, FLAN) means an output layer of its own, as these models' files have it.
    """
    encoder, width, heads = sizes(config, "num_layers num_hidden_layers", "d_model hidden_size", "num_heads num_attention_heads")
    decoder = size(config, "num_decoder_layers", "layers", encoder)
    inner, ffn = heads * size(config, "d_kv head_dim", "width", 64), size(config, "d_ff", "ffn")
    vocabulary, buckets = size(config, "vocab_size", "vocabulary"), size(config, "relative_attention_num_buckets", "positions", 32)
    gated = str(config.get("feed_forward_proj", feed_forward)).startswith("gated-")
    linears: list[Linear] = []
    weights = [table("shared.weight", vocabulary, width)]
    for stack, layers, first in (("encoder", encoder, 0), ("decoder", decoder, encoder)):
        attentions = ("SelfAttention", "EncDecAttention")[:1 + (stack == "decoder")]
        for place in range(layers):
            layer, at = first + place, f"{stack}.block.{place}.layer"
            for part, name in enumerate(attentions):
                linears += rows(layer, f"{at}.{part}.{name}", {
                    "query": ("q", width, inner, False), "key": ("k", width, inner, False), "value": ("v", width, inner, False),
                    "output": ("o", inner, width, False),
                })
            weights += [] if place else [Weight("position", layer, f"{at}.0.SelfAttention.relative_attention_bias.weight", (buckets, heads))]
            incoming = {"ffn_gate": ("wi_0", width, ffn, False), "ffn_in": ("wi_1", width, ffn, False)} if gated else {"ffn_in": ("wi", width, ffn, False)}
            last = len(attentions)
            linears += rows(layer, f"{at}.{last}.DenseReluDense", {**incoming, "ffn_out": ("wo", ffn, width, False)})
            weights += [each for part in range(last + 1) for each in norm(layer, f"{at}.{part}.layer_norm", width, bias=False)]
        weights += norm(None, f"{stack}.final_layer_norm", width, bias=False)
    if config.get("tie_word_embeddings", True) is False:
        linears.append(Linear("lm_head", None, "lm_head", width, vocabulary, False))
    return Shape(config["model_type"], "seq2seq", encoder + decoder, width, heads, heads, ffn, vocabulary, size(config, "n_positions", "positions", 512),
                 "decoder.block", "shared", tuple(linears), tuple(weights), encoder, "encoder.block")


ARCHITECTURES: dict[str, Callable[[Config], Shape]] = {
    "bert": _bert, "roberta": _bert, "xlm-roberta": _bert, "distilbert": _distilbert,
    "llama": partial(_llama, may_bias_ffn=True),
    "mistral": partial(_llama, kv_heads=8, positions=131_072, bias=False, output_bias=False),
    "qwen2": partial(_llama, kv_heads=32, positions=32_768, bias=True, output_bias=False),
    "qwen3": partial(_llama, kv_heads=32, positions=32_768, head=128, head_norms=True),
    "gemma": partial(_llama, kv_heads=16, positions=8192, head=256, tied=True),
    "gpt2": _gpt2, "gpt_neox": _gpt_neox, "opt": _opt, "falcon": _falcon, "t5": _t5, "mt5": partial(_t5, feed_forward="gated-gelu"), "vit": _vit,
    **MORE,
}
