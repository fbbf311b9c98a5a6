"""Source text in which spans are marked with the parts of the model that they speak of, until it is shown: then it is plain text, or spans."""
from __future__ import annotations

import io
import keyword
import re
import tokenize
from collections.abc import Iterable

OPEN, MIDDLE, CLOSE = "\x01", "\x02", "\x03"  # never in source: strings are written with their control characters escaped
MARK = re.compile(f"{OPEN}([^{MIDDLE}]*){MIDDLE}([^{CLOSE}]*){CLOSE}")
KINDS = {tokenize.COMMENT: "comment", tokenize.STRING: "string", tokenize.NUMBER: "number"}
Span = tuple[str, str, str]  # text, kind of token or "", roles or ""


def part(roles: str | Iterable[str], text: str) -> str:
    """Text that speaks of these roles of a block (of `head`, `prompt`, `norm`, `embedding`)."""
    names = roles if isinstance(roles, str) else " ".join(sorted(roles))
    return f"{OPEN}{names}{MIDDLE}{text}{CLOSE}"


def plain(text: str) -> str:
    return MARK.sub(r"\2", text)


def spans(marked: str) -> list[list[Span]]:
    """For each line its spans, in order and without gaps."""
    source, roles = plain(marked), _roles(marked)
    kinds = _kinds(source)
    lines, start = [], 0
    for line in source.split("\n"):
        tags = list(zip(kinds[start:start + len(line)], roles[start:start + len(line)], strict=True))
        found: list[Span] = []
        for place, tag in enumerate(tags):
            if place and tag == tags[place - 1]:
                found[-1] = (found[-1][0] + line[place], *tag)
            else:
                found.append((line[place], *tag))
        lines.append(found)
        start += len(line) + 1
    return lines


def _roles(marked: str) -> list[str]:
    """Of each character of the plain text."""
    found, place = [], 0
    for mark in MARK.finditer(marked):
        found += [""] * (mark.start() - place) + [mark[1]] * len(mark[2])
        place = mark.end()
    return found + [""] * (len(marked) - place)


def _kinds(source: str) -> list[str]:
    starts = [0]
    for line in source.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    found = [""] * len(source)
    for token in tokenize.generate_tokens(io.StringIO(source, newline="\n").readline):
        kind = KINDS.get(token.type) or ("keyword" if token.type == tokenize.NAME and keyword.iskeyword(token.string) else "")
        begin, end = starts[token.start[0] - 1] + token.start[1], starts[token.end[0] - 1] + token.end[1]
        found[begin:end] = [kind] * (end - begin)
    return found[:len(source)]
