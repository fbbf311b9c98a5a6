"""FLAN-T5-small: an encoder-decoder that follows instructions."""
from lab.contracts import Model

entry = Model(
    key="flan-t5-small",
    title="FLAN-T5-small (encoder-decoder, 77 M, needs the Hub)",
    about="Eight layers that read and eight that write, width 512, trained to follow instructions of more than a thousand tasks.",
    kind="seq2seq",
    licence="Apache-2.0",
    hub="google/flan-t5-small",
    config={
        "model_type": "t5", "num_layers": 8, "num_decoder_layers": 8, "d_model": 512, "d_kv": 64, "d_ff": 1024, "num_heads": 6,
        "feed_forward_proj": "gated-gelu", "vocab_size": 32128, "n_positions": 512, "tie_word_embeddings": False,
    },
    defaults={"steps": 60, "batch": 8, "tokens": 64, "eval_items": 300, "eval_every": 20},
)
