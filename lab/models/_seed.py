"""Two small tokenizers of our own for the seeded models: word pieces for encoders, byte pairs for decoders.

Their vocabularies are written out by rule instead of learned from a text, so that a config knows the exact size without building anything
and every machine, whatever its version of the `tokenizers` library, has the same numbers.
"""
from __future__ import annotations

import string
from itertools import accumulate
from pathlib import Path
from typing import Any

WORDS = (
    # the toy task's words, each one token
    "the", "film", "story", "song", "book", "game", "meal", "room", "trip", "was", "is", "seemed", "very", "quite", "so",
    "good", "great", "lovely", "funny", "warm", "clever", "fresh", "kind", "bad", "awful", "boring", "sad", "cold", "stupid", "dull", "cruel",
    # the answers and the words of prompts
    "negative", "positive", "review", "sentiment", "text", "label", "of", "this",
    # the commonest others, so that texts of the other tasks are not spelled out letter by letter throughout
    "a", "an", "and", "it", "in", "to", "that", "for", "with", "but", "as", "are", "on", "not", "you", "i", "movie", "like", "more", "one", "just", "have",
)
BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # ids 0 to 4
BYTE_SPECIAL = ("<pad>", "<bos>", "<eos>")  # ids 0 to 2
SPACE = "Ġ"  # how byte-level tokenizers write the space in front of a word


def pieces() -> tuple[str, ...]:
    """The word-piece vocabulary: special tokens, single signs, letters and digits that go on a word, whole words."""
    signs = string.ascii_lowercase + string.digits
    return (*BERT_SPECIAL, *signs, *string.punctuation, *(f"##{sign}" for sign in signs), *(word for word in WORDS if len(word) > 1))


def special_ids() -> dict[str, int]:
    """Where a config finds the special tokens of the byte-pair vocabulary."""
    return {f"{token.strip('<>')}_token_id": place for place, token in enumerate(BYTE_SPECIAL)}


def merges() -> tuple[tuple[str, str], ...]:
    """Byte pairs in order. Each word grows from its own beginning ("Ġ" + "g", "Ġg" + "o" …), and words that open a prompt
    grow from a capital: no merge starts inside a word, so none can stand in the way of another."""
    words = [SPACE + word for word in WORDS] + ["Review", "Sentiment", "Text", "Label"]
    return tuple(dict.fromkeys((begin[:-1], begin[-1]) for word in words for begin in list(accumulate(word))[1:]))


def byte_pieces() -> tuple[str, ...]:
    """The byte-pair vocabulary: special tokens, the 256 bytes, one token for each merge."""
    return (*BYTE_SPECIAL, *_bytes(), *(left + right for left, right in merges()))


def _bytes() -> list[str]:
    """The 256 bytes as byte-level tokenizers write them: printable ones as they are, the others as signs from 256 on."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + place) for place in range(len(others))]


def write_pieces(folder: Path) -> None:
    """A BERT-like tokenizer: lower case, `[CLS]` text `[SEP]`."""
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordPiece

    ids = {piece: place for place, piece in enumerate(pieces())}
    made = Tokenizer(WordPiece(vocab=ids, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    _save(made, folder, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")


def write_bytes(folder: Path, closed: bool = False, **special: str) -> None:
    """A byte-level tokenizer like GPT-2's: nothing is unknown, and a word carries the space in front of it.

    `closed` puts an end token behind every text, as T5 reads it; `special` names more special tokens.
    """
    from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
    from tokenizers.models import BPE

    ids = {piece: place for place, piece in enumerate(byte_pieces())}
    made = Tokenizer(BPE(vocab=ids, merges=list(merges())))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    if closed:
        end = ("<eos>", ids["<eos>"])
        made.post_processor = processors.TemplateProcessing(single="$A <eos>", pair="$A <eos> $B:1 <eos>:1", special_tokens=[end])
    _save(made, folder, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", **special)


def _save(tokenizer: Any, folder: Path, **special: str) -> None:
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
