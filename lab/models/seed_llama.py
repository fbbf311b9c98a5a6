"""A Llama of two layers with weights drawn from a seed: small enough to see every number, and there at once without a download."""
from lab.contracts import Model
from lab.models._seed import BYTE_SPECIAL, byte_pieces, write_bytes

entry = Model(
    key="seed-llama",
    title="Seeded Llama (decoder, 0.03 M)",
    about="Two layers of width 32, two key/value heads for four query heads, with random weights that have learned nothing yet: for looking at every number.",
    kind="decoder",
    licence="CC0-1.0",
    config={
        "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64,
        "vocab_size": len(byte_pieces()), "max_position_embeddings": 256, "tie_word_embeddings": True,
        **{f"{name}_token_id": BYTE_SPECIAL.index(f"<{name}>") for name in ("pad", "bos", "eos")},
        "initializer_range": 0.08,  # of 0.02, 0.08, 0.15 and 0.3 the one from which 30 steps on `toy` learn most
    },
    defaults={"steps": 30, "batch": 8, "tokens": 32, "eval_items": 100, "eval_every": 10, "task": "toy"},
    tokenizer=write_bytes,
)
