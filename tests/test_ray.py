"""Runs on a real Ray cluster of several nodes on this machine: the same events as anywhere, nothing shared but what is sent, and a node that dies."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.contracts import LabError
from lab.events import Finished, Restarted, Stepped
from lab.lens import Look
from lab.runners.ray import CORES, RayRunner
from lab.serving import KIND, Question, told
from lab.spec import RunSpec
from lab.store import Run, Store

pytestmark = pytest.mark.slow
SECONDS = 240  # for a worker of Ray to load torch on a busy machine, and its run


def spec(**more: Any) -> RunSpec:
    return RunSpec.parse({"model": "seed-bert", "task": "toy", "method": "lora", "steps": 3, "eval_items": 16, "eval_every": 0, "dtype": "float32"} | more)


def until(done: Callable[[], Any]) -> Any:
    ends = time.monotonic() + SECONDS
    while not (found := done()):
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that runs nothing; tests add the nodes that do."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # as Ray has it (15), what else runs here would leave its tasks a tenth of a core
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        yield made
        made.shutdown()


@pytest.fixture(scope="module")
def lab(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RayRunner, Store]]:
    """A lab on two nodes, each with room for one run."""
    data = tmp_path_factory.mktemp("data")
    for _ in range(2):
        cluster.add_node(num_cpus=CORES)
    with Store(data) as store, RayRunner(data, cluster.address) as runner:
        yield runner, store


def ended(store: Store, run: Run) -> Run:
    return until(lambda: (now := store.run(run.id)).ended and now)


def test_no_cluster_is_told_in_words(tmp_path: Path) -> None:
    runner = RayRunner(tmp_path, "127.0.0.1:1")
    with pytest.raises(LabError, match="no Ray cluster answers there"):
        runner._join()


def test_a_run_tells_what_it_tells_anywhere_and_its_adapter_comes_home(lab: Any, workshop: Any, run: Callable[..., Any]) -> None:
    runner, store = lab
    assert len(runner.workers()) == 2 and {worker.state for worker in runner.workers()} == {"idle"}
    made = store.submit(spec(), "someone")
    assert ended(store, made).state == "finished"
    told_here = run(workshop, **spec().to_dict())
    assert [loss for _, loss in store.result(made.id).losses] == pytest.approx([loss for _, loss in told_here.losses], rel=1e-5)
    assert (store.folder(made.id) / "adapter" / "adapter_model.safetensors").stat().st_size > 1000


def test_a_look_and_a_question_find_the_run_that_they_are_about(lab: Any) -> None:
    _, store = lab
    made = store.submit(spec(method={"name": "prompt_tuning", "virtual_tokens": 3}), "someone")
    assert ended(store, made).state == "finished"
    look = store.submit(Look.parse({"run": made.id, "lens": "prompt_neighbours"}), "someone", kind="look")
    question = store.submit(Question.parse({"run": made.id, "text": "a fine film", "dtype": "float32"}), "someone", kind=KIND)
    assert ended(store, look).state == "finished" and store.result(look.id).observed
    assert ended(store, question).state == "finished" and told(store.result(question.id))["answers"]["tuned"]["chances"]


def test_a_running_run_is_stopped(lab: Any) -> None:
    _, store = lab
    made = store.submit(spec(steps=5000, batch=64), "someone")
    until(lambda: any(isinstance(event, Stepped) for _, event in store.events(made.id)))
    store.cancel(made.id)
    assert ended(store, made).state == "cancelled" and store.result(made.id).step > 0


def test_a_run_that_no_machine_can_hold_is_refused_in_words(cluster: Any, lab: Any) -> None:
    runner, _store = lab
    huge = spec(model={"config": {"model_type": "llama", "hidden_size": 16384, "num_hidden_layers": 120, "num_attention_heads": 128, "intermediate_size": 65536,
                                  "vocab_size": 100_000}, "class": "LlamaForCausalLM"})
    with pytest.raises(LabError, match="largest machine of the cluster"):
        runner._bytes(huge)


def test_a_node_that_dies_costs_no_run(cluster: Any, lab: Any) -> None:
    """It begins anew on another node, and what the lost one had told no longer counts."""
    _runner, store = lab
    spare = cluster.add_node(num_cpus=CORES)
    runs = [store.submit(spec(steps=400, seed=seed), "someone") for seed in range(3)]  # one on each node
    for run in runs:
        until(lambda run=run: any(isinstance(event, Stepped) for _, event in store.events(run.id)))
    cluster.remove_node(spare, allow_graceful=False)
    assert {ended(store, run).state for run in runs} == {"finished"}
    events = {run.id: [event for _, event in store.events(run.id)] for run in runs}
    begun_anew = [run for run, each in events.items() if any(isinstance(event, Restarted) for event in each)]
    assert len(begun_anew) == 1
    assert [sum(isinstance(event, Finished) for event in each) for each in events.values()] == [1] * 3
    losses = [store.result(run.id).losses for run in runs]
    assert [len(each) for each in losses] == [400] * 3 and [step for step, _ in losses[0]] == list(range(1, 401))
