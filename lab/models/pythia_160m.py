"""Pythia-160M: a decoder of the GPT-NeoX type."""
from lab.contracts import Model

entry = Model(
    key="pythia-160m",
    title="Pythia-160M (decoder, 160 M, needs the Hub)",
    about="Twelve layers of width 768, from a family trained on the same text in the same order, so that sizes can be compared.",
    kind="decoder",
    licence="Apache-2.0",
    hub="EleutherAI/pythia-160m",
    config={
        "model_type": "gpt_neox", "num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072,
        "vocab_size": 50304, "max_position_embeddings": 2048, "tie_word_embeddings": False,
    },
    defaults={"steps": 60, "batch": 8, "tokens": 64, "eval_items": 300, "eval_every": 20},
)
