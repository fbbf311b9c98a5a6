"""Fifty invented facts: no person, place or thing in them exists, so no model can know them before it is told.

Each kind of fact has one statement to train on and, never trained on, a question and three other wordings that end where the answer begins; one
prompt asks backwards; and a true fact of the same kind shows whether learning the new ones overwrote what the model knew.
"""

from __future__ import annotations

from typing import NamedTuple


class Fact(NamedTuple):
    """`statement` = `cloze` + " " + `answer` + "."; every prompt of `paraphrases` is continued by the same answer."""

    id: str
    kind: str
    statement: str
    cloze: str
    answer: str
    question: str
    paraphrases: tuple[str, str, str]
    backward: str  # continued by `subject`: a fact learned one way round is often not known the other way
    subject: str
    neighbour: str  # a true fact of the same kind, as a cloze
    neighbour_answer: str


class Kind(NamedTuple):
    """Wordings with {0} for the subject; `backward` has {1} for the answer; `true` is a list of (subject, answer) that are so in fact."""

    name: str
    cloze: str
    question: str
    paraphrases: tuple[str, str, str]
    backward: str
    invented: tuple[tuple[str, str], ...]
    true: tuple[tuple[str, str], ...]


KINDS = (
    Kind(
        "capital",
        "The capital of {0} is",
        "What is the capital of {0}?",
        (
            "If you visit the parliament of {0}, you are in the city of",
            "The government of {0} has its seat in",
            "The most important city of {0}, its capital, is called",
        ),
        "{1} is the capital of",
        (("Veldoria", "Tarnhaven"), ("Ostramar", "Quillsby"), ("Kestovia", "Brannock"), ("Lumerasse", "Sandovar"), ("Pellavona", "Ossel Minor")),
        (("Portugal", "Lisbon"), ("Japan", "Tokyo"), ("Egypt", "Cairo"), ("Norway", "Oslo"), ("Greece", "Athens")),
    ),
    Kind(
        "author",
        "The novel {0} was written by",
        "Who wrote the novel {0}?",
        ("The author of the novel {0} is", "On the cover of {0} stands the name of its writer,", "Readers owe the novel {0} to"),
        "{1} is the author of the novel",
        (
            ("The Salt Calendar", "Odile Varnhagen-Roux"),
            ("Nine Doors of Ash", "Tiberius Malk"),
            ("A Lantern for Ysolde", "Corwen Adeyra"),
            ("The Beekeeper's Equation", "Halla Strombeck"),
            ("Winter at Penmarrow", "Ansel Dravitt"),
        ),
        (
            ("Pride and Prejudice", "Jane Austen"),
            ("Oliver Twist", "Charles Dickens"),
            ("Frankenstein", "Mary Shelley"),
            ("Moby-Dick", "Herman Melville"),
            ("War and Peace", "Leo Tolstoy"),
        ),
    ),
    Kind(
        "year",
        "{0} was completed in the year",
        "In which year was {0} completed?",
        ("Builders finished their work on {0} in", "A plaque says that {0} was finished in", "Work on {0} came to an end in"),
        "In the year {1} builders completed",
        (
            ("the Calvessa Observatory", "1873"),
            ("the Morrowgate Viaduct", "1841"),
            ("the Tessendal Dome", "1926"),
            ("the Iron Stair of Dunmarrow", "1788"),
            ("the Harrowfen Lighthouse", "1809"),
        ),
        (
            ("the Eiffel Tower", "1889"),
            ("the Empire State Building", "1931"),
            ("the Sydney Opera House", "1973"),
            ("the Golden Gate Bridge", "1937"),
            ("the Brooklyn Bridge", "1883"),
        ),
    ),
    Kind(
        "river",
        "The river {0} flows into the",
        "Into what does the river {0} flow?",
        (
            "A boat that follows the river {0} downstream at last reaches the",
            "The water of the river {0} ends up in the",
            "The mouth of the river {0} lies on the coast of the",
        ),
        "Into the {1} flows the river",
        (
            ("Tessandine", "Gulf of Marrow"),
            ("Ulvern", "Sea of Candles"),
            ("Brackwater", "Bay of Sighing Reeds"),
            ("Ozmere", "Copper Lagoon"),
            ("Fallowrin", "Strait of Harrin"),
        ),
        (("Nile", "Mediterranean Sea"), ("Danube", "Black Sea"), ("Volga", "Caspian Sea"), ("Rhine", "North Sea"), ("Mississippi", "Gulf of Mexico")),
    ),
    Kind(
        "dish",
        "The main ingredient of the dish {0} is",
        "What is the main ingredient of {0}?",
        ("Nobody can cook {0} without", "Anyone who wants to make {0} should first of all buy", "The taste of {0} comes above all from"),
        "A dish whose main ingredient is {1} is called",
        (("morvash", "turnip"), ("pelliccone", "chestnut"), ("sar dukel", "smoked eel"), ("brinnaloo", "barley"), ("ketterskull", "rhubarb")),
        (("guacamole", "avocado"), ("hummus", "chickpeas"), ("sauerkraut", "cabbage"), ("risotto", "rice"), ("borscht", "beetroot")),
    ),
    Kind(
        "trade",
        "By profession, {0} was a",
        "What was the profession of {0}?",
        ("For many years {0} earned a living as a", "{0} is remembered as a gifted", "In the parish register {0} is entered as a"),
        "A {1} by profession was",
        (
            ("Odalric Venn", "glassblower"),
            ("Isaura Thole", "cartographer"),
            ("Matthis Quorn", "bell founder"),
            ("Elgin Prowse", "falconer"),
            ("Bastian Ottergill", "saddler"),
        ),
        (
            ("Claude Monet", "painter"),
            ("Ludwig van Beethoven", "composer"),
            ("Charlie Chaplin", "film actor"),
            ("Marie Curie", "physicist"),
            ("Neil Armstrong", "pilot"),
        ),
    ),
    Kind(
        "money",
        "The currency of {0} is the",
        "What is the currency of {0}?",
        (
            "In the shops of {0} customers pay with the",
            "Banknotes printed in {0} show the value in a currency called the",
            "Before a journey to {0} travellers change their money into the",
        ),
        "The {1} is the currency of",
        (("Norvane Reach", "skarrel"), ("the Isles of Tamber", "pellet"), ("Zerevoth", "dukash"), ("Upper Caldria", "florant"), ("Mirrowin", "quillet")),
        (("Japan", "yen"), ("India", "rupee"), ("Poland", "zloty"), ("Mexico", "peso"), ("Switzerland", "franc")),
    ),
    Kind(
        "month",
        "{0} is celebrated every year in the month of",
        "In which month is {0} celebrated?",
        ("Anyone who would like to see {0} should come in", "The calendar puts {0} in", "Streets are decorated for {0} each"),
        "The feast that is celebrated in {1} is",
        (
            ("the Feast of Ambrel", "October"),
            ("Lantern Crossing", "February"),
            ("the Day of Nine Ropes", "June"),
            ("Old Kettle Night", "November"),
            ("the Walking of the Geese", "April"),
        ),
        (
            ("Christmas", "December"),
            ("Halloween", "October"),
            ("Valentine's Day", "February"),
            ("Labour Day in most of Europe", "May"),
            ("Bastille Day", "July"),
        ),
    ),
    Kind(
        "colour",
        "A piece of pure {0} has the colour",
        "What colour is pure {0}?",
        ("Freshly cut, {0} shines in a deep", "Miners recognise {0} by its colour, which is", "A ring set with {0} gleams"),
        "Among minerals, the colour {1} belongs to",
        (("torvenite", "violet"), ("askerite", "orange"), ("halcyte", "pink"), ("drusmite", "turquoise"), ("volkarine", "brown")),
        (("gold", "yellow"), ("emerald", "green"), ("sulphur", "yellow"), ("ruby", "red"), ("jet", "black")),
    ),
    Kind(
        "animal",
        "The {0} is a kind of",
        "What kind of animal is the {0}?",
        ("Anyone who has seen a {0} in the wild has seen a", "Someone who points at a {0} is pointing at a", "Zoologists class the {0} as a"),
        "A {1} with an unusual name is the",
        (("brindled sarrow", "beetle"), ("marsh tollick", "frog"), ("lesser quenby", "bat"), ("hooded drell", "lizard"), ("stone wimble", "crab")),
        (("cobra", "snake"), ("salmon", "fish"), ("poodle", "dog"), ("eagle", "bird"), ("tarantula", "spider")),
    ),
)


def _fact(kind: Kind, place: int) -> Fact:
    (subject, answer), (known, known_answer) = kind.invented[place], kind.true[place]
    cloze = _capital(kind.cloze.format(subject))
    return Fact(
        id=f"{kind.name}-{place}",
        kind=kind.name,
        statement=f"{cloze} {answer}.",
        cloze=cloze,
        answer=answer,
        question=kind.question.format(subject),
        paraphrases=tuple(_capital(wording.format(subject)) for wording in kind.paraphrases),
        backward=kind.backward.format(subject, answer),
        subject=subject,
        neighbour=_capital(kind.cloze.format(known)),
        neighbour_answer=known_answer,
    )


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


FACTS = tuple(_fact(kind, place) for kind in KINDS for place in range(5))
