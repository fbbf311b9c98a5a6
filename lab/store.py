"""The store: runs and their events in one SQLite file, the only channel between the page and the workers, and the history at the same time.

    folder/lab.sqlite3      the tables below, in WAL mode: many processes read while one writes
    folder/lab.lock         held by the one lab that serves this folder
    folder/runs/<id>/       what a run leaves beside its events: its adapter
"""
from __future__ import annotations

import json
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from functools import cached_property
from os import link
from pathlib import Path
from typing import Any, Protocol

from lab.contracts import LabError, shorten
from lab.events import ENDS, Cancelled, Event, Failed, Finished, RunResult, Started, fold, from_json, to_json
from lab.spec import RunSpec

VERSION = 1
SCHEMA = """
CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    spec TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    owner TEXT NOT NULL,
    title TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'finished', 'failed', 'cancelled')),
    priority INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL,
    started REAL,
    finished REAL,
    worker TEXT NOT NULL DEFAULT '',
    cancel INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    weights_sha256 TEXT NOT NULL DEFAULT '',
    data_sha256 TEXT NOT NULL DEFAULT '',
    reused INTEGER NOT NULL DEFAULT 0,
    shared INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX runs_queue ON runs (priority DESC, number) WHERE state = 'queued';
CREATE INDEX runs_running ON runs (worker) WHERE state = 'running';
CREATE INDEX runs_worker ON runs (worker);
CREATE INDEX runs_owner ON runs (owner, number);
CREATE INDEX runs_equal ON runs (fingerprint) WHERE state = 'finished';
CREATE TABLE events (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;
"""
PATIENCE_SECONDS = 10.0  # how long a write waits for another process's write
RESERVE_PAGES = 16  # of a capped file, kept so that a run can still be given its ending
SMALLEST_BYTES = 256 * 1024
LONGEST_NAME = 200


class Unwritable(LabError):
    """The database cannot be written at the moment; everything stored before is still there, so the write can be tried again."""


class Job(Protocol):
    """What the store needs of a spec; `RunSpec` is one."""

    @property
    def fingerprint(self) -> str: ...

    def to_json(self) -> str: ...


@dataclass(frozen=True)
class Run:
    """A row of the history. Times are seconds since 1970, UTC; `number` grows with each run and is the cursor of `history`."""

    number: int
    id: str
    kind: str
    spec_json: str
    fingerprint: str
    owner: str
    title: str
    state: str  # queued, running, finished, failed, cancelled
    priority: int
    created: float
    started: float | None
    finished: float | None
    worker: str
    reason: str
    weights_sha256: str
    data_sha256: str
    cancel: bool  # asked to stop, and not stopped yet
    reused: bool
    shared: bool

    @cached_property
    def spec(self) -> RunSpec:
        """Raises LabError where the catalogue no longer has what an old run names; `settings` can always be shown."""
        return RunSpec.from_json(self.spec_json)

    @property
    def settings(self) -> dict[str, Any]:
        return json.loads(self.spec_json)

    @property
    def ended(self) -> bool:
        return self.state in ("finished", "failed", "cancelled")


COLUMNS = ", ".join(field.name.removesuffix("_json") for field in fields(Run))


