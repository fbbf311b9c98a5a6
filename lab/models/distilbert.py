"""DistilBERT: BERT-base distilled into six layers."""
from lab.contracts import Model

entry = Model(
    key="distilbert",
    title="DistilBERT (encoder, 66 M, needs the Hub)",
    about="BERT-base halved in depth by distillation: six layers of width 768.",
    kind="encoder",
    licence="Apache-2.0",
    hub="distilbert/distilbert-base-uncased",
    config={
        "model_type": "distilbert", "n_layers": 6, "dim": 768, "n_heads": 12, "hidden_dim": 3072, "vocab_size": 30522, "max_position_embeddings": 512,
    },
    defaults={"steps": 100, "batch": 16, "tokens": 64, "eval_items": 1000, "eval_every": 25},
)
