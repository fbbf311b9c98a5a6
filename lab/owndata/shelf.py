"""What is kept of uploaded sets, in the data folder that page and workers share: for their owner only, and for a stated time.

    folder/uploads/salt                 makes keys that nobody can guess
    folder/uploads/<key>/about.json     columns, labels, counts, owner, hash, created, expires
    folder/uploads/<key>/items.jsonl    one item a line: split, id, text, label or answers
    folder/uploads/<key>/notes/         what untouched models answered to it

A set that is removed, or whose time is up, leaves its about.json without the owner's texts: runs made with it can then still be read, and say what is gone.
"""
from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.contracts import Item, LabError, Splits, shorten
from lab.owndata.making import Made, report

KEEP_DAYS = 14.0
LONGEST_KEEP_DAYS = 366.0
MOST_SETS = 8  # of one owner
MOST_A_DAY = 60  # sets that one owner may add within a day: each leaves a note of what it was
MOST_BYTES = 500_000_000  # of all
LONGEST_TITLE = 60
KEY = re.compile(r"own-[0-9a-f]{24}")
PARTS = ("train", "validation", "test")
REMOVED, EXPIRED = "removed by its owner", "removed when its time was up"
DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class Kept:
    """What is known of a set. `gone` says why its texts are not there any more."""

    key: str
    title: str
    owner: str
    kind: str
    labels: tuple[str, ...]
    words: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    choice: dict[str, Any]
    tokens: int
    answer_tokens: int
    metric: str
    metrics: tuple[str, ...]
    sha256: str
    bytes: int
    created: float
    expires: float
    gone: str = ""

    @property
    def sizes(self) -> dict[str, int]:
        return {split: sum(part.values()) for split, part in self.counts.items()}


def data_folder() -> Path:
    """The folder of the lab's runs: LAB_DATA, by default data. Whoever is told another one sets that variable, so that a program it starts knows it too."""
    return Path(os.environ.get("LAB_DATA") or "data")


def keep_days() -> float:
    """LAB_KEEP_DATA, by default two weeks."""
    said = os.environ.get("LAB_KEEP_DATA") or str(KEEP_DAYS)
    try:
        days = float(said)
    except ValueError:
        days = 0.0
    if not 0 < days <= LONGEST_KEEP_DAYS:
        raise LabError(f"LAB_KEEP_DATA is {shorten(said)}: must be a number of days, more than 0 and at most {LONGEST_KEEP_DAYS:.0f}")
    return days


def is_own(key: Any) -> bool:
    """Whether this is the key of somebody's set, there or not."""
    return isinstance(key, str) and KEY.fullmatch(key) is not None


