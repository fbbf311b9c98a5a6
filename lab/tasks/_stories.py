"""The stories that `_questions` asks about: the facts of each, the sentences that tell it, and questions of every kind with their answers."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import NamedTuple

from lab.tasks._people import Cast, words

SMALL = words("three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty")
TENS = words("thirty forty fifty sixty seventy eighty ninety")
HUNDREDS = (*TENS, *(str(number) for number in range(31, 480)))
RECENT = tuple(str(year) for year in range(1975, 2022))
WEEKDAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = words("January February March April May June July August September October November December")
COLOURS = words("red blue green white black yellow silver brown")


class Story(NamedTuple):
    """`values`: the open facts; `sentences`: wordings of the first and of the second sentence; `questions`: kind -> (question, answer)."""

    values: Mapping[str, tuple[str, ...]]
    sentences: tuple[tuple[str, ...], tuple[str, ...]]
    questions: Mapping[str, tuple[tuple[str, str], ...]]

    def tell(self, random: Random, cast: Cast) -> dict[str, str]:
        """Draws every fact once; the values of the story itself come before the common ones."""
        own = {key: random.choice(values) for key, values in self.values.items()}
        drawn = {
            "town": random.choice(cast.towns),
            "year": str(random.randint(1820, 2019)),
            "number": random.choice(HUNDREDS),
            "weekday": random.choice(WEEKDAYS),
            "date": f"{random.randint(1, 28)} {random.choice(MONTHS)}",
            "colour": random.choice(COLOURS),
        }
        return {**cast.person(random), **drawn, **own}


STORIES = (
    Story(  # at work
        values={
            "job": (
                "baker",
                "nurse",
                "carpenter",
                "tailor",
                "beekeeper",
                "postman",
                "plumber",
                "gardener",
                "dentist",
                "violin maker",
                "bus driver",
                "locksmith",
                "translator",
                "potter",
                "librarian",
                "electrician",
                "clockmaker",
                "bookbinder",
                "vet",
                "surveyor",
            ),
            "people": ("apprentices", "assistants", "interns", "trainees"),
            "number": SMALL,
            "year": RECENT,
        },
        sentences=(
            (
                "{person} has worked as a {job} in {town} since {year}.",
                "In {town}, {person} has been working as a {job} since {year}.",
                "Since {year} {person} has earned a living as a {job} in {town}.",
            ),
            (
                "{He} has {number} {people}, and {his} day off is {weekday}.",
                "With the help of {number} {people}, {he} works every day but {weekday}.",
                "Every day but {weekday}, {he} has {number} {people} at {his} side.",
            ),
        ),
        questions={
            "who": (("Who works as a {job}?", "{person}"), ("Who works in {town}?", "{person}"), ("Who is free on {weekday}?", "{person}")),
            "where": (("Where does {person} work?", "{town}"), ("In which town does the {job} work?", "{town}")),
            "when": (
                ("Since when has {person} worked as a {job}?", "{year}"),
                ("In which year did the {job} start to work in {town}?", "{year}"),
                ("On which day does {person} not work?", "{weekday}"),
                ("When is the {job} free?", "{weekday}"),
            ),
            "how many": (("How many {people} does {person} have?", "{number}"), ("How many people help the {job}?", "{number}")),
            "what": (("What is the job of {person}?", "{job}"), ("What does {person} work as?", "{job}")),
        },
    ),
    Story(  # an event
        values={
            "event": (
                "book fair",
                "chess tournament",
                "jazz festival",
                "flower show",
                "cheese market",
                "regatta",
                "kite festival",
                "science night",
                "bicycle race",
                "poetry reading",
                "antiques fair",
                "dog show",
                "film week",
                "harvest dance",
                "choir contest",
                "lantern parade",
            ),
            "place": (
                "town hall",
                "sports ground",
                "castle yard",
                "old brewery",
                "railway station",
                "botanical garden",
                "school gym",
                "city library",
                "opera house",
                "fire station",
                "ferry dock",
                "market hall",
            ),
        },
        sentences=(
            (
                "The {town} {event} was held on {date} in front of the {place}.",
                "On {date} the {town} {event} took place in front of the {place}.",
                "In front of the {place}, the {town} {event} began on {date}.",
            ),
            (
                "It was opened by {person}, and {number} visitors came.",
                "{person} opened it and welcomed the {number} visitors.",
                "A crowd of {number} visitors listened when {person} opened it.",
            ),
        ),
        questions={
            "who": (("Who opened the {event}?", "{person}"), ("Who opened the event in {town}?", "{person}")),
            "where": (("In front of which place was the {event} held?", "{place}"), ("In which town did {person} open an event?", "{town}")),
            "when": (("When was the {event} held?", "{date}"), ("On which date did the event in {town} take place?", "{date}")),
            "how many": (("How many visitors came to the {event}?", "{number}"), ("How many people came to the event in {town}?", "{number}")),
            "what": (("What took place on {date}?", "{event}"), ("What did {person} open?", "{event}"), ("What was held in front of the {place}?", "{event}")),
        },
    ),
    Story(  # a purchase
        values={
            "thing": (
                "lamp",
                "clock",
                "violin",
                "kettle",
                "globe",
                "typewriter",
                "mirror",
                "suitcase",
                "teapot",
                "camera",
                "rocking chair",
                "sewing machine",
                "toolbox",
                "carpet",
                "bicycle",
                "radio",
                "coat",
                "desk",
            ),
            "use": (
                "office",
                "kitchen",
                "garden house",
                "sister",
                "shop window",
                "grandson",
                "boat",
                "workshop",
                "holiday home",
                "neighbour",
                "classroom",
                "attic",
            ),
        },
        sentences=(
            (
                "{person} bought a {colour} {thing} in {town} last {weekday}.",
                "Last {weekday} {person} found a {colour} {thing} in a shop in {town}.",
                "At an auction in {town} last {weekday}, a {colour} {thing} went to {person}.",
            ),
            (
                "{He} paid {number} euros and wants it for {his} {use}.",
                "It is meant for {his} {use} and cost {number} euros.",
                "For {his} {use}, {number} euros did not seem too much to {person}.",
            ),
        ),
        questions={
            "who": (("Who bought the {thing}?", "{person}"), ("Who bought something in {town}?", "{person}"), ("Who paid {number} euros?", "{person}")),
            "where": (("Where did {person} buy the {thing}?", "{town}"), ("In which town was the {colour} {thing} sold?", "{town}")),
            "when": (("When did {person} buy the {thing}?", "last {weekday}"), ("On which day was the {thing} sold?", "{weekday}")),
            "how many": (("How many euros did the {thing} cost?", "{number}"), ("How many euros did {person} pay?", "{number}")),
            "what": (
                ("What did {person} buy?", "{colour} {thing}"),
                ("What colour is the {thing}?", "{colour}"),
                ("What was sold in {town}?", "{colour} {thing}"),
                ("What cost {number} euros?", "{colour} {thing}"),
            ),
        },
    ),
    Story(  # a building
        values={
            "building": (
                "bridge",
                "lighthouse",
                "theatre",
                "windmill",
                "hospital",
                "water tower",
                "concert hall",
                "covered market",
                "observatory",
                "chapel",
                "swimming pool",
                "art school",
                "power station",
                "tram depot",
            ),
            "material": ("brick", "granite", "oak", "sandstone", "concrete", "limestone", "marble", "steel"),
        },
        sentences=(
            (
                "The {building} of {town} was designed by {person} in {year}.",
                "In {year} {person} drew the plans for the {building} of {town}.",
                "The plans for the {building} of {town} were made by {person} in {year}.",
            ),
            (
                "It is made of {material}, and {number} workers were needed to build it.",
                "To build it from {material}, {number} workers were hired.",
                "A team of {number} workers built it, mainly from {material}.",
            ),
        ),
        questions={
            "who": (("Who designed the {building}?", "{person}"), ("Who made the plans for the building in {town}?", "{person}")),
            "where": (("Where is the {building}?", "{town}"), ("In which town does the building by {person} stand?", "{town}")),
            "when": (("When was the {building} designed?", "{year}"), ("In which year did {person} draw the plans?", "{year}")),
            "how many": (("How many workers built the {building}?", "{number}"), ("How many workers were needed in {town}?", "{number}")),
            "what": (
                ("What did {person} design?", "{building}"),
                ("What is the {building} made of?", "{material}"),
                ("What was built from {material}?", "{building}"),
                ("What was designed in {year}?", "{building}"),
            ),
        },
    ),
    Story(  # a club
        values={
            "club": (
                "rowing club",
                "chess club",
                "brass band",
                "walking group",
                "drama society",
                "photo club",
                "sewing circle",
                "book club",
                "table tennis team",
                "garden society",
                "astronomy club",
                "cooking class",
                "street choir",
                "sailing club",
                "debating society",
                "puppet theatre",
            ),
            "prize": (
                "silver cup",
                "new banner",
                "golden bell",
                "trip to the coast",
                "basket of apples",
                "set of drums",
                "wooden shield",
                "cheque",
                "bronze medal",
                "box of books",
            ),
            "number": (*SMALL[5:], *TENS, *(str(number) for number in range(21, 100))),
        },
        sentences=(
            (
                "The {club} of {town} is led by {person} and meets every {weekday}.",
                "Every {weekday} {person} leads the {club} of {town}.",
                "In {town}, the {club} meets every {weekday}, with {person} at its head.",
            ),
            (
                "It has {number} members and has just won a {prize}.",
                "A {prize} is its latest prize, shared by {number} members.",
                "Its {number} members are proud of the {prize} they won this year.",
            ),
        ),
        questions={
            "who": (("Who leads the {club}?", "{person}"), ("Who is the head of the group in {town}?", "{person}")),
            "where": (("Where is the {club} at home?", "{town}"), ("In which town does the group led by {person} meet?", "{town}")),
            "when": (("When does the {club} meet?", "every {weekday}"), ("On which day does {person} lead the {club}?", "{weekday}")),
            "how many": (("How many members does the {club} have?", "{number}"), ("How many members are in the group led by {person}?", "{number}")),
            "what": (("What did the {club} win?", "{prize}"), ("What does {person} lead?", "{club}"), ("What meets every {weekday}?", "{club}")),
        },
    ),
)
