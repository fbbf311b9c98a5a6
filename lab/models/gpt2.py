"""GPT-2: the smallest one, 124 million parameters."""
from lab.contracts import Model

entry = Model(
    key="gpt2",
    title="GPT-2 (decoder, 124 M, needs the Hub)",
    about="The smallest GPT-2. Query, key and value are one matrix in it; most papers of the first PEFT years tuned this family.",
    kind="decoder",
    licence="MIT",
    hub="openai-community/gpt2",
    config={
        "model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12, "vocab_size": 50257, "n_positions": 1024,
    },
    defaults={"steps": 60, "batch": 8, "tokens": 64, "eval_items": 300, "eval_every": 20},
)
