"""The store: runs and their events in one SQLite file, the only channel between the page and the workers, and the history at the same time.

    folder/lab.sqlite3      the tables below, in WAL mode: many processes read while one writes
    folder/lab.lock         held by the one lab that serves this folder
    folder/runs/<id>/       what a run leaves beside its events: its adapter
"""
from __future__ import annotations

import json
import os
import secrets
import shutil
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from lab.contracts import LabError, shorten
from lab.database import Database, make_folder
from lab.events import ENDS, Cancelled, Event, Failed, Finished, RunResult, Started, fold, from_json, to_json
from lab.spec import RunSpec

LONGEST_NAME = 200
LONGEST_HANDICAP_SECONDS = 300.0  # a long run lets shorter ones pass that came at most so much later
WORK = ("train", "measure")  # kinds of jobs that take long: they share the rounds of the queue
ORDER = "priority DESC, turn, due, number"  # of the queue
EARLIER = ("state = 'queued' AND (kind = 'question') = ? "
           "AND (-priority, turn, due, number) < (SELECT -priority, turn, due, number FROM runs WHERE id = ?)")


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
    reused: bool  # its result is that of an equal run
    shared: bool
    anew: bool  # no result of an equal run will do

    @cached_property
    def spec(self) -> RunSpec:
        """Raises LabError where the catalogue no longer has what an old run names; `settings` can always be shown."""
        return RunSpec.from_json(self.spec_json)

    @property
    def settings(self) -> dict[str, Any]:
        return json.loads(self.spec_json)

    @property
    def works(self) -> bool:
        """Whether it is one of those that take long, which limits of an hour and of seconds are about."""
        return self.kind in WORK

    @property
    def ended(self) -> bool:
        return self.state in ("finished", "failed", "cancelled")


COLUMNS = ", ".join(field.name.removesuffix("_json") for field in fields(Run))


