"""An OPT of two layers with weights drawn from a seed: small enough to see every number, and there at once without a download."""
from lab.contracts import Model
from lab.models._seed import byte_pieces, special_ids, write_bytes

entry = Model(
    key="seed-opt",
    title="Seeded OPT (decoder, 0.04 M)",
    about="Two layers of width 32 with random weights that have learned nothing yet. An older design: learned positions, a bias in every layer.",
    kind="decoder",
    licence="CC0-1.0",
    config={
        "model_type": "opt", "num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "ffn_dim": 64,
        "vocab_size": len(byte_pieces()), "max_position_embeddings": 256, **special_ids(),
        "init_std": 0.04,  # at 0.02 every text gets almost the same answer; at 0.08 it learns little of `toy` in 30 steps
    },
    defaults={"steps": 30, "batch": 8, "tokens": 32, "eval_items": 100, "eval_every": 10, "task": "toy"},
    tokenizer=write_bytes,
)
