"""The vocabulary of `_restaurants`: kinds of venue, their names and attributes, and how each value is said in English."""
from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from random import Random
from typing import NamedTuple


class Kind(NamedTuple):
    """The names of a type of venue, and the values of each attribute it may have, in the order they are written."""

    names: tuple[str, ...]
    attributes: Mapping[str, tuple[str, ...]]


def _names(first: str, second: str) -> tuple[str, ...]:
    return tuple(f"{one} {two}" for one, two in product(first.split(), second.split()))


MEALS: Mapping[str, tuple[str, ...]] = {
    "food": ("Thai", "Italian", "Indian", "Mexican", "Greek", "Lebanese", "Ethiopian", "Korean", "Portuguese", "Vietnamese", "vegetarian", "Austrian"),
    "price": ("cheap", "moderate", "expensive"),
    "area": ("riverside", "old town", "city centre", "harbour", "market quarter", "university district"),
    "rating": ("1 out of 5", "2 out of 5", "3 out of 5", "4 out of 5", "5 out of 5"),
    "family": ("yes", "no"),
    "near": ("the Corn Hall", "Miller's Bridge", "the Green Fountain", "Saddler's Gate", "the Tram Depot", "Lime Park", "the Glass Tower", "Fisher's Steps"),
    "open": ("all day", "until midnight", "for breakfast", "in the evening", "on weekdays only"),
    "terrace": ("yes", "no"),
}
EATING: Mapping[str, Kind] = {
    type_: Kind(names, MEALS) for type_, names in {
        "restaurant": _names("Copper Amber Crooked Velvet Blind Golden", "Lantern Heron Ladle Orchard Anchor Pepper"),
        "café": _names("Paper Little Sunday Humming Cinnamon Quiet", "Kettle Sparrow Window Spoon Meadow Button"),
        "bistro": _names("Red Hungry Marble Lazy Walnut Midnight", "Table Fox Corner Barrel Thistle Onion"),
    }.items()
}
AREAS = ("lakeside", "castle hill", "northern suburbs", "railway quarter", "pine forest")
MARKS = ("the Opera House", "Swan Pond", "the Cable Car", "Baker's Arch", "the Rose Garden", "the Old Lighthouse")
VISITING: Mapping[str, Kind] = {
    "hotel": Kind(
        _names("Grand Silent Alpine Ivory Northern", "Crown Pavilion Terminus Belvedere Harp"),
        {
            "stars": ("2", "3", "4", "5"),
            "rooms": ("8", "11", "18", "24", "40", "65", "80", "120"),
            "area": AREAS,
            "near": MARKS,
            "breakfast": ("included", "not included"),
            "pool": ("indoor", "outdoor", "heated", "rooftop"),
            "pets": ("allowed", "not allowed"),
        },
    ),
    "museum": Kind(
        _names("Halden Ashby Corvin Marlow Tessel", "Collection House Hall Gallery Archive"),
        {
            "collection": ("clocks", "ships", "costumes", "fossils", "old maps", "toys", "steam engines", "musical instruments"),
            "entry": ("free", "3 euros", "6 euros", "9 euros"),
            "area": AREAS,
            "near": MARKS,
            "founded": ("1821", "1848", "1876", "1894", "1911", "1937", "1962", "1985"),
            "tours": ("daily", "weekly", "hourly"),
            "shop": ("books", "prints", "postcards"),
        },
    ),
}

