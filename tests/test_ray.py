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
from lab.runners._packing import needed_bytes
from lab.runners.ray import CORES, RayRunner, gpu_bytes, needed
from lab.serving import KIND, Question, told
from lab.spec import RunSpec
from lab.store import Run, Store
from lab.ui.bench import Bench
from lab.ui.compare.tab import questions

pytestmark = pytest.mark.slow
HUGE = RunSpec.parse({"model": {"config": {"model_type": "llama", "hidden_size": 16384, "num_hidden_layers": 120, "num_attention_heads": 128,
                                           "intermediate_size": 65536, "vocab_size": 100_000}, "class": "LlamaForCausalLM"}, "method": "lora"})
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
    import ray

    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    with pytest.raises(LabError, match=r"needs about [\d,.]+ GB, and the largest machine of the cluster has [\d.]+ GB: choose a smaller model"):
        needed(HUGE, machines, CORES)
    asked = needed(spec(), machines, CORES)
    assert asked["num_cpus"] == CORES and 5e8 < asked["memory"] < 5e9


def machine(*kinds: str, gpus: int = 1) -> dict[str, float]:
    """As Ray tells of one."""
    return {"CPU": 8.0, "memory": 64e9, "GPU": float(gpus), **{f"accelerator_type:{kind}": 1.0 for kind in kinds}}


def test_a_gpu_is_asked_for_that_holds_the_run() -> None:
    medium = spec(model={"config": {"model_type": "llama", "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32, "intermediate_size": 5632,
                                    "vocab_size": 32_000}, "class": "LlamaForCausalLM"}, method="full", task=None)
    assert 16e9 < needed_bytes(medium) < 24e9
    for kinds, asked in (((("T4",), ("A10G",)), {"accelerator_type": "A10G"}), ((("T4",), ("L4",), ("H100",)), {"accelerator_type": "H100"}),
                         ((("A10G",), ("L4",)), {}), ((("A100", "A100-40G"),), {}), (((),), {}), ((("T4",), ("B9000",)), {}),
                         ((("T4",), ("B9000",), ("L4",)), {"accelerator_type": "L4"})):
        assert needed(medium, [machine(*each) for each in kinds], CORES) == {"num_gpus": 1, **asked}, kinds
    for kinds in ((("T4",),), (("T4",), ("T4",))):
        with pytest.raises(LabError, match=r"needs about \d\d\.\d GB on a GPU, and the largest of the cluster \(T4\) has 16 GB: choose a smaller model"):
            needed(medium, [machine(*each) for each in kinds], CORES)
    with pytest.raises(LabError, match=r"\(A100-80G\) has 80 GB"):
        needed(HUGE, [machine("T4"), machine("A100", "A100-80G")], CORES)
    assert needed(medium.model_copy(update={"device": "cpu"}), [machine("T4")], CORES)["num_cpus"] == CORES
    assert [gpu_bytes(kind) for kind in ("A100", "A100-40G", "GeForce-RTX-4090", "V100", "")] == [80 * 10**9, 40 * 10**9, 24 * 10**9, 0, 0]


def test_a_run_too_large_for_the_cluster_s_gpus_fails_in_words_and_a_small_one_goes_on(cluster: Any, lab: Any) -> None:
    """A machine that says it has a T4: what is lent to a run there is a name only."""
    runner, store = lab
    node = cluster.add_node(num_cpus=CORES, num_gpus=1, resources={"accelerator_type:T4": 1})
    try:
        until(lambda: runner._room() == 1)
        large = spec(model="qwen2.5-0.5b", task="movies", method="full", batch=256, tokens=512)
        refused, small = store.submit(large, "someone"), store.submit(spec(seed=3), "someone")
        assert ended(store, refused).state == "failed" and "on a GPU, and the largest of the cluster (T4) has 16 GB" in store.run(refused.id).reason
        assert ended(store, small).state == "finished"
    finally:
        cluster.remove_node(node)
        until(lambda: runner._room() == 2)


def test_a_comparison_fans_out_over_the_nodes(lab: Any) -> None:
    """Two arms with two seeds, as the Compare tab starts them: runs go on at the same time, and each node has room for one."""
    _, store = lab
    look = next(question for question in questions(Bench(store)) if question.__name__ == "look")
    base = spec(steps=300, seed=0).to_dict()
    asked = {"draft": {"base": base, "arms": [{"name": "one", "change": {}}, {"name": "low", "change": {"method": {"rank": 1}}}], "seeds": [20, 21]},
             "owner": "compares", "go": True}
    together, busy = 0, 0

    def over() -> bool:
        nonlocal together, busy
        assert "error" not in look(asked)
        steps = [run for run in store.history("compares", state="running") if any(isinstance(event, Stepped) for _, event in store.events(run.id))]
        together, busy = max(together, len(steps)), max(busy, _busy())
        runs = store.history("compares")
        return len(runs) == 4 and all(run.ended for run in runs)

    until(over)
    runs = store.history("compares")
    assert {run.state for run in runs} == {"finished"} and not any(run.reused for run in runs)
    assert together == busy == 2, "both nodes trained at the same time"


def _busy() -> int:
    """Nodes whose cores are all lent."""
    from ray._private.state import available_resources_per_node

    return sum(node["Alive"] and node["Resources"].get("CPU", 0) > 0 and not available_resources_per_node()[node["NodeID"]].get("CPU") for node in _nodes())


def _nodes() -> list[Any]:
    import ray

    return ray.nodes()


def test_where_no_machine_is_left_no_worker_is_told_of(monkeypatch: pytest.MonkeyPatch, lab: Any) -> None:
    import ray

    runner, _ = lab
    assert len(runner.workers()) == 2
    monkeypatch.setattr(ray, "nodes", list)
    assert runner.workers() == ()


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
