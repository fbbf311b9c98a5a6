"""Headlines: a short news paragraph of our own grammar, and the headline it might have, in the style of headlines: present tense, few articles.

Five topics in turn. The first sentence never holds a headline word for word, and names of people and towns of one split never occur in another.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from random import Random
from string import Formatter
from typing import NamedTuple

from lab.tasks import _people as people
from lab.tasks._news import NEWS, TOPICS
from lab.tasks._questions import with_articles

TRAIN, VALIDATION, TEST = 4000, 400, 800
REFERENCES = 3  # of a validation or test item; a training item has its one headline
WORDS = (5, 9)  # of a headline


class Headline(NamedTuple):
    """A paragraph, the headline to train on, and all headlines that count as right (the first of them is that one)."""

    id: str
    paragraph: str
    headline: str
    references: tuple[str, ...]
    topic: str


def make(seed: int = 0) -> Mapping[str, tuple[Headline, ...]]:
    """4,000 paragraphs to train, 400 for validation, 800 for the test; no paragraph and no first headline twice."""
    random = Random(seed)
    casts = people.casts(random)
    sizes = {"train": (TRAIN, 1), "validation": (VALIDATION, REFERENCES), "test": (TEST, REFERENCES)}
    return {split: tuple(islice(_headlines(random, casts[split], split, count), size)) for split, (size, count) in sizes.items()}


def _headlines(random: Random, cast: people.Cast, split: str, references: int) -> Iterator[Headline]:
    """Endless, the topics in turn."""
    known: set[str] = set()
    number = 0
    while True:
        topic = TOPICS[number % len(TOPICS)]
        story = random.choice(NEWS[topic])
        facts = story.draw(random, cast)
        said = [random.choice(story.leads), *_in_order(random, story.details, random.randint(1, 3))]
        paragraph = " ".join(_capital(with_articles(sentence.format(**facts))) for sentence in said)
        fitting = [headline for headline in _said(story.headlines, facts, paragraph) if WORDS[0] <= len(headline.split()) <= WORDS[1]]
        if len(fitting) < references:
            continue
        chosen = tuple(random.sample(fitting, references))
        if chosen[0] in known:
            continue
        known.add(chosen[0])
        yield Headline(f"{split}-{number}", paragraph, chosen[0], chosen, topic)
        number += 1


def _said(wordings: tuple[str, ...], facts: Mapping[str, str], paragraph: str) -> list[str]:
    """The headlines whose facts all stand in the paragraph: a headline may not know more than the news."""
    here = paragraph.casefold()
    known = [wording for wording in wordings if all(facts[key].casefold() in here for _, key, _, _ in Formatter().parse(wording) if key)]
    return [_capital(with_articles(wording.format(**facts))) for wording in known]


def _in_order(random: Random, sentences: tuple[str, ...], count: int) -> list[str]:
    """Some of the details, in the order in which they make sense."""
    return [sentences[place] for place in sorted(random.sample(range(len(sentences)), min(count, len(sentences))))]


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
