"""The runner for ZeroGPU: with the real `spaces` package, its decorator off, and on against a stand-in of the service that lends GPUs.

Nothing here has a GPU. With the decorator on, `spaces` is imported as it is on a machine without torch, so that it neither looks for CUDA nor changes torch:
asking, forking, the way of the events, giving back and being killed are as on a Space; what it does to torch there is not.
"""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from _scheduler import Service, lending

from lab.events import Cancelled, Failed, Finished, Stepped, fold, from_json
from lab.runners.zerogpu import ENDING_SECONDS, LONGEST_SECONDS, SHORTEST_SECONDS, Order, ZeroGpuRunner, lent_seconds, refused, trained
from lab.spec import RunSpec
from lab.store import Run, Store
from tests._patience import within

ROOT = Path(__file__).parents[1]
PATIENCE = 120
TOKEN = "eyJhbGciOiJub25lIn0.e30.visitor"  # a JSON web token that says nothing


def spec(**more: Any) -> RunSpec:
    return RunSpec.parse({"model": "seed-bert", "task": "toy", "method": "lora", "steps": 3, "eval_items": 16, "eval_every": 0} | more)


LONG = spec(steps=5000, batch=64)


def until(done: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    end = time.monotonic() + seconds
    while not (result := done()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
    return result


def ended(store: Store, run: Run) -> Run:
    return until(lambda: store.run(run.id).ended and store.run(run.id))


def stepping(store: Store, run: Run) -> None:
    until(lambda: any(isinstance(event, Stepped) for _, event in store.events(run.id)))


# ── how long ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_time_grows_with_the_work_and_stays_within_its_bounds() -> None:
    small, usual = RunSpec.parse({"model": "minilm-l6", "method": "lora"}), RunSpec.parse({"model": "smollm2-135m", "method": "lora"})
    more = RunSpec.parse({"model": "smollm2-135m", "method": "lora", "steps": 10 * usual.steps})
    assert SHORTEST_SECONDS <= lent_seconds(spec()) <= lent_seconds(small) <= lent_seconds(usual) < lent_seconds(more) <= LONGEST_SECONDS
    assert lent_seconds(RunSpec.parse({"model": "smollm2-360m", "method": "full", "steps": 5000, "batch": 64})) == LONGEST_SECONDS
    written = RunSpec.parse({"model": "smollm2-135m", "task": "table_to_text", "method": "lora"})
    assert lent_seconds(written) > lent_seconds(RunSpec.parse({**written.to_dict(), "eval_items": 2}))


# ── the decorator off ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, ZeroGpuRunner]]:
    data = tmp_path_factory.mktemp("lab")
    with ZeroGpuRunner(data, tmp_path_factory.mktemp("cache")) as runner, Store(data) as store:
        yield store, runner


@pytest.mark.slow
def test_a_run_goes_as_under_every_runner(lab: tuple[Store, ZeroGpuRunner]) -> None:
    store, runner = lab
    assert not runner.lending and [worker.state for worker in runner.workers()] == ["idle"]
    run = store.submit(spec(), "ann")
    runner.submitted(run)
    done = ended(store, run)
    result = store.result(run.id)
    assert done.state == "finished", result.reason
    assert result.scores["tuned"].items == 16 and len(result.losses) == 3
    assert (store.folder(run.id) / "adapter" / "adapter_config.json").exists()
    until(lambda: runner.workers()[0].runs == 1)


def test_a_flag_stops_it_at_its_next_step(lab: tuple[Store, ZeroGpuRunner]) -> None:
    store, runner = lab
    run = store.submit(LONG, "ann")
    runner.submitted(run)
    stepping(store, run)
    assert runner.workers()[0].state == "running"
    asked = time.monotonic()
    store.cancel(run.id)
    assert ended(store, run).state == "cancelled" and time.monotonic() - asked < within(5)
    assert 0 < store.result(run.id).step < 5000 and isinstance(store.events(run.id)[-1][1], Cancelled)
    until(lambda: not list((store.root / "workers").glob("*.stop")))


@pytest.mark.slow
def test_what_equals_a_run_that_finished_while_it_waited_costs_no_quota(lab: tuple[Store, ZeroGpuRunner], monkeypatch: pytest.MonkeyPatch) -> None:
    store, runner = lab
    lent, lend = [], runner._trained
    monkeypatch.setattr(runner, "_trained", lambda order: (lent.append(order.out), lend(order))[1])
    ahead = store.submit(LONG, "ann")
    runner.submitted(ahead)
    stepping(store, ahead)  # of one place: what follows waits
    runs = [store.submit(spec(seed=9), owner, anew=anew) for owner, anew in (("bob", False), ("cem", False), ("bob", False), ("dan", True))]
    for run in runs:
        runner.submitted(run)
    store.cancel(ahead.id)
    assert [ended(store, run).state for run in runs] == ["finished"] * 4
    assert [store.run(run.id).reused for run in runs] == [False, True, True, False], "which is made anew is made"
    assert lent == [str(store.folder(run.id)) for run in (ahead, runs[0], runs[3])], "a GPU is borrowed for no other"
    assert store.result(runs[1].id) == store.result(runs[0].id) and (store.folder(runs[1].id) / "adapter" / "adapter_config.json").exists()
    until(lambda: not runner._contexts)  # with the visitor's token in them


@pytest.mark.slow
def test_a_run_that_fails_says_why_and_the_next_goes_on(lab: tuple[Store, ZeroGpuRunner]) -> None:
    store, runner = lab
    bad, good = store.submit(spec(lr=100.0, steps=60), "ann"), store.submit(spec(), "bob")
    for run in (bad, good):
        runner.submitted(run)
    assert ended(store, bad).state in ("failed", "finished") and ended(store, good).state == "finished"


@pytest.mark.slow
def test_borrowed_time_that_ends_leaves_what_was_seen_and_a_reason(tmp_path: Path) -> None:
    order = Order(LONG.to_json(), str(tmp_path / "cache"), str(tmp_path / "run"), str(tmp_path / "stop"), int(ENDING_SECONDS) + 3, os.getpid())
    began = time.monotonic()
    events = [from_json(line) for line in trained(order)]
    end, result = events[-1], fold(events)
    assert time.monotonic() - began < order.seconds + within(5)
    assert isinstance(end, Failed) and f"cut short at step {end.step}" in end.reason and "Take fewer steps" in end.advice and end.knob == "steps"
    assert len(result.losses) == end.step > 0 and result.state == "failed"


@pytest.mark.slow
def test_stopping_the_lab_ends_a_run_with_the_reason_and_leaves_the_queue(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        runner = ZeroGpuRunner(tmp_path, tmp_path / "cache")
        runner.start()
        run, queued = store.submit(LONG, "ann"), store.submit(spec(), "bob")
        stepping(store, run)
        runner.stop()
        assert runner.workers() == (), "nobody claims runs any more"
        assert store.run(run.id).state == "failed" and "The lab was stopped" in store.run(run.id).reason
        assert store.run(queued.id).state == "queued" and store.result(run.id).step > 0


@pytest.mark.slow
def test_the_page_side_loads_no_torch_before_it_starts() -> None:
    code = ("import sys, lab.runners.zerogpu as z, pathlib; z.ZeroGpuRunner(pathlib.Path('x'), pathlib.Path('y')); "
            "assert not {'torch', 'transformers', 'peft'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=90)


# ── what is said ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("title", "message", "words"), [
    ("ZeroGPU quota exceeded", "You have exceeded your free ZeroGPU quota (60s requested vs. 3s left). <a href='x'>Subscribe</a>", "3s left). Subscribe"),
    ("ZeroGPU illegal duration", "The requested GPU duration (120s) is larger than the maximum allowed", "larger than the maximum"),
    ("ZeroGPU worker error", "GPU task aborted", "taken back at step 7"),
    ("ZeroGPU queue timeout", "No GPU was available after 60s", "no GPU at the moment: No GPU was available"),
    ("", "", "could not be borrowed (SimpleError)"),
])
def test_each_refusal_has_its_words(title: str, message: str, words: str) -> None:
    class SimpleError(Exception):
        pass

    error = SimpleError()
    error.title, error.message = title, message  # as gradio's own
    said = refused(error, 60, 7)
    assert words in said.reason and said.advice and "<" not in said.reason and said.step == 7


# ── the decorator on, and a stand-in of the service ───────────────────────────────────────────────────────────────────

SPACE = """
import json, sys, time
from pathlib import Path
import gradio
from gradio.context import LocalContext
sys.modules["torch"] = None  # `spaces` then does nothing to it
import spaces
del sys.modules["torch"]
from types import SimpleNamespace
from lab.runners.zerogpu import ZeroGpuRunner
from lab.spec import RunSpec
from lab.store import Store
data, settings, wait = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]

class Headers(dict):
    '''With a __dict__, as those of a request.'''

with Store(data) as store:
    runner = ZeroGpuRunner(data, data / "cache")
    assert runner.lending
    runner.start()
    LocalContext.request.set(SimpleNamespace(headers=Headers({"x-ip-token": sys.argv[4]})))
    run = store.submit(RunSpec.parse(settings), "ann")
    runner.submitted(run)
    print("RUN", run.id, flush=True)
    while not store.run(run.id).ended:
        time.sleep(0.05)
    import torch
    (data / "cuda").write_text(str(torch.cuda.is_initialized()))  # a file, for the package prints between our words
    time.sleep(1)
    runner.stop()
"""


@pytest.fixture
def service() -> Iterator[Service]:
    with lending() as found:
        yield found


@pytest.fixture
def space(tmp_path: Path, service: Service) -> Iterator[Callable[[RunSpec], tuple[Store, str, Any]]]:
    """Starts the page's side of a Space with one run in its queue: (store, id of the run, process)."""
    begun = []

    def start(wanted: RunSpec) -> tuple[Store, str, Any]:
        environment = {**os.environ, "SPACES_ZERO_GPU": "true", "SPACES_ZERO_DEVICE_API_URL": service.address, "HF_HUB_OFFLINE": "1"}
        process = subprocess.Popen([sys.executable, "-c", SPACE, str(tmp_path), wanted.to_json(), "", TOKEN], cwd=ROOT, env=environment, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("RUN "):
                break
        else:
            raise AssertionError("".join(lines))
        store = Store(tmp_path)
        begun.append((process, store))
        return store, line.split()[1], process

    yield start
    for process, store in begun:
        process.kill()
        process.wait()
        store.close()


@pytest.mark.slow
def test_a_gpu_is_asked_for_with_the_visitor_s_token_used_in_a_fork_and_given_back(space: Any, service: Service) -> None:
    store, run_id, process = space(spec())
    until(lambda: store.run(run_id).ended)
    result = store.result(run_id)
    assert result.state == "finished", (result.reason, store.events(run_id)[-1])
    process.communicate(timeout=60)
    assert (store.root / "cuda").read_text() == "False", "CUDA was touched in the page process"
    (asked,), (allowed,), (released,) = service.of("schedule"), service.of("allow"), service.of("release")
    assert asked["token"] == TOKEN and int(asked["durationSeconds"]) == lent_seconds(spec())
    assert int(allowed["pid"]) != process.pid and allowed["allowToken"] == released["allowToken"] == "allow-1" and released["fail"] == "false"
    kinds = [event.name for _, event in store.events(run_id)]
    assert kinds[0] == "preparing" and kinds[-1] == "finished" and "started" in kinds
    assert TOKEN.encode() not in b"".join(path.read_bytes() for path in store.root.rglob("*") if path.is_file()), "the token was written down"


@pytest.mark.slow
def test_a_gpu_that_is_taken_back_leaves_the_run_with_what_it_has(space: Any, service: Service) -> None:
    store, run_id, _ = space(LONG)
    stepping(store, SimpleNamespace(id=run_id))
    (allowed,) = service.of("allow")
    os.kill(int(allowed["pid"]), signal.SIGKILL)  # as ZeroGPU does at the end of the time
    until(lambda: store.run(run_id).ended)
    run, result = store.run(run_id), store.result(run_id)
    assert run.state == "failed" and "taken back at step" in run.reason and len(result.losses) > 0
    until(lambda: [each["fail"] for each in service.of("release")] == ["true"])


@pytest.mark.slow
def test_a_run_on_a_borrowed_gpu_stops_when_it_is_cancelled(space: Any, service: Service) -> None:
    store, run_id, process = space(LONG)
    stepping(store, SimpleNamespace(id=run_id))
    store.cancel(run_id)
    asked = time.monotonic()
    until(lambda: store.run(run_id).ended)
    assert store.run(run_id).state == "cancelled" and time.monotonic() - asked < within(5)
    until(lambda: [each["fail"] for each in service.of("release")] == ["false"])
    below = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    _, alive = psutil.wait_procs(below, timeout=20)
    assert below and not alive, "with a page that is killed its fork and its workers end"


@pytest.mark.slow
def test_an_empty_quota_is_told_in_words(space: Any, service: Service) -> None:
    service.left = 3
    store, run_id, _ = space(spec())
    until(lambda: store.run(run_id).ended)
    run = store.run(run_id)
    assert run.state == "failed" and "3s left" in run.reason and "sign in to the Hub" in store.result(run_id).advice
    assert not service.of("allow") and not [event for _, event in store.events(run_id) if isinstance(event, Finished)]


@pytest.mark.slow
def test_without_the_package_the_way_out_is_told(tmp_path: Path) -> None:
    code = "import sys; sys.modules['spaces'] = None\nfrom lab.cli import main\nsys.exit(main(['serve', '--runner', 'zerogpu', '--data', sys.argv[1]]))"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, text=True, capture_output=True, timeout=90, check=False)
    assert done.returncode == 2 and 'needs the package "spaces"' in done.stderr and "Traceback" not in done.stderr


def test_the_order_is_plain_values() -> None:
    order = Order(spec().to_json(), "cache", "out", "stop", 60, 1)
    assert json.loads(json.dumps(order.__dict__)) == order.__dict__
