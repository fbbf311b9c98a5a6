"""The queue is fair: owners take turns, short runs pass long ones within a bound, limits hold, old things go, and an older lab's file is brought up to date."""
from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lab.classroom import addresses
from lab.contracts import LabError
from lab.events import Cancelled, Failed, Finished, Started
from lab.measurement import Measuring
from lab.runners._worker import Recorder
from lab.schema import STEPS, VERSION
from lab.spec import RunSpec
from lab.store import LONGEST_HANDICAP_SECONDS, Store
from lab.ui import rates
from lab.ui.bench import Bench, Limits

SPEC = RunSpec.parse({"model": "seed-bert", "task": "toy", "method": "lora", "steps": 10})
DAY = 86_400.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Any:
    with Store(tmp_path, clock=clock) as store:
        yield store


def served(store: Store) -> list[str]:
    """Owners in the order in which their runs are claimed; each run ends before the next begins."""
    found = []
    while (run := store.claim("worker")) is not None:
        found.append(run.owner)
        store.append(run.id, [Cancelled(1)])
    return found


def test_thirty_owners_within_seconds_take_turns(store: Store, clock: Clock) -> None:
    owners = [f"student {number}" for number in range(30)]
    for owner in owners:  # each presses Train four times before the next is at it
        for _ in range(4):
            clock.now += 0.05
            store.submit(SPEC, owner)
    order = served(store)
    assert [order[place:place + 30] for place in range(0, 120, 30)] == [owners] * 4, "first runs of all, then second ones, each round in the order they came"


def test_who_comes_later_joins_the_round_that_goes_on(store: Store) -> None:
    for _ in range(20):
        store.submit(SPEC, "first")
    for _ in range(3):
        store.append(store.claim("worker").id, [Cancelled(1)])
    late = store.submit(SPEC, "late")
    assert store.place(late.id) == 1
    assert served(store)[:3] == ["late", "first", "first"]


def test_runs_of_yesterday_are_not_held_against_anybody(store: Store, clock: Clock) -> None:
    for _ in range(50):
        store.submit(SPEC, "busy")
    served(store)
    clock.now += DAY
    store.submit(SPEC, "new")
    store.submit(SPEC, "busy")
    store.submit(SPEC, "new")
    assert served(store) == ["new", "busy", "new"]


def test_what_was_taken_back_does_not_count(store: Store) -> None:
    for _ in range(3):
        store.cancel(store.submit(SPEC, "ann").id)
    store.submit(SPEC, "ann")
    store.submit(SPEC, "bob")
    assert served(store) == ["ann", "bob"]


def test_short_runs_pass_a_long_one_but_not_for_ever(store: Store, clock: Clock) -> None:
    long = store.submit(SPEC, "long", seconds=5000)
    clock.now += LONGEST_HANDICAP_SECONDS - 30
    early = store.submit(SPEC, "early", seconds=10)
    clock.now += 40
    later = store.submit(SPEC, "later", seconds=10)
    assert [store.place(run.id) for run in (early, long, later)] == [1, 2, 3]
    unknown = store.submit(SPEC, "unknown", seconds=None)
    assert store.place(unknown.id) == 4 and served(store) == ["early", "long", "later", "unknown"]


def test_places_are_the_order_of_claiming(store: Store, clock: Clock) -> None:
    runs = []
    for number in range(24):
        clock.now += 1
        runs.append(store.submit(SPEC, f"owner {number % 5}", seconds=float(number * 37 % 200)))
    foretold = sorted(runs, key=lambda run: store.place(run.id))
    assert [run.id for run in store.queue()] == [run.id for run in foretold]
    assert served(store) == [run.owner for run in foretold]


def test_an_owner_s_runs_go_on_so_many_at_a_time_and_others_pass(store: Store) -> None:
    for owner in ("ann", "ann", "ann", "bob"):
        store.submit(SPEC, owner)
    claimed = [store.claim(f"worker {number}", running=1) for number in range(3)]
    assert [run and run.owner for run in claimed] == ["ann", "bob", None] and store.waiting("ann") == 3
    store.append(claimed[0].id, [Cancelled(1)])
    assert store.claim("worker 4", running=1).owner == "ann"


