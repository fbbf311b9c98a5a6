"""Two probes of what a method can store: random pairs of invented words, which only learning by heart can answer, and fifty invented facts.

Random pairs measure capacity: nothing in them can be guessed, so what is recalled was stored in the trained parameters, up to `BITS` a pair.
"""
from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from math import log2
from random import Random
from typing import Literal, NamedTuple

from lab.contracts import LabError
from lab.tasks._new_facts import FACTS, Fact

PAIRS = 256
SYLLABLES = tuple(first + vowel for first, vowel in product("bdklmnrstv", "aeiou"))
ENDS = "kvxz"  # rare at the end of English words, so that next to no real word can be spelt
BITS = {"word": log2(len(SYLLABLES) ** 3 * len(ENDS)), "code": log2(20**2 * 10**3)}  # what one value holds: 18.9 and 18.6


class Association(NamedTuple):
    """A key and the value to be recalled from it."""

    id: str
    key: str
    value: str


def random_pairs(n: int, seed: int = 0, kind: Literal["word", "code"] = "word") -> tuple[Association, ...]:
    """`n` pairs of invented words (`tavekix` -> `mulorak`) or codes (`KT-402` -> `BX-981`); no word stands in two pairs or on both sides.

    The first pairs of a longer list are those of a shorter one with the same seed, so that a student adds to what was learned.
    """
    if not 1 <= n <= 20_000:
        raise LabError(f"the number of pairs is {n:,}: must be 1 to 20,000")
    random = Random(f"{seed} {kind}")
    invent = {"word": _word, "code": _code}[kind]
    invented: dict[str, None] = {}
    while len(invented) < 2 * n:
        invented[invent(random)] = None
    words = list(invented)
    return tuple(Association(f"pair-{number}", words[2 * number], words[2 * number + 1]) for number in range(n))


def make(seed: int = 0, n: int = PAIRS) -> Mapping[str, tuple[Association, ...]]:
    """The same pairs in every split: there is nothing to generalise to, what counts is how much of the training set comes back."""
    pairs = random_pairs(n, seed)
    return {"train": pairs, "validation": pairs, "test": pairs}


def new_facts() -> tuple[Fact, ...]:
    """Fifty facts about people, places and things that exist nowhere, five of each of ten kinds."""
    return FACTS


def _word(random: Random) -> str:
    return "".join(random.choice(SYLLABLES) for _ in range(3)) + random.choice(ENDS)


def _code(random: Random) -> str:
    letters = "".join(random.choice("BCDFGHJKLMNPQRSTVWXZ") for _ in range(2))
    return f"{letters}-{random.randrange(1000):03d}"
