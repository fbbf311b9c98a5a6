"""The contract of all lenses: each fits a run or says why not, and looking yields plain values, a table and sentences, and changes nothing."""
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lab import catalogue, describe
from lab.accounting.shapes import shape_of
from lab.engine import look
from lab.engine.scoring import finished
from lab.engine.specimen import reopened
from lab.events import Finished, Observed
from lab.lens import Look, Probe, Seen, Table, Trace, fitting
from lab.spec import RunSpec
from tests._breadth import spread

LENSES, METHODS, MODELS = (catalogue.entries(folder) for folder in ("lenses", "methods", "models"))
TINY = {"steps": 3, "batch": 4, "tokens": 24, "eval_items": 12, "eval_every": 0, "dtype": "float32"}
KINDS = ("seed-bert", "seed-llama", "seed-gpt2", "seed-t5", "seed-vit")
QUICK = {("seed-llama", "lora"), ("seed-bert", "houlsby"), ("seed-llama", "full"), ("seed-llama", "prompt_tuning"), ("seed-bert", "bitfit")}
STACK = {"name": "stack", "parts": [{"name": "prompt_tuning", "virtual_tokens": 4}, {"name": "lora", "rank": 2}, {"name": "pfeiffer", "bottleneck": 4}]}
VARIED = [("seed-llama", STACK), ("seed-bert", STACK), ("seed-llama", {"name": "prompt_tuning", "virtual_tokens": 3, "position": "middle"}),
          ("seed-bert", {"name": "prompt_tuning", "virtual_tokens": 3, "position": "end"}), ("seed-bert", {"name": "houlsby", "norms": True}),
          ("seed-llama", {"name": "p_tuning", "virtual_tokens": 1}), ("seed-llama", {"name": "prefix_tuning", "virtual_tokens": 3, "projection": True})]


def spec_of(model: str, method: Any) -> RunSpec:
    kind = METHODS[method if isinstance(method, str) else method["name"]]
    changes = {key: value for key, value in TINY.items() if key not in kind.fixed}
    return RunSpec.parse({"model": model, "task": "digits" if model == "seed-vit" else "toy", "method": method, **changes})


PAIRS = [(model, method) for method in METHODS for model in KINDS if METHODS[method]().supports(shape_of(MODELS[model].config)).ok]
OF_EACH = [next(pair for pair in PAIRS if pair[1] == method) for method in METHODS] + [("seed-llama", method) for method in METHODS
                                                                                       if ("seed-llama", method) in PAIRS]
SOME = [pair[::-1] for pair in spread(pair[::-1] for pair in PAIRS)]
TRIED = [pytest.param(*pair, marks=() if pair in QUICK else pytest.mark.slow, id="-".join(pair)) for pair in dict.fromkeys(OF_EACH + SOME)]
TRIED += [pytest.param(model, method, marks=pytest.mark.slow, id=f"{model}-{method['name']}-varied-{place}") for place, (model, method) in enumerate(VARIED)]


@pytest.fixture(scope="module")
def workshop_of(workshop: Any, request: pytest.FixtureRequest) -> Callable[[RunSpec], Any]:
    """One that fetches nothing; images are fetched once and kept."""
    return lambda spec: request.getfixturevalue("kept_workshop") if spec.task == "digits" else workshop


