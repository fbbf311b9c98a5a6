"""The glossary: every technical word in one or two sentences, read strictly from one file."""
from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.contracts import LabError, shorten

LINE = re.compile(r"\*\*(?P<term>[^*]+)\*\*(?: \(also: (?P<also>[^)]+)\))?: (?P<says>\S.*)")
LONGEST = 240  # characters of an explanation: it is read in passing
SENTENCES = 3  # two, and an example


@dataclass(frozen=True)
class Entry:
    term: str
    also: tuple[str, ...]
    says: str

    @property
    def forms(self) -> tuple[str, ...]:
        return self.term, *self.also


def read(path: Path) -> Mapping[str, Entry]:
    """By each of its forms in small letters. Lines of headings and words between them explain nothing; a line that begins with ** does. Raises LabError with
    file, line and way out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise LabError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise LabError(f"{path.name} is not text in UTF-8: save it as such") from None
    found: dict[str, Entry] = {}
    for number, line in enumerate(lines, 1):
        if not line.startswith("**"):
            continue
        entry = _entry(line, f"{path.name}, line {number}")
        for form in entry.forms:
            if form.lower() in found:
                raise LabError(f'{path.name}, line {number}: "{form}" is explained under {found[form.lower()].term} already: leave it out of one of them')
            found[form.lower()] = entry
    if not found:
        raise LabError(f"{path.name}: explains nothing; write lines like `**rank** (also: ranks): How many independent directions a matrix has.`")
    return found


def _entry(line: str, where: str) -> Entry:
    fits = LINE.fullmatch(line.rstrip())
    if fits is None:
        raise LabError(f'{where}: "{shorten(line, 60)}": write `**term** (also: other, forms): one or two sentences.`; the brackets may be left out')
    says = fits["says"]
    sentences = len(re.findall(r"[.!?](?:\s|$)", says))
    if not says.endswith(".") or len(says) > LONGEST or not 1 <= sentences <= SENTENCES:
        long = f"{len(says)} characters and {sentences} sentences"
        raise LabError(f"{where}: {fits['term']} is explained in {long}: at most {LONGEST} and {SENTENCES}, with a full stop at the end")
    return Entry(fits["term"], tuple(form.strip() for form in (fits["also"] or "").split(",") if form.strip()), says)