class Store(Database):
    """The runs of a folder: their queue, their events, what they left and who may see it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        """`options`: those of `Database`."""
        super().__init__(folder, **options)
        make_folder(self.root / "runs")

    # ── the queue ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def submit(self, spec: Job, owner: str, *, kind: str = "train", title: str = "", priority: int = 0, seconds: float | None = 0.0,
               anew: bool = False) -> Run:
        """Put a run into the queue; a higher `priority` goes before a lower one, and one that is made `anew` is not answered from the history.

        Within a priority owners take turns: the first runs of all who wait, then their second ones, and so on; who comes later joins the round that is
        going on. Within a round a run that takes `seconds` stands where one would that came so much later, at most LONGEST_HANDICAP_SECONDS, so short ones
        pass it and nobody is passed for ever. None is a run of which that is not known: it counts as a long one.
        """
        with self.writing() as db:
            longer = LONGEST_HANDICAP_SECONDS if seconds is None else min(max(seconds, 0.0), LONGEST_HANDICAP_SECONDS)
            return self._insert(db, spec, owner, kind, title, priority=priority, turn=self._turn(db, owner, kind), due=self._clock() + longer,
                                anew=int(anew))

    def claim(self, worker: str, kinds: Sequence[str] = ("train",), running: int | None = None) -> Run | None:
        """Give the first run of the queue to one worker and to no other, or None. Costs one short read while the queue is empty.

        `running` is how many runs of one owner may go on at a time: those of an owner who has so many wait, and others pass them.
        """
        marks = _marks(kinds)
        busy = ("" if running is None else " AND (SELECT count(*) FROM runs AS going WHERE going.state = 'running' AND going.kind <> 'question' "
                "AND going.owner = runs.owner) < ?")
        first = f"SELECT number FROM runs WHERE state = 'queued' AND kind IN ({marks}){busy} ORDER BY {ORDER} LIMIT 1"
        asked = (*kinds, *(() if running is None else (running,)))
        if self.value(first, *asked) is None:
            return None
        with self.writing() as db:
            claimed = db.execute(
                f"UPDATE runs SET state = 'running', worker = ?, started = ? WHERE number = ({first}) RETURNING {COLUMNS}, turn",
                (worker, self._clock(), *asked),
            ).fetchone()
            if claimed is None:
                return None
            run = _run(claimed[:-1])
            db.execute("INSERT INTO rounds VALUES (?, ?) ON CONFLICT (kind) DO UPDATE SET turn = max(turn, excluded.turn)",
                       (_alike(run.kind)[0], claimed[-1]))
        return run

    def place(self, run_id: str) -> int:
        """1 for the next run to be claimed, 2 for the one after it …; 0 once it has left the queue. Questions have a queue of their own."""
        run = self.run(run_id)
        if run.state != "queued":
            return 0
        return 1 + self.value(f"SELECT count(*) FROM runs WHERE {EARLIER}", run.kind == "question", run.id)

    def queue(self, before: Run | None = None, limit: int = 1000) -> list[Run]:
        """The runs and looks that wait, the next first; with `before` those that come before that one, questions where it is one."""
        if before is None:
            return self._select(f"state = 'queued' AND kind <> 'question' ORDER BY {ORDER} LIMIT ?", limit)
        return self._select(f"{EARLIER} ORDER BY {ORDER} LIMIT ?", before.kind == "question", before.id, limit)

    def order(self, limit: int = 10_000) -> list[str]:
        """The ids of the runs and looks that wait, the next first."""
        return [run for run, in self.rows(f"SELECT id FROM runs WHERE state = 'queued' AND kind <> 'question' ORDER BY {ORDER} LIMIT ?", limit)]

    def queue_mark(self) -> str:
        """Another one whenever a run has joined or left the queue."""
        return str(self.value("SELECT count(*) || '.' || coalesce(max(number), 0) FROM runs WHERE state = 'queued' AND kind <> 'question'"))

    def ends_mark(self) -> str:
        """Another one whenever a run has ended or was deleted."""
        return str(self.rows("SELECT max(finished), count(finished) FROM runs WHERE finished IS NOT NULL")[0])

    def in_state(self, state: str, limit: int = 1000) -> list[Run]:
        """Runs, looks and questions in one state, the earliest first."""
        return self._select("state = ? ORDER BY number LIMIT ?", state, limit)

    def submitted(self, owner: str, seconds: float) -> int:
        """How many runs an owner has submitted in the last so many seconds, those answered from the history left out."""
        now = self._clock()  # a run from later is one of a clock that has been set back
        return self.value(f"SELECT count(*) FROM runs WHERE owner = ? AND kind IN ({_marks(WORK)}) AND reused = 0 AND created > ? AND created <= ?",
                           owner, *WORK, now - seconds, now)

    def waiting(self, owner: str | None = None, questions: bool = False) -> int:
        """How many runs (and looks), or else questions, are queued or running, of one owner or of all: what a limit on an owner is checked against."""
        which = f"AND kind {'=' if questions else '<>'} 'question'" + (" AND owner = ?" if owner is not None else "")
        count = f"SELECT (SELECT count(*) FROM runs WHERE state = 'queued' {which}) + (SELECT count(*) FROM runs WHERE state = 'running' {which})"
        return self.value(count, *([owner, owner] if owner is not None else []))

    def among(self, ids: Collection[str]) -> list[Run]:
        """The runs with these ids, as far as they are there."""
        return self._select("id IN (SELECT value FROM json_each(?))", json.dumps(list(ids)))

    def cancel(self, run_id: str) -> Run:
        """A queued run ends at once; a running one is flagged and ends at its next step; an ended one stays as it is."""
        with self.writing(ending=True) as db:
            run = self.run(run_id)
            if run.state == "queued":
                self._append(db, run, [Cancelled(step=0)])
            elif run.state == "running":
                db.execute("UPDATE runs SET cancel = 1 WHERE id = ?", (run_id,))
            return self.run(run_id)

    def cancelled(self, run_id: str) -> bool:
        """Whether its worker should stop: it was flagged, or it ended or was deleted from elsewhere."""
        return self.value("SELECT 1 FROM runs WHERE id = ? AND state = 'running' AND cancel = 0", run_id) is None

    # ── events ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def append(self, run_id: str, events: Iterable[Event]) -> int:
        """Store events, all or none, and move the run's state with them. Returns the number of the last one.

        Raises Unwritable when the disk is full or the file locked (try again), LabError when the run has ended or is gone (stop).
        """
        events = list(events)
        with self.writing(ending=bool(events) and isinstance(events[-1], ENDS)) as db:
            run = self.run(run_id)
            if run.ended:
                raise LabError(f"run {run_id} is {run.state}: nothing can be added to it")
            return self._append(db, run, events)

    def fail(self, run_id: str, reason: str, advice: str = "", *, knob: str = "", detail: str = "") -> bool:
        """End a run from outside, with a reason for its owner. False if it had ended before."""
        with self.writing(ending=True) as db:
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
        return self.value("SELECT count(*) FROM runs WHERE worker = ? AND state <> 'running'", worker)

    def lines(self, run_id: str, after: int = 0) -> list[tuple[int, str]]:
        """(number, JSON line) of each event later than `after`; the cost grows with what is new, not with the run."""
        found = self.rows("SELECT seq, line FROM events WHERE run = ? AND seq > ? ORDER BY seq", run_id, after)
        if not found:
            self.run(run_id)  # an unknown id is an error, not an empty answer
        return found

    def events(self, run_id: str, after: int = 0) -> list[tuple[int, Event]]:
        return [(seq, from_json(line)) for seq, line in self.lines(run_id, after)]

    def step(self, run_id: str) -> int:
        """How far a run is, from its newest events alone; 0 before its first step."""
        newest = self.rows("SELECT seq, line FROM events WHERE run = ? ORDER BY seq DESC LIMIT 5", run_id)
        return next((step for _, line in newest if (step := getattr(from_json(line), "step", 0))), 0)

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
        """Newest first: an owner's trainings, or everybody's for None. `before` is the `number` where the last page ended.

        `search` looks in title, model, task and method; `shared` leaves only the runs that their owners shared.
        """
        words = f"%{_literal(search)}%"
        tests: list[tuple[str, tuple[Any, ...]]] = [
            (test, values) for wanted, test, values in (
                (True, "kind = 'train'", ()),
                (owner is not None, "owner = ?", (owner,)),
                (before is not None, "number < ?", (before,)),
                (state is not None, "state = ?", (state,)),
                (shared, "shared = 1", ()),
                (search != "", " OR ".join(f"{column} LIKE ? ESCAPE '\\'" for column in SEARCHED), (words,) * len(SEARCHED)),
            ) if wanted
        ]
        where = " AND ".join(f"({test})" for test, _ in tests) or "1"
        return self._select(f"{where} ORDER BY number DESC LIMIT ?", *(value for _, values in tests for value in values), limit)

    def finished(self, owner: str, fingerprints: Collection[str]) -> list[Run]:
        """An owner's finished trainings of these specs, newest first."""
        marks = _marks(fingerprints)
        return self._select(f"kind = 'train' AND owner = ? AND state = 'finished' AND fingerprint IN ({marks}) ORDER BY number DESC", owner, *fingerprints)

    def looks(self, run_id: str) -> list[Run]:
        """The looks at a run, newest first."""
        return self._select("kind = 'look' AND json_extract(spec, '$.run') = ? ORDER BY number DESC", run_id)

    def took(self, kind: str, fingerprint: str) -> float | None:
        """Seconds of the newest equal job that finished here, from when a worker took it; None where there is none."""
        found = self.rows("SELECT finished - started FROM runs WHERE fingerprint = ? AND kind = ? AND state = 'finished' ORDER BY number DESC LIMIT 1",
                           fingerprint, kind)
        return found[0][0] if found else None

    def rename(self, run_id: str, title: str) -> Run:
        return self._set(run_id, "title", _name("title", title))

    def share(self, run_id: str, shared: bool = True) -> Run:
        return self._set(run_id, "shared", int(shared))

    def delete(self, run_id: str) -> None:
        """Remove a run, its events, its folder, the looks at it and the questions to it; a running one has to be cancelled first."""
        with self.writing(ending=True) as db:
            run = self.run(run_id)
            if run.state == "running":
                raise LabError(f"run {run_id} is running: cancel it before you delete it")
            _remove_folder(self.folder(run_id))
            db.execute("DELETE FROM runs WHERE id = ? OR kind IN ('look', 'question') AND json_extract(spec, '$.run') = ?", (run_id, run_id))

    def forget_questions(self, owner: str, keep: int) -> None:
        """Remove an owner's questions that have ended, but for the newest: what was typed is nobody's history."""
        with self.writing(ending=True) as db:
            db.execute("DELETE FROM runs WHERE kind = 'question' AND owner = ? AND finished IS NOT NULL AND number NOT IN "
                       "(SELECT number FROM runs WHERE kind = 'question' AND owner = ? ORDER BY number DESC LIMIT ?)", (owner, owner, keep))

    def reuse(self, owner: str, spec: Job, weights_sha256: str, data_sha256: str, *, title: str = "") -> Run | None:
        """Answer from the history: a finished run of the same spec, weights and data becomes a new run of `owner`, marked as reused.

        Its events and its adapter come along; whose it was, its id and its title do not.
        """
        with self.writing() as db:
            equal = self._equal(spec, weights_sha256, data_sha256)
            if not equal:
                return None
            now = self._clock()
            run = self._insert(db, spec, owner, "train", title, state="finished", started=now, finished=now, reused=1,
                               weights_sha256=weights_sha256, data_sha256=data_sha256)
            self._take(db, run.id, equal[0].id)
            return run

    def answer(self, run: Run) -> bool:
        """Give a run that was claimed the result of an equal one that finished while it waited, as `reuse` would have at its start.

        Here weights and data need not be compared: both were to be trained by this lab at the same time. False where there is none, or where the run is to
        be made anew: it has to be made.
        """
        if run.kind != "train" or run.anew:
            return False
        equal = self._select("state = 'finished' AND kind = 'train' AND reused = 0 AND fingerprint = ? AND finished > ? "
                             "AND weights_sha256 <> '' ORDER BY number DESC LIMIT 1", run.fingerprint, run.created)
        if not equal:
            return False
        with self.writing() as db:
            self._take(db, run.id, equal[0].id)
            db.execute("UPDATE runs SET state = 'finished', finished = ?, reused = 1, weights_sha256 = ?, data_sha256 = ? WHERE id = ?",
                       (self._clock(), equal[0].weights_sha256, equal[0].data_sha256, run.id))
        return True

    def _take(self, db: sqlite3.Connection, run_id: str, equal_id: str) -> None:
        """The events and the adapter of one run for another."""
        db.execute("INSERT INTO events SELECT ?, seq, line FROM events WHERE run = ?", (run_id, equal_id))
        _copy_folder(self.folder(equal_id) / "adapter", self.folder(run_id) / "adapter")

    def has_equal(self, spec: Job, weights_sha256: str, data_sha256: str) -> bool:
        """Whether `reuse` would find something."""
        return bool(self._equal(spec, weights_sha256, data_sha256))

    def own_equal(self, owner: str, spec: Job, weights_sha256: str, data_sha256: str) -> Run | None:
        """What `reuse` would find, where it is this owner's already."""
        return next(iter(self._equal(spec, weights_sha256, data_sha256, owner)), None)

    def _equal(self, spec: Job, weights_sha256: str, data_sha256: str, owner: str | None = None) -> list[Run]:
        whose, of = ("", ()) if owner is None else ("AND owner = ? ", (owner,))
        return self._select("state = 'finished' AND kind = 'train' AND fingerprint = ? AND weights_sha256 = ? AND data_sha256 = ? "
                            f"AND weights_sha256 <> '' AND data_sha256 <> '' {whose}ORDER BY number DESC LIMIT 1",
                            spec.fingerprint, weights_sha256, data_sha256, *of)

    # ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def folder(self, run_id: str) -> Path:
        """Where a run keeps its adapter; made by whoever writes there first."""
        if not run_id.isalnum():
            raise LabError(f'unknown run "{shorten(run_id)}": an id has letters and digits only')
        return self.root / "runs" / run_id

    def disk_used(self, owner: str) -> int:
        """Bytes of all adapters of an owner."""
        mine = {run_id for (run_id,) in self.rows("SELECT id FROM runs WHERE owner = ?", owner)}
        kept = (path for path in (self.root / "runs").iterdir() if path.name in mine)
        return sum(file.stat().st_size for path in kept for file in path.rglob("*") if file.is_file())

    def disk_bytes(self) -> int:
        """Bytes of all that lies in the folder: the database, the adapters, uploaded sets, logs. Files that go meanwhile count for nothing."""
        found = 0
        for folder, _, names in os.walk(self.root):
            for name in names:
                with suppress(OSError):
                    found += os.stat(os.path.join(folder, name)).st_size  # noqa: PTH116, PTH118  thousands of files: Path costs three times as much
        return found

    def expire(self, *, runs_before: float | None = None, adapters_before: float | None = None) -> tuple[int, int]:
        """Remove runs that ended before one time, and adapters of those that ended before another; returns how many of each. What waits or runs stays."""
        gone = self._select("finished < ?", runs_before) if runs_before is not None else []
        removed = 0
        for run in gone:
            with suppress(LabError):  # its look or question went with a run before it, or its folder cannot be removed now: tried again at the next sweep
                self.delete(run.id)
                removed += 1
        emptied = 0
        if adapters_before is not None:
            with self.writing(ending=True) as db:  # without its adapter a run is no answer to who asks for an equal one
                db.execute("UPDATE runs SET weights_sha256 = '' WHERE kind = 'train' AND finished < ? AND weights_sha256 <> ''", (adapters_before,))
            for (run_id,) in self.rows("SELECT id FROM runs WHERE kind = 'train' AND finished < ?", adapters_before):
                folder = self.folder(run_id) / "adapter"
                if folder.is_dir():
                    _remove_folder(folder)
                    emptied += 1
        return removed, emptied

    def salt(self) -> str:
        """A secret of this folder, made once, from which keys are made that nobody can guess."""
        with self.writing() as db:
            db.execute("INSERT INTO secrets VALUES ('salt', ?) ON CONFLICT (name) DO NOTHING", (secrets.token_hex(32),))
        return self.value("SELECT value FROM secrets WHERE name = 'salt'")

    def ended_since(self, moment: float) -> list[Run]:
        """Runs and looks that ended later than that, the earliest first: what a log tells of."""
        return self._select("finished > ? AND kind <> 'question' ORDER BY finished LIMIT 1000", moment)

    def counts(self) -> dict[str, dict[str, int]]:
        """{kind: {state: how many}} of the whole history."""
        found: dict[str, dict[str, int]] = {}
        for kind, state, many in self.rows("SELECT kind, state, count(*) FROM runs GROUP BY kind, state"):
            found.setdefault(kind, {})[state] = many
        return found

    # ── inside ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _turn(self, db: sqlite3.Connection, owner: str, kind: str) -> int:
        """The round that a new run of an owner belongs to: the one that is going on, or the one after their latest that began or waits."""
        kinds = _alike(kind)
        found = db.execute("SELECT coalesce((SELECT turn FROM rounds WHERE kind = ?), 1), "
                           f"(SELECT turn FROM runs WHERE owner = ? AND kind IN ({_marks(kinds)}) AND turn > 0 "
                           "AND (state <> 'cancelled' OR started IS NOT NULL) ORDER BY number DESC LIMIT 1)", (kinds[0], owner, *kinds)).fetchone()
        return max(found[0], (found[1] or 0) + 1)

    def _insert(self, db: sqlite3.Connection, spec: Job, owner: str, kind: str, title: str, **more: Any) -> Run:
        values = {
            "id": secrets.token_hex(12),  # nobody can guess it; no capitals, since some file systems ignore them
            "kind": kind, "spec": spec.to_json(), "fingerprint": spec.fingerprint, "owner": _owner(owner), "title": _name("title", title),
            "state": "queued", "created": self._clock(), **more,
        }
        marks = _marks(values)
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
        with self.writing() as db:
            db.execute(f"UPDATE runs SET {column} = ? WHERE id = ?", (value, run_id))
            return self.run(run_id)

    def _select(self, where: str, *values: Any) -> list[Run]:
        return [_run(row) for row in self.rows(f"SELECT {COLUMNS} FROM runs WHERE {where}", *values)]


SEARCHED = ("title", "json_extract(spec, '$.model')", "json_extract(spec, '$.task')", "json_extract(spec, '$.method.name')")


def _alike(kind: str) -> tuple[str, ...]:
    """The kinds that share their rounds of the queue with this one; the first of them names the rounds."""
    return WORK if kind in WORK else (kind,)


def _marks(values: Collection[Any]) -> str:
    return ", ".join("?" * len(values))


def _run(row: Sequence[Any]) -> Run:
    return Run(*row[:-4], *map(bool, row[-4:]))  # SQLite has no true and false


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
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