def test_looks_go_before_trainings_and_take_turns_too(store: Store) -> None:
    store.submit(SPEC, "trains")
    for owner in ("ann", "ann", "bob"):
        store.submit(SPEC, owner, kind="look", priority=1)
    order = [store.claim(f"w{number}", ("train", "look")).owner for number in range(4)]
    assert order == ["ann", "bob", "ann", "trains"]


def test_measurements_take_turns_with_trainings(store: Store) -> None:
    """They take a worker as long as those do, so who measures passes nobody and is not passed by who trains again and again."""
    both, taken = ("train", "measure"), []
    for owner in ("ann", "bob", "ann", "bob"):
        store.submit(SPEC, owner)
    for _ in range(2):
        taken.append(store.claim("worker", both).owner)
    for owner in ("ann", "cy"):
        store.submit(Measuring.parse({"measurement": "merging"}), owner, kind="measure")
    taken += [store.claim("worker", both).owner for _ in range(4)]
    assert taken[:2] == ["ann", "bob"] and taken[-1] == "ann", "a third job of hers comes last, whatever kind it is"
    assert set(taken[2:5]) == {"ann", "bob", "cy"} and store.submitted("ann", DAY) == 3 and store.claim("worker", both) is None


def test_thirty_who_ask_for_the_same_are_answered_by_one_run(store: Store, clock: Clock) -> None:
    """What equals a run that finished while it waited takes its result; who asked for it after that, or wants it made anew, has it made."""
    runs = [store.submit(SPEC, f"student {number}") for number in range(30)]
    twice = store.submit(SPEC, "student 0")
    anew = store.submit(SPEC, "student 1", anew=True)
    other = store.submit(RunSpec.parse({**SPEC.to_dict(), "seed": 7}), "student 31")
    first = store.claim("worker")
    assert not store.answer(first), "nothing has finished yet"
    clock.now += 60
    store.append(first.id, [Started(SPEC.to_dict(), SPEC.fingerprint, "w" * 64, "d" * 64, {}, {"trainable": 1}, "cpu", "float32", 1, {"train": 8}),
                            Finished(10, {"total": 60.0}, 1.0)])
    (store.folder(first.id) / "adapter").mkdir(parents=True)
    (store.folder(first.id) / "adapter" / "weights").write_bytes(b"x")
    clock.now += 1
    late = store.submit(SPEC, "late")
    made, answered = [], []
    while (run := store.claim("worker")) is not None:
        (answered if store.answer(run) else made).append(run.id)
        if run.id in made:
            store.append(run.id, [Cancelled(1)])
    assert set(answered) == {run.id for run in (*runs[1:], twice)} and set(made) == {anew.id, other.id, late.id}
    taken = store.run(runs[5].id)
    assert (taken.state, taken.reused, taken.owner, taken.weights_sha256) == ("finished", True, "student 5", "w" * 64)
    assert store.result(taken.id) == store.result(first.id) and (store.folder(taken.id) / "adapter" / "weights").exists()
    assert store.submitted("student 5", 3600) == 0, "it counts for no limit"


# ── limits ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_so_many_runs_an_hour(store: Store, clock: Clock) -> None:
    bench = Bench(store, limits=Limits(per_hour=2, waiting=10))
    for seed in (1, 2):
        bench.submit(SPEC.model_copy(update={"seed": seed}), "ann")
    with pytest.raises(LabError, match="2 runs within the last hour"):
        bench.submit(SPEC, "ann")
    bench.submit(SPEC, "bob")
    clock.now += 3601
    bench.submit(SPEC, "ann")