class Store:
    """One kept connection for all threads of a process: a bare insert takes 0.01 ms, connecting again 3.7 ms."""

    def __init__(self, folder: Path, *, largest_bytes: int | None = None, patience: float = PATIENCE_SECONDS,
                 clock: Callable[[], float] = time.time) -> None:
        if largest_bytes is not None and largest_bytes < SMALLEST_BYTES:
            raise LabError(f"largest_bytes is {largest_bytes:,}: must be at least {SMALLEST_BYTES:,}")
        self.root = Path(folder)
        self.path = self.root / "lab.sqlite3"
        self._clock = clock
        self._patience = patience
        self._lock = threading.RLock()
        self._held: sqlite3.Connection | None = None
        with self._explained():
            _make_folder(self.root / "runs")
            self._db = _connect(self.path, patience)
            self._page_bytes = self._value("PRAGMA page_size")
            self._pages = largest_bytes // self._page_bytes if largest_bytes else 0
            self._prepare()

    def close(self) -> None:
        self.release()
        self._db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ── the queue ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def submit(self, spec: Job, owner: str, *, kind: str = "train", title: str = "", priority: int = 0) -> Run:
        """Put a run at the end of the queue; a higher `priority` goes before a lower one."""
        with self._write() as db:
            return self._insert(db, spec, owner, kind, title, priority=priority)

    def claim(self, worker: str, kinds: Sequence[str] = ("train",)) -> Run | None:
        """Give the oldest queued run to one worker and to no other, or None. Costs one short read while the queue is empty."""
        marks = ", ".join("?" * len(kinds))
        first = f"SELECT number FROM runs WHERE state = 'queued' AND kind IN ({marks}) ORDER BY priority DESC, number LIMIT 1"
        if self._value(first, *kinds) is None:
            return None
        with self._write() as db:
            claimed = db.execute(
                f"UPDATE runs SET state = 'running', worker = ?, started = ? WHERE number = ({first}) RETURNING {COLUMNS}",
                (worker, self._clock(), *kinds),
            ).fetchone()
        return _run(claimed) if claimed else None

    def place(self, run_id: str) -> int:
        """1 for the next run to be claimed, 2 for the one after it …; 0 once it has left the queue."""
        run = self.run(run_id)
        if run.state != "queued":
            return 0
        return 1 + self._value("SELECT count(*) FROM runs WHERE state = 'queued' AND (priority > ? OR priority = ? AND number < ?)",
                               run.priority, run.priority, run.number)

    def waiting(self, owner: str | None = None) -> int:
        """How many runs are queued or running, of one owner or of all: what a limit on an owner is checked against."""
        whose = " AND owner = ?" if owner is not None else ""
        count = f"SELECT (SELECT count(*) FROM runs WHERE state = 'queued'{whose}) + (SELECT count(*) FROM runs WHERE state = 'running'{whose})"
        return self._value(count, *([owner, owner] if owner is not None else []))

    def cancel(self, run_id: str) -> Run:
        """A queued run ends at once; a running one is flagged and ends at its next step; an ended one stays as it is."""
        with self._write(ending=True) as db:
            run = self.run(run_id)
            if run.state == "queued":
                self._append(db, run, [Cancelled(step=0)])
            elif run.state == "running":
                db.execute("UPDATE runs SET cancel = 1 WHERE id = ?", (run_id,))
            return self.run(run_id)

    def cancelled(self, run_id: str) -> bool:
        """Whether its worker should stop: it was flagged, or it ended or was deleted from elsewhere."""
        return self._value("SELECT 1 FROM runs WHERE id = ? AND state = 'running' AND cancel = 0", run_id) is None

    # ── events ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def append(self, run_id: str, events: Iterable[Event]) -> int:
        """Store events, all or none, and move the run's state with them. Returns the number of the last one.

        Raises Unwritable when the disk is full or the file locked (try again), LabError when the run has ended or is gone (stop).
        """
        events = list(events)
        with self._write(ending=bool(events) and isinstance(events[-1], ENDS)) as db:
            run = self.run(run_id)
            if run.ended:
                raise LabError(f"run {run_id} is {run.state}: nothing can be added to it")
            return self._append(db, run, events)

    def fail(self, run_id: str, reason: str, advice: str = "", *, knob: str = "", detail: str = "") -> bool:
        """End a run from outside, with a reason for its owner. False if it had ended before."""
        with self._write(ending=True) as db:
            run = self.run(run_id)
            if not run.ended:
                self._append(db, run, [Failed(reason, advice, knob, detail=detail)])
            return not run.ended

    def recover(self, reason: str = "The lab was stopped while this run was going.", advice: str = "Run it again: nothing in its settings was wrong.",
                *, keep: Collection[str] = (), detail: str = "") -> tuple[str, ...]:
        """Fail the runs whose worker is gone (not one of `keep`) and return their ids; queued runs stay queued."""
        lost = [run.id for run in self._select("state = 'running'") if run.worker not in keep]
        return tuple(run_id for run_id in lost if self.fail(run_id, reason, advice, detail=detail))

    def held(self, worker: str) -> list[Run]:
        """What a worker is doing now: one run, or none."""
        return self._select("state = 'running' AND worker = ?", worker)

    def done(self, worker: str) -> int:
        """How many runs a worker has brought to their end."""
        return self._value("SELECT count(*) FROM runs WHERE worker = ? AND state <> 'running'", worker)

    def lines(self, run_id: str, after: int = 0) -> list[tuple[int, str]]:
        """(number, JSON line) of each event later than `after`; the cost grows with what is new, not with the run."""
        found = self._rows("SELECT seq, line FROM events WHERE run = ? AND seq > ? ORDER BY seq", run_id, after)
        if not found:
            self.run(run_id)  # an unknown id is an error, not an empty answer
        return found

    def events(self, run_id: str, after: int = 0) -> list[tuple[int, Event]]:
        return [(seq, from_json(line)) for seq, line in self.lines(run_id, after)]

    def result(self, run_id: str) -> RunResult:
        """All that is known of a run so far."""
        events = self.events(run_id)
        if not events and self.run(run_id).state == "running":
            return replace(fold(()), state="preparing")  # claimed, and nothing heard of it yet
        return fold(event for _, event in events)

    # ── the history ───────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, run_id: str) -> Run:
        found = self._select("id = ?", run_id)
        if not found:
            raise LabError(f'unknown run "{shorten(run_id)}": it was deleted, or its address is not complete')
        return found[0]

    def history(self, owner: str | None, *, limit: int = 50, before: int | None = None, state: str | None = None,
                search: str = "", shared: bool = False) -> list[Run]:
        """Newest first: an owner's runs, or everybody's for None. `before` is the `number` where the last page ended.

        `search` looks in title, model, task and method; `shared` leaves only the runs that their owners shared.
        """
        words = f"%{_literal(search)}%"
        tests: list[tuple[str, tuple[Any, ...]]] = [
            (test, values) for wanted, test, values in (
                (owner is not None, "owner = ?", (owner,)),
                (before is not None, "number < ?", (before,)),
                (state is not None, "state = ?", (state,)),
                (shared, "shared = 1", ()),
                (search != "", " OR ".join(f"{column} LIKE ? ESCAPE '\\'" for column in SEARCHED), (words,) * len(SEARCHED)),
            ) if wanted
        ]
        where = " AND ".join(f"({test})" for test, _ in tests) or "1"
        return self._select(f"{where} ORDER BY number DESC LIMIT ?", *(value for _, values in tests for value in values), limit)

    def rename(self, run_id: str, title: str) -> Run:
        return self._set(run_id, "title", _name("title", title))

    def share(self, run_id: str, shared: bool = True) -> Run:
        return self._set(run_id, "shared", int(shared))

    def delete(self, run_id: str) -> None:
        """Remove a run, its events and its folder; a running one has to be cancelled first."""
        with self._write(ending=True) as db:
            run = self.run(run_id)
            if run.state == "running":
                raise LabError(f"run {run_id} is running: cancel it before you delete it")
            _remove_folder(self.folder(run_id))
            db.execute("DELETE FROM runs WHERE id = ?", (run_id,))

    def reuse(self, owner: str, spec: Job, weights_sha256: str, data_sha256: str, *, title: str = "") -> Run | None:
        """Answer from the history: a finished run of the same spec, weights and data becomes a new run of `owner`, marked as reused.

        Its events and its adapter come along; whose it was, its id and its title do not.
        """
        with self._write() as db:
            equal = self._equal(spec, weights_sha256, data_sha256)
            if not equal:
                return None
            now = self._clock()
            run = self._insert(db, spec, owner, "train", title, state="finished", started=now, finished=now, reused=1,
                               weights_sha256=weights_sha256, data_sha256=data_sha256)
            db.execute("INSERT INTO events SELECT ?, seq, line FROM events WHERE run = ?", (run.id, equal[0].id))
            _copy_folder(self.folder(equal[0].id) / "adapter", self.folder(run.id) / "adapter")
            return run

    def has_equal(self, spec: Job, weights_sha256: str, data_sha256: str) -> bool:
        """Whether `reuse` would find something."""
        return bool(self._equal(spec, weights_sha256, data_sha256))

    def _equal(self, spec: Job, weights_sha256: str, data_sha256: str) -> list[Run]:
        return self._select("state = 'finished' AND kind = 'train' AND fingerprint = ? AND weights_sha256 = ? AND data_sha256 = ? "
                            "AND weights_sha256 <> '' AND data_sha256 <> '' ORDER BY number DESC LIMIT 1",
                            spec.fingerprint, weights_sha256, data_sha256)

    # ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def folder(self, run_id: str) -> Path:
        """Where a run keeps its adapter; made by whoever writes there first."""
        if not run_id.isalnum():
            raise LabError(f'unknown run "{shorten(run_id)}": an id has letters and digits only')
        return self.root / "runs" / run_id

    def disk_used(self, owner: str) -> int:
        """Bytes of all adapters of an owner."""
        mine = {run_id for (run_id,) in self._rows("SELECT id FROM runs WHERE owner = ?", owner)}
        kept = (path for path in (self.root / "runs").iterdir() if path.name in mine)
        return sum(file.stat().st_size for path in kept for file in path.rglob("*") if file.is_file())

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
        version = self._value("PRAGMA user_version")
        if version > VERSION:
            raise LabError(f"{self.path} was written by a newer lab (version {version}, this one knows {VERSION}): update the lab or choose another folder")
        if version == 0:
            with self._write() as db:
                if self._value("PRAGMA user_version") == 0:  # nobody else was faster
                    for statement in SCHEMA.split(";"):
                        db.execute(statement)
                    db.execute(f"PRAGMA user_version = {VERSION}")

    def _insert(self, db: sqlite3.Connection, spec: Job, owner: str, kind: str, title: str, **more: Any) -> Run:
        values = {
            "id": secrets.token_hex(12),  # nobody can guess it; no capitals, since some file systems ignore them
            "kind": kind, "spec": spec.to_json(), "fingerprint": spec.fingerprint, "owner": _owner(owner), "title": _name("title", title),
            "state": "queued", "created": self._clock(), **more,
        }
        marks = ", ".join("?" * len(values))
        return _run(db.execute(f"INSERT INTO runs ({', '.join(values)}) VALUES ({marks}) RETURNING {COLUMNS}", tuple(values.values())).fetchone())

    def _append(self, db: sqlite3.Connection, run: Run, events: Sequence[Event]) -> int:
        last = db.execute("SELECT coalesce(max(seq), 0) FROM events WHERE run = ?", (run.id,)).fetchone()[0]
        db.executemany("INSERT INTO events VALUES (?, ?, ?)", ((run.id, seq, to_json(event)) for seq, event in enumerate(events, last + 1)))
        for event in events:
            self._move(db, run.id, event)
        return last + len(events)

    def _move(self, db: sqlite3.Connection, run_id: str, event: Event) -> None:
        if isinstance(event, Started):
            db.execute("UPDATE runs SET weights_sha256 = ?, data_sha256 = ? WHERE id = ?", (event.weights_sha256, event.data_sha256, run_id))
        elif isinstance(event, ENDS):
            reason = "" if isinstance(event, Finished) else event.reason
            db.execute("UPDATE runs SET state = ?, reason = ?, finished = ? WHERE id = ?", (event.name, reason, self._clock(), run_id))

    def _set(self, run_id: str, column: str, value: Any) -> Run:
        with self._write() as db:
            db.execute(f"UPDATE runs SET {column} = ? WHERE id = ?", (value, run_id))
            return self.run(run_id)

    def _select(self, where: str, *values: Any) -> list[Run]:
        return [_run(row) for row in self._rows(f"SELECT {COLUMNS} FROM runs WHERE {where}", *values)]

    def _value(self, query: str, *values: Any) -> Any:
        return next((row[0] for row in self._rows(query, *values)), None)

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with self._lock, self._explained():
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def _write(self, *, ending: bool = False) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing. An `ending` may use the reserve of a capped file, so that no run is left without one."""
        with self._lock, self._explained():
            if self._pages:
                self._db.execute(f"PRAGMA max_page_count = {self._pages if ending else self._pages - RESERVE_PAGES}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite itself rolls back on some errors
                    self._db.execute("ROLLBACK")
                raise

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


SEARCHED = ("title", "json_extract(spec, '$.model')", "json_extract(spec, '$.task')", "json_extract(spec, '$.method.name')")


def _connect(path: Path, patience: float) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")  # in WAL mode a crash of the lab loses nothing, a power cut at most the last moments
    db.execute("PRAGMA foreign_keys = ON")
    return db


def _run(row: Sequence[Any]) -> Run:
    return Run(*row[:-3], *map(bool, row[-3:]))  # SQLite has no true and false


def _name(what: str, text: str) -> str:
    if not isinstance(text, str) or len(text) > LONGEST_NAME:
        raise LabError(f"{what} is {shorten(text)}: must be a text of at most {LONGEST_NAME} characters")
    return text


def _owner(text: str) -> str:
    if not text:
        raise LabError("owner is empty: every run belongs to somebody")
    return _name("owner", text)


def _literal(search: str) -> str:
    """Text for LIKE in which % and _ mean themselves."""
    return search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(f"{folder} cannot be made ({error.strerror}): choose another folder with --data") from None


def _remove_folder(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise LabError(f"{folder} cannot be removed ({error.strerror}): close what uses it and delete the run again") from None


def _copy_folder(source: Path, target: Path) -> None:
    """Hard links where the disk has them, for files of a finished run never change; nothing if there is no adapter."""
    if not source.is_dir():
        return
    try:
        shutil.copytree(source, target, copy_function=_link_or_copy)
    except OSError as error:
        with suppress(OSError):
            shutil.rmtree(target.parent)
        raise LabError(f"{target} cannot be written ({error.strerror or 'disk error'}): delete runs you no longer need") from None


def _link_or_copy(source: str, target: str) -> None:
    try:
        link(source, target)
    except OSError:
        shutil.copy2(source, target)
