"""Qwen2.5-0.5B-Instruct: a decoder of the Qwen2 type that follows instructions."""
from lab.contracts import Model

entry = Model(
    key="qwen2.5-0.5b",
    title="Qwen2.5-0.5B (decoder, 494 M, needs the Hub)",
    about="Twenty-four layers of width 896; more than a quarter of it is the table of its 151,936 words. Slow on a laptop.",
    kind="decoder",
    licence="Apache-2.0",
    hub="Qwen/Qwen2.5-0.5B-Instruct",
    config={
        "model_type": "qwen2", "num_hidden_layers": 24, "hidden_size": 896, "num_attention_heads": 14, "num_key_value_heads": 2,
        "intermediate_size": 4864, "vocab_size": 151936, "max_position_embeddings": 32768, "tie_word_embeddings": True,
    },
    defaults={"steps": 60, "batch": 4, "tokens": 64, "eval_items": 200, "eval_every": 20},
)
