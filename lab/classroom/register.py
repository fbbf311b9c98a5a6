"""Who is in the class, and what each member sent of their lessons; in the file of the store, under the name that they gave.

A name belongs to the browser that joined with it. On another device it is taken up again with the word that was shown when it joined, so nobody can pass for
somebody else by typing a name.
"""
from __future__ import annotations

import hmac
import json
import re
import secrets
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lab.contracts import LabError, shorten
from lab.store import Store

LONGEST_NAME = 40
MOST_MEMBERS = 1000
MOST_RECORDS = 3000  # of one member
LARGEST_RECORD = 2000  # characters
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is taken for another
WORD_LENGTH = 12  # 31^12, about 60 bits
KINDS = ("progress", "prediction", "observation", "quiz", "test")
EXPLAINED = ("observation", "quiz", "test")  # what was right is shown as soon as one is answered


@dataclass(frozen=True)
class Member:
    owner: str
    name: str
    word: str
    joined: float


@dataclass(frozen=True)
class Record:
    """What was last said to one question of a lesson; `value` is as the page sent it, checked by who recorded it."""

    owner: str
    lesson: str
    kind: str
    name: str
    value: Any
    at: float


class Register:
    def __init__(self, store: Store) -> None:
        self._store = store

    # ── members ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def member(self, owner: str) -> Member | None:
        found = self._store.rows("SELECT owner, name, word, joined FROM members WHERE owner = ?", owner)
        return Member(*found[0]) if found else None

    def members(self) -> list[Member]:
        return [Member(*row) for row in self._store.rows("SELECT owner, name, word, joined FROM members ORDER BY folded")]

    def join(self, owner: str, name: str) -> Member:
        """The caller has checked the class code, and that its terms were agreed to. Raises LabError for a name that cannot be had."""
        if not owner:
            raise LabError("owner is empty: load the page again")
        said = named(name)
        if (there := self.member(owner)) is not None:
            raise LabError(f'you are in this class already, as "{there.name}": leave it first to join under another name')
        with self._store.writing() as db:
            if db.execute("SELECT count(*) FROM members").fetchone()[0] >= MOST_MEMBERS:
                raise LabError(f"this class has {MOST_MEMBERS:,} members: tell whoever hosts the lab")
            if db.execute("SELECT 1 FROM members WHERE folded = ?", (folded(said),)).fetchone():
                raise LabError(f'name is "{said}": somebody has joined with it. If that was you on another device, give the word that was shown there; '
                               "else add an initial or a number")
            word = "".join(secrets.choice(LETTERS) for _ in range(WORD_LENGTH))
            db.execute("INSERT INTO members VALUES (?, ?, ?, ?, ?)", (owner, said, folded(said), word, self._store.now))
        return Member(owner, said, word, self._store.now)

    def back(self, name: str, word: str) -> Member:
        """The member of this name and word, for their other device. Raises LabError, which does not say which of the two is wrong."""
        found = self._store.rows("SELECT owner, name, word, joined FROM members WHERE folded = ?", folded(named(name)))
        known = found[0][2] if found else "-" * WORD_LENGTH
        if not hmac.compare_digest(known.encode(), "".join(str(word).lower().split()).replace("-", "").encode()) or not found:
            raise LabError("name and word do not belong together: look them up in the Class tab of the device you joined with")
        return Member(*found[0])

    def leave(self, owner: str) -> None:
        """What was kept of a member's lessons goes with them; runs are theirs and stay."""
        with self._store.writing() as db:
            db.execute("DELETE FROM members WHERE owner = ?", (owner,))

    # ── what they sent ────────────────────────────────────────────────────────────────────────────────────────────────

    def record(self, owner: str, lesson: str, kind: str, name: str, value: Any) -> None:
        """Keep it in the place of what was said there before; of answers that the page explains at once, the first stays. Raises LabError for who is no
        member, or for too much."""
        if kind not in KINDS:
            raise LabError(f'kind is "{shorten(kind)}": must be one of {", ".join(KINDS)}')
        text = json.dumps(value, ensure_ascii=False)
        if len(text) > LARGEST_RECORD:
            raise LabError(f"the answer has {len(text):,} characters: at most {LARGEST_RECORD:,}")
        with self._store.writing() as db:
            if not db.execute("SELECT 1 FROM members WHERE owner = ?", (owner,)).fetchone():
                raise LabError("you are in no class here: nothing was kept")
            if db.execute("SELECT count(*) FROM records WHERE owner = ?", (owner,)).fetchone()[0] >= MOST_RECORDS:
                raise LabError(f"{MOST_RECORDS:,} of your answers are kept: tell whoever hosts the lab")
            known = "NOTHING" if kind in EXPLAINED else "UPDATE SET value = excluded.value, at = excluded.at"
            db.execute(f"INSERT INTO records VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (owner, lesson, kind, name) DO {known}",
                       (owner, lesson, kind, name, text, self._store.now))

    def records(self, kinds: Iterable[str] = KINDS, lesson: str | None = None, owner: str | None = None) -> list[Record]:
        """By lesson, kind, name and time."""
        asked = tuple(kinds)
        more = [f"{column} = ?" for column, value in (("lesson", lesson), ("owner", owner)) if value is not None]
        tests = [f"kind IN ({', '.join('?' * len(asked))})", *more]
        values = (*asked, *(each for each in (lesson, owner) if each is not None))
        order = "ORDER BY lesson, kind, name, at"
        rows = self._store.rows(f"SELECT owner, lesson, kind, name, value, at FROM records WHERE {' AND '.join(tests)} {order}", *values)
        return [Record(*place, json.loads(value), at) for *place, value, at in rows]


def named(name: Any) -> str:
    """A name as it is shown: letters and digits of any script, spaces and a few signs. Raises LabError."""
    said = unicodedata.normalize("NFC", " ".join(str(name).split())) if isinstance(name, str) else ""
    if not said or len(said) > LONGEST_NAME or not re.fullmatch(r"\w[\w .'’\-]*", said):
        raise LabError(f"name is {shorten(said) or 'empty'}: must have 1 to {LONGEST_NAME} letters, digits, spaces or . ' -, and begin with a letter or "
                       "a digit")
    return said


def folded(name: str) -> str:
    """Names that look alike are the same: capitals, accents written in two ways, width."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
