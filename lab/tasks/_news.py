"""The news that `_headlines` reports: for each topic a few kinds of event, with openings, details and headlines of several wordings."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import NamedTuple

from lab.tasks._people import Cast, words
from lab.tasks._stories import WEEKDAYS

TOPICS = ("local", "sport", "weather", "science", "business")


class News(NamedTuple):
    """`values`: the facts to draw; `leads`: first sentences; `details`: what may follow, in this order; `headlines`: their wordings."""

    values: Mapping[str, tuple[str, ...]]
    leads: tuple[str, ...]
    details: tuple[str, ...]
    headlines: tuple[str, ...]

    def draw(self, random: Random, cast: Cast) -> dict[str, str]:
        one, other = random.sample(cast.towns, 2)
        own = {key: random.choice(values) for key, values in self.values.items()}
        return {**cast.person(random), "family": random.choice(cast.families), "town": one, "other": other, "weekday": random.choice(WEEKDAYS), **own}


NUMBERS = tuple(str(number) for number in range(12, 100))
HUNDREDS = tuple(str(number) for number in range(110, 900, 10))
ANIMALS = ("bees", "crows", "otters", "bats", "swallows", "hedgehogs", "trout", "wolves", "ants", "owls", "toads", "mice", "seals", "geese")

NEWS: Mapping[str, tuple[News, ...]] = {
    "local": (
        News(
            {
                "plan": (
                    "bike lane",
                    "playground",
                    "bus station",
                    "skate park",
                    "footbridge",
                    "library",
                    "youth club",
                    "market hall",
                    "swimming pool",
                    "tram stop",
                ),
                "cost": NUMBERS,
                "street": ("Mill Road", "Harbour Street", "Station Square", "Church Lane", "Park Avenue", "Bridge Street"),
            },
            (
                "After a long debate, councillors in {town} agreed on {weekday} to build a new {plan} near {street}.",
                "A new {plan} will be built near {street} in {town}, the town council decided on {weekday}.",
                "The town council of {town} voted on {weekday} in favour of a new {plan} near {street}.",
            ),
            (
                "The project is expected to cost {cost} million crowns.",
                "Work should begin next spring and take about a year.",
                "Residents of {street} fear noise and have collected signatures against it.",
                "Mayor {person} called the vote a good day for the town.",
            ),
            (
                "{town} council approves new {plan}",
                "{town} to get new {plan} near {street}",
                "Council votes for new {plan} in {town}",
                "New {plan} planned for {street} in {town}",
            ),
        ),
        News(
            {
                "building": ("bakery", "school", "barn", "warehouse", "theatre", "pharmacy", "hotel", "garage", "sawmill", "restaurant"),
                "number": NUMBERS,
                "cause": ("faulty heater", "forgotten candle", "broken cable", "lightning strike", "burning rubbish bin", "defective battery"),
            },
            (
                "Firefighters were called to {town} late on {weekday} when flames broke out in a {building}.",
                "A fire badly damaged a {building} in {town} on {weekday} night.",
                "Late on {weekday}, a {building} in {town} caught fire.",
            ),
            (
                "Nobody was hurt, and {number} people were brought to safety.",
                "Investigators believe that a {cause} started the blaze.",
                "Neighbours said they had seen smoke shortly before midnight.",
                "The street remained closed until the next morning.",
            ),
            (
                "Fire damages {building} in {town}",
                "{building} in {town} damaged by fire",
                "{town} {building} hit by {weekday} night fire",
                "Firefighters tackle blaze at {town} {building}",
            ),
        ),
        News(
            {
                "animal": ("cat", "parrot", "tortoise", "ferret", "rabbit", "puppy", "hamster", "duck"),
                "number": words("two three four five six seven eight nine ten"),
                "place": ("chimney", "drainpipe", "church tower", "supermarket", "swimming pool", "school bus", "railway tunnel", "car park"),
            },
            (
                "After {number} days of searching, a missing {animal} from {town} turned up on {weekday} in a {place}.",
                "A {animal} that had disappeared from a garden in {town} was discovered on {weekday} in a {place}.",
                "Rescuers in {town} freed a missing {animal} from a {place} on {weekday}.",
            ),
            (
                "Its owner, {person}, had put up posters all over town.",
                "The animal was hungry but unharmed.",
                "A vet examined it and sent it home the same evening.",
                "It had been gone for {number} days.",
            ),
            (
                "Missing {animal} found in {town} {place}",
                "{town} {animal} found safe after {number} days",
                "Lost {animal} rescued from {place} in {town}",
                "{place} ordeal ends well for {town} {animal}",
            ),
        ),
    ),
    "sport": (
        News(
            {
                "sport": ("handball", "football", "hockey", "volleyball", "rugby", "basketball", "water polo"),
                "mine": ("3", "4", "5", "6"),
                "yours": ("0", "1", "2"),
                "stage": ("final", "semi-final", "derby", "season opener", "cup match"),
            },
            (
                "The {sport} team of {town} beat {other} {mine}-{yours} in the {stage} on {weekday}.",
                "With a score of {mine}-{yours}, the {sport} players of {town} defeated {other} in {weekday}'s {stage}.",
                "On {weekday}, {other} lost the {sport} {stage} {mine}-{yours} to {town}.",
            ),
            (
                "Captain {person} scored twice before half-time.",
                "Goalkeeper {family} kept the losing side in the match for a long time.",
                "The visitors had lost only one of their previous nine matches.",
                "Both teams meet again in four weeks.",
            ),
            (
                "{town} beat {other} {mine}-{yours} in {sport} {stage}",
                "{other} lose {sport} {stage} to {town}",
                "{town} win {sport} {stage} against {other}",
                "{sport}: {town} defeat {other} in {stage}",
            ),
        ),
        News(
            {
                "race": ("marathon", "triathlon", "cycle race", "cross-country run", "ski race", "canoe race", "half marathon", "mountain run"),
                "gap": ("eight", "ten", "twelve", "twenty", "thirty", "forty"),
                "number": HUNDREDS,
            },
            (
                "{person} won the {town} {race} on {weekday}, {gap} seconds ahead of the next athlete.",
                "The {town} {race} ended on {weekday} with a victory for {person}, who finished {gap} seconds in front.",
                "On {weekday}, {person} was the fastest of {number} athletes at the {town} {race}.",
            ),
            (
                "{family} came second after leading for most of the course.",
                "Strong wind made the last part of the course difficult.",
                "It was {his} first win after a long injury.",
                "About {number} people took part.",
            ),
            (
                "{person} wins {town} {race}",
                "{person} takes {race} victory in {town}",
                "{race} in {town} goes to {person}",
                "{person} fastest in {town} {race}",
            ),
        ),
        News(
            {
                "sport": ("swimming", "fencing", "judo", "athletics", "gymnastics", "tennis", "rowing", "climbing"),
                "years": words("six seven eight nine ten eleven twelve thirteen fourteen"),
                "next": ("teach", "travel", "study law", "open a shop", "train young athletes", "write a book"),
            },
            (
                "After {years} years as coach of the {town} {sport} club, {person} will leave at the end of the season.",
                "{person}, who has coached the {sport} club of {town} for {years} years, told the members on {weekday} that {he} was going to leave.",
                "The {sport} club of {town} needs a new coach: {person} announced on {weekday} that {he} would step down.",
            ),
            (
                "{He} wants to {next}.",
                "Under {his} guidance the club won three national titles.",
                "A successor has not been named.",
                "Members thanked {his} family with a standing ovation.",
            ),
            (
                "{sport} coach {person} to leave {town}",
                "{town} {sport} club loses coach {person}",
                "{person} steps down as {town} {sport} coach",
                "Coach {person} leaves {town} after {years} years",
            ),
        ),
    ),
    "weather": (
        News(
            {
                "storm": ("storm", "snowstorm", "hailstorm", "thunderstorm"),
                "damage": ("trees", "power lines", "fences", "road signs", "market stalls"),
                "number": HUNDREDS,
            },
            (
                "A violent {storm} swept across {town} on {weekday} and knocked down {damage}.",
                "On {weekday} a {storm} reached {town}, where it brought down {damage}.",
                "{damage} were knocked over when a {storm} passed over {town} on {weekday}.",
            ),
            (
                "About {number} homes were without electricity for several hours.",
                "Trains between {town} and {other} were cancelled.",
                "Schools stayed closed the following day.",
                "Forecasters expect calmer weather by the end of the week.",
            ),
            (
                "{storm} brings down {damage} in {town}",
                "{town} hit by violent {weekday} {storm}",
                "{weekday} {storm} causes damage in {town}",
                "{storm} cuts power to {number} {town} homes",
            ),
        ),
        News(
            {
                "degrees": tuple(str(number) for number in range(31, 43)),
                "years": tuple(str(number) for number in range(11, 90)),
                "month": ("May", "June", "July", "August", "September"),
            },
            (
                "The thermometer in {town} climbed to {degrees} degrees on {weekday}, more than on any {month} day in {years} years.",
                "With {degrees} degrees, {weekday} was the hottest {month} day in {town} for {years} years.",
                "People in {town} lived through the hottest {month} day in {years} years on {weekday}, when {degrees} degrees were measured.",
            ),
            (
                "Doctors advised older people to stay indoors.",
                "Open-air pools extended their opening hours.",
                "Cooler air is expected from the coast by the weekend.",
                "Farmers near {other} are worried about their crops.",
            ),
            (
                "{town} records hottest {month} day in {years} years",
                "{town} swelters in record {month} heat",
                "Heat record: {degrees} degrees measured in {town}",
                "{month} heat in {town} reaches {degrees} degrees",
            ),
        ),
        News(
            {
                "river": ("Tarn", "Elve", "Ouse", "Marl", "Isk", "Brede", "Lode", "Wend"),
                "metres": words("three four five six seven"),
                "number": NUMBERS,
                "cause": ("days of heavy rain", "melting snow", "a week of rain", "a sudden thaw"),
            },
            (
                "After {cause}, the river {river} burst its banks in {town} on {weekday}.",
                "{cause} made the river {river} overflow in {town} on {weekday}.",
                "Streets in {town} were under water on {weekday} after {cause} had swollen the river {river}.",
            ),
            (
                "A total of {number} families had to leave their homes.",
                "The water rose to almost {metres} metres above its usual level.",
                "Volunteers filled sandbags through the night.",
                "The road to {other} is closed until further notice.",
            ),
            (
                "River {river} floods streets in {town}",
                "{town} flooded after {cause}",
                "Floods in {town} as river {river} rises",
                "Flooding in {town} blamed on {cause}",
            ),
        ),
    ),
    "science": (
        News(
            {
                "animal": ANIMALS,
                "skill": (
                    "remember human faces",
                    "count to four",
                    "recognise their own scent",
                    "learn from older relatives",
                    "sense a coming storm",
                    "plan their routes",
                    "share food with strangers",
                    "solve simple puzzles",
                    "find their way in fog",
                    "tell colours apart",
                ),
            },
            (
                "Biologists at the University of {town} have shown that {animal} can {skill}.",
                "According to a study from the University of {town}, {animal} are able to {skill}.",
                "A team led by {person} at the University of {town} reports that {animal} {skill}.",
            ),
            (
                "The researchers watched the animals for three years.",
                "Earlier experiments had suggested the opposite.",
                "{person}, who led the work, warned that the sample was small.",
                "The next step is to repeat the test in the wild.",
            ),
            (
                "{animal} can {skill}, {town} study finds",
                "{town} study: {animal} able to {skill}",
                "{town} scientists: {animal} can {skill}",
                "{animal} {skill}, {town} scientists report",
            ),
        ),
        News(
            {
                "thing": (
                    "Roman coins",
                    "a stone axe",
                    "a bronze sword",
                    "a medieval well",
                    "an ancient boat",
                    "a mammoth tooth",
                    "silver rings",
                    "painted tiles",
                    "a clay oven",
                    "old letters",
                ),
                "place": ("car park", "school yard", "vineyard", "building site", "potato field", "railway tunnel", "cellar", "quarry"),
                "years": HUNDREDS,
            },
            (
                "Workers have dug up {thing} under a {place} in {town}, the museum said on {weekday}.",
                "Archaeologists announced on {weekday} that they had uncovered {thing} beneath a {place} in {town}.",
                "Beneath a {place} in {town}, archaeologist {person} and a team of students came across {thing}.",
            ),
            (
                "The find is thought to be at least {years} years old.",
                "It will be cleaned and examined in {other}.",
                "The public can see it at the museum from next month.",
                "Digging will continue until the first frost.",
            ),
            (
                "{thing} found under {town} {place}",
                "Archaeologists discover {thing} in {town}",
                "{place} in {town} reveals {thing}",
                "{town} dig uncovers {thing} beneath {place}",
            ),
        ),
        News(
            {
                "device": (
                    "battery",
                    "solar panel",
                    "water filter",
                    "heat pump",
                    "hearing aid",
                    "wind turbine",
                    "paint",
                    "plastic",
                    "light bulb",
                    "bicycle tyre",
                ),
                "source": ("wood", "algae", "sea salt", "old glass", "mushrooms", "straw", "coffee grounds", "egg shells"),
                "percent": NUMBERS,
            },
            (
                "Engineers in {town} have developed a {device} that is made largely from {source}.",
                "A {device} made mostly of {source} has been presented by engineers in {town}.",
                "In a laboratory in {town}, {person} and other engineers have built a {device} out of {source}.",
            ),
            (
                "It costs about {percent} percent less than usual models.",
                "The first tests lasted eighteen months.",
                "It could be in shops within five years.",
                "Other experts called the result promising but early.",
            ),
            (
                "{town} engineers make {device} from {source}",
                "New {device} from {source} developed in {town}",
                "{source} turned into {device} by {town} engineers",
                "Engineers in {town} present {device} made from {source}",
            ),
        ),
    ),
    "business": (
        News(
            {
                "firm": (
                    "shoemaker",
                    "brewery",
                    "furniture maker",
                    "bakery chain",
                    "toy maker",
                    "bicycle maker",
                    "chocolate maker",
                    "paper mill",
                    "software firm",
                    "shipyard",
                ),
                "jobs": HUNDREDS,
                "reason": ("strong demand from abroad", "a large new order", "record sales", "a loan from a local bank", "growing online sales"),
            },
            (
                "The {firm} {family} plans to hire {jobs} people in {town} over the next two years.",
                "A total of {jobs} jobs will be created in {town} by the {firm} {family}.",
                "In {town}, the {firm} {family} wants to take on {jobs} new employees, it said on {weekday}.",
            ),
            (
                "The company gave {reason} as the reason.",
                "Most of the posts will be in production.",
                "Director {person} said that training would be paid for.",
                "The town has promised to improve the bus service to the plant.",
            ),
            (
                "{firm} {family} to create {jobs} jobs in {town}",
                "{family} plans {jobs} new jobs in {town}",
                "{town} {firm} {family} to hire {jobs} people",
                "{jobs} new jobs for {town} at {family}",
            ),
        ),
        News(
            {
                "shop": (
                    "bookshop",
                    "cinema",
                    "department store",
                    "toy shop",
                    "butcher's shop",
                    "record shop",
                    "post office",
                    "hardware store",
                    "flower shop",
                    "café",
                ),
                "years": NUMBERS,
                "reason": ("rising rents", "falling sales", "a lack of staff", "competition on the internet", "the high cost of heating"),
            },
            (
                "After {years} years in business, the {family} {shop} in {town} will shut its doors for good on {weekday}.",
                "The {family} {shop} in {town}, which opened {years} years ago, is about to shut, its owner said on {weekday}.",
                "On {weekday} customers of the {family} {shop} in {town} learned that it would soon shut after {years} years.",
            ),
            (
                "Owner {person} blamed {reason}.",
                "Five employees will lose their jobs.",
                "Many customers came to say goodbye.",
                "It is not known who will move into the rooms.",
            ),
            (
                "{town} {shop} closes after {years} years",
                "{family} {shop} in {town} to close",
                "{town} loses {shop} {family} after {years} years",
                "End of {shop} in {town} after {years} years",
            ),
        ),
        News(
            {
                "product": ("apples", "bread", "coffee", "firewood", "honey", "bus tickets", "potatoes", "eggs", "flowers", "cheese"),
                "percent": NUMBERS[:40],
                "reason": ("a poor harvest", "the price of diesel", "strong demand", "a shortage of workers", "a dry summer"),
            },
            (
                "Shoppers in {town} now pay {percent} percent more for {product} than a year ago.",
                "The price of {product} in {town} has gone up by {percent} percent within a year, a survey showed on {weekday}.",
                "Because of {reason}, people in {town} now pay {percent} percent more for {product} than they did last year.",
            ),
            (
                "Traders say that {reason} is to blame.",
                "In {other}, prices hardly changed.",
                "Consumer adviser {person} expects a fall in autumn.",
                "Many families have started to buy less.",
            ),
            (
                "Price of {product} rises {percent} percent in {town}",
                "{product} {percent} percent dearer in {town}",
                "{town} shoppers pay more for {product}",
                "{reason} drives up price of {product} in {town}",
            ),
        ),
    ),
}
