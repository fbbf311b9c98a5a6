"""Folders that are either whole or not there: built beside their place, listed in a manifest, renamed in one step."""
from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.contracts import Unavailable
from lab.events import Preparing

MANIFEST = "manifest.json"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Kept:
    """What a manifest says: of what a folder was made, where from, and {file: (bytes, sha256)}."""

    made_of: str
    source: str
    files: dict[str, tuple[int, str]]

    @classmethod
    def read(cls, folder: Path) -> Kept | None:
        """None where there is no manifest, or none that can be read: the folder does not count then."""
        try:
            record = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            return cls(record["made_of"], record["source"], {name: (int(size), str(sha)) for name, (size, sha) in record["files"].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def damage(self, folder: Path, hashed: Iterable[str] = ()) -> str:
        """What is wrong with the files, in a sentence, or nothing: the size of each, and the hash of those in `hashed`."""
        for name, (size, _) in self.files.items():
            with suppress(OSError):
                found = (folder / name).stat().st_size
                if found == size:
                    continue
                return f"{name} has {found:,} bytes instead of {size:,}"
            return f"{name} is missing"
        for name in hashed:
            expected, found = self.files[name][1], sha256_of(folder / name)
            if found != expected:
                return f"{name} was altered: expected sha256 {expected}, found {found}"
        return ""


def publish(partial: Path, folder: Path, made_of: str, source: str) -> None:
    """Give a finished folder its manifest and its name. A crash at any moment leaves either the old state or the new one."""
    files = sorted(path for path in partial.rglob("*") if path.is_file() and path.name != MANIFEST)
    listed = {path.relative_to(partial).as_posix(): (path.stat().st_size, sha256_of(path)) for path in files}
    for path in files:
        path.chmod(0o644)  # safetensors writes for the owner alone, but a class may share a cache
        _to_disk(path)
    write_json(partial / MANIFEST, {"made_of": made_of, "source": source, "files": listed})
    remove(folder)
    partial.rename(folder)
    _to_disk(folder.parent)


def fresh(folder: Path) -> Path:
    """An empty folder in the place of whatever an interrupted attempt left there."""
    remove(folder)
    folder.mkdir(parents=True)
    return folder


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Whole or not at all: written beside its place, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
    _to_disk(beside)
    beside.replace(path)


def _to_disk(path: Path) -> None:
    """Past the operating system's buffers, where the system can do that (Windows cannot for folders)."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # some network disks cannot either
            raise
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def locked(path: Path, what: str) -> Generator[Preparing, None, Any]:
    """Wait for the lock on `path` and return it; whoever gets it releases it. The system frees the lock of a process that died."""
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, thread_local=False)  # a generator may be closed by another thread than the one that began it
    while True:
        try:
            lock.acquire(timeout=0)
            return lock
        except Timeout:
            yield Preparing(f"waiting for another run that fetches {what}")
            time.sleep(0.5)


@contextmanager
def naming_the_folder(cache: Path) -> Iterator[None]:
    """Turn what the disk refuses into an error that names the folder and the way out."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # libraries raise OSError for other things too
            raise
        raise Unavailable(_refused(error.errno, error.strerror or str(error), Path(error.filename or cache), cache)) from error
    except Exception as error:
        number = re.search(r"os error (\d+)", str(error))  # how libraries written in Rust report the disk
        if number is None:
            raise
        raise Unavailable(_refused(int(number[1]), os.strerror(int(number[1])), cache, cache)) from error


def _refused(number: int | None, reason: str, path: Path, cache: Path) -> str:
    if number in FULL:
        return f"the disk of {cache} is full, or a file reached its size limit ({reason}): free some space, or set LAB_CACHE to a folder on another disk"
    return f"cannot write to the cache {cache}: {path}: {reason}. Set LAB_CACHE to a folder that can be written to"
