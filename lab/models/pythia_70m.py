"""Pythia-70M: a decoder of the GPT-NeoX type."""
from lab.contracts import Model

entry = Model(
    key="pythia-70m",
    title="Pythia-70M (decoder, 70 M, needs the Hub)",
    about="Six layers of width 512, from a family trained on the same text in the same order, so that sizes can be compared.",
    kind="decoder",
    licence="Apache-2.0",
    hub="EleutherAI/pythia-70m",
    config={
        "model_type": "gpt_neox", "num_hidden_layers": 6, "hidden_size": 512, "num_attention_heads": 8, "intermediate_size": 2048,
        "vocab_size": 50304, "max_position_embeddings": 2048, "tie_word_embeddings": False,
    },
    defaults={"steps": 60, "batch": 8, "tokens": 64, "eval_items": 300, "eval_every": 20},
)
