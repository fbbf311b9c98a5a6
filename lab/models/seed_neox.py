"""A GPT-NeoX of two layers with weights drawn from a seed: small enough to see every number, and there at once without a download."""
from lab.contracts import Model
from lab.models._seed import byte_pieces, special_ids, write_bytes

entry = Model(
    key="seed-neox",
    title="Seeded GPT-NeoX (decoder, 0.05 M)",
    about="Two layers of width 32 with random weights. The architecture of Pythia: query, key and value in one matrix, and an output layer of its own.",
    kind="decoder",
    licence="CC0-1.0",
    config={
        "model_type": "gpt_neox", "num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64,
        "vocab_size": len(byte_pieces()), "max_position_embeddings": 256, **special_ids(),
        "initializer_range": 0.15,  # of 0.02, 0.08, 0.15 and 0.3 the one from which 30 steps on `toy` learn most
    },
    defaults={"steps": 30, "batch": 8, "tokens": 32, "eval_items": 100, "eval_every": 10, "task": "toy"},
    tokenizer=write_bytes,
)
