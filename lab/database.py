"""One SQLite file for many processes: its connections, transactions and tables, and its troubles in words. What lies in it: `lab/store.py`."""
from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Self

from lab.contracts import LabError
from lab.schema import STEPS, VERSION

PATIENCE_SECONDS = 10.0  # how long a write waits for another process's write
RESERVE_PAGES = 16  # of a capped file, kept so that a run can still be given its ending
SMALLEST_BYTES = 256 * 1024


class Unwritable(LabError):
    """The database cannot be written at the moment; everything stored before is still there, so the write can be tried again."""


class Database:
    """Two kept connections for all threads of a process, one that writes and one that reads: a bare insert takes 0.01 ms, connecting again 3.7 ms, and
    whoever only asks need not stand behind a write that waits for those of other processes."""

    def __init__(self, folder: Path, *, largest_bytes: int | None = None, patience: float = PATIENCE_SECONDS,
                 clock: Callable[[], float] = time.time) -> None:
        if largest_bytes is not None and largest_bytes < SMALLEST_BYTES:
            raise LabError(f"largest_bytes is {largest_bytes:,}: must be at least {SMALLEST_BYTES:,}")
        self.root = Path(folder)
        self.path = self.root / "lab.sqlite3"
        self._clock = clock
        self._patience = patience
        self._lock, self._reading = threading.RLock(), threading.Lock()
        self._writer: int | None = None  # the thread in whose transaction the store is
        self._held: sqlite3.Connection | None = None
        with self._explained():
            make_folder(self.root)
            self._db, self._reader = _connect(self.path, patience), _connect(self.path, patience)
            self._page_bytes = self.value("PRAGMA page_size")
            self._pages = largest_bytes // self._page_bytes if largest_bytes else 0
            self._prepare()

    def close(self) -> None:
        self.release()
        self._reader.close()
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ── reading and writing ───────────────────────────────────────────────────────────────────────────────────────────

    def value(self, query: str, *values: Any) -> Any:
        return next((row[0] for row in self.rows(query, *values)), None)

    def rows(self, query: str, *values: Any) -> list[Any]:
        within = self._writer == threading.get_ident()  # a transaction sees what it has written so far
        with nullcontext() if within else self._reading, self._explained():
            return (self._db if within else self._reader).execute(query, values).fetchall()

    @contextmanager
    def writing(self, *, ending: bool = False) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing. An `ending` may use the reserve of a capped file, so that no run is left without one."""
        with self._lock, self._explained():
            if self._pages:
                self._db.execute(f"PRAGMA max_page_count = {self._pages if ending else self._pages - RESERVE_PAGES}")
            self._db.execute("BEGIN IMMEDIATE")
            self._writer = threading.get_ident()
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite itself rolls back on some errors
                    self._db.execute("ROLLBACK")
                raise
            finally:
                self._writer = None

    @property
    def now(self) -> float:
        return self._clock()

    # ── one lab for a folder, and its copy ────────────────────────────────────────────────────────────────────────────

    def copy_to(self, path: Path) -> None:
        """The database as it is at one moment, as one file without a journal, also while others write."""
        with self._explained(), closing(_connect(self.path, self._patience)) as source, closing(sqlite3.connect(path, isolation_level=None)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")

    def hold(self) -> None:
        """Become the one lab that serves this folder, until `release` or the end of the process, however it ends.

        A lock of SQLite's on a file of its own: the system lets go of it even when the process is killed, on every platform.
        """
        if self._held:
            return
        held = sqlite3.connect(self.root / "lab.lock", timeout=0, isolation_level=None, check_same_thread=False)
        try:
            held.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            held.close()
            raise LabError(f"another lab serves {self.root}: stop it, or choose another folder with --data") from None
        self._held = held

    def release(self) -> None:
        if self._held:
            self._held.close()
            self._held = None

    # ── inside ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _prepare(self) -> None:
        version = self.value("PRAGMA user_version")
        if version > VERSION:
            raise LabError(f"{self.path} was written by a newer lab (version {version}, this one knows {VERSION}): update the lab or choose another folder")
        if version < VERSION:
            with self.writing() as db:
                for step in STEPS[self.value("PRAGMA user_version"):]:  # asked again: another process may have been faster
                    for statement in step.split(";"):
                        db.execute(statement)
                db.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            explained = self._explain(error)
            if explained is None:
                raise
            raise explained from error

    def _explain(self, error: sqlite3.Error) -> LabError | None:
        """SQLite's trouble in the lab's words; None for what can only be a mistake in this file."""
        match getattr(error, "sqlite_errorcode", 0) & 0xFF:  # the low byte is the kind, the rest its details
            case sqlite3.SQLITE_FULL if self._pages:
                limit = self._pages * self._page_bytes
                return Unwritable(f"{self.path} has reached its limit of {limit:,} bytes: delete runs you no longer need; nothing stored is lost")
            case sqlite3.SQLITE_FULL:
                return Unwritable(f"no space is left for {self.path}: delete runs or other files; nothing stored is lost")
            case sqlite3.SQLITE_IOERR:
                return Unwritable(f"{self.path} could not be written ({error}): see whether its disk is full; nothing stored is lost")
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return Unwritable(f"{self.path} has been locked by another program for {self._patience:g} s: close that program and try again")
            case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
                return Unwritable(f"{self.path} may only be read: allow the lab to write there, or choose another folder with --data")
            case sqlite3.SQLITE_CANTOPEN:
                return LabError(f"{self.path} cannot be opened: choose another folder with --data")
            case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
                return LabError(f"{self.path} is not a database, or a damaged one: move it away, and the lab starts a new one")
        return None


def _connect(path: Path, patience: float) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")  # in WAL mode a crash of the lab loses nothing, a power cut at most the last moments
    db.execute("PRAGMA foreign_keys = ON")
    return db


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(f"{folder} cannot be made ({error.strerror}): choose another folder with --data") from None
