"""A BERT of two layers with weights drawn from a seed: small enough to see every number, and there at once without a download."""
from lab.contracts import Model
from lab.models._seed import BERT_SPECIAL, pieces, write_pieces

entry = Model(
    key="seed-bert",
    title="Seeded BERT (encoder, 0.03 M)",
    about="Two layers of width 32 with random weights that have learned nothing yet: for looking at every number, and for trying things out in a second.",
    kind="encoder",
    licence="CC0-1.0",
    config={
        "model_type": "bert", "num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64,
        "vocab_size": len(pieces()), "max_position_embeddings": 256, "type_vocab_size": 2, "pad_token_id": BERT_SPECIAL.index("[PAD]"),
        "initializer_range": 0.08,  # of 0.02, 0.08, 0.15 and 0.3 the one from which 30 steps on `toy` learn most
    },
    defaults={"steps": 30, "batch": 8, "tokens": 32, "eval_items": 100, "eval_every": 10, "task": "toy"},
    tokenizer=write_pieces,
)
