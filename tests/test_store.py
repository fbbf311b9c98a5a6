"""The store keeps every run and event, hands each run to one worker, survives crashes and full disks, and tells nobody about others."""
import json
import multiprocessing
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lab.contracts import LabError
from lab.database import SMALLEST_BYTES, Unwritable
from lab.events import Cancelled, Evaluated, Failed, Finished, Observed, Started, Stepped, fold, to_json
from lab.spec import RunSpec
from lab.store import Store
from tests._patience import within

ROOT = Path(__file__).parents[1]
LORA = RunSpec.parse({"model": "seed-bert", "task": "toy", "method": "lora", "steps": 10})
HEAD = RunSpec.parse({"model": "seed-bert", "task": "toy", "method": "head", "steps": 10})
WEIGHTS, DATA = "a" * 64, "b" * 64


class Clock:
    """Time that moves only when told to."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    with Store(tmp_path / "data", clock=clock) as store:
        yield store


def started(spec=LORA):
    return Started(spec.to_dict(), spec.fingerprint, WEIGHTS, DATA, {"torch": "2"}, {"trainable": 1}, "cpu", "float32", 1, {"train": 8})


def step(number, loss=0.5):
    return Stepped(number, loss, 1e-3, number / 10)


def scored(score=0.75):
    return Evaluated(10, "tuned", "test", "accuracy", score, 0.01, 100)


ENDING = Finished(10, {"total": 1.0}, 10.0)


def finished_run(store, owner="ann", spec=LORA, title=""):
    run = store.submit(spec, owner, title=title)
    store.claim("w")
    store.append(run.id, [started(spec), *(step(number) for number in range(1, 11)), scored(), ENDING])
    return store.run(run.id)


# ── a run's life ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_goes_from_the_queue_through_a_worker_into_the_history(store, clock):
    run = store.submit(LORA, "ann", title="my first")
    assert (run.state, run.owner, run.title, run.kind, run.created) == ("queued", "ann", "my first", "train", clock.now)
    assert run.spec == LORA and run.settings == LORA.to_dict() and run.fingerprint == LORA.fingerprint
    assert store.result(run.id).state == "queued"

    clock.now += 5
    claimed = store.claim("worker-1")
    assert (claimed.id, claimed.state, claimed.worker, claimed.started) == (run.id, "running", "worker-1", clock.now)
    assert store.result(run.id).state == "preparing"

    store.append(run.id, [started()])
    assert store.append(run.id, [step(1), step(2)]) == 3
    assert store.run(run.id).weights_sha256 == WEIGHTS and store.run(run.id).data_sha256 == DATA
    assert store.result(run.id).state == "running"

    clock.now += 5
    store.append(run.id, [scored(), ENDING])
    done = store.run(run.id)
    assert (done.state, done.finished, done.ended) == ("finished", clock.now, True)
    assert store.result(run.id) == fold([started(), step(1), step(2), scored(), ENDING])
    assert store.claim("worker-1") is None


@pytest.mark.parametrize(("event", "state", "reason"), [
    (Failed("the loss is not a number", "lower lr"), "failed", "the loss is not a number"),
    (Cancelled(3), "cancelled", "stopped by request"),
])
def test_an_ending_moves_the_state_and_keeps_its_reason(store, event, state, reason):
    run = store.submit(LORA, "ann")
    store.claim("w")
    store.append(run.id, [event])
    assert (store.run(run.id).state, store.run(run.id).reason) == (state, reason)


def test_how_far_a_run_is_is_read_off_its_newest_events(store):
    run = store.submit(LORA, "ann")
    assert store.step(run.id) == 0
    store.claim("w")
    store.append(run.id, [started()])
    assert store.step(run.id) == 0
    store.append(run.id, [step(3), step(7)])
    assert store.step(run.id) == store.result(run.id).step == 7


def test_nothing_follows_an_ending(store):
    run = finished_run(store)
    before = store.lines(run.id)
    with pytest.raises(LabError, match="is finished"):
        store.append(run.id, [step(11)])
    assert store.fail(run.id, "too late") is False
    assert store.cancel(run.id).state == "finished"
    assert store.lines(run.id) == before


def test_what_is_stored_survives_closing(tmp_path):
    with Store(tmp_path) as store:
        run = finished_run(store)
    with Store(tmp_path) as store:
        assert store.run(run.id) == run and store.result(run.id).scores["tuned"].score == 0.75


def test_ids_cannot_be_guessed_and_are_safe_in_addresses_and_file_names(store):
    ids = {store.submit(LORA, "ann").id for _ in range(200)}
    assert len(ids) == 200 and all(len(run_id) == 24 and set(run_id) <= set("0123456789abcdef") for run_id in ids)


@pytest.mark.parametrize("call", [
    lambda s, i: s.run(i), lambda s, i: s.lines(i), lambda s, i: s.events(i, 7), lambda s, i: s.result(i), lambda s, i: s.cancel(i),
    lambda s, i: s.append(i, [step(1)]), lambda s, i: s.fail(i, "x"), lambda s, i: s.place(i), lambda s, i: s.rename(i, "x"),
    lambda s, i: s.share(i), lambda s, i: s.delete(i),
])
@pytest.mark.parametrize("run_id", ["0" * 24, "../../etc/passwd", "' OR 1=1 --", ""])
def test_an_unknown_run_is_said_to_be_unknown(store, call, run_id):
    store.submit(LORA, "ann")
    with pytest.raises(LabError, match="unknown run"):
        call(store, run_id)
    assert store.waiting() == 1


@pytest.mark.parametrize("run_id", ["..", "../x", "a/b", "", "a\\b", "."])
def test_a_folder_never_lies_outside(store, run_id):
    with pytest.raises(LabError, match="letters and digits"):
        store.folder(run_id)


def test_an_old_spec_that_the_catalogue_forgot_can_still_be_shown(store):
    class Old:
        fingerprint = "old"

        def to_json(self):
            return json.dumps({"model": "gone", "task": "toy", "method": {"name": "gone"}})

    run = store.submit(Old(), "ann")
    assert store.history("ann")[0].settings["model"] == "gone"
    with pytest.raises(LabError, match="gone"):
        _ = store.run(run.id).spec


@pytest.mark.parametrize(("more", "message"), [({"owner": ""}, "owner is empty"), ({"owner": "a" * 201}, "at most 200"), ({"title": "t" * 201}, "at most 200")])
def test_bad_names_are_refused(store, more, message):
    with pytest.raises(LabError, match=message):
        store.submit(LORA, **{"owner": "ann", **more})
    assert store.waiting() == 0


# ── the queue ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_oldest_is_claimed_first_and_everybody_knows_their_place(store):
    first, second, third = (store.submit(LORA, owner) for owner in ("ann", "bob", "cem"))
    assert [store.place(run.id) for run in (first, second, third)] == [1, 2, 3]
    assert store.claim("w").id == first.id
    assert [store.place(run.id) for run in (first, second, third)] == [0, 1, 2]
    store.cancel(second.id)
    assert [store.place(run.id) for run in (second, third)] == [0, 1]
    assert store.claim("w").id == third.id


def test_priority_goes_before_age(store):
    sweep = [store.submit(LORA, "ann", priority=-1) for _ in range(3)]
    asked = store.submit(LORA, "bob")
    assert [store.place(run.id) for run in (asked, *sweep)] == [1, 2, 3, 4]
    assert store.claim("w").id == asked.id


def test_a_worker_takes_only_the_kinds_it_can_do(store):
    run = store.submit(LORA, "ann", kind="trace")
    assert store.claim("w") is None
    assert store.claim("w", ("train", "trace")).id == run.id


def test_waiting_counts_what_is_not_done(store):
    finished_run(store)
    for owner in ("ann", "ann", "bob"):
        store.submit(LORA, owner)
    store.claim("w")
    assert (store.waiting(), store.waiting("ann"), store.waiting("bob"), store.waiting("cem")) == (3, 2, 1, 0)


def test_cancelling_ends_a_queued_run_at_once_and_flags_a_running_one(store):
    run, queued = store.submit(LORA, "ann"), store.submit(LORA, "ann")
    store.claim("w")
    assert store.cancel(queued.id).state == "cancelled" and store.result(queued.id).state == "cancelled"
    assert store.cancelled(run.id) is False
    assert store.cancel(run.id).state == "running" and store.run(run.id).cancel
    assert store.cancelled(run.id) is True


def test_a_worker_learns_that_its_run_was_ended_elsewhere(store):
    run = store.submit(LORA, "ann")
    store.claim("w")
    store.fail(run.id, "the worker was thought to be dead")
    assert store.cancelled(run.id) is True
    assert store.cancelled("0" * 24) is True


def test_recover_fails_what_a_crash_left_running_and_leaves_the_queue(store):
    finished = finished_run(store, "dan")
    mine, other, queued = (store.submit(LORA, owner) for owner in ("ann", "bob", "cem"))
    store.claim("dead")
    store.claim("alive")
    store.append(mine.id, [started(), step(1)])
    assert store.recover(keep={"alive"}) == (mine.id,)
    assert store.run(mine.id).state == "failed" and "stopped" in store.run(mine.id).reason
    assert store.result(mine.id).step == 1 and store.result(mine.id).advice
    assert [store.run(run.id).state for run in (finished, other, queued)] == ["finished", "running", "queued"]
    assert store.recover() == (other.id,) and store.recover() == ()


def test_one_lab_serves_a_folder_and_a_killed_one_lets_go(tmp_path):
    code = f"""