def test_an_address_has_limits_of_its_own_whatever_keys_it_brings(store: Store, clock: Clock) -> None:
    bench = Bench(store, limits=Limits(address_waiting=3, address_per_hour=5))

    def submitted(owner: str, address: str = "1.1.1.1") -> Any:
        asked = rates.ASKING.set(address)
        try:
            return bench.submit(SPEC.model_copy(update={"seed": len(store.history(None, limit=1000))}), owner)
        finally:
            rates.ASKING.reset(asked)

    runs = [submitted(f"fresh key {number}") for number in range(3)]
    with pytest.raises(LabError, match="3 runs that were started from your network address wait or run"):
        submitted("a fourth key")
    submitted("somebody", "2.2.2.2")
    for number in range(10):
        submitted(f"a program {number}", "")  # nobody's: no request is being answered
    for run in runs[:2]:
        store.cancel(run.id)
    store.delete(runs[1].id)
    submitted("a fifth key")
    submitted("a sixth key")
    for run in store.queue():
        store.cancel(run.id)
    with pytest.raises(LabError, match="5 runs were started from your network address within the last hour"):
        submitted("a seventh key")
    clock.now += 3601
    submitted("an eighth key")


def test_what_was_answered_while_it_waited_is_no_run_of_an_address(store: Store, clock: Clock) -> None:
    bench = Bench(store, limits=Limits(address_per_hour=2))
    rates.ASKING.set("1.1.1.1")
    try:
        for owner in ("ann", "bob"):
            bench.submit(SPEC, owner)
        first, second = store.claim("w1"), store.claim("w2")
        clock.now += 1
        store.append(first.id, [Started(SPEC.to_dict(), SPEC.fingerprint, "w" * 64, "d" * 64, {}, {"trainable": 1}, "cpu", "float32", 1, {"train": 8}),
                                Finished(10, {"total": 60.0}, 1.0)])
        with pytest.raises(LabError, match="2 runs were started"):
            bench.submit(SPEC, "cem")
        assert store.answer(second)
        bench.submit(SPEC, "cem")
    finally:
        rates.ASKING.set("")


def test_of_addresses_a_bounded_number_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "MOST_ADDRESSES", 3)
    found = addresses.Addresses(store, Limits(address_waiting=1))
    for number in range(5):
        found.note(f"1.1.1.{number}", store.submit(SPEC, "ann"))
    found.check("1.1.1.0", trains=True)
    with pytest.raises(LabError, match="1 runs that were started"):
        found.check("1.1.1.4", trains=True)
    assert len(found._asked) == 3


def test_a_full_queue_refuses_in_words_and_loses_nothing(store: Store) -> None:
    bench = Bench(store, limits=Limits(queue=3))
    runs = [bench.submit(SPEC, owner) for owner in ("a", "b", "c")]
    with pytest.raises(LabError, match="queue is full"):
        bench.submit(SPEC, "d")
    assert Counter(store.run(run.id).state for run in runs) == {"queued": 3}


def test_a_run_that_takes_too_long_is_stopped_with_a_reason(store: Store) -> None:
    now = [0.0]
    run = store.submit(SPEC, "ann")
    store.claim("worker")
    recorder = Recorder(store, run, 30.0, clock=lambda: now[0], seconds=60)

    def work(cancelled: Any) -> Any:
        for step in range(1, 1000):
            now[0] += 1.0
            if cancelled():
                yield Cancelled(step)
                return

    recorder.record(work)
    ended = store.events(run.id)[-1][1]
    assert isinstance(ended, Failed) and "longer than the 60 seconds that this lab allows" in ended.reason
    assert "fewer steps" in ended.advice and ended.step == 61


def test_a_run_that_is_stopped_by_its_owner_is_not_called_too_long(store: Store) -> None:
    now = [0.0]
    run = store.submit(SPEC, "ann")
    store.claim("worker")

    def work(cancelled: Any) -> Any:
        store.cancel(run.id)
        now[0] += 100.0
        assert cancelled()
        yield Cancelled(1)

    Recorder(store, run, 30.0, clock=lambda: now[0], seconds=60).record(work)
    assert store.run(run.id).state == "cancelled"


# ── what has had its time ─────────────────────────────────────────────────────────────────────────────────────────────