class Shelf:
    """Keeps, finds and removes sets. Nothing is held in memory, so that page, workers and command line see the same."""

    def __init__(self, folder: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self.root = (folder or data_folder()) / "uploads"
        self._clock = clock

    # ── to keep and to find ───────────────────────────────────────────────────────────────────────────────────────────

    def keep(self, made: Made, title: str, owner: str) -> Kept:
        """The same items of the same owner are the same set: kept again, it has its full time again. Raises LabError where there is no room."""
        if not owner:
            raise LabError("owner is empty: every set belongs to somebody")
        self.sweep()
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in _rows(made.splits))
        sha256 = hashlib.sha256(f"{lines}{made.labels}{made.words}{made.answer_tokens}".encode()).hexdigest()
        key = "own-" + hmac.new(self._salt(), f"{owner} {sha256}".encode(), hashlib.sha256).hexdigest()[:24]
        self._check_room(owner, key, len(lines.encode()))
        now, told = self._clock(), report(made)
        kept = Kept(key, titled(title), owner, told["kind"], made.labels, made.words, made.counts, made.choice.to_dict(), made.tokens, made.answer_tokens,
                    made.metric, made.metrics, sha256, len(lines.encode()), now, now + keep_days() * DAY_SECONDS)
        self._write(key, {"items.jsonl": lines, "about.json": json.dumps(asdict(kept), ensure_ascii=False, indent=1)})
        return kept

    def find(self, key: str) -> Kept:
        """Raises LabError for a key that is none, or that nothing is known of."""
        if not is_own(key):
            raise LabError(f'unknown set "{shorten(key)}": a key looks like own-0123456789abcdef01234567')
        try:
            found = json.loads((self.root / key / "about.json").read_text(encoding="utf-8"))
            kept = Kept(**{**found, **{name: tuple(found[name]) for name in ("labels", "words", "metrics")}})
        except FileNotFoundError:
            raise LabError(f"there is no set {key} here: it was uploaded to another lab, or its folder was cleared; upload it again") from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise LabError(f"what is known of set {key} cannot be read ({type(error).__name__}): upload it again") from None
        if not kept.gone and kept.expires <= self._clock():
            kept = self._empty(kept, EXPIRED)
        return kept

    def splits(self, key: str) -> Splits:
        """Its items. Raises LabError where they are gone."""
        kept = self.find(key)
        if kept.gone:
            raise LabError(said_gone(kept))
        parts: dict[str, list[Item]] = {part: [] for part in PARTS}
        try:
            with (self.root / key / "items.jsonl").open(encoding="utf-8") as lines:
                for line in lines:
                    row = json.loads(line)
                    parts[row["split"]].append(Item(row["id"], row["text"], row.get("label", 0), row["id"], tuple(row.get("answers", ()))))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LabError(f'the texts of "{kept.title}" cannot be read ({type(error).__name__}): upload them again') from None
        return Splits(*(tuple(parts[part]) for part in PARTS))

    def of(self, owner: str) -> list[Kept]:
        """An owner's sets, the newest first; those whose time is up are removed on the way."""
        return sorted((kept for kept in self._all() if owner and kept.owner == owner and not kept.gone), key=lambda kept: -kept.created)

    # ── who may ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def check_owner(self, key: Any, owner: str) -> None:
        """Raises LabError unless this is a task of the catalogue, or a set of this owner, there or gone."""
        if is_own(key) and not (owner and hmac.compare_digest(self.find(key).owner.encode(), owner.encode())):
            raise LabError("task is somebody's own data: only the browser that uploaded it can use it; choose another task")

    def check(self, key: Any, owner: str) -> None:
        """The same, and that its texts are there."""
        self.check_owner(key, owner)
        if is_own(key) and (kept := self.find(key)).gone:
            raise LabError(f"task is gone: {said_gone(kept)}")

    def remove(self, key: str, owner: str) -> Kept:
        self.check(key, owner)
        return self._empty(self.find(key), REMOVED)

    def sweep(self) -> int:
        """Remove what has had its time, and what an interrupted upload left; returns how many sets are left."""
        with suppress(OSError):
            for left in self.root.glob("*.partial"):
                if left.stat().st_mtime < time.time() - 3600:
                    shutil.rmtree(left, ignore_errors=True)
        for kept in self._all():
            if kept.gone:  # a run that was going on may have noted something after its set was removed
                shutil.rmtree(self.notes(kept.key), ignore_errors=True)
        return sum(not kept.gone for kept in self._all())

    # ── inside ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def notes(self, key: str) -> Path:
        """Where answers to its texts may be kept, so that they go with it."""
        return self.root / key / "notes"

    def _all(self) -> Iterator[Kept]:
        for folder in sorted(self.root.glob("own-*")):
            with suppress(LabError):
                yield self.find(folder.name)

    def _check_room(self, owner: str, key: str, more: int) -> None:
        known = [kept for kept in self._all() if kept.key != key]
        if sum(kept.owner == owner and kept.created > self._clock() - DAY_SECONDS for kept in known) >= MOST_A_DAY:
            raise LabError(f"{MOST_A_DAY} sets of yours were added within a day: go on with one of them, or tomorrow")
        there = [kept for kept in known if not kept.gone]
        if sum(kept.owner == owner for kept in there) >= MOST_SETS:
            raise LabError(f"{MOST_SETS} of your sets are kept: remove one before you add another")
        if sum(kept.bytes for kept in there) + more > MOST_BYTES:
            raise LabError(f"the lab keeps {MOST_BYTES / 1e6:,.0f} MB of uploaded sets and has no room for this one: try again when others have had their time")

    def _salt(self) -> bytes:
        path = self.root / "salt"
        with _explained(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                beside = path.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}")
                beside.write_text(secrets.token_hex(32), encoding="ascii")
                with suppress(FileExistsError):
                    os.link(beside, path)  # whoever is first has made it
                beside.unlink()
            return path.read_bytes()

    def _write(self, key: str, files: dict[str, str]) -> None:
        folder, beside = self.root / key, self.root / f"{key}-{secrets.token_hex(4)}.partial"
        with _explained(self.root):
            beside.mkdir()
            try:
                for name, text in files.items():
                    (beside / name).write_text(text, encoding="utf-8")
                folder.mkdir(exist_ok=True)
                for name in files:  # about.json last: a set is there once it is
                    (beside / name).replace(folder / name)
            finally:
                shutil.rmtree(beside, ignore_errors=True)

    def _empty(self, kept: Kept, gone: str) -> Kept:
        """Remove the texts first: if that fails, the set is not called gone. Columns, renamed labels and the owner's choice go too."""
        folder = self.root / kept.key
        left = Kept(**{**asdict(kept), "gone": gone, "choice": {}, "bytes": 0, "labels": kept.labels, "words": kept.words, "metrics": kept.metrics})
        with _explained(self.root):
            (folder / "items.jsonl").unlink(missing_ok=True)
            shutil.rmtree(folder / "notes", ignore_errors=True)
            self._write(kept.key, {"about.json": json.dumps(asdict(left), ensure_ascii=False, indent=1)})
        return left


def _rows(splits: Splits) -> Iterator[dict[str, Any]]:
    for part in PARTS:
        for item in getattr(splits, part):
            yield {"split": part, "id": item.id, "text": item.text, **({"answers": item.answers} if item.answers else {"label": item.label})}


def titled(text: str) -> str:
    """Letters, digits and a few signs: a title is written into files and scripts."""
    return " ".join(re.sub(r"[^\w \-.,()]", " ", text).split())[:LONGEST_TITLE].strip() or "Own data"


def said_gone(kept: Kept) -> str:
    when = time.strftime("%d %B %Y", time.gmtime(kept.expires))
    return f'the texts of "{kept.title}" were {kept.gone}{f" ({when})" if kept.gone == EXPIRED else ""}: upload the file again, or choose another task'


class _explained:
    """What the disk refuses, in words."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            reason = error.strerror or "disk error"
            raise LabError(f"{self.folder} cannot be written ({reason}): free some space, or choose another folder with --data") from None
