"""A GPT-2 of two layers with weights drawn from a seed: small enough to see every number, and there at once without a download."""
from lab.contracts import Model
from lab.models._seed import byte_pieces, special_ids, write_bytes

entry = Model(
    key="seed-gpt2",
    title="Seeded GPT-2 (decoder, 0.04 M)",
    about="Two layers of width 32 with random weights that have learned nothing yet. Query, key and value are one matrix in this family, as in the real GPT-2.",
    kind="decoder",
    licence="CC0-1.0",
    config={
        "model_type": "gpt2", "n_layer": 2, "n_embd": 32, "n_head": 4, "n_inner": 64, "vocab_size": len(byte_pieces()), "n_positions": 256,
        **special_ids(), "initializer_range": 0.08,  # of 0.02, 0.08, 0.15 and 0.3 the one from which 30 steps on `toy` learn most
    },
    defaults={"steps": 30, "batch": 8, "tokens": 32, "eval_items": 100, "eval_every": 10, "task": "toy"},
    tokenizer=write_bytes,
)
