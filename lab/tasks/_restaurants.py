"""Table to text: meaning representations such as `name[Copper Lantern], type[café], food[Thai]` and the sentences that say them.

Every word is ours: the names, the values and the grammar. Eating places (restaurant, café, bistro) are what is trained on; the second half of
the test is about hotels and museums, whose types, names, values and most attributes never occur in training, as in WebNLG's unseen categories:
a method that only learned to fill restaurant patterns falls there.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import cycle, islice
from random import Random
from typing import Literal, NamedTuple

from lab.tasks import _venues as venues

TRAIN, VALIDATION, TEST = 4000, 400, 400  # TEST counts each of the two groups
REFERENCES = 5  # of a validation or test item; a training item has its one target
WORDS = (12, 35)  # of a sentence
ATTRIBUTES = (3, 5)  # of a meaning, besides name and type

Meaning = tuple[tuple[str, str], ...]


class Pair(NamedTuple):
    """One meaning, the sentence to train on, and all sentences that count as right (the target is the first of them)."""

    id: str
    meaning: str
    target: str
    references: tuple[str, ...]
    group: Literal["seen", "unseen"]


def make(seed: int = 0) -> Mapping[str, tuple[Pair, ...]]:
    """4,000 pairs to train, 400 for validation, 400 seen and 400 unseen ones for the test, in turn.

    Meanings that differ in the name only never stand in two splits, so that a test item cannot be answered by changing the name of a training one.
    """
    random = Random(seed)
    eating = _meanings(random, venues.EATING)
    train = [_pair(random, "train", number, meaning, 1, "seen") for number, meaning in enumerate(islice(eating, TRAIN))]
    validation = [_pair(random, "validation", number, meaning, REFERENCES, "seen") for number, meaning in enumerate(islice(eating, VALIDATION))]
    seen = [_pair(random, "seen", number, meaning, REFERENCES, "seen") for number, meaning in enumerate(islice(eating, TEST))]
    visiting = islice(_meanings(random, venues.VISITING), TEST)
    unseen = [_pair(random, "unseen", number, meaning, REFERENCES, "unseen") for number, meaning in enumerate(visiting)]
    return {"train": tuple(train), "validation": tuple(validation), "test": tuple(pair for both in zip(seen, unseen, strict=True) for pair in both)}


def parse(meaning: str) -> dict[str, str]:
    """`name[Copper Lantern], food[Thai]` as a dict."""
    return dict(re.findall(r"(\w+)\[([^\]]*)\]", meaning))


def write(meaning: Meaning) -> str:
    return ", ".join(f"{key}[{value}]" for key, value in meaning)


def missing(meaning: str, sentence: str) -> tuple[str, ...]:
    """The attributes of `meaning` that `sentence` does not express; for values such as `yes` and `cheap` any wording of the grammar counts."""
    text = _words(sentence)
    return tuple(key for key, value in parse(meaning).items() if not any(_words(sign) in text for sign in venues.signs(key, value)))


def _words(text: str) -> str:
    """Words and spaces only, a space at both ends, so that `in` finds whole words."""
    return f" {' '.join(re.sub(r'[.,;:!?]', ' ', text.casefold()).split())} "


def _meanings(random: Random, kinds: Mapping[str, venues.Kind]) -> Iterator[Meaning]:
    """Endless; no two are alike but for the name."""
    known: set[Meaning] = set()
    types = tuple(kinds)
    while True:
        kind = kinds[type_ := random.choice(types)]
        chosen = set(random.sample(tuple(kind.attributes), random.randint(*ATTRIBUTES)))
        facts = (("type", type_), *((key, random.choice(values)) for key, values in kind.attributes.items() if key in chosen))
        if facts not in known:
            known.add(facts)
            yield ("name", random.choice(kind.names)), *facts


def _pair(random: Random, split: str, number: int, meaning: Meaning, references: int, group: Literal["seen", "unseen"]) -> Pair:
    """Goes round the plans until there are enough different sentences of a fitting length; not every plan suits every meaning."""
    sentences: dict[str, None] = {}
    plans = cycle(random.sample(PLANS, len(PLANS)))
    while len(sentences) < references:
        sentence = next(plans)(random, _Parts(random, dict(meaning)))
        if sentence and WORDS[0] <= len(sentence.split()) <= WORDS[1]:
            sentences[sentence] = None
    return Pair(f"{split}-{number}", write(meaning), next(iter(sentences)), tuple(sentences), group)


# ── sentence plans: each says every part once ─────────────────────────────────────────────────────────────────────────


class _Parts:
    """The attributes of a meaning, each put into one place of a sentence: before the noun, as where it is, or as what it does."""

    def __init__(self, random: Random, meaning: dict[str, str]) -> None:
        self.name, self.type = meaning.pop("name"), meaning.pop("type")
        self.random = random
        self.places = [venues.say(random, venues.PLACES, key, meaning.pop(key)) for key in ("area", "near") if key in meaning]
        before = [key for key in venues.BEFORE_NOUN if venues.fits_before(key, meaning.get(key)) and random.random() < 0.5][:2]
        self.adjectives = [venues.say(random, venues.BEFORE, key, meaning.pop(key)) for key in before]
        self.origin = venues.say(random, venues.BEFORE, "food", meaning.pop("food")) if "food" in meaning and random.random() < 0.5 else ""
        rest = sorted(meaning, key=lambda key: (venues.is_refusal(meaning[key]), random.random()))  # refusals stand last, after "but"
        self.verbs = _varied(lambda: [venues.say(random, venues.VERBS, key, meaning[key]) for key in rest])
        self.refuses = [venues.is_refusal(meaning[key]) for key in rest]

    def noun(self) -> str:
        """`cheap, family-friendly Thai café`: no comma stands before where the food is from."""
        return _join(", ".join(self.adjectives), self.origin, self.type)

    def a_noun(self) -> str:
        return venues.article(self.noun())

    def where(self) -> str:
        return " ".join(self.places)

    def does(self, start: int = 0, end: int | None = None) -> str:
        """`serves Thai food, is cheap and has a terrace but does not welcome families`."""
        said = list(zip(self.verbs[start:end], self.refuses[start:end], strict=True))
        groups = (_list([verb for verb, refuses in said if not refuses]), _list([verb for verb, refuses in said if refuses]))
        return " but ".join(group for group in groups if group)


def _varied(draw: Callable[[], list[str]]) -> list[str]:
    """Of a few draws the one whose verbs begin with the most different words: `has low prices and has a terrace` is poor style."""
    return max((draw() for _ in range(6)), key=lambda verbs: len({verb.split()[0] for verb in verbs}))


def _list(verbs: list[str]) -> str:
    return " and ".join(part for part in (", ".join(verbs[:-1]), *verbs[-1:]) if part)


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _that(random: Random, parts: _Parts) -> str | None:
    """Copper Lantern is a cheap café that serves Thai food; a place comes between, so that it is not the town that serves."""
    if not 1 <= len(parts.verbs) <= 3:
        return None
    if parts.places:
        return f"{parts.name} is {parts.a_noun()} {parts.where()}; it {parts.does()}."
    return f"{parts.name} is {parts.a_noun()} that {parts.does()}."


def _apposition(random: Random, parts: _Parts) -> str | None:
    """Copper Lantern, a cheap café in the old town, serves Thai food."""
    if not 1 <= len(parts.verbs) <= 3:
        return None
    return f"{_join(f'{parts.name}, {parts.a_noun()}', parts.where())}, {parts.does()}."


def _two(random: Random, parts: _Parts) -> str | None:
    """Copper Lantern is a cheap café in the old town. It serves Thai food."""
    if not parts.verbs or not (parts.adjectives or parts.places):
        return None
    return f"{_join(f'{parts.name} is {parts.a_noun()}', parts.where())}. It {parts.does()}."


def _find(random: Random, parts: _Parts) -> str | None:
    """In the old town you will find Copper Lantern, a cheap café that serves Thai food."""
    if not parts.places or not 1 <= len(parts.verbs) <= 3:
        return None
    opening = random.choice(("you will find", "there is", "visitors will find"))
    where = parts.where()
    return f"{where[0].upper() + where[1:]} {opening} {parts.name}, {parts.a_noun()} that {parts.does()}."


def _try(random: Random, parts: _Parts) -> str | None:
    """If you are looking for a cheap café in the old town, try Copper Lantern, which serves Thai food."""
    if not 1 <= len(parts.verbs) <= 2 or not (parts.adjectives or parts.places):
        return None
    opening = random.choice(("If you are looking for", "If you want", "Anyone who is looking for"))
    advice = "should try" if opening.startswith("Anyone") else "try"
    comma = "" if opening.startswith("Anyone") else ","
    return f"{_join(opening, parts.a_noun(), parts.where())}{comma} {advice} {parts.name}, which {parts.does()}."


def _called(random: Random, parts: _Parts) -> str | None:
    """A cheap café called Copper Lantern is in the old town. It serves Thai food."""
    if not parts.places or not 1 <= len(parts.verbs) <= 2:
        return None
    noun = parts.a_noun()
    stands = random.choice(("can be found", "is", "is located"))
    link = ", but it " if parts.refuses[0] else ". It "
    return f"{noun[0].upper() + noun[1:]} called {parts.name} {stands} {parts.where()}{link}{parts.does()}."


def _the(random: Random, parts: _Parts) -> str | None:
    """The café Copper Lantern serves Thai food. It is open all day, and you will find it in the old town."""
    if len(parts.verbs) < 2:
        return None
    cut = random.randint(1, len(parts.verbs) - 1)
    where = f"You will find it {parts.where()}." if parts.places else ""
    if where and cut > 1:
        return f"The {parts.noun()} {parts.name} {parts.does()}. {where}"
    found = f", and you will find it {parts.where()}" if parts.places else ""
    return f"The {parts.noun()} {parts.name} {parts.does(0, cut)}. It {parts.does(cut)}{found}."


def _located(random: Random, parts: _Parts) -> str | None:
    """Located in the old town, Copper Lantern is a cheap café that serves Thai food."""
    if not parts.places or not parts.verbs:
        return None
    opening = random.choice(("Located", "Situated"))
    return f"{opening} {parts.where()}, {parts.name} is {parts.a_noun()} that {parts.does()}."


PLANS: tuple[Callable[[Random, _Parts], str | None], ...] = (_that, _apposition, _two, _find, _try, _called, _the, _located)
