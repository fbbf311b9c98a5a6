"""Runs as one model: answers weighed by domain, LoRAs added up, each against what it must be; and one batch for several runs, as a worker is asked for it."""
from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lab.contracts import LabError
from lab.engine import Shelf, Workshop, answer, domains
from lab.engine.mixing import MIX, stacked, summed
from lab.engine.scoring import finished
from lab.engine.sharing import Shared, share
from lab.events import Cancelled, Failed, Finished, fold
from lab.methods._lora import layers
from lab.serving import MIXED, PROGRESS, THROUGHPUT, TOGETHER, Gathering, Mixture, Question, asked
from lab.spec import RunSpec

SHORT = {"steps": 3, "batch": 4, "eval_items": 8, "eval_every": 0, "dtype": "float32", "tokens": 24, "lr": 0.05, "train_items": 60}
RUNS = {"a": "lora", "b": {"name": "lora", "alpha": 4.0}, "c": {"name": "lora", "rank": 3, "targets": ["attention"]},
        "d": {"name": "prompt_tuning", "virtual_tokens": 3}, "e": {"name": "rslora", "rank": 4}}
WAYS = ("sum", "linear", "ties", "dare_linear", "dare_ties", "svd", "ties_svd", "dare_linear_svd", "dare_ties_svd")


