"""The table of what takes what: it is whole, it says what the methods say, what is declared of a method is what was found, and trying again finds the same."""
from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from lab import catalogue, probing
from lab.accounting.shapes import shape_of
from lab.contracts import Latency, Shape
from lab.probing import DECLARED, Probed
from tests._breadth import spread

METHODS = catalogue.entries("methods")
FOUND = probing.read(probing.table())
TRIED = {pair: each for pair, each in FOUND.items() if each.how != (DECLARED,)}


def shape(model: str) -> Shape:
    return shape_of(catalogue.find("models", model).config)


def test_every_pair_is_in_the_table_and_none_besides() -> None:
    assert set(FOUND) == {(method, model) for method in METHODS for model in probing.seeded()}


def test_the_table_says_what_the_methods_say_now() -> None:
    """A refusal in the method's own words; what a method allows has worked when it was tried."""
    for (method, model), each in FOUND.items():
        support = METHODS[method]().supports(shape(model))
        assert each.ok == support.ok, f"{method} on {model}: {each.reason or 'works'}; python -m lab.probing --methods {method}"
        if not each.ok:
            assert each.how == (DECLARED,) and each.reason == support.reason != ""


@pytest.mark.parametrize("model", catalogue.entries("models"))
def test_a_refusal_names_a_way_out_that_is_one(model: str) -> None:
    for method, kind in METHODS.items():
        support = kind().supports(shape(model))
        if not support.ok:
            named = [key for key in re.findall(r"\w+", support.reason.rpartition(";")[2]) if key in METHODS]
            assert named, f"{method} on {model} names no other method: {support.reason}"
            assert not [key for key in named if not METHODS[key]().supports(shape(model)).ok], f"{method} on {model}: {support.reason}"


def test_every_step_was_done_that_there_is_for_a_pair() -> None:
    for (method, model), each in TRIED.items():
        wanted = ["attach", *(["train"] if "steps" not in METHODS[method].fixed else []), *(["write"] if shape(model).writes else []), "save", "load"]
        assert [step for step in each.how if step != "merge"] == wanted, (method, model)
        assert {"peft", "torch", "transformers"} <= set(each.versions)


@pytest.mark.parametrize("method", METHODS)
def test_what_a_method_declares_is_what_was_found(method: str) -> None:
    """That it merges: on all models that take it, within 1e-5. What answering costs: by operations counted, as loaded and as merged, where they are most."""
    rows = [each for (key, _), each in TRIED.items() if key == method]
    assert METHODS[method].merges == all("merge" in each.how for each in rows), [each.how for each in rows]
    assert max((each.latency for each in rows), key=get_args(Latency).index) == METHODS[method].latency()


@pytest.mark.parametrize("method", METHODS)
def test_it_needs_biases_where_it_says_so(method: str) -> None:
    kind, whole = METHODS[method], shape("seed-bert")
    if not kind().supports(whole).ok:
        whole = shape("seed-gpt2")
    without = replace(whole, linears=tuple(replace(linear, bias=False) for linear in whole.linears),
                      weights=tuple(weight for weight in whole.weights if not weight.name.endswith(".bias")))
    if kind().supports(whole).ok:
        assert kind.needs_biases == (not kind().supports(without).ok)
    else:
        assert not kind.needs_biases


def test_real_models_have_the_row_of_their_architecture() -> None:
    assert {key: probing.kin(catalogue.find("models", key)) for key in ("minilm-l6", "smollm2-135m", "gpt2", "pythia-70m", "distilbert", "seed-vit")} == {
        "minilm-l6": "seed-bert", "smollm2-135m": "seed-llama", "gpt2": "seed-gpt2", "pythia-70m": "seed-neox", "distilbert": "seed-distilbert",
        "seed-vit": "seed-vit"}


def test_a_search_goes_on_where_it_was(tmp_path: Path) -> None:
    """What was tried with these versions is passed over: there is no workshop here to try it with."""
    path, now = tmp_path / "table.json", probing.libraries()
    refused = METHODS["bitfit"]().supports(shape("seed-llama")).reason
    found = {("lora", "seed-bert"): Probed(True, ("attach", "train"), now, latency="until merged"),
             ("bitfit", "seed-llama"): Probed(False, (DECLARED,), now, refused)}
    probing.write(path, found)
    assert probing.read(path) == found
    assert probing.fill(path, list(found), None) == found
    probing.write(path, {**found, ("lora", "seed-bert"): Probed(True, ("attach",), {**now, "peft": "0.1"}), ("gone", "seed-bert"): Probed(True, (), now)})
    again = probing.fill(path, [("lora", "seed-bert")], None)  # older versions: tried again, which cannot work without a workshop
    assert set(again) == set(found) and not again["lora", "seed-bert"].ok and "attach failed" in again["lora", "seed-bert"].reason


class Boastful(METHODS["houlsby"]):  # type: ignore[misc, name-defined]
    """A bottleneck that says it merges, and has nothing to merge."""

    merges = True


def test_a_broken_promise_is_a_reason(workshop: Any) -> None:
    found = probing.probe(Boastful, catalogue.find("models", "seed-bert"), workshop)
    assert not found.ok and found.how[-1] == "load" and found.reason.startswith("merge failed: LabError: it promises to merge")


@pytest.mark.slow
@pytest.mark.parametrize(("method", "model"), spread(TRIED))
def test_trying_again_finds_the_same(method: str, model: str, kept_workshop: Any) -> None:
    found, stored = probing.probe(METHODS[method], catalogue.find("models", model), kept_workshop), FOUND[method, model]
    assert (found.ok, found.how, found.reason, found.latency) == (stored.ok, stored.how, stored.reason, stored.latency)