@pytest.fixture(scope="module")
def trained(workshop_of: Any, run: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[[RunSpec], tuple[Path, Any]]:
    """The folder and the result of a small run, made once."""
    runs: dict[str, tuple[Path, Any]] = {}

    def made(spec: RunSpec) -> tuple[Path, Any]:
        if spec.fingerprint not in runs:
            folder = tmp_path_factory.mktemp("run")
            runs[spec.fingerprint] = folder, run(workshop_of(spec), out=folder, **spec.to_dict())
        return runs[spec.fingerprint]

    return made


@pytest.mark.parametrize("key", LENSES)
def test_a_lens_says_what_a_student_needs(key: str) -> None:
    lens = LENSES[key]
    assert lens.key == key and lens.title and len(lens.title) <= 60
    assert lens.about.endswith(".") and lens.about.count(". ") >= 1, "what it shows, and what that is worth"
    assert lens.look.__doc__ if issubclass(lens, Probe | Trace) else lens.shown.__doc__, "the shape of its value"
    for field in lens.model_fields.values():
        assert field.description, f"{key} has a knob without a line of help"


@pytest.mark.parametrize("model", KINDS)
def test_every_lens_fits_a_method_or_says_why_not(model: str) -> None:
    for method in (pair[1] for pair in PAIRS if pair[0] == model):
        spec = spec_of(model, method)
        for key, lens in LENSES.items():
            answer = lens.applies(spec)
            assert answer.ok is not bool(answer.reason), f"{key} of {method}"
            assert answer.ok or len(answer.reason) > 20, f"{key} of {method}: {answer.reason}"
            if answer.ok and issubclass(lens, Probe):
                assert lens.cost(spec), f"{key} does not say what it takes"


def test_every_method_that_trains_something_inside_has_a_probe() -> None:
    for model, method in PAIRS:
        if METHODS[method]().places(shape_of(MODELS[model].config)):
            assert fitting(spec_of(model, method), Probe), f"nothing to see of {method} on {model}"


@pytest.mark.parametrize(("model", "method"), TRIED)
def test_every_probe_of_a_run_yields_plain_values(model: str, method: Any, workshop_of: Any, trained: Any) -> None:
    spec = spec_of(model, method)
    folder, result = trained(spec)
    for key, lens in fitting(spec, Trace).items():
        seen = [Seen(each.step, each.value) for each in result.observed if each.lens == key]
        assert seen, f"{key} recorded nothing"
        told(lens, seen)
    for key, lens in fitting(spec, Probe).items():
        events = list(look(Look.parse({"run": "x", "lens": key, "knobs": few(lens)}), folder, workshop_of(spec)))
        assert isinstance(events[-1], Finished), f"{key}: {events[-1].reason} {events[-1].detail}"
        told(lens, [event.value for event in events if isinstance(event, Observed) and event.lens == key][-1])


@pytest.mark.parametrize(("model", "method"), TRIED)
def test_probes_leave_the_run_as_it_was(model: str, method: Any, workshop_of: Any, trained: Any) -> None:
    """The trained model answers the same after all of them, and its weights, that of the base and random numbers are where they were."""
    spec = spec_of(model, method)
    specimen = finished(reopened(trained(spec)[0], workshop_of(spec)))
    weights, state = [tensor.clone() for tensor in tensors(specimen)], torch.get_rng_state()
    answers = finished(specimen.scored())
    for key, lens in fitting(spec, Probe).items():
        finished(lens(**few(lens)).look(specimen))
        assert all(torch.equal(one, other) for one, other in zip(weights, tensors(specimen), strict=True)), f"{key} moved a weight"
        assert torch.equal(state, torch.get_rng_state()), f"{key} drew from the run's own random numbers"
    again = finished(specimen.scored())
    assert (answers.loss, answers.score) == (again.loss, again.score) and specimen.job.pristine.intact


def few(lens: type[Probe]) -> dict[str, Any]:
    """Knobs that make a probe quick: as few items as it takes."""
    return {about["name"]: about["low"] for about in describe.knobs(lens) if about["name"] == "items"}


def tensors(specimen: Any) -> list[torch.Tensor]:
    return [tensor for module in (specimen.module, specimen.base, specimen.before) for tensor in (*module.parameters(), *module.buffers())]


def told(lens: type[Any], value: Any) -> None:
    """What every figure, download and sentence is made of."""
    plain = [each.value for each in value] if issubclass(lens, Trace) else value
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain, f"{lens.key}: not plain JSON"
    table, said = lens.table(value), lens.says(value)
    assert isinstance(table, Table) and all(len(row) == len(table.columns) for row in table.rows)
    assert all(isinstance(line, str) and line.endswith((".", "?", "!", ")")) for line in said), said
    json.dumps(table.rows, allow_nan=False)


@pytest.mark.slow
def test_a_cell_of_a_probe_of_modules_has_every_measure_once(workshop: Any, trained: Any) -> None:
    """So that a heat map of layers and roles can be drawn from any of them."""
    for model, method in (("seed-t5", "lora"), ("seed-bert", "full"), ("seed-bert", "houlsby"), ("seed-llama", "adalora"), ("seed-llama", "ia3")):
        specimen = finished(reopened(trained(spec_of(model, method))[0], workshop))
        for lens in fitting(specimen.spec, Probe).values():
            value = finished(lens(**few(lens)).look(specimen))
            if not isinstance(value, dict) or "measures" not in value:
                continue
            places = [(cell["layer"], cell["role"]) for cell in value["cells"]]
            assert places and len(places) == len(set(places)), f"{lens.key} of {method}"
            assert all(set(value["measures"]) <= set(cell) for cell in value["cells"])
            assert set(value["details"]) == {f"{layer}.{role}" for layer, role in places}