# How a value is said. {} is the value itself; a value with sayings of its own has a key `attribute=value`.
BEFORE_NOUN = ("price", "family", "rooms", "stars")  # in the order of English adjectives; where the food is from comes after them
BEFORE: Mapping[str, tuple[str, ...]] = {
    "price=cheap": ("cheap", "low-priced"),
    "price=moderate": ("moderately priced", "mid-priced"),
    "price=expensive": ("expensive", "high-priced"),
    "family=yes": ("family-friendly", "child-friendly"),
    "rooms": ("{}-room",),
    "stars": ("{}-star",),
    "food": ("{}",),
}
VERBS: Mapping[str, tuple[str, ...]] = {
    "food": ("serves {} food", "offers {} dishes", "cooks {} meals", "has {} food on the menu"),
    "price=cheap": ("is cheap", "has low prices", "keeps its prices low"),
    "price=moderate": ("is moderately priced", "has moderate prices", "charges moderate prices"),
    "price=expensive": ("is expensive", "has high prices", "charges high prices"),
    "rating": ("has a rating of {}", "is rated {}", "has been rated {} by its customers", "gets {} from its guests"),
    "family=yes": ("is family-friendly", "welcomes families", "is a good choice for families", "is suitable for children"),
    "family=no": ("is not family-friendly", "does not welcome families", "is not suitable for children"),
    "open": ("is open {}", "opens {}"),
    "open=until midnight": ("is open until midnight", "stays open until midnight"),
    "open=all day": ("is open all day", "stays open all day"),
    "terrace=yes": ("has a terrace", "offers seats on a terrace"),
    "terrace=no": ("does not have a terrace", "has no terrace"),
    "stars": ("has {} stars", "holds {} stars"),
    "rooms": ("has {} rooms", "offers {} rooms"),
    "breakfast=included": ("includes breakfast in the price", "serves breakfast at no extra cost"),
    "breakfast=not included": ("does not include breakfast in the price", "charges extra for breakfast"),
    "pool": ("has a {} pool", "offers a {} swimming pool"),
    "pool=indoor": ("has an indoor pool", "offers an indoor swimming pool"),
    "pool=outdoor": ("has an outdoor pool", "offers an outdoor swimming pool"),
    "pets=allowed": ("welcomes pets", "lets guests bring their pets"),
    "pets=not allowed": ("does not allow pets", "does not accept pets"),
    "collection": ("shows {}", "is devoted to {}", "has a collection of {}"),
    "entry=free": ("has free entry", "charges nothing for entry", "is free to enter"),
    "entry": ("charges {} for entry", "costs {} to enter"),
    "founded": ("was founded in {}", "opened in {}", "dates from {}"),
    "tours": ("offers {} guided tours", "runs {} tours"),
    "shop": ("sells {} in its shop", "has a shop that sells {}"),
}
PLACES: Mapping[str, tuple[str, ...]] = {
    "area": ("in the {}",),
    "area=riverside": ("by the riverside", "on the riverside"),
    "area=harbour": ("at the harbour", "by the harbour"),
    "area=lakeside": ("by the lakeside", "on the lakeside"),
    "area=castle hill": ("on castle hill",),
    "near": ("near {}", "close to {}", "not far from {}"),
}
REFUSALS = frozenset({"no", "not included", "not allowed"})
TELLING = frozenset({"name", "type", "food", "area", "near", "rating", "open", "collection", "founded"})


def say(random: Random, sayings: Mapping[str, tuple[str, ...]], key: str, value: str) -> str:
    return random.choice(_sayings(sayings, key, value)).format(value)


def _sayings(sayings: Mapping[str, tuple[str, ...]], key: str, value: str) -> tuple[str, ...]:
    return sayings.get(f"{key}={value}", sayings.get(key, ()))


def fits_before(key: str, value: str | None) -> bool:
    """Whether the value can stand before the noun: `family-friendly café` does, `not family-friendly café` does not."""
    return value is not None and bool(_sayings(BEFORE, key, value))


def is_refusal(value: str) -> bool:
    return value in REFUSALS


def signs(key: str, value: str) -> tuple[str, ...]:
    """The wordings, any of which shows that a text expresses this value; a telling value is a sign by itself."""
    wordings = tuple(saying.format(value) for sayings in (BEFORE, VERBS, PLACES) for saying in _sayings(sayings, key, value))
    return (value, *wordings) if key in TELLING else wordings


def article(noun: str) -> str:
    """`an 8-room hotel`, `an Italian café`, `a university`: by sound, for the words of this vocabulary."""
    first = noun.split("-")[0].split()[0]
    vowel = first[0].lower() in "aeio" or first in ("8", "11", "18", "80")
    return f"{'an' if vowel else 'a'} {noun}"
