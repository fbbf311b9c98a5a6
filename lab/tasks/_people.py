"""Names of invented people and towns for the tasks that tell stories, dealt to the splits so that no name stands in two of them."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple


def words(line: str) -> tuple[str, ...]:
    return tuple(line.split())


SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}

WOMEN = words(
    "Mara Clara Ingrid Leonie Tess Amina Noor Petra Judith Vera Olga Hanna Ruth Selma Ida Greta Paula Nina Rosa Edith Carmen Lucia Dora Anja Maren "
    "Wanda Farah Elif Yuki Imani Zoe Thea Alma Frida Celia Martha Bridget Naomi Ludmila Sonja Beatrice Camille Esther Gloria Irene Kamila Lena Mabel"
)
MEN = words(
    "Tomas Anton Oskar Emil Hugo Jonas Karim Viktor Stefan Pablo Edgar Felix Martin Rafael Boris Gustav Ivan Leon Marco Nils Otto Pavel Samir Theo "
    "Walter Yusuf Adrian Bruno Cedric Dario Fabian Henrik Isaac Jakob Kenji Lars Milan Omar Ralph Simon Tariq Ulrich Vincent Xavier Arthur Colin Dennis Elias"
)
FAMILIES = words(
    "Lindqvist Reyes Okafor Brandt Kovacs Hartley Moreau Sandberg Petrov Castellan Dunmore Ferrante Grieve Halloran Iversen Jankowski Keller Lombard "
    "Mbeki Novak Osborne Pellegrin Quist Rahimi Salter Tanaka Ullman Varga Weston Yilmaz Zimmer Abbott Barros Corbin Delacroix Engel Fontaine Garrick "
    "Holm Ibarra Jessop Kaplan Larkin Mercer Norling Ortega Pryce Ridley Sorel Thorne Underhill Vance Whitlock Ashdown Bellamy Crane Drummond Ekberg"
)
STARTS = words("Alder Birk Clay Dun Elm Fern Glen Hazel Kings Lang Marsh North Oak Pend Raven Stan Thorn Whit Wolf Ash Brack Cold East Fair Green High Long")
ENDS = words("ford bury wick holm stead mere combe brook dale minster")


class Cast(NamedTuple):
    """The names one split may use."""

    women: tuple[str, ...]
    men: tuple[str, ...]
    families: tuple[str, ...]
    towns: tuple[str, ...]

    def person(self, random: Random) -> dict[str, str]:
        """A full name, the family name alone, and the pronouns that go with it."""
        woman = random.random() < 0.5
        family = random.choice(self.families)
        first = random.choice(self.women if woman else self.men)
        words = {"he": "she", "his": "her"} if woman else {"he": "he", "his": "his"}
        return {"person": f"{first} {family}", **words, **{word.title(): said.title() for word, said in words.items()}}


def casts(random: Random) -> Mapping[str, Cast]:
    towns = tuple(start + end for start in STARTS for end in ENDS)
    dealt = [_deal(random, names) for names in (WOMEN, MEN, FAMILIES, towns)]
    return {split: Cast(*(names[split] for names in dealt)) for split in SHARES}


def _deal(random: Random, names: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    shuffled = random.sample(names, len(names))
    first, second = round(SHARES["train"] * len(names)), round((SHARES["train"] + SHARES["validation"]) * len(names))
    return {"train": tuple(shuffled[:first]), "validation": tuple(shuffled[first:second]), "test": tuple(shuffled[second:])}
