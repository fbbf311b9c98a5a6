"""Several runs in the Try tab, without a browser: which can be chosen and why not the others, what a batch and a mix show, and what may be claimed."""
from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.engine import Shelf, answer, train
from lab.events import Finished, Observed, Preparing, fold
from lab.serving import KIND, MIXED, Mixture, asked
from lab.spec import RunSpec
from lab.store import Store
from lab.ui import ask as tab
from lab.ui.ask import together
from lab.ui.ask.several import WAYS, ways
from lab.ui.bench import Bench

TINY = {"model": "seed-bert", "task": "toy", "method": "lora", "steps": 2, "batch": 2, "tokens": 24, "eval_items": 6, "eval_every": 0,
        "dtype": "float32", "train_items": 40}
PROMPT = {"name": "prompt_tuning", "virtual_tokens": 3}


@pytest.fixture
def bench(tmp_path: Path, workshop: Any) -> Iterator[Bench]:
    with Store(tmp_path) as store:
        yield Bench(store, data=workshop.supply.data)


@pytest.fixture
def ask(bench: Bench) -> Callable[..., dict[str, Any]]:
    known = {question.__name__: question for question in tab.questions(bench)}
    return lambda name, **asked: json.loads(json.dumps(known[name]({"owner": "me", **asked}), allow_nan=False))


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    """Events and folder of what has been trained already: each spec is trained once for all the tests here."""
    return {}


