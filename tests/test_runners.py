"""The pool of workers: real processes with the real engine that are killed, starved and filled up, and whose students always learn what happened."""
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lab.contracts import LabError
from lab.database import SMALLEST_BYTES, Unwritable
from lab.events import Cancelled, Failed, Finished, Observed, Stepped
from lab.runners import _machine
from lab.runners._deaths import Death, why
from lab.runners._worker import CANCEL_SECONDS, Recorder, Settings
from lab.runners.local import LocalRunner
from lab.spec import RunSpec
from lab.store import Store
from tests._patience import within

ROOT = Path(__file__).parents[1]
PATIENCE = 180


def spec(**more):
    return RunSpec.parse({"model": "seed-bert", "task": "toy", "method": "lora", "steps": 3, "eval_items": 16, "eval_every": 0} | more)


SHORT = spec()
LONG = spec(steps=5000, batch=64)
HUNGRY = spec(batch=256, tokens=48, method={"name": "prompt_tuning", "virtual_tokens": 200})  # attention over 230 positions, 256 texts at once


def until(done, seconds=PATIENCE):
    """Wait for a condition; fail the test when it does not come."""
    end = time.monotonic() + seconds
    while not (result := done()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return result


def ended(store, run):
    return until(lambda: store.run(run.id).ended and store.run(run.id))


def stepping(store, run):
    """Wait until a run is in the middle of its steps."""
    until(lambda: any(isinstance(event, Stepped) for _, event in store.events(run.id)))
    assert store.run(run.id).state == "running"


def worker_pid(runner):
    return until(lambda: next((worker.pid for worker in runner.workers() if worker.pid and worker.state != "starting"), None))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


# ── one pool for the everyday and for its accidents ───────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def lab(cache, tmp_path_factory):
    data = tmp_path_factory.mktemp("lab")
    with LocalRunner(data, cache, 1, budget_bytes=200_000_000, largest_bytes=20 * SMALLEST_BYTES, patience_seconds=1) as runner, \
            Store(data, largest_bytes=20 * SMALLEST_BYTES) as store:
        yield store, runner


@pytest.mark.slow
def test_runs_go_one_after_the_other_and_everybody_knows_their_place(lab):
    store, runner = lab
    runs = [store.submit(LONG, "ann"), store.submit(SHORT, "bob"), store.submit(SHORT, "cem")]
    stepping(store, runs[0])
    assert [store.place(run.id) for run in runs] == [0, 1, 2]
    assert [worker.state for worker in runner.workers()] == ["running"]
    store.cancel(runs[0].id)
    assert [ended(store, run).state for run in runs] == ["cancelled", "finished", "finished"]
    assert store.run(runs[1].id).finished <= store.run(runs[2].id).started
    assert store.result(runs[1].id).scores["tuned"].items == 16
    assert (store.folder(runs[1].id) / "adapter" / "adapter_config.json").exists() and store.disk_used("bob") > 0
    (worker,) = runner.workers()
    assert (worker.pid, worker.runs, worker.restarts) == (worker_pid(runner), 3, 0)


@pytest.mark.slow
def test_a_running_run_stops_soon_after_it_is_cancelled(lab):
    store, _ = lab
    run = store.submit(LONG, "ann")
    stepping(store, run)
    asked = time.time()
    store.cancel(run.id)
    assert ended(store, run).state == "cancelled"
    assert time.time() - asked < within(2)
    assert 0 < store.result(run.id).step < 5000 and isinstance(store.events(run.id)[-1][1], Cancelled)


@pytest.mark.slow
def test_a_warm_worker_begins_at_once(lab):
    store, _ = lab
    begun = time.perf_counter()
    run = store.submit(SHORT, "ann")
    until(lambda: store.events(run.id), within(5))
    assert time.perf_counter() - begun < within(2)
    ended(store, run)


@pytest.mark.slow
def test_a_disk_that_fills_ends_the_run_with_the_reason_and_the_next_goes_on(lab):
    store, runner = lab
    pid = worker_pid(runner)
    run, ballast = store.submit(LONG, "ann"), store.submit(SHORT, "bob", kind="ballast")
    stepping(store, run)
    store.claim(store.run(run.id).worker, ["ballast"])  # by a name that the pool knows: it ends what a stranger holds, now and then
    for size in (100_000, 1000, 10):
        with pytest.raises(Unwritable):
            while True:
                store.append(ballast.id, [Observed(0, "ballast", "x" * size)])
    done = ended(store, run)
    assert done.state == "failed" and "disk is full" in done.reason and "Delete runs" in store.result(run.id).advice
    assert store.result(run.id).step > 0, "what was stored before is still there"
    store.cancel(ballast.id)
    store.fail(ballast.id, "done with it")
    store.delete(ballast.id)
    after = store.submit(SHORT, "cem")
    assert ended(store, after).state == "finished" and worker_pid(runner) == pid


@pytest.mark.slow
def test_too_large_a_run_is_explained_and_the_next_goes_on(lab):
    if not Path("/proc/self/status").exists():
        pytest.skip("memory of a process is limited on Linux only")
    store, _ = lab
    run, after = store.submit(HUNGRY, "ann"), store.submit(SHORT, "bob")
    done = ended(store, run)
    assert done.state == "failed" and "memory" in done.reason
    assert "batch" in store.result(run.id).advice
    assert ended(store, after).state == "finished"


@pytest.mark.slow
def test_a_killed_worker_costs_its_own_run_and_no_other(lab):
    store, runner = lab
    mine, next_one = store.submit(LONG, "ann"), store.submit(SHORT, "bob")
    stepping(store, mine)
    seen = store.lines(mine.id)
    pid, restarts = worker_pid(runner), runner.workers()[0].restarts
    os.kill(pid, signal.SIGKILL)
    done = ended(store, mine)
    assert done.state == "failed" and "memory" in done.reason and "batch" in store.result(mine.id).advice
    assert store.lines(mine.id)[:len(seen)] == seen
    assert ended(store, next_one).state == "finished"
    (worker,) = runner.workers()
    assert worker.pid != pid and worker.restarts == restarts + 1


@pytest.mark.slow
def test_stopping_ends_the_workers_and_leaves_the_queue(lab, cache):
    """The last test of this pool."""
    store, runner = lab
    mine, queued = store.submit(LONG, "ann"), store.submit(SHORT, "ann")  # of one owner: others would take turns
    stepping(store, mine)
    with pytest.raises(LabError, match="another lab serves"):
        LocalRunner(runner.data, cache).start()
    pid = worker_pid(runner)
    runner.stop()
    assert not psutil.pid_exists(pid) and [worker.pid for worker in runner.workers()] == [None]
    assert store.run(mine.id).state == "failed" and "stopped" in store.run(mine.id).reason
    assert store.run(queued.id).state == "queued"
    runner.stop()


# ── pools of their own ────────────────────────────────────────────────────────────────────────────────────────────────


PARENT = """
import sys, time
from pathlib import Path
from lab.runners.local import LocalRunner
with LocalRunner(Path(sys.argv[1]), Path(sys.argv[2]), 1, runs_per_worker=1):
    time.sleep(600)
"""


@pytest.mark.slow
def test_a_killed_lab_leaves_no_process_and_the_next_one_goes_on(tmp_path, cache):
    def start():
        return psutil.Popen([sys.executable, "-c", PARENT, str(tmp_path), str(cache)], cwd=ROOT)

    with Store(tmp_path) as store:
        finished, mine, queued = store.submit(SHORT, "ann"), store.submit(LONG, "ann"), store.submit(SHORT, "ann", anew=True)
        lab = start()
        try:
            stepping(store, mine)
            assert store.run(finished.id).worker != store.run(mine.id).worker, "a fresh worker after each run, as asked for"
            family = lab.children(recursive=True)
            assert family
            lab.kill()
            lab.wait()
            assert not psutil.wait_procs(family, timeout=within(5))[1], "a worker outlived its lab"
            assert [store.run(run.id).state for run in (finished, mine, queued)] == ["finished", "running", "queued"]
            before = {run.id: store.lines(run.id) for run in (finished, mine)}
            lab = start()
            assert "stopped" in ended(store, mine).reason and store.run(mine.id).state == "failed"
            assert store.lines(finished.id) == before[finished.id] and store.lines(mine.id)[:-1] == before[mine.id]
            assert ended(store, queued).state == "finished"
        finally:
            lab.kill()
            lab.wait()


def test_a_worker_ends_when_its_pipe_does_even_while_it_is_still_warming_up(tmp_path, cache):
    (tmp_path / "workers").mkdir()
    settings = Settings(str(tmp_path), str(cache), "w", 1, 1, None, None, 1.0)
    worker = subprocess.Popen([sys.executable, "-m", "lab.runners.local", settings.to_json()], cwd=ROOT, stdin=subprocess.PIPE)
    time.sleep(1)
    assert worker.poll() is None
    worker.stdin.close()
    assert worker.wait(within(5)) == 0


@pytest.mark.slow
def test_a_spare_worker_steps_in_for_one_that_dies_and_is_replaced(tmp_path, cache):
    """Warm and idle until then: it takes no run, and its log goes with it."""
    with LocalRunner(tmp_path, cache, 1, spares=2) as runner, Store(tmp_path) as store:
        ready = until(lambda: len(files := {path.stem for path in (tmp_path / "workers").glob("*.ready")}) == 2 and files)
        first = runner.workers()[0]
        (spare,) = ready - {first.name}
        run = store.submit(LONG, "ann")
        stepping(store, run)
        waits = store.submit(SHORT, "bob")
        time.sleep(1)
        assert store.run(waits.id).state == "queued", "the spare takes no run"
        os.kill(first.pid, signal.SIGKILL)
        began = until(lambda: (seen := store.run(waits.id)).started and seen)
        assert began.worker == spare == runner.workers()[0].name
        assert began.started - ended(store, run).finished < within(2), "it was warm"
        assert ended(store, waits).state == "finished"
        another = until(lambda: {path.stem for path in (tmp_path / "workers").glob("*.ready")} - ready)
        assert len(another) == 1 and runner.workers()[0].restarts == 1
        assert {path.name for path in (tmp_path / "workers").glob("*.log")} == {"1.log", "2.log"}
        pids = [runner.workers()[0].pid, *(child.pid for child in psutil.Process().children() if "lab.runners.local" in " ".join(child.cmdline()))]
    assert not any(psutil.pid_exists(pid) for pid in pids), "all end with the pool"


@pytest.mark.parametrize(("free", "workers", "asked", "spares"), [(3e9, 1, 2, 0), (4.1e9, 1, 2, 1), (16e9, 1, 2, 1), (16e9, 2, 2, 2), (4.8e9, 2, 2, 1),
                                                                  (16e9, 2, 1, 1), (16e9, 2, 0, 0)])
def test_spares_are_as_many_as_memory_and_the_pool_allow(tmp_path, monkeypatch, free, workers, asked, spares):
    monkeypatch.setattr(_machine, "available_bytes", lambda: int(free))
    pool, without = (LocalRunner(tmp_path, tmp_path, workers, spares=number) for number in (asked, 0))
    assert pool._affordable_spares() == spares
    assert (pool._fair_share() < without._fair_share()) is (spares > 0), "what spares take is missing to the runs"


def test_a_number_of_spares_that_cannot_be_is_refused(monkeypatch):
    import app

    monkeypatch.delenv("LAB_SPARE", raising=False)
    assert app._spares() == 2
    monkeypatch.setenv("LAB_SPARE", "many")
    with pytest.raises(LabError, match="LAB_SPARE is many: must be a number from 0 to 2"):
        app._spares()


@pytest.mark.slow
def test_two_spares_step_in_for_two_that_die_together(tmp_path, cache):
    with LocalRunner(tmp_path, cache, 2, spares=2) as runner, Store(tmp_path) as store:
        ready = until(lambda: len(files := {path.stem for path in (tmp_path / "workers").glob("*.ready")}) == 4 and files)
        pool = runner.workers()
        for worker in pool:
            os.kill(worker.pid, signal.SIGKILL)
        killed = time.time()
        runs = [store.submit(SHORT, owner) for owner in ("ann", "bob")]
        began = [until(lambda run=run: (seen := store.run(run.id)).started and seen) for run in runs]
        assert {run.worker for run in began} <= ready - {worker.name for worker in pool} and max(run.started for run in began) - killed < within(2)
        assert all(ended(store, run).state == "finished" for run in runs)
        until(lambda: len({path.stem for path in (tmp_path / "workers").glob("*.ready")} - ready) == 2)


@pytest.mark.slow
def test_workers_that_cannot_start_are_tried_again_more_and_more_slowly(tmp_path, cache):
    """A newer lab has taken over the database: each worker ends at once, before it loads anything."""
    with LocalRunner(tmp_path, cache, 1) as runner:
        with sqlite3.connect(tmp_path / "lab.sqlite3") as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
        os.kill(until(lambda: runner.workers()[0].pid), signal.SIGKILL)
        worker = until(lambda: next((worker for worker in runner.workers() if worker.restarts >= 2 and worker.pid is None), None))
        assert worker.state == "waiting" and worker.runs == 0 and worker.restarts <= 3
        states = {until(lambda: runner.workers()[0]).state for _ in range(200)}
        assert states == {"waiting"}, "also while it is started once more it is no worker that lives"
    assert "newer lab (version 99" in (tmp_path / "workers" / "1.log").read_text()


# ── without a process ─────────────────────────────────────────────────────────────────────────────────────────────────


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def full(tmp_path):
    """A claimed run in a database with no room left, and a function that makes some."""
    with Store(tmp_path, largest_bytes=SMALLEST_BYTES) as store:
        ballast, run = store.submit(SHORT, "bob", kind="ballast"), store.submit(SHORT, "ann")
        store.claim("w")
        for size in (20_000, 1000, 10):
            with pytest.raises(Unwritable):
                while True:
                    store.append(ballast.id, [Observed(0, "ballast", "x" * size)])
        yield store, run, lambda: (store.cancel(ballast.id), store.delete(ballast.id))


def test_events_wait_in_memory_until_there_is_room(full):
    store, run, make_room = full
    recorder = Recorder(store, run, patience_seconds=30, clock=Clock())
    steps = [Stepped(number, 0.5, 1e-3, 1.0, [[number, 0.5]] * 50) for number in range(1, 40)]
    for step in steps:
        recorder.add(step)
    stored = len(store.events(run.id))
    assert stored < len(steps)
    make_room()
    recorder.add(Finished(39, {}, 1.0))
    recorder.finish()
    assert [event for _, event in store.events(run.id)] == [*steps, Finished(39, {}, 1.0)]


def test_after_the_patience_a_run_is_stopped_and_told_why(full):
    store, run, _ = full
    clock = Clock()
    recorder = Recorder(store, run, patience_seconds=30, clock=clock)

    def work(cancelled):
        number = 0
        while not cancelled():
            number += 1
            clock.now += CANCEL_SECONDS
            yield Stepped(number, 0.5, 1e-3, 1.0, [[number, 0.5]] * 50)
        yield Cancelled(number)

    recorder.record(work)
    done = store.run(run.id)
    assert done.state == "failed" and "could not be stored" in done.reason
    assert clock.now < 100 + 30 + 20, "it stopped soon after the patience"


@pytest.mark.parametrize(("work", "reason"), [
    (lambda cancelled: iter([Stepped(1, 0.5, 1e-3, 1.0)]), "stopped without an ending"),
    (lambda cancelled: (_ for _ in [1 / 0]), "ZeroDivisionError"),
    (lambda cancelled: (_ for _ in [RunSpec.parse({})]), "is missing"),
])
def test_work_that_breaks_its_promise_still_gets_an_ending(tmp_path, work, reason):
    with Store(tmp_path) as store:
        run = store.submit(SHORT, "ann")
        store.claim("w")
        Recorder(store, run, 1).record(work)
        assert store.run(run.id).state == "failed" and reason in store.run(run.id).reason


def test_a_run_that_was_ended_elsewhere_stops_quietly(tmp_path):
    with Store(tmp_path) as store:
        run = store.submit(SHORT, "ann")
        store.claim("w")
        recorder = Recorder(store, run, 1)
        store.fail(run.id, "the lab was stopped")
        recorder.add(Stepped(1, 0.5, 1e-3, 1.0))
        assert recorder.cancelled()
        recorder.add(Cancelled(1))
        recorder.finish()
        assert [type(event) for _, event in store.events(run.id)] == [Failed] and store.run(run.id).reason == "the lab was stopped"


@pytest.mark.parametrize(("code", "log", "words"), [
    (-9, "", "out of memory"),
    (-6, "terminate called after throwing an instance of 'std::bad_alloc'", "out of memory"),
    (127, "cannot allocate memory for thread-local data: ABORT", "out of memory"),
    (-11, "", "crashed (SIGSEGV)"),
    (1, "Traceback …", "exit code 1"),
])
def test_each_death_has_its_words(code, log, words):
    reason, advice = why(Death("w", code, log))
    assert words in reason and advice


def test_the_pool_fits_the_machine(tmp_path):
    runner = LocalRunner(tmp_path, tmp_path)
    assert runner.size >= 1 and 1 <= runner.threads <= _machine.cores()
    assert runner.size * runner.threads <= max(_machine.cores(), runner.size)
    with pytest.raises(LabError, match="workers is 0: must be at least 1"):
        LocalRunner(tmp_path, tmp_path, 0)


def test_the_page_side_of_the_runner_loads_no_torch():
    code = "import sys, lab.runners.local; assert not {'torch', 'transformers', 'peft', 'gradio'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_settings_go_over_the_command_line_unchanged():
    settings = Settings("/a b/'c'", "ü", "w", 1, 2, None, None, 3.5)
    assert Settings(**json.loads(settings.to_json())) == settings
