"""A DistilBERT of two layers with weights drawn from a seed: BERT without token types, whose attention takes no keys and values from outside."""
from lab.contracts import Model
from lab.models._seed import BERT_SPECIAL, pieces, write_pieces

entry = Model(
    key="seed-distilbert",
    title="Seeded DistilBERT (encoder, 0.03 M)",
    about="DistilBERT's architecture in two layers of width 32 with random weights that have learned nothing yet: for looking at every number.",
    kind="encoder",
    licence="CC0-1.0",
    config={
        "model_type": "distilbert", "n_layers": 2, "dim": 32, "n_heads": 4, "hidden_dim": 64, "vocab_size": len(pieces()), "max_position_embeddings": 256,
        "pad_token_id": BERT_SPECIAL.index("[PAD]"), "initializer_range": 0.08,
    },
    defaults={"steps": 30, "batch": 8, "tokens": 32, "eval_items": 100, "eval_every": 10, "task": "toy"},
    tokenizer=write_pieces,
)