def test_old_runs_and_adapters_go_and_what_waits_or_runs_stays(store: Store, clock: Clock) -> None:
    old, middle, new = (store.submit(SPEC, "ann") for _ in range(3))
    for run, days in ((old, 10), (middle, 10), (new, 0)):
        store.claim("worker")
        store.append(run.id, [Cancelled(1)])
        (store.folder(run.id) / "adapter").mkdir(parents=True)
        (store.folder(run.id) / "adapter" / "weights").write_bytes(b"x" * 100)
        clock.now += days * DAY
    waits, runs = store.submit(SPEC, "bob"), store.submit(SPEC, "cem")
    store.claim("worker")
    clock.now += 5 * DAY
    assert store.expire(runs_before=clock.now - 20 * DAY, adapters_before=clock.now - 10 * DAY) == (1, 1)
    with pytest.raises(LabError, match="unknown run"):
        store.run(old.id)
    assert not (store.folder(middle.id) / "adapter").exists() and store.run(middle.id).ended and (store.folder(new.id) / "adapter").exists()
    assert {store.run(run.id).state for run in (waits, runs)} == {"queued", "running"} and not store.folder(old.id).exists()
    assert store.expire() == (0, 0)


# ── an older file ─────────────────────────────────────────────────────────────────────────────────────────────────────


def older(folder: Path) -> list[str]:
    """A file as the first version wrote it, with a finished run and five that wait."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = [f"{number:024x}" for number in range(6)]
    db = sqlite3.connect(folder / "lab.sqlite3")
    db.executescript(STEPS[0] + "PRAGMA user_version = 1;")
    for number, (run_id, owner) in enumerate(zip(ids, ("ann", "ann", "ann", "ann", "bob", "bob"), strict=True)):
        state, ended = ("queued", None) if number else ("finished", 1100.0)
        db.execute("INSERT INTO runs (id, kind, spec, fingerprint, owner, title, state, created, finished, shared) "
                   "VALUES (?, 'train', ?, ?, ?, 'old', ?, ?, ?, 1)", (run_id, SPEC.to_json(), SPEC.fingerprint, owner, state, 1000.0 + number, ended))
    db.execute("INSERT INTO events VALUES (?, 1, ?)", (ids[0], '{"event": "preparing", "what": "loading"}'))
    db.commit()
    db.close()
    return ids


def test_a_file_of_an_older_lab_is_brought_up_to_date(tmp_path: Path) -> None:
    ids = older(tmp_path)
    with Store(tmp_path) as store:
        assert store.rows("PRAGMA user_version") == [(VERSION,)]
        old = store.run(ids[0])
        assert (old.state, old.title, old.shared, old.finished, len(store.lines(old.id))) == ("finished", "old", True, 1100.0, 1)
        order = []
        while (run := store.claim("worker")) is not None:
            assert not run.anew
            order.append(run.id)
        assert order == [ids[1], ids[4], ids[2], ids[5], ids[3]], "what waited is kept, and owners take turns from now on"
        assert {table for (table,) in store.rows("SELECT name FROM sqlite_master WHERE type = 'table'")} >= {"runs", "events", "members", "records"}
    with Store(tmp_path) as again:
        assert len(again.history(None)) == 6


def test_an_old_file_and_a_new_one_have_the_same_tables(tmp_path: Path) -> None:
    older(tmp_path / "old")
    asked = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
    with Store(tmp_path / "old") as old, Store(tmp_path / "new") as new:
        assert old.rows(asked) == new.rows(asked)


def test_a_step_that_fails_leaves_the_older_file_as_it_was(tmp_path: Path) -> None:
    ids = older(tmp_path)
    with sqlite3.connect(tmp_path / "lab.sqlite3") as db:
        db.execute("CREATE TABLE members (owner TEXT)")  # stands in the way of the second step
    with pytest.raises(sqlite3.OperationalError):
        Store(tmp_path)
    with sqlite3.connect(tmp_path / "lab.sqlite3") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert "turn" not in {row[1] for row in db.execute("PRAGMA table_info(runs)")} and len(db.execute("SELECT 1 FROM runs").fetchall()) == len(ids)
