"""A Qwen2 of two layers with weights drawn from a seed: small enough to see every number, and there at once without a download."""
from functools import partial

from lab.contracts import Model
from lab.models._seed import byte_pieces, special_ids, write_bytes

entry = Model(
    key="seed-qwen2",
    title="Seeded Qwen2 (decoder, 0.03 M)",
    about="Two layers of width 32 with random weights that have learned nothing yet. Like Llama, with a bias on query, key and value alone.",
    kind="decoder",
    licence="CC0-1.0",
    config={
        "model_type": "qwen2", "num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64,
        "vocab_size": len(byte_pieces()), "max_position_embeddings": 256, "tie_word_embeddings": True, **special_ids(),
        "initializer_range": 0.08,  # of 0.02, 0.08, 0.15 and 0.3 the one from which 30 steps on `toy` learn most
    },
    defaults={"steps": 30, "batch": 8, "tokens": 32, "eval_items": 100, "eval_every": 10, "task": "toy"},
    tokenizer=partial(write_bytes, unk_token="<eos>"),  # transformers' tokenizer class for Qwen2 would add one of its own
)