import time
from pathlib import Path
from lab.store import Store
store = Store(Path({str(tmp_path)!r}))
store.hold()
print("held", flush=True)
time.sleep(60)
"""
    other = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        with Store(tmp_path) as store:
            with pytest.raises(LabError, match="another lab serves"):
                store.hold()
            other.kill()
            other.wait()
            store.hold()
            store.hold()
    finally:
        other.kill()
        other.wait()
        other.stdout.close()


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_cursor_gets_what_is_new_and_nothing_twice(store):
    run = store.submit(LORA, "ann")
    store.claim("w")
    assert store.events(run.id) == []
    store.append(run.id, [started()])
    store.append(run.id, [step(1), step(2)])
    assert store.events(run.id) == [(1, started()), (2, step(1)), (3, step(2))]
    assert store.events(run.id, after=2) == [(3, step(2))]
    assert store.events(run.id, after=3) == []
    assert store.lines(run.id, after=2) == [(3, to_json(step(2)))]
    assert store.append(run.id, []) == 3


def test_events_carry_any_text_and_numbers_json_has_not(store):
    run = store.submit(LORA, "ann")
    store.claim("w")
    seen = Observed(1, "samples", [{"text": "naïve 🙂 \u2028 ${alert(1)} \x00 '; DROP TABLE runs"}])
    store.append(run.id, [seen, step(1, float("nan"))])
    assert store.events(run.id)[0][1] == seen and store.events(run.id)[1][1].loss is None


def test_a_batch_is_stored_whole_or_not_at_all(store):
    run = store.submit(LORA, "ann")
    store.claim("w")
    with pytest.raises(TypeError):
        store.append(run.id, [step(1), Observed(1, "x", object())])
    assert store.events(run.id) == []


@pytest.mark.slow
def test_reading_what_is_new_costs_the_same_in_a_long_run(store):
    def cost(length):
        run = store.submit(LORA, "ann")
        store.claim("w")
        store.append(run.id, [step(number) for number in range(length)])
        return min(_seconds(lambda: store.events(run.id, after=length - 3)) for _ in range(50))

    assert cost(20_000) < 5 * cost(20)


def test_appending_is_cheap(store):
    run = store.submit(LORA, "ann")
    store.claim("w")
    assert min(_seconds(lambda: [store.append(run.id, [step(number)]) for number in range(500)]) for _ in range(3)) / 500 < within(0.003)


def _seconds(work):
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


# ── the history ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_history_is_the_owners_newest_first(store):
    runs = [store.submit(LORA, owner) for owner in ("ann", "bob", "ann")]
    assert [run.id for run in store.history("ann")] == [runs[2].id, runs[0].id]
    assert [run.id for run in store.history(None)] == [run.id for run in reversed(runs)]
    assert store.history("nobody") == [] and store.history("") == []


def test_history_comes_in_pages(store):
    runs = [store.submit(LORA, "ann") for _ in range(7)]
    seen, before = [], None
    while page := store.history("ann", limit=3, before=before):
        seen += page
        before = page[-1].number
    assert [run.id for run in seen] == [run.id for run in reversed(runs)]


def test_history_is_searched_by_title_model_task_method_and_state(store):
    lora = store.submit(LORA, "ann", title="100% Rank_8")
    head = store.submit(HEAD, "ann", title="only the head")
    store.cancel(head.id)

    def found(**wanted):
        return [run.id for run in store.history("ann", **wanted)]

    assert found(search="rank_8") == found(search="100%") == found(search="LORA") == [lora.id]
    assert found(search="seed-bert") == found(search="toy") == [head.id, lora.id]
    assert found(search="only the") == found(state="cancelled") == [head.id]
    assert found(search="rank%8") == found(search="k_h") == found(search="\\") == found(search="'") == []


def test_rename_share_and_delete(store):
    run = finished_run(store)
    assert store.rename(run.id, "better").title == "better"
    assert store.history(None, shared=True) == []
    assert store.share(run.id).shared and [found.id for found in store.history(None, shared=True)] == [run.id]
    assert not store.share(run.id, False).shared
    adapter = store.folder(run.id) / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_model.safetensors").write_bytes(b"x" * 1000)
    assert (store.disk_used("ann"), store.disk_used("bob")) == (1000, 0)
    store.delete(run.id)
    assert not store.folder(run.id).exists() and store.disk_used("ann") == 0 and store.history("ann") == []
    with pytest.raises(LabError, match="unknown run"):
        store.lines(run.id)


def test_deleting_removes_the_events_too(store, tmp_path):
    store.delete(finished_run(store).id)
    rows = sqlite3.connect(tmp_path / "data" / "lab.sqlite3").execute("SELECT count(*) FROM events").fetchone()
    assert rows == (0,)


def test_a_run_without_its_adapter_answers_nobody_any_more(store, clock):
    run = finished_run(store)
    (store.folder(run.id) / "adapter").mkdir(parents=True)
    hashes = run.weights_sha256, run.data_sha256
    assert store.has_equal(LORA, *hashes) and store.expire(adapters_before=run.finished + 1) == (0, 1)
    assert not store.has_equal(LORA, *hashes) and store.reuse("bob", LORA, *hashes) is None and store.run(run.id).state == "finished"


def test_a_run_from_later_counts_for_no_hour(store, clock):
    clock.now += 5 * 3600
    store.submit(LORA, "ann")
    assert store.submitted("ann", 3600) == 1
    clock.now -= 5 * 3600
    assert store.submitted("ann", 3600) == 0, "the clock was ahead, and has been set right"


def test_a_running_run_is_not_deleted(store):
    run = store.submit(LORA, "ann")
    store.claim("w")
    with pytest.raises(LabError, match="cancel it before"):
        store.delete(run.id)
    assert store.run(run.id).state == "running"


@pytest.mark.slow
@pytest.mark.alone
def test_ten_thousand_runs_open_at_once(store):
    with store.writing() as db:  # one transaction: filling is not what is measured
        for number in range(10_000):
            store._insert(db, LORA, "ann" if number % 2 else "bob", "train", f"run {number}")
    for ask in (lambda: store.history("ann"), lambda: store.history(None, limit=10_000), lambda: store.history("ann", search="run 77")):
        assert min(_seconds(ask) for _ in range(3)) < 0.3  # the best of three: a collection of garbage in the midst of one takes as long
    assert len(store.history(None, limit=10_000)) == 10_000


# ── reuse ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_equal_finished_run_answers_for_another_and_gives_nothing_away(store, clock):
    old = finished_run(store, "ann@example.org", title="Ann's secret title")
    adapter = store.folder(old.id) / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "weights").write_bytes(b"12345")
    (store.folder(old.id) / "notes.txt").write_text("Ann's")
    clock.now += 100

    new = store.reuse("bob", LORA, WEIGHTS, DATA)
    assert (new.owner, new.title, new.state, new.reused, new.shared, new.worker) == ("bob", "", "finished", True, False, "")
    assert (new.created, new.started, new.finished) == (clock.now,) * 3 and new.id != old.id
    assert store.result(new.id) == store.result(old.id)
    given = json.dumps([new.__dict__, store.lines(new.id)])
    assert not any(secret in given for secret in (old.id, "ann@example.org", "secret"))
    assert [path.relative_to(store.folder(new.id)).as_posix() for path in store.folder(new.id).rglob("*")] == ["adapter", "adapter/weights"]

    store.delete(old.id)
    assert (store.folder(new.id) / "adapter" / "weights").read_bytes() == b"12345"
    assert len(store.events(new.id)) == 13
    assert store.reuse("cem", LORA, WEIGHTS, DATA, title="mine").title == "mine"


@pytest.mark.parametrize(("spec", "weights", "data"), [(HEAD, WEIGHTS, DATA), (LORA, "c" * 64, DATA), (LORA, WEIGHTS, "c" * 64), (LORA, "", "")])
def test_only_equal_spec_weights_and_data_are_reused(store, spec, weights, data):
    finished_run(store)
    assert store.reuse("bob", spec, weights, data) is None
    assert store.history("bob") == []


def test_only_finished_runs_are_reused(store):
    run = store.submit(LORA, "ann")
    store.claim("w")
    store.append(run.id, [started(), step(1)])
    assert store.reuse("bob", LORA, WEIGHTS, DATA) is None
    store.append(run.id, [Cancelled(1)])
    assert store.reuse("bob", LORA, WEIGHTS, DATA) is None


# ── many at once ──────────────────────────────────────────────────────────────────────────────────────────────────────


def work(folder: Path, name: str) -> None:
    """Claim and finish runs until there are none."""
    with Store(folder) as store:
        while run := store.claim(name):
            for number in range(1, 6):
                store.append(run.id, [step(number)])
            store.append(run.id, [ENDING])


@pytest.mark.slow
def test_two_processes_write_at_once_and_no_run_is_claimed_twice(store, tmp_path):
    runs = [store.submit(LORA, "ann") for _ in range(60)]
    workers = [multiprocessing.get_context("spawn").Process(target=work, args=(tmp_path / "data", f"w{number}")) for number in range(2)]
    for worker in workers:
        worker.start()
    late = [store.submit(LORA, "bob") for _ in range(5)]
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    work(tmp_path / "data", "last")
    for run in runs + late:
        assert store.run(run.id).state == "finished"
        assert [event for _, event in store.events(run.id)] == [*(step(number) for number in range(1, 6)), ENDING]


def test_threads_share_one_store(store):
    runs = [store.submit(LORA, "ann") for _ in range(8)]
    claimed = []

    def one(name):
        run = store.claim(name)
        claimed.append(run.id)
        for number in range(20):
            store.append(run.id, [step(number)])
            store.history("ann")

    threads = [threading.Thread(target=one, args=(f"t{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(run.id for run in runs)
    assert all(len(store.events(run.id)) == 20 for run in runs)


@pytest.mark.slow
def test_a_store_is_opened_by_several_processes_at_the_same_moment(tmp_path):
    code = f"from pathlib import Path; from lab.store import Store; Store(Path({str(tmp_path / 'new')!r})).waiting()"
    started_together = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for process in started_together:
        assert process.communicate(timeout=60)[1] == "" and process.returncode == 0


# ── trouble ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def fill(store, run_id):
    """Append until nothing more fits; how many events did."""
    stored = 0
    with pytest.raises(Unwritable):
        while True:
            store.append(run_id, [Observed(stored, "samples", "x" * 20_000)])
            stored += 1
    return stored


def test_a_full_database_keeps_what_it_has_and_still_ends_its_runs(tmp_path):
    with Store(tmp_path, largest_bytes=SMALLEST_BYTES) as store:
        run, queued = store.submit(LORA, "ann"), store.submit(LORA, "bob")
        store.claim("w")
        stored = fill(store, run.id)
        assert stored == len(store.events(run.id)) > 3
        with pytest.raises(Unwritable, match=r"lab\.sqlite3 has reached its limit of 262,144 bytes: delete runs.*nothing stored is lost"):
            store.append(run.id, [Observed(0, "samples", "x" * 20_000)])
        assert store.fail(run.id, "The disk of the lab is full.", "Delete runs you no longer need.")
        assert store.run(run.id).state == "failed" and len(store.events(run.id)) == stored + 1
        assert store.cancel(queued.id).state == "cancelled"
        store.delete(run.id)
        run = store.submit(LORA, "ann")
        store.claim("w")
        store.append(run.id, [Observed(0, "samples", "x" * 20_000)])
    assert (tmp_path / "lab.sqlite3").stat().st_size <= SMALLEST_BYTES


def test_the_cap_has_a_lower_bound(tmp_path):
    with pytest.raises(LabError, match=r"largest_bytes is 1,000: must be at least 262,144"):
        Store(tmp_path, largest_bytes=1000)


def test_a_full_disk_is_explained_and_loses_nothing(tmp_path):
    """RLIMIT_FSIZE makes every file end at a size, as a full disk would."""
    pytest.importorskip("resource")
    code = f"""
