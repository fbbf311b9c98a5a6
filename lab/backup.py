"""The data folder copied to another folder, and brought back: what a host keeps, and what a Space without a disk of its own lives from.

    target/lab-backup       says that this folder is such a copy
    target/lab.sqlite3      the database as it was at one moment, taken first: every run that it calls finished has its files in the copy
    target/runs/ …          everything else but the workers' own; equal files stay, and what was deleted is deleted here too
"""
from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.contracts import LabError
from lab.store import Store

MARK = "lab-backup"
DATABASE = "lab.sqlite3"
LEFT_OUT = ("workers", "lab.lock", MARK)
PART = ".part"


@dataclass(frozen=True)
class Copied:
    """How many files."""

    copied: int
    kept: int
    removed: int


def check(data: Path, target: Path) -> None:
    """Raises LabError for a folder that no copy may be put into."""
    if target.exists() and not (target / MARK).exists() and (not target.is_dir() or any(target.iterdir())):
        raise LabError(f"{target} holds something else: choose an empty folder for the copy")
    if target.resolve().is_relative_to(data.resolve()) or data.resolve().is_relative_to(target.resolve()):
        raise LabError(f"{target} and {data} lie within each other: choose another folder for the copy")


def copy(data: Path, target: Path) -> Copied:
    """Raises LabError where there is nothing to copy, or the target holds something else."""
    if not (data / DATABASE).is_file():
        raise LabError(f"{data} has no {DATABASE}: give the data folder of a lab")
    check(data, target)
    try:
        target.mkdir(parents=True, exist_ok=True)
        (target / MARK).touch()
        with Store(data) as store:
            store.copy_to(_fresh(target / (DATABASE + PART)))
        (target / (DATABASE + PART)).replace(target / DATABASE)
        return _mirror(data, target)
    except OSError as error:
        raise LabError(f"the copy in {target} could not be made ({error.strerror}): is its disk full? The copy before may be incomplete") from None


def restore(source: Path, data: Path) -> bool:
    """Fill a data folder that has no database from a copy; False where there is nothing to do."""
    if (data / DATABASE).exists() or not (source / MARK).exists() or not (source / DATABASE).exists():
        return False
    try:
        for name in sorted(_files(source), key=lambda name: name == DATABASE):  # the database last: an interrupted attempt is made again
            _take(source / name, data / name)
    except OSError as error:
        raise LabError(f"{data} could not be brought back from {source} ({error.strerror}): make room, and start again") from None
    return True


def _mirror(data: Path, target: Path) -> Copied:
    names = {name for name in _files(data) if not name.startswith(DATABASE)}
    copied = 0
    for name in names:
        if not _equal(data / name, target / name):
            try:
                _take(data / name, target / name)
                copied += 1
            except FileNotFoundError:  # deleted meanwhile
                continue
    gone = [name for name in _files(target) if name not in names and name != DATABASE]
    for name in gone:
        (target / name).unlink(missing_ok=True)
    for folder in sorted((path for path in target.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    return Copied(copied + 1, len(names) - copied, len(gone))


def _files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if name.parts[0] not in LEFT_OUT and path.is_file() and not path.is_symlink():
            yield str(name)


def _equal(one: Path, other: Path) -> bool:
    """Files of runs never change, and those that do are written anew: size and time of the last change tell."""
    try:
        seen, found = one.stat(), other.stat()
    except OSError:
        return False
    return seen.st_size == found.st_size and abs(seen.st_mtime - found.st_mtime) < 2  # some file systems keep time in steps of two seconds


def _take(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + PART)
    shutil.copy2(source, part)
    part.replace(target)


def _fresh(path: Path) -> Path:
    path.unlink(missing_ok=True)
    return path
