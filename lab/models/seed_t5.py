"""A T5 of two encoder and two decoder layers with weights drawn from a seed: small enough to see every number, and there at once without a download."""
from functools import partial

from lab.contracts import Model
from lab.models._seed import byte_pieces, special_ids, write_bytes

entry = Model(
    key="seed-t5",
    title="Seeded T5 (encoder-decoder, 0.06 M)",
    about="Two encoder and two decoder layers of width 32 with random weights: one stack reads the text, the other writes the answer.",
    kind="seq2seq",
    licence="CC0-1.0",
    config={
        "model_type": "t5", "num_layers": 2, "num_decoder_layers": 2, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_heads": 4,
        "feed_forward_proj": "gated-gelu", "vocab_size": len(byte_pieces()), "n_positions": 256, **special_ids(),
        "decoder_start_token_id": 0,  # the decoder begins with the padding token, as T5 does
    },
    defaults={"steps": 30, "batch": 8, "tokens": 32, "eval_items": 100, "eval_every": 10, "task": "toy"},
    tokenizer=partial(write_bytes, closed=True),
)