import resource, signal
from pathlib import Path
from lab.database import Unwritable
from lab.store import Store
from lab.events import Observed
from lab.spec import RunSpec
store = Store(Path({str(tmp_path)!r}))
run = store.submit(RunSpec.from_json({LORA.to_json()!r}), "ann")
store.claim("w")
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
stored = 0
try:
    while True:
        store.append(run.id, [Observed(stored, "samples", "x" * 20_000)])
        stored += 1
except Unwritable as error:
    print(error)
    assert len(store.events(run.id)) == stored > 3
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.append(run.id, [Observed(stored, "samples", "x" * 20_000)])
print(stored + 1)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    message, stored = done.stdout.splitlines()
    assert "lab.sqlite3" in message and "nothing stored is lost" in message
    with Store(tmp_path) as store:
        assert len(store.events(store.history("ann")[0].id)) == int(stored)


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "data").write_text("I am a file")
    for folder in (tmp_path / "data", tmp_path / "data" / "below"):
        with pytest.raises(LabError, match=r"data.* cannot be made .*: choose another folder with --data"):
            Store(folder)
    assert (tmp_path / "data").read_text() == "I am a file"


def test_a_folder_where_the_file_should_be(tmp_path):
    (tmp_path / "lab.sqlite3").mkdir()
    with pytest.raises(LabError, match=r"lab\.sqlite3 cannot be opened"):
        Store(tmp_path)


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "lab.sqlite3").write_bytes(b"something else altogether" * 100)
    with pytest.raises(LabError, match="not a database"):
        Store(tmp_path)
    assert (tmp_path / "lab.sqlite3").read_bytes().startswith(b"something else")


