"""Well-known models as sizes alone: enough to count and to foretell memory, for machines that could never load them.

Sizes as in each model's published config.json; what is left out has the default that transformers gives it.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lab.contracts import LabError, shorten


@dataclass(frozen=True)
class Preset:
    """A model nobody need have: its family for the menu, and its config."""

    key: str
    title: str
    family: str
    config: Mapping[str, Any]

    @property
    def model(self) -> dict[str, Any]:
        """As the `model` of a spec."""
        return {"config": dict(self.config)}


def _bert(layers: int, width: int, heads: int, model_type: str = "bert", vocabulary: int = 30_522, positions: int = 512, types: int = 2) -> dict[str, Any]:
    return {"model_type": model_type, "num_hidden_layers": layers, "hidden_size": width, "num_attention_heads": heads, "intermediate_size": 4 * width,
            "vocab_size": vocabulary, "max_position_embeddings": positions, "type_vocab_size": types}


def _gpt2(layers: int, width: int, heads: int) -> dict[str, Any]:
    return {"model_type": "gpt2", "n_layer": layers, "n_embd": width, "n_head": heads, "n_positions": 1024, "vocab_size": 50_257}


def _t5(layers: int, width: int, head: int, ffn: int, heads: int, model_type: str = "t5", vocabulary: int = 32_128, newer: bool = False) -> dict[str, Any]:
    """The newer ones (1.1, mT5 and what was made from them) have a gated feed-forward part and an output layer of their own."""
    return {"model_type": model_type, "num_layers": layers, "num_decoder_layers": layers, "d_model": width, "d_kv": head, "d_ff": ffn, "num_heads": heads,
            "vocab_size": vocabulary, "decoder_start_token_id": 0, "feed_forward_proj": "gated-gelu" if newer else "relu", "tie_word_embeddings": not newer}


def _opt(layers: int, width: int, heads: int, vocabulary: int = 50_272, **more: Any) -> dict[str, Any]:
    return {"model_type": "opt", "num_hidden_layers": layers, "hidden_size": width, "num_attention_heads": heads, "ffn_dim": 4 * width,
            "vocab_size": vocabulary, "max_position_embeddings": 2048, "word_embed_proj_dim": width, **more}


def _pythia(layers: int, width: int, heads: int, vocabulary: int = 50_304) -> dict[str, Any]:
    return {"model_type": "gpt_neox", "num_hidden_layers": layers, "hidden_size": width, "num_attention_heads": heads, "intermediate_size": 4 * width,
            "vocab_size": vocabulary, "max_position_embeddings": 2048}


def _llama(layers: int, width: int, heads: int, kv_heads: int, ffn: int, vocabulary: int, positions: int, model_type: str = "llama",
           **more: Any) -> dict[str, Any]:
    return {"model_type": model_type, "num_hidden_layers": layers, "hidden_size": width, "num_attention_heads": heads, "num_key_value_heads": kv_heads,
            "intermediate_size": ffn, "vocab_size": vocabulary, "max_position_embeddings": positions, "tie_word_embeddings": False, **more}


def _falcon(layers: int, width: int, heads: int, **more: Any) -> dict[str, Any]:
    return {"model_type": "falcon", "num_hidden_layers": layers, "hidden_size": width, "num_attention_heads": heads, "vocab_size": 65_024,
            "multi_query": True, "parallel_attn": True, "bias": False, **more}


TIED = {"tie_word_embeddings": True}
FAMILIES: dict[str, dict[str, dict[str, Any]]] = {
    "BERT": {"BERT base": _bert(12, 768, 12), "BERT large": _bert(24, 1024, 16)},
    "RoBERTa": {"RoBERTa base": _bert(12, 768, 12, "roberta", 50_265, 514, 1), "RoBERTa large": _bert(24, 1024, 16, "roberta", 50_265, 514, 1)},
    "GPT-2": {"GPT-2": _gpt2(12, 768, 12), "GPT-2 medium": _gpt2(24, 1024, 16), "GPT-2 large": _gpt2(36, 1280, 20), "GPT-2 XL": _gpt2(48, 1600, 25)},
    "T5": {
        "T5 small": _t5(6, 512, 64, 2048, 8), "T5 base": _t5(12, 768, 64, 3072, 12), "T5 large": _t5(24, 1024, 64, 4096, 16),
        "T5 3B": _t5(24, 1024, 128, 16_384, 32), "T5 11B": _t5(24, 1024, 128, 65_536, 128), "T5 1.1 XXL": _t5(24, 4096, 64, 10_240, 64, newer=True),
        "mT0 large": _t5(24, 1024, 64, 2816, 16, "mt5", 250_112, newer=True),
    },
    "OPT": {
        "OPT 125M": _opt(12, 768, 12), "OPT 350M": _opt(24, 1024, 16, word_embed_proj_dim=512, do_layer_norm_before=False), "OPT 1.3B": _opt(24, 2048, 32),
        "OPT 2.7B": _opt(32, 2560, 32), "OPT 6.7B": _opt(32, 4096, 32), "OPT 13B": _opt(40, 5120, 40), "OPT 30B": _opt(48, 7168, 56),
        "OPT 66B": _opt(64, 9216, 72),
    },
    "Pythia": {
        "Pythia 70M": _pythia(6, 512, 8), "Pythia 160M": _pythia(12, 768, 12), "Pythia 410M": _pythia(24, 1024, 16), "Pythia 1B": _pythia(16, 2048, 8),
        "Pythia 1.4B": _pythia(24, 2048, 16), "Pythia 2.8B": _pythia(32, 2560, 32), "Pythia 6.9B": _pythia(32, 4096, 32, 50_432),
        "Pythia 12B": _pythia(36, 5120, 40, 50_688),
    },
    "Llama": {
        "LLaMA 7B": _llama(32, 4096, 32, 32, 11_008, 32_000, 2048), "LLaMA 13B": _llama(40, 5120, 40, 40, 13_824, 32_000, 2048),
        "LLaMA 33B": _llama(60, 6656, 52, 52, 17_920, 32_000, 2048), "LLaMA 65B": _llama(80, 8192, 64, 64, 22_016, 32_000, 2048),
        "Llama 2 7B": _llama(32, 4096, 32, 32, 11_008, 32_000, 4096), "Llama 2 13B": _llama(40, 5120, 40, 40, 13_824, 32_000, 4096),
        "Llama 2 70B": _llama(80, 8192, 64, 8, 28_672, 32_000, 4096), "Llama 3 8B": _llama(32, 4096, 32, 8, 14_336, 128_256, 8192),
        "Llama 3 70B": _llama(80, 8192, 64, 8, 28_672, 128_256, 8192),
        "Llama 3.2 1B": _llama(16, 2048, 32, 8, 8192, 128_256, 131_072, head_dim=64) | TIED,
        "Llama 3.2 3B": _llama(28, 3072, 24, 8, 8192, 128_256, 131_072, head_dim=128) | TIED,
    },
    "Mistral": {"Mistral 7B": _llama(32, 4096, 32, 8, 14_336, 32_000, 32_768, "mistral")},
    "Qwen2.5": {
        "Qwen2.5 0.5B": _llama(24, 896, 14, 2, 4864, 151_936, 32_768, "qwen2") | TIED,
        "Qwen2.5 1.5B": _llama(28, 1536, 12, 2, 8960, 151_936, 32_768, "qwen2") | TIED,
        "Qwen2.5 3B": _llama(36, 2048, 16, 2, 11_008, 151_936, 32_768, "qwen2") | TIED, "Qwen2.5 7B": _llama(28, 3584, 28, 4, 18_944, 152_064, 32_768, "qwen2"),
        "Qwen2.5 14B": _llama(48, 5120, 40, 8, 13_824, 152_064, 32_768, "qwen2"), "Qwen2.5 32B": _llama(64, 5120, 40, 8, 27_648, 152_064, 32_768, "qwen2"),
        "Qwen2.5 72B": _llama(80, 8192, 64, 8, 29_568, 152_064, 32_768, "qwen2"),
    },
    "Falcon": {"Falcon 7B": _falcon(32, 4544, 71), "Falcon 40B": _falcon(60, 8192, 128, new_decoder_architecture=True, num_kv_heads=8)},
    "GPT-3": {"GPT-3 175B (shape)": _opt(96, 12_288, 96, 50_257)},  # OPT's names: its projections stand apart, as the LoRA paper counts them
}


def presets() -> Iterator[Preset]:
    """All of them, by family."""
    for family, models in FAMILIES.items():
        for title, config in models.items():
            yield Preset(_key(title), title, family, config)


def preset(key: Any) -> Preset:
    known = {each.key: each for each in presets()}
    if not isinstance(key, str) or key not in known:
        raise LabError(f'unknown preset "{shorten(key)}": there are {", ".join(known)}')
    return known[key]


def _key(title: str) -> str:
    return title.lower().replace(" (shape)", "").replace(" ", "-")
