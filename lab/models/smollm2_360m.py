"""SmolLM2-360M-Instruct: a decoder of the Llama type that follows instructions."""
from lab.contracts import Model

entry = Model(
    key="smollm2-360m",
    title="SmolLM2-360M (decoder, 362 M, needs the Hub)",
    about="The larger sister of SmolLM2-135M: thirty-two layers of width 960. Slow on a laptop.",
    kind="decoder",
    licence="Apache-2.0",
    hub="HuggingFaceTB/SmolLM2-360M-Instruct",
    config={
        "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 960, "num_attention_heads": 15, "num_key_value_heads": 5,
        "intermediate_size": 2560, "vocab_size": 49152, "max_position_embeddings": 8192, "tie_word_embeddings": True,
    },
    defaults={"steps": 60, "batch": 4, "tokens": 64, "eval_items": 200, "eval_every": 20},
)
