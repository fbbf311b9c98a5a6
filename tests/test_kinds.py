"""Every method on every kind of model, without the engine: it trains what it counts, or says why it cannot be used."""
from __future__ import annotations

import copy
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from _trials import METHODS, MODELS, SEEDED, some_slow

from lab.accounting.shapes import shape_of
from lab.contracts import Base
from lab.models import _seed
from lab.supply.weights import CLASSES

LITTLE = {"num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24}
PIECES, BYTES = {"vocab_size": len(_seed.pieces())}, {"vocab_size": len(_seed.byte_pieces()), **_seed.special_ids()}
KINDS = {
    **{key: model.config for key, model in MODELS.items() if model.seeded},
    "distilbert": {"model_type": "distilbert", "n_layers": 2, "dim": 16, "n_heads": 2, "hidden_dim": 24, **PIECES},
    "roberta": {**LITTLE, **PIECES, "model_type": "roberta", "pad_token_id": 0},
    **{name: {**LITTLE, **BYTES, "model_type": name, "num_key_value_heads": 1, "head_dim": 8} for name in ("mistral", "qwen3", "gemma")},
    "opt-350m-like": {"model_type": "opt", "num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 2, "ffn_dim": 24, "word_embed_proj_dim": 8,
                      "do_layer_norm_before": False, **BYTES},
    "flan-like": {"model_type": "t5", "num_layers": 1, "num_decoder_layers": 3, "d_model": 16, "d_kv": 4, "d_ff": 24, "num_heads": 2, **BYTES},
}
# rows no text here uses, choices of one
SPARE = re.compile("embeddings|trainable_tokens|embed_pos|wpe|shared|relative_attention_bias|SelfAttention.[qk]|[kq]_norm")
# on seeded models that the engine trains, tests/test_methods.py asks the same and more
MATRIX = [(method, name) for name, config in KINDS.items() for method in METHODS if name not in SEEDED and METHODS[method]().supports(shape_of(config)).ok]


@pytest.fixture(scope="module")
def bases_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Makes a model of a config with random weights, as the lab means it, with one of our tokenizers."""
    import transformers

    folders = {}
    for name, write in (("pieces", _seed.write_pieces), ("bytes", _seed.write_bytes)):
        folders[name] = tmp_path_factory.mktemp(name)
        write(folders[name])
    made: dict[str, Base] = {}

    def base(name: str) -> Base:
        if name not in made:
            shape = shape_of(KINDS[name])
            torch.manual_seed(0)
            module = getattr(transformers, CLASSES[shape.kind]).from_config(transformers.AutoConfig.for_model(**KINDS[name]))
            if getattr(module, "pooler", None) is not None:
                module.pooler = None
            tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folders["pieces" if shape.kind == "encoder" else "bytes"])
            made[name] = Base(module.eval(), shape, tokenizer, (" negative", " positive"))
        return replace(made[name], module=copy.deepcopy(made[name].module))

    return base


def inputs(base: Base) -> dict[str, torch.Tensor]:
    """Two texts, or two images, as the kind of model reads them."""
    draw = torch.Generator().manual_seed(0)
    if base.shape.kind == "vision":
        return {"pixel_values": torch.rand(2, 1, 8, 8, generator=draw)}
    found = {"input_ids": torch.randint(5, base.shape.vocabulary, (2, 7), generator=draw), "attention_mask": torch.ones(2, 7, dtype=torch.long)}
    return found | ({"decoder_input_ids": torch.randint(5, base.shape.vocabulary, (2, 3), generator=draw)} if base.shape.kind == "seq2seq" else {})


@torch.no_grad()
def asked(module: Any, base: Base) -> torch.Tensor:
    """Features or logits. Without gradients, because torch takes another kernel for attention where T5's position bias has one."""
    return module(**inputs(base))[0]


@pytest.mark.parametrize("method", METHODS)
def test_where_it_cannot_be_used_it_says_why(method: str) -> None:
    entry = METHODS[method]()
    for name, config in KINDS.items():
        support = entry.supports(shape_of(config))
        assert support.ok or len(support.reason.split()) > 5, name


@pytest.mark.parametrize(("method", "name"), some_slow(MATRIX))
def test_on_every_kind_of_model_it_trains_what_it_counts(method: str, name: str, bases_of: Any) -> None:
    base, entry = bases_of(name), METHODS[method]()
    assert base.shape.kind in entry.rates, "no learning rate for this kind"
    before = asked(base.module, base)
    module = entry.attach(base).eval()
    trained = {key: weight for key, weight in module.named_parameters() if weight.requires_grad}
    sizes = sorted(tuple(size) for place in entry.places(base.shape) for _, size in place.tensors)
    assert sorted(tuple(weight.shape) for weight in trained.values()) == sizes
    assert sum(entry.count(base.shape).values()) == sum(weight.numel() for weight in trained.values())
    assert not entry.starts_as_base() or torch.equal(asked(module, base), before)
    if trained:
        for _ in range(2):  # LoRA's A and a bottleneck's D have a gradient once the other half has moved
            module(**inputs(base))[0].float().pow(2).sum().backward()
            with torch.no_grad():
                for weight in trained.values():
                    weight -= 1e-2 * weight.grad.sign() if weight.grad is not None else 0
        unreached = [key for key, weight in trained.items() if weight.grad is None or not weight.grad.any()]
        assert not [key for key in unreached if not SPARE.search(key)], unreached


@pytest.mark.parametrize("name", KINDS)
def test_lora_merges_into_every_kind_of_model(name: str, bases_of: Any) -> None:
    base = bases_of(name)
    module = METHODS["lora"](targets=("all",), init="gaussian").attach(base).eval()
    with torch.no_grad():
        for key, weight in module.named_parameters():
            if ".lora_B." in key:
                weight.normal_(std=0.1)
    apart, merged = asked(module, base), asked(module.merge_and_unload(), base)
    assert (merged - apart).abs().max() <= 1e-5 * apart.abs().max()


def test_prompts_of_an_encoder_decoder_start_from_words_in_both_stacks(bases_of: Any) -> None:
    base = bases_of("seed-t5")
    table = base.module.shared.weight.detach().clone()
    module = METHODS["prompt_tuning"](virtual_tokens=5, init="labels").attach(base)
    vectors = module.prompt_encoder["default"].embedding.weight
    assert vectors.shape == (10, 32) and torch.equal(vectors[:5], vectors[5:])
    assert all((table == vector).all(dim=1).any() for vector in vectors)


@pytest.mark.parametrize("method", ["full", "top_layers", "lora", "prompt_tuning", "houlsby"])
def test_saved_and_loaded_an_encoder_decoder_answers_the_same(method: str, bases_of: Any, tmp_path: Path) -> None:
    base, again = bases_of("seed-t5"), bases_of("seed-t5")
    entry = METHODS[method]()
    module = entry.attach(base).eval()
    with torch.no_grad():
        for weight in module.parameters():
            if weight.requires_grad:
                weight += 0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    entry.format.save(module, tmp_path)
    loaded = entry.format.load(again.module, tmp_path).eval()
    assert torch.equal(asked(loaded, base), asked(module, base))