def test_a_database_of_a_newer_lab_is_left_alone(tmp_path):
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / "lab.sqlite3") as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(LabError, match=r"newer lab \(version 99"):
        Store(tmp_path)


def test_a_locked_database_is_waited_for(store, tmp_path):
    other = sqlite3.connect(tmp_path / "data" / "lab.sqlite3", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.3, other.execute, ["COMMIT"]).start()
    store.submit(LORA, "ann")
    assert store.waiting() == 1


def test_who_asks_does_not_stand_behind_a_write_that_waits(store):
    """Another process writes; a thread of this one wants to as well; a third only asks, and is answered."""
    first = store.submit(LORA, "ann")
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writes = threading.Thread(target=store.submit, args=(LORA, "ben"))
    writes.start()
    time.sleep(0.1)
    began = time.perf_counter()
    assert store.run(first.id).owner == "ann" and store.place(first.id) == 1
    assert time.perf_counter() - began < within(0.1) and writes.is_alive()
    other.execute("COMMIT")
    writes.join()
    assert [run.owner for run in store.queue()] == ["ann", "ben"], "what this thread wrote is seen at once"


def test_a_transaction_sees_what_it_has_written(store):
    run = store.submit(LORA, "ann")
    with store.writing() as db:
        db.execute("UPDATE runs SET title = 'mine' WHERE id = ?", (run.id,))
        assert store.run(run.id).title == "mine"
        seen: list[str] = []
        other = threading.Thread(target=lambda: seen.append(store.run(run.id).title))
        other.start()
        other.join()
        assert seen == [""], "and nobody else does before its end"
    assert store.run(run.id).title == "mine"


def test_a_database_locked_for_good_is_explained(tmp_path):
    with Store(tmp_path, patience=0.2) as store:
        other = sqlite3.connect(tmp_path / "lab.sqlite3", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unwritable, match=r"locked by another program for 0\.2 s"):
            store.submit(LORA, "ann")
        other.execute("ROLLBACK")
        store.submit(LORA, "ann")


def test_the_store_loads_no_torch():
    code = "import sys; import lab.store; assert not {'torch', 'transformers', 'peft', 'gradio'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