@pytest.fixture(scope="module", params=["seed-bert", "seed-llama"])
def folder(request: Any, workshop: Workshop, run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished runs side by side, as the store keeps them."""
    home = tmp_path_factory.mktemp(request.param)
    for seed, (name, method) in enumerate(RUNS.items()):
        assert run(workshop, home / name, model=request.param, task="toy", method=method, seed=seed, **SHORT).state == "finished"
    return home


@pytest.fixture(scope="module")
def shelf(workshop: Workshop, folder: Path) -> Shelf:
    """One for each model: it knows runs by their names."""
    assert folder.is_dir()
    return Shelf(workshop)


@pytest.fixture
def ask(folder: Path, shelf: Shelf) -> Callable[[Any], Any]:
    """As the worker asks: from the question's JSON, with the folder of its first run."""

    def done(question: Any) -> Any:
        again = asked(question.to_json())
        assert again == question and again.fingerprint == question.fingerprint
        events = list(answer(again, folder / question.runs[0], shelf))
        assert isinstance(events[-1], Finished), events[-1].detail
        return fold(events)

    return done


def mixture(runs: str, *weights: float, **more: Any) -> Mixture:
    return Mixture(runs=tuple(runs), weights=weights, dtype="float32", items=40, **more)


def row(result: Any, who: str) -> Any:
    return next({key: value for key, value in each.items() if key != "who"} for each in result.seen(MIXED)["rows"] if each["who"] == who)


# ── sums of LoRAs ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("runs", "weights"), [("ab", (0.7, -0.5)), ("ac", (1.0, 1.0)), ("ae", (0.5, 2.0)), ("ea", (1.0, -1.0))])
def test_a_sum_is_the_weighted_sum_of_the_changes(runs: str, weights: tuple[float, ...], folder: Path, workshop: Workshop) -> None:
    """Of unequal ranks, targets and scales, rsLoRA's among them, added and taken away."""
    shared = finished(share([folder / name for name in runs], workshop, "float32"))
    with summed(shared, mixture(runs, *weights, way="sum")):
        compared = 0
        for _, layer in layers(shared.module):
            wanted = sum(weight * layer.get_delta_weight(own.adapter) for weight, own in zip(weights, shared.runs, strict=True) if own.adapter in layer.lora_A)
            assert float((layer.get_delta_weight(MIX) - wanted).abs().max()) <= 1e-6 * float(wanted.abs().max())
            compared += 1
        assert compared >= 4
    assert MIX not in shared.module.peft_config and shared.pristine.intact


@pytest.mark.parametrize("way", [way for way in WAYS if "ties" not in way])
def test_one_run_with_nothing_of_the_other_is_that_run(way: str, folder: Path, shelf: Shelf) -> None:
    """Nothing pruned and nothing cut off: every way of adding up comes to the same, the head included."""
    shared = finished(shelf.shared([folder / "a", folder / "b"], "float32"))
    for place, weights in ((0, (1.0, 0.0)), (1, (0.0, 1.0))):
        rows = shared.rows(place, ["a fine and clever thing", "bad"])
        wanted = torch.stack(shared.scores(rows))
        with summed(shared, mixture("ab", *weights, way=way, density=1.0)) as own:
            found = torch.stack(shared.scores([replace(row, own=replace(own, reader=row.own.reader)) for row in rows]))
        assert float((found - wanted).abs().max()) <= 1e-5 * float(wanted.abs().max())


@pytest.mark.parametrize(("way", "weight", "times"), [
    ("sum", 0.5, 1), ("svd", 0.5, 1), ("linear", 0.5, 2), ("ties", 1.0, 1), ("dare_ties", 1.0, 1), ("ties_svd", 1.0, 1), ("dare_ties_svd", 1.0, 1)])
def test_a_run_with_its_own_copy(way: str, weight: float, times: float, folder: Path, workshop: Workshop, tmp_path: Path) -> None:
    """Halves of one run add up to it. Not so in `linear`: (√½ + √½)² is 2. TIES divides by how many agree about a sign, so whole weights give one whole."""
    for name in ("one", "two"):
        shutil.copytree(folder / "a", tmp_path / name)
    shared = finished(share([tmp_path / "one", tmp_path / "two"], workshop, "float32"))
    with summed(shared, Mixture(runs=("one", "two"), weights=(weight, weight), way=way, density=1.0)):
        for _, layer in layers(shared.module):
            wanted = times * layer.get_delta_weight("run0")
            assert float((layer.get_delta_weight(MIX) - wanted).abs().max()) <= 1e-4 * float(wanted.abs().max())


def test_parts_of_different_kinds_stand_in_one_pass(folder: Path, workshop: Workshop, run: Any, tmp_path: Path) -> None:
    """As in a run that was trained as a combination of the two: its parts, taken apart and stacked again, answer as it does."""
    model = folder.name.rstrip("0123456789")
    whole = tmp_path / "whole"
    parts = [{"name": "prompt_tuning", "virtual_tokens": 3}, {"name": "lora", "rank": 3}]
    assert run(workshop, whole, model=model, task="toy", method={"name": "stack", "parts": parts}, **SHORT).state == "finished"
    kept = {each["name"]: each["folder"] for each in json.loads((whole / "adapter" / "stack.json").read_text())}
    for name, method in (("prompt", parts[0]), ("lora", parts[1])):
        shutil.copytree(whole / "adapter" / kept[method["name"]], tmp_path / name / "adapter")
        about = json.loads((whole / "adapter" / "lab.json").read_text())
        spec = RunSpec.parse({**about["spec"], "method": method, "lr": None})
        (tmp_path / name / "adapter" / "lab.json").write_text(json.dumps({**about, "spec": spec.to_dict()}))
        if (whole / "adapter" / "head.safetensors").exists():
            shutil.copy(whole / "adapter" / "head.safetensors", tmp_path / name / "adapter")
    shared = finished(share([tmp_path / "lora", tmp_path / "prompt", whole], workshop, "float32"))
    apart = Shared(shared.pristine, shared.module, shared.runs[:2], shared.device)
    rows = shared.rows(2, ["a fine and clever thing", "bad"])
    wanted = torch.stack(shared.scores(rows))
    found = torch.stack(shared.scores([replace(row, own=replace(stacked(apart), reader=row.own.reader)) for row in rows]))
    assert float((found - wanted).abs().max()) <= 1e-5 * float(wanted.abs().max())


def test_half_of_both_lies_elsewhere_than_either(ask: Any, folder: Path, shelf: Shelf) -> None:
    shared = finished(shelf.shared([folder / "a", folder / "b"], "float32"))
    texts = shared.rows(0, ["a fine and clever thing"])
    with summed(shared, mixture("ab", 0.5, 0.5, way="linear")) as own:
        mixed = shared.scores([replace(texts[0], own=own)])[0]
    plain, other = shared.scores(texts)[0], shared.scores([replace(texts[0], own=replace(shared.runs[1], reader=own.reader))])[0]
    assert float((mixed - plain).abs().max()) > 1e-4 and float((mixed - other).abs().max()) > 1e-4


def test_a_mix_that_fails_leaves_nothing_behind(folder: Path, workshop: Workshop) -> None:
    shared = finished(share([folder / "a", folder / "c"], workshop, "float32"))
    with pytest.raises(ValueError, match="same r"), summed(shared, mixture("ac", 1.0, 1.0, way="linear")):
        raise AssertionError("unequal ranks were mixed matrix by matrix")
    with summed(shared, mixture("ac", 1.0, 1.0, way="sum")) as own:
        assert own.adapter == MIX


# ── mixes of answers ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_mix_of_answers_weighs_probabilities(ask: Any) -> None:
    alone, both = ask(mixture("ad", 1.0, 0.0, way="average")), ask(mixture("ad", 0.5, 0.5, way="average"))
    assert row(alone, "mix") == row(alone, "run 0") and row(both, "mix") == row(both, "uniform")


def test_what_was_asked_once_is_not_asked_again(folder: Path, workshop: Workshop) -> None:
    shelf = Shelf(workshop)
    first, again = ([event for event in answer(mixture("ab", weight, 1.0, way="average"), folder / "a", shelf) if getattr(event, "lens", "") == PROGRESS]
                    for weight in (1.0, 0.5))
    assert first and not again
    assert first[-1].value["done"] == first[-1].value["of"], "how far it is, of how much"


def test_the_best_run_is_chosen_on_validation_items(ask: Any) -> None:
    chosen = ask(mixture("abd", 1.0, 1.0, 1.0, way="average"))
    shares = [row(chosen, f"run {place}")["all"]["accuracy"] for place in range(3)]
    tested = ask(mixture("abd", 1.0, 1.0, 1.0, way="average", split="test")).seen(MIXED)
    assert chosen.seen(MIXED)["best"] == tested["best"] == shares.index(max(shares))
    right = {each["who"]: each["all"]["accuracy"] for each in tested["rows"]}
    assert tested["verdict"]["difference"] == pytest.approx(right["mix"] - right[f"run {tested['best']}"]) and 0 < tested["verdict"]["p"] <= 1


def test_perplexity_is_told_of_a_model_that_writes(ask: Any, folder: Path) -> None:
    cell = row(ask(mixture("ab", 1.0, 1.0, way="average")), "mix")["all"]
    assert ("perplexity" in cell) == ("llama" in folder.name) and (cell.get("perplexity", 2) > 1)


def test_what_cannot_be_mixed_is_refused(folder: Path, shelf: Shelf) -> None:
    for question, why in ((mixture("ad", 1.0, 1.0, way="sum"), "only the matrices of LoRA"), (mixture("ac", 1.0, 1.0, way="ties"), "must be of one size"),
                          (mixture("ab", 1.0, 1.0, way="stack"), "both have LoRA")):
        (failed,) = (event for event in answer(question, folder / "a", shelf) if isinstance(event, Failed))
        assert why in failed.reason
    for change, why in (({"weights": (-1.0, 1.0), "way": "average"}, "at least 0"), ({"weights": (0.0, 0.0), "way": "sum"}, "untouched base"),
                        ({"weights": (1.0,)}, "one for each"), ({"weights": (3.0, 1.0)}, "-2 to 2"), ({"runs": ("a",)}, "choose 2 to 8"),
                        ({"runs": ("a", "a")}, "one run twice"), ({"runs": ("../x", "a")}, "other signs"), ({"items": 5}, "items is 5")):
        with pytest.raises(LabError, match=why):
            Mixture.parse({"runs": ["a", "b"], "weights": [1.0, 1.0], **change})


# ── which domain a text comes from ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def drawn() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Features of three Gaussians of one covariance, and which each comes from."""
    random = torch.Generator().manual_seed(0)
    means, spread = torch.randn(3, 6, generator=random), torch.randn(6, 6, generator=random) / 2
    numbers = torch.arange(3).repeat(3000)
    yield means[numbers] + torch.randn(9000, 6, generator=random) @ spread, numbers


def test_the_posterior_is_bayes_rule_where_domains_are_gaussians(drawn: Any) -> None:
    features, numbers = drawn
    found = domains.fit(features[:3000], numbers[:3000], features[3000:6000], numbers[3000:6000])
    believed = found.posterior(features[6000:])
    assert torch.allclose(believed.sum(1), torch.ones(3000, dtype=torch.float64))
    sure, right = believed.max(1).values, believed.argmax(1) == numbers[6000:]
    for low, high in ((0.4, 0.7), (0.7, 0.9), (0.9, 0.99)):  # it is right as often as it says
        among = (sure >= low) & (sure < high)
        share = float(right[among].double().mean())
        assert abs(share - float(sure[among].mean())) < 4 * (0.25 / int(among.sum())) ** 0.5 + 0.04, (low, share)


def test_earlier_texts_make_their_domain_likelier(drawn: Any) -> None:
    features, numbers = drawn
    found = domains.fit(features[:3000], numbers[:3000], features[3000:6000], numbers[3000:6000])
    of_one = features[6000:][numbers[6000:] == 1][:60]
    plain, told = found.posterior(of_one), found.posterior(of_one, "earlier")
    assert torch.allclose(plain[0], told[0]) and float(told[5:, 1].mean()) > float(plain[5:, 1].mean())
    moved = domains.stream(torch.cat([torch.tensor([[3.0, 0, 0]]).repeat(40, 1), torch.tensor([[0, 0, 3.0]]).repeat(40, 1)]).double())
    assert moved[39].argmax() == 0 and moved[-1].argmax() == 2, "a stream that changes its domain is followed"


def test_mixed_is_the_sum_of_probabilities() -> None:
    one, other = torch.tensor([[0.9, 0.1], [0.2, 0.8]]).log(), torch.tensor([[0.5, 0.5], [0.6, 0.4]]).log()
    shares = torch.tensor([[1.0, 0.0], [0.25, 0.75]])
    assert torch.allclose(domains.mixed([one, other], shares).exp(), torch.tensor([[0.9, 0.1], [0.5, 0.5]]).double())


# ── one batch for several runs ────────────────────────────────────────────────────────────────────────────────────────


def test_a_gathering_answers_every_text_and_tells_the_bytes(ask: Any, folder: Path) -> None:
    seen = ask(Gathering(runs=tuple("acd"), texts=("a fine thing", "bad", "so so"), base=True, dtype="float32")).seen(TOGETHER)
    writes = "llama" in folder.name
    assert [each["run"] for each in seen["rows"] if each["who"] == "tuned"] == list("acd")
    assert [each["who"] for each in seen["rows"]] == (["tuned", "base"] * 3 if writes else ["tuned"] * 3), "an encoder's base has no head to answer with"
    assert all(sum(each["chances"]) == pytest.approx(1, abs=1e-5) for each in seen["rows"])
    files = [sum(file.stat().st_size for file in (folder / name / "adapter").rglob("*.safetensors")) for name in "acd"]
    assert seen["storage"]["parts"] == files and seen["storage"]["base"] > sum(files)


def test_throughput_is_timed_in_turn_and_both_answer_alike(ask: Any) -> None:
    seen = ask(Gathering(runs=tuple("acd"), texts=("x", "y", "z"), calls=2, dtype="float32")).seen(THROUGHPUT)
    assert [each["texts"] for each in seen["sizes"]] == [3, 12, 48] and seen["far"] <= 1e-5
    for each in seen["sizes"]:
        assert all(0 < each[kind]["low"] <= each[kind]["median"] <= each[kind]["high"] for kind in ("mixed", "apart"))
        assert each["filled"] <= each["positions"]


def test_a_gathering_stops_when_nobody_waits_any_more(folder: Path, shelf: Shelf) -> None:
    events = list(answer(Gathering(runs=tuple("ac"), texts=("x", "y"), calls=25, dtype="float32"), folder / "a", shelf, lambda: True))
    assert isinstance(events[-1], Cancelled) and not any(isinstance(event, Finished) for event in events)


def test_a_run_that_is_gone_is_said(folder: Path, shelf: Shelf) -> None:
    (failed,) = (event for event in answer(Gathering(runs=("a", "zz"), texts=("x", "y")), folder / "a", shelf) if isinstance(event, Failed))
    assert "not on this machine any more" in failed.reason


def test_questions_to_several_runs_are_checked() -> None:
    for change, why in (({"texts": ["x"]}, "texts has 1 for 2 runs"), ({"texts": ["x", " "]}, "text 2 is empty"),
                        ({"texts": ["x", "y" * 4001]}, "at most 4,000"), ({"runs": ["a"], "texts": ["x"]}, "choose 2 to 8"), ({"calls": 99}, "calls is 99")):
        with pytest.raises(LabError, match=why):
            Gathering.parse({"runs": ["a", "b"], "texts": ["x", "y"], **change})
    assert isinstance(asked(Question(run="a", text="x").to_json()), Question)
    assert json.loads(Gathering(runs=("a", "b"), texts=("x", "y")).to_json())["run"] == "a", "the store looks a question up by its run"
