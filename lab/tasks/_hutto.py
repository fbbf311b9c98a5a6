"""Read the four human-rated sentiment sets of Hutto and Gilbert (2014) from the archive that the vaderSentiment package carries."""
from __future__ import annotations

import html
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from lab.contracts import Item, LabError, Package, Splits
from lab.tasks._splits import split

ARCHIVE = "hutto_ICWSM_2014.tar.gz"
PACKAGE = Package(
    name="vaderSentiment",
    version="3.3.2",
    sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    bytes=2_466_783,
    member=f"vaderSentiment-3.3.2/additional_resources/{ARCHIVE}",
    wheel=False,
)
LABELS, WORDS = ("negative", "positive"), (" negative", " positive")
THRESHOLD = 0.5
WORDINGS = (  # what a person would try who may not train anything
    "{text}\nOverall, the text is",
    "Is the following text positive or negative?\nText: {text}\nAnswer:",
    "Decide whether what a person wrote is positive or negative.\n\n\"{text}\"\n\nThe sentiment of this is",
)
RULE = (
    "At least 20 people rated each text from -4 to 4. A mean of 0.5 or more is positive, of -0.5 or less negative; texts between are left out. "
    "Texts that differ in case, spaces or punctuation only count once. Each set is cut to as many positive as negative texts."
)
PAPER = "C.J. Hutto and Eric Gilbert (2014): VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text. ICWSM-14."


def reader(name: str, key: str, document: Callable[[str], str] = lambda row: row) -> Callable[[Path | None], Splits]:
    """A `Task.read` for the file `<name>_GroundTruth.txt`. `document` tells from a row's id which document it stands in."""

    def read(folder: Path | None) -> Splits:
        if folder is None:
            raise LabError(f"{key} is read from the files of {PACKAGE.name} {PACKAGE.version}: give their folder")
        rows = _text(folder / ARCHIVE, f"hutto_ICWSM_2014/{name}_GroundTruth.txt")
        return split((replace(item, document=document(item.id)) for item in _items(rows)), key)

    return read


def before_underscore(row: str) -> str:
    """Row `12_3` is the third sentence of document 12."""
    return row.split("_")[0]


def _text(archive: Path, member: str) -> str:
    """One file of the inner archive, read in memory: nothing of it is ever written to disk."""
    with tarfile.open(archive, "r:gz") as inside:
        file = inside.extractfile(member)
        if file is None:
            raise LabError(f"{archive} has no file {member}: remove the archive, it is fetched again")
        return file.read().decode("utf-8")


def _items(rows: str) -> Iterator[Item]:
    for row in rows.split("\n"):
        name, rating, text = (*row.rstrip("\r").split("\t"), "", "")[:3]
        text = " ".join(html.unescape(html.unescape(text)).split())  # & is written &amp; in tweets, and a few texts of three sets were escaped twice
        if text and abs(float(rating)) >= THRESHOLD:
            yield Item(id=name, text=text, label=int(float(rating) > 0), document=name)