@pytest.fixture
def trained(bench: Bench, workshop: Any, known: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    def make(**change: Any) -> str:
        spec = RunSpec.parse({**TINY, **change})
        if spec.fingerprint not in known:
            kept = tmp_path_factory.mktemp("kept")
            known[spec.fingerprint] = list(train(spec, workshop, out=kept)), kept
        events, kept = known[spec.fingerprint]
        run = bench.store.submit(spec, "me")
        assert bench.store.claim("worker")
        shutil.copytree(kept, bench.store.folder(run.id))
        bench.store.append(run.id, events)
        assert bench.store.run(run.id).state == "finished", bench.store.run(run.id).reason
        return run.id

    return make


@pytest.fixture
def reply(bench: Bench, ask: Any, workshop: Any) -> Callable[..., dict[str, Any]]:
    """Asks, answers as the worker does, and reads what the page reads."""
    shelf = Shelf(workshop)

    def said(name: str, **more: Any) -> dict[str, Any]:
        sent = ask(name, owner="me", **more)
        assert "question" in sent, sent
        claimed = bench.store.claim("answers", (KIND,))
        bench.store.append(claimed.id, answer(asked(claimed.spec_json), bench.store.folder(claimed.settings["run"]), shelf))
        return ask("reply", question=sent["question"], owner="me")

    return said


@pytest.mark.slow
def test_runs_are_listed_by_base_with_what_keeps_one_out(trained: Any, ask: Any) -> None:
    made = [trained(), trained(method=PROMPT), trained(method="houlsby"), trained(model="seed-llama")]
    found = ask("beside", owner="me")
    assert {each["model"] for each in found["bases"]} == {"seed-bert", "seed-llama"}
    by_run = {each["run"]: each for each in found["runs"]}
    assert [by_run[run]["ok"] for run in made] == [True, True, False, True] and "no path in a mixed batch" in by_run[made[2]]["reason"]
    assert by_run[made[0]]["lora"] and not by_run[made[1]]["lora"] and by_run[made[0]]["labels"]
    assert ask("beside", owner="somebody else")["runs"] == []


def test_one_batch_answers_for_all_and_says_what_sharing_saves(trained: Any, reply: Any) -> None:
    runs = [trained(), trained(method=PROMPT), trained(method="ia3")]
    said = reply("gather", runs=runs, texts=["a fine thing", "so bad", "ok"])
    assert said["state"] == "finished", said
    assert [row["run"] for row in said["answers"]["rows"]] == runs and said["answers"]["rows"][1]["tokens"].endswith("+ 3 virtual")
    assert all("%" in row["tuned"] for row in said["answers"]["rows"]) and not said["answers"]["based"]
    storage = said["storage"]
    numbers = {what: int(bytes_.replace(",", "")) for what, bytes_ in storage["figure"]["table"]["rows"]}
    assert numbers["3 whole copies"] == 3 * numbers["the base"] and numbers["one base and 3 parts"] < numbers["3 whole copies"]
    assert "times as much" in storage["says"]


@pytest.mark.slow
def test_throughput_is_drawn_with_what_it_is_worth(trained: Any, reply: Any) -> None:
    said = reply("gather", runs=[trained(), trained(method=PROMPT)], texts=["x", "y"], time=True)
    pace = said["throughput"]
    assert said["timing"] and len(pace["says"]) == 3 and [trace["name"] for trace in pace["figure"]["data"]] == ["one batch for all", "one batch a run"]
    assert all(len(trace["x"]) == 3 and all(value > 0 for value in trace["y"]) for trace in pace["figure"]["data"])
    assert "beside whatever else it does" in pace["note"] and "padding" in pace["why"] and len(pace["figure"]["table"]["rows"]) == 6


def test_a_ratio_within_the_noise_is_no_gain() -> None:
    near = {"each": 4, "mixed": {"low": 0.9, "median": 1.0, "high": 1.2}, "apart": {"low": 1.0, "median": 1.1, "high": 1.3}}
    assert "do not tell from no difference" in together._pace(near)
    assert together._pace(near | {"apart": {"low": 1.9, "median": 2.0, "high": 2.1}}).endswith("2.00 times as fast in one batch as one after the other.")
    assert "one batch is slower" in together._pace(near | {"apart": {"low": 0.4, "median": 0.5, "high": 0.6}})


@pytest.mark.parametrize("way", ["average", "sum"])
@pytest.mark.slow
def test_a_mix_is_scored_beside_its_experts(way: str, trained: Any, reply: Any) -> None:
    runs = [trained(), trained(seed=1)]
    said = reply("blend", runs=runs, way=way, weights=[0.5, 0.5], split="validation")["mixed"]
    assert [row["who"] for row in said["rows"]] == ["run 0", "run 1", "uniform", "mix"] and said["columns"] == ["toy", "all"]
    assert sum(row["best"] for row in said["rows"]) == 1 and "luck was chosen along with it" in said["says"]
    assert bool(said["cautions"]) == (way == "sum"), "heads of two seeds have no common start"
    tested = reply("blend", runs=runs, way=way, weights=[0.5, 0.5], split="test")["mixed"]
    assert "McNemar" in tested["says"] and "other seeds" in tested["says"] and len(tested["figure"]["data"]) == 4


def test_the_posterior_is_shown_with_where_it_comes_from(trained: Any, reply: Any) -> None:
    said = reply("blend", runs=[trained(), trained(method=PROMPT)], way="posterior", weights=[0, 0], split="validation")["mixed"]
    assert said["posterior"]["rows"][0]["cells"] == ["50.0\u202f%", "50.0\u202f%"], "experts of one domain divide its share"
    assert "DEMix itself takes it from" in said["posterior"]["note"]


def seen(only_mix: int, only_best: int, p: float) -> dict[str, Any]:
    cell = {"accuracy": 0.8, "error": 0.02}
    rows = [{"who": who, "cells": [cell], "all": cell} for who in ("run 0", "run 1", "uniform", "mix")]
    verdict = {"items": 400, "only_mix": only_mix, "only_best": only_best, "difference": (only_mix - only_best) / 400, "low": -0.01, "high": 0.03, "p": p}
    return {"rows": rows, "domains": [{"task": "toy", "items": 400}], "best": 0, "starts": True, "verdict": verdict}


@pytest.mark.parametrize(("only_mix", "only_best", "p", "claim"), [
    (12, 9, 0.66, "cannot be told from the best single expert"), (40, 9, 0.00001, "is better than the best single expert"),
    (5, 30, 0.0001, "is worse than the best single expert")])
def test_a_mix_is_called_better_only_beyond_the_noise(only_mix: int, only_best: int, p: float, claim: str, bench: Bench) -> None:
    spec = RunSpec.parse(TINY)
    runs = [bench.store.submit(spec, "me"), bench.store.submit(spec.model_copy(update={"seed": 1}), "me")]
    question = Mixture(runs=tuple(run.id for run in runs), weights=(0.5, 0.5), way="average", split="test")
    sent = bench.store.submit(question, "me", kind=KIND)
    result = fold([Preparing("x"), Observed(0, MIXED, seen(only_mix, only_best, p)), Finished(0, {}, 0.0)])
    assert claim in together.shown(sent, runs, result)["mixed"]["says"]


def test_what_cannot_be_asked_is_refused_before_it_is_queued(trained: Any, ask: Any, bench: Bench) -> None:
    lora, prompt, bottleneck, other = trained(), trained(method=PROMPT), trained(method="houlsby"), trained(model="seed-llama")
    for name, more, why in (
        ("gather", {"runs": [lora], "texts": ["x"]}, "choose at least two"),
        ("gather", {"runs": [lora, bottleneck], "texts": ["x", "y"]}, "no path in a mixed batch"),
        ("gather", {"runs": [lora, other], "texts": ["x", "y"]}, "different bases"), ("gather", {"runs": [lora, prompt], "texts": ["x"]}, "one for each"),
        ("gather", {"runs": [lora, "nothing"], "texts": ["x", "y"]}, "nothing"), ("gather", {"runs": "x"}, "choose at least two"),
        ("blend", {"runs": [lora, prompt], "way": "sum", "weights": [1, 1]}, "only the matrices of LoRA"),
        ("blend", {"runs": [lora, prompt], "way": "average", "weights": [-1, 1]}, "at least 0"),
        ("blend", {"runs": [lora, prompt], "way": "average", "weights": ["x", 1]}, "one for each"),
        ("blend", {"runs": [lora, prompt], "way": "magic", "weights": [1, 1]}, 'way is "magic"')):
        assert why in ask(name, owner="me", **more)["error"], (name, more)
    assert bench.store.waiting("me", questions=True) == 0


def test_a_plan_queues_what_is_missing_and_follows_it(ask: Any, bench: Bench) -> None:
    before = ask("plan", plan="experts", model="seed-bert", owner="me")
    assert [each["state"] for each in before["runs"]] == ["missing"] * 4 and before["missing"] and not before["going"] and "4 of 4" in before["says"]
    begun = ask("plan", plan="experts", model="seed-bert", owner="me", start=True)
    assert [each["state"] for each in begun["runs"]] == ["queued"] * 3 + ["missing"], "one place stays free for a run of one's own"
    assert bench.store.waiting("me") == 3
    run = bench.store.claim("worker")
    bench.store.append(run.id, [Finished(0, {}, 0.0)])
    again = ask("plan", plan="experts", model="seed-bert", owner="me", start=True)
    assert [each["state"] for each in again["runs"]] == ["finished", "queued", "queued", "queued"]
    assert "there are experts, starters" in ask("plan", plan="x", owner="me")["error"]
    assert len(ask("plan", plan="starters", model="seed-llama", owner="me")["runs"]) == 3


def test_every_way_to_mix_is_explained() -> None:
    assert {way["key"] for way in ways()} == set(WAYS) and all(len(way["about"]) > 30 for way in ways())
    assert [way["key"] for way in ways() if not way["slides"]] == ["posterior", "stack"]
