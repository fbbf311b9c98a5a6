"""A vocabulary as a student can read it: the text of each row with its spaces visible, which rows no word stands behind, and which are the same word.

Two tokens are the same word where they differ in case, in spaces around them or in being a continuation (`##ing`): of these the nearest is listed, and the
others with it.
"""
from __future__ import annotations

from typing import Any

MARKS = {" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍"}
GOES_ON = "##"  # how word pieces mark what continues a word
UNUSED = ("[unused", "<unused", "<extra_id", "<|reserved", "<|unused")  # places kept free when the vocabulary was made
LOST = "\ufffd"  # what decoding gives for bytes that are no letter by themselves
REASONS = ("special", "unused", "undecodable", "beyond")


def read(tokenizer: Any, rows: int) -> dict[str, Any]:
    """{"texts": of each row, "words": a number for each row, equal where it is the same word, "banned": {reason: ids}} as JSON values. `beyond` are rows
    behind the last token, there to make the table's size round."""
    known = min(rows, len(tokenizer))
    names = tokenizer.convert_ids_to_tokens(range(known))
    decoded = tokenizer.backend_tokenizer.decode_batch([[token] for token in range(known)], skip_special_tokens=False)
    special = set(tokenizer.all_special_ids) | {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    texts, banned = [], {reason: [] for reason in REASONS}
    for token, (name, text) in enumerate(zip(names, decoded, strict=True)):
        texts.append(_text(name, text))
        reason = _reason(token in special, name or "", texts[-1])
        if reason:
            banned[reason].append(token)
    banned["beyond"] = list(range(known, rows))
    texts += [""] * (rows - known)
    return {"texts": texts, "words": numbered(texts), "banned": banned}


def numbered(texts: list[str]) -> list[int]:
    numbers: dict[str, int] = {}
    return [numbers.setdefault(word(text), len(numbers)) for text in texts]


def _text(name: str | None, decoded: str) -> str:
    """Sentence pieces lose their leading space in decoding, so it is read from their name."""
    return " " + decoded.lstrip(" ") if (name or "").startswith("▁") else decoded


def _reason(special: bool, name: str, text: str) -> str | None:
    if special:
        return "special"
    if name.startswith(UNUSED):
        return "unused"
    return None if LOST not in text and any(sign.isprintable() or sign in MARKS for sign in text) else "undecodable"


def shown(text: str) -> str:
    """With a mark for each space, line end and tab; other signs that print nothing as their number."""
    return "".join(MARKS.get(sign, sign if sign.isprintable() else f"\\x{ord(sign):02x}") for sign in text)


def word(text: str) -> str:
    """What tokens that are the same word have in common; of blanks, the blanks themselves."""
    plain = text.strip()
    if plain.startswith(GOES_ON) and plain != GOES_ON:
        plain = plain.removeprefix(GOES_ON)
    return plain.casefold() or text
