"""What became of matrices, biases and words: against the methods' own formulas in numpy, and against changes made by hand."""
from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from lab import catalogue
from lab.accounting.shapes import shape_of
from lab.engine import look
from lab.engine.job import prepare
from lab.engine.scoring import finished
from lab.engine.specimen import Opened
from lab.events import Finished, Observed
from lab.lens import Look, made
from lab.lenses import _drift, _matrices, _nested_ranks, _parts, _spectra
from lab.methods import _dylora, _lora
from lab.spec import RunSpec

METHODS, MODELS = catalogue.entries("methods"), catalogue.entries("models")
MERGING = [(model, method) for model in ("seed-bert", "seed-gpt2") for method, kind in METHODS.items()
           if kind.merges and kind().supports(shape_of(MODELS[model].config)).ok and _parts.changed_matrices(RunSpec.parse({"model": model, "method": method}))]
ROUNDED = {"rtol": 1e-3, "atol": 1e-12}  # four digits are told


def seen(specimen: Opened, key: str, **knobs: Any) -> Any:
    return finished(made(key, knobs).look(specimen))


def numbers(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# ── which runs they fit ───────────────────────────────────────────────────────────────────────────────────────────────


def test_matrices_change_where_the_methods_own_facts_say_so() -> None:
    changing = {method for method in METHODS if METHODS[method]().supports(shape_of(MODELS["seed-bert"].config)).ok
                and _parts.changed_matrices(RunSpec.parse({"model": "seed-bert", "method": method}))}
    assert changing >= {"full", "top_layers", "lora", "dora", "qlora", "ia3", "sparse", "intrinsic", "oft", "vblora", "stack"}
    assert not changing & {"bitfit", "norms", "head", "prompt_tuning", "prefix_tuning", "houlsby", "pfeiffer", "parallel", "beft", "trainable_tokens"}


def test_matrices_that_train_themselves_are_found_by_their_names() -> None:
    spec = RunSpec.parse({"model": "seed-bert", "method": {"name": "top_layers", "layers": 1}})
    assert {linear.layer for linear in _parts.changed_matrices(spec)} == {1}


# ── the matrix of a layer ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("model", "method"), [pytest.param(*pair, marks=() if pair[1] in ("lora", "dora", "ia3", "oft") else pytest.mark.slow)
                                               for pair in MERGING])
def test_asking_a_layer_finds_what_merging_it_gives(model: str, method: str, workshop: Any) -> None:
    job = finished(prepare(RunSpec.parse({"model": model, "task": "toy", "method": method, "dtype": "float32"}), workshop))
    with torch.no_grad():
        for place, weight in enumerate(weight for weight in job.module.parameters() if weight.requires_grad):
            weight += 0.02 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(place))
    asked = {linear.module: _matrices.effective(_matrices.found(job.module, linear.module)) for linear in _parts.changed_matrices(job.spec)}
    merged = copy.deepcopy(job.module).merge_and_unload()
    moved = 0.0
    for name, (weight, bias) in asked.items():
        wanted, own_bias = _matrices.own(merged.get_submodule(name))
        torch.testing.assert_close(weight, wanted, rtol=1e-4, atol=2e-6)
        assert bias is None or torch.allclose(bias, own_bias, atol=1e-5)
        moved += float((weight - _matrices.own(job.pristine.module.get_submodule(name))[0]).norm())
    assert moved > 1e-3, "nothing had changed, so nothing was tested"


def test_adapters_behind_a_layer_are_not_its_matrix(workshop: Any) -> None:
    parts = [{"name": "lora", "rank": 2, "targets": ["output"]}, {"name": "houlsby", "bottleneck": 4}]
    job = finished(prepare(RunSpec.parse({"model": "seed-bert", "task": "toy", "method": {"name": "stack", "parts": parts}, "dtype": "float32"}), workshop))
    with torch.no_grad():
        for weight in job.module.parameters():
            if weight.requires_grad:
                weight += 0.1
    for linear in _parts.changed_matrices(job.spec):
        layer = _matrices.found(job.module, linear.module)
        wanted = _matrices.own(_matrices.innermost(layer))[0] + layer.get_delta_weight("default").double()
        torch.testing.assert_close(_matrices.effective(layer)[0], wanted, rtol=1e-5, atol=1e-6)
        assert layer._forward_hooks, "the adapter is still there"


def test_of_a_base_in_four_bits_it_is_what_the_bits_stand_for(workshop: Any) -> None:
    pytest.importorskip("bitsandbytes")
    job = finished(prepare(RunSpec.parse({"model": "seed-llama", "task": "toy", "method": "qlora", "dtype": "float32"}), workshop))
    linear = _parts.changed_matrices(job.spec)[0]
    layer = _matrices.found(job.module, linear.module)
    layer.lora_B["default"].weight.data += 0.01
    a, b = (part["default"].weight.detach().double() for part in (layer.lora_A, layer.lora_B))
    change = _matrices.effective(layer)[0] - _matrices.own(job.pristine.module.get_submodule(linear.module))[0]
    torch.testing.assert_close(change, layer.scaling["default"] * b @ a, rtol=1e-9, atol=1e-12)


# ── singular values and vectors ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("outputs", "inputs", "rank"), [(40, 24, 3), (300, 200, 8), (200, 300, 64), (576, 192, 20)])
def test_a_low_rank_change_is_decomposed_as_numpy_does_it(outputs: int, inputs: int, rank: int) -> None:
    change = numbers(outputs, rank) @ numbers(rank, inputs, 1)
    parts, wanted = _spectra.of_change(change), np.linalg.svd(change.numpy(), compute_uv=False)
    assert len(parts.values) == rank
    np.testing.assert_allclose(parts.values.numpy(), wanted[:rank], rtol=1e-9)
    torch.testing.assert_close(parts.left * parts.values @ parts.right.t(), change, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("outputs", "inputs"), [(300, 200), (200, 300), (250, 250), (30, 50)])
def test_a_change_of_full_rank_is_good_to_four_digits(outputs: int, inputs: int) -> None:
    change = numbers(outputs, inputs)
    parts, wanted = _spectra.of_change(change), np.linalg.svd(change.numpy(), compute_uv=False)
    np.testing.assert_allclose(parts.values[:64].double().numpy(), wanted[:64], rtol=2e-4)
    assert _spectra.effective_rank(parts.values) == int((np.cumsum(wanted ** 2) < 0.9 * (wanted ** 2).sum()).sum()) + 1


def test_effective_rank_counts_the_directions_that_hold_ninety_percent() -> None:
    for values, wanted in (([], 0), ([5.0], 1), ([10.0, 1.0], 1), ([3.0, 1.0, 0.1], 2), ([1.0] * 10, 9)):
        assert _spectra.effective_rank(torch.tensor(values)) == wanted


def test_a_change_along_the_strongest_directions_is_aligned_and_a_random_one_is_not() -> None:
    base = _spectra.directions(numbers(300, 200))
    inside = (base.left[:, :4] @ numbers(4, 4, 1).float() @ base.right[:, :4].t()).double()
    beside = (base.left[:, 50:60] @ base.right[:, 50:60].t()).double()
    assert _spectra.aligned(inside, base, 10)[0] == pytest.approx(1, abs=1e-4)
    assert _spectra.aligned(beside, base, 10)[0] == pytest.approx(0, abs=1e-4)
    share, chance = _spectra.aligned(numbers(300, 200, 2), base, 10)
    assert share / chance == pytest.approx(1, abs=0.15) and chance == (10 / 300 + 10 / 200) / 2


@pytest.mark.parametrize(("outputs", "inputs"), [(60, 40), (200, 300), (300, 200)])
def test_a_direction_that_was_in_no_direction_of_the_base_is_an_intruder(outputs: int, inputs: int) -> None:
    before = numbers(outputs, inputs)
    everywhere = torch.linalg.svd(before, full_matrices=False).U.mean(1, keepdim=True)  # as like one of them as like any other
    new = 10 * before.norm() * everywhere / everywhere.norm() @ torch.nn.functional.normalize(numbers(1, inputs, 3))
    base = _spectra.directions(before)
    for change, wanted in ((new, 1), (0.1 * before, 0)):
        parts = _spectra.of_change(change)
        near = torch.cat([base.right[:, :20].to(parts.right), parts.right[:, :10]], 1)
        assert _spectra.intruders(_spectra.strongest(before + change, 10, near), base, 0.5) == wanted


@pytest.mark.parametrize("size", [0.02, 0.2, 1.0])
def test_intruders_are_those_of_a_plain_decomposition(size: float) -> None:
    before = numbers(240, 200) @ torch.diag(torch.logspace(0, -2, 200, dtype=torch.float64))
    change = size * numbers(240, 8, 1) @ numbers(8, 200, 2) / 8
    base, parts = _spectra.directions(before), _spectra.of_change(change)
    tuned = _spectra.strongest(before + change, 10, torch.cat([base.right[:, :20].double(), parts.right[:, :10]], 1))
    left, values, _ = np.linalg.svd((before + change).numpy(), full_matrices=False)
    np.testing.assert_allclose(tuned.values.double().numpy(), values[:10], rtol=1e-3)
    cosines = np.abs(left[:, :10].T @ np.linalg.svd(before.numpy(), full_matrices=False)[0]).max(1)
    sure = {threshold for threshold in (0.3, 0.5, 0.7) if np.abs(cosines - threshold).min() > 0.01}
    for threshold in sure:
        assert _spectra.intruders(tuned, base, threshold) == int((cosines < threshold).sum())
    assert sure


def test_the_spectrum_of_lora_is_that_of_its_product(opened_again: Any) -> None:
    specimen = opened_again("seed-llama", {"name": "lora", "rank": 4})
    value = seen(specimen, "update_spectrum")
    layers = dict(_lora.layers(specimen.module))
    for linear, cell in zip(_parts.changed_matrices(specimen.spec), value["cells"], strict=True):
        layer = layers[f"base_model.model.{linear.module}"]
        a, b = (part["default"].weight.detach().double().numpy() for part in (layer.lora_A, layer.lora_B))
        product = layer.scaling["default"] * b @ a
        spectrum = np.linalg.svd(product, compute_uv=False)[:4]
        np.testing.assert_allclose(value["details"][_parts.cell_name(cell)]["spectrum"], spectrum, **ROUNDED)
        whole = specimen.base.get_submodule(linear.module).weight.detach().double().numpy()
        np.testing.assert_allclose([cell["norm"], cell["relative"]], [np.linalg.norm(product), np.linalg.norm(product) / np.linalg.norm(whole)], **ROUNDED)
        assert cell["rank"] == 4 and cell["rank90"] <= 4
    assert value["before"] == [] and "no finding" in made("update_spectrum", {}).says(value)[1]


def test_pissa_is_held_against_the_base_it_was_cut_out_of(opened_again: Any) -> None:
    value = seen(opened_again("seed-llama", {"name": "pissa", "rank": 4}), "update_spectrum")
    assert all(cell["rank"] <= 8 for cell in value["cells"]), "B A - B0 A0, whose rank is at most twice four"
    assert all(cell["relative"] < 1e-6 for cell in value["before"]), "before training the parts add up to the base"
    assert all(cell["relative"] > 1e-3 for cell in value["cells"])


# ── drift ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_drift_of_biases_is_that_of_the_tensors(opened_again: Any) -> None:
    specimen = opened_again("seed-bert", "bitfit")
    cells = {_parts.cell_name(cell): cell for cell in seen(specimen, "drift")["cells"]}
    before, after = (dict(module.named_parameters()) for module in (specimen.base, specimen.module))
    biases = {name for name in before if name.endswith(".bias")}
    assert len(cells) == len(biases)
    change = (after["encoder.layer.1.output.dense.bias"] - before["encoder.layer.1.output.dense.bias"]).detach().double().numpy()
    np.testing.assert_allclose(cells["1.ffn_out bias"]["norm"], np.linalg.norm(change), **ROUNDED)
    np.testing.assert_allclose(cells["1.ffn_out bias"]["largest"], np.abs(change).max(), **ROUNDED)


def test_only_the_chosen_words_moved_and_they_are_named(opened_again: Any) -> None:
    specimen = opened_again("seed-llama", {"name": "trainable_tokens", "rows": 5})
    value = seen(specimen, "drift")
    chosen = set(_matrices.found(specimen.module, "model.embed_tokens").token_indices["default"])
    assert {word["id"] for word in value["words"]} == chosen
    assert value["cells"][0]["moved"] == pytest.approx(5 / specimen.shape.vocabulary, rel=1e-3)
    assert value["general"]["kl"] > 0


def test_a_bias_that_was_added_is_compared_with_nothing(opened_again: Any) -> None:
    specimen = opened_again("seed-llama", "beft")
    cells = seen(specimen, "drift", paragraphs=0)["cells"]
    added = {name: weight.detach().double() for name, weight in specimen.module.named_parameters() if "beft" in name}
    assert {cell["role"] for cell in cells} == {"value bias"} and all(cell["relative"] is None for cell in cells)
    np.testing.assert_allclose(sorted(cell["norm"] for cell in cells), sorted(float(weight.norm()) for weight in added.values()), **ROUNDED)


def test_trained_copies_of_norms_are_held_against_the_frozen_ones(opened_again: Any) -> None:
    cells = seen(opened_again("seed-bert", {"name": "houlsby", "norms": True}), "drift")["cells"]
    assert {cell["role"] for cell in cells} == {"norm 1 gain", "norm 1 shift", "norm 2 gain", "norm 2 shift"}
    assert all(cell["norm"] > 0 for cell in cells)


def test_a_model_that_did_not_move_says_the_same_of_general_english(opened_again: Any) -> None:
    specimen = opened_again("seed-llama", "norms")
    assert _drift.general(specimen, 3)["kl"] > 0
    still = copy.copy(specimen)
    still.module = specimen.base
    assert _drift.general(still, 3)["kl"] == 0


# ── DoRA, IA3, AdaLoRA, DyLoRA ────────────────────────────────────────────────────────────────────────────────────────


def test_lengths_of_dora_are_its_trained_magnitudes(opened_again: Any) -> None:
    specimen = opened_again("seed-llama", "dora")
    value = seen(specimen, "dora_magnitudes")
    assert value["trained"]
    for linear, cell in zip(_parts.changed_matrices(specimen.spec), value["cells"], strict=True):
        layer = _matrices.found(specimen.module, linear.module)
        before = specimen.base.get_submodule(linear.module).weight.detach().double().numpy()
        turned = before + layer.get_delta_weight("default").double().numpy()
        lengths, m = np.linalg.norm(before, axis=1), layer.lora_magnitude_vector["default"].weight.detach().double().numpy()
        cosines = (before * turned).sum(1) / lengths / np.linalg.norm(turned, axis=1)
        np.testing.assert_allclose([cell["magnitude"], cell["direction"]], [np.abs(m / lengths - 1).mean(), (1 - cosines).mean()], rtol=2e-3)


def test_scaling_rows_changes_lengths_and_no_direction(opened_again: Any) -> None:
    specimen = opened_again("seed-llama", {"name": "ia3", "targets": ["value"]})
    factors = [part.ia3_l["default"].detach().flatten().double().numpy() for part in specimen.module.modules() if hasattr(part, "ia3_l")]
    value = seen(specimen, "dora_magnitudes")
    np.testing.assert_allclose([cell["magnitude"] for cell in value["cells"]], [np.abs(np.abs(each) - 1).mean() for each in factors], rtol=1e-3)
    assert all(cell["direction"] < 1e-9 for cell in value["cells"]) and not value["trained"]


def test_scales_of_ia3_are_counted_around_one(opened_again: Any) -> None:
    specimen = opened_again("seed-llama", "ia3")
    value = seen(specimen, "ia3_scales")
    layers = {name: part for name, part in specimen.module.named_modules() if hasattr(part, "ia3_l")}
    assert len(value["cells"]) == len(layers)
    cell = next(cell for cell in value["cells"] if (cell["layer"], cell["role"]) == (1, "key"))
    factors = next(part for name, part in layers.items() if "layers.1.self_attn.k_proj" in name).ia3_l["default"].detach().double().flatten().numpy()
    np.testing.assert_allclose([cell["mean"], cell["low"], cell["high"], cell["spread"]],
                               [factors.mean(), factors.min(), factors.max(), np.sqrt(((factors - 1) ** 2).mean())], **ROUNDED)
    counted = value["details"]["1.key"]["histogram"]
    assert sum(counted["counts"]) == len(factors) and counted["edges"][0] + counted["edges"][-1] == pytest.approx(2, abs=2e-3)


def test_kept_ranks_of_adalora_are_within_its_budget(opened_again: Any) -> None:
    specimen = opened_again("seed-llama", {"name": "adalora", "rank": 2, "start_rank": 4}, steps=12, lr=1e-2)
    value = seen(specimen, "adalora_ranks")
    kept = [int((part.lora_E["default"] != 0).sum()) for _, part in _lora.layers(specimen.module)]
    assert [cell["rank"] for cell in value["cells"]] == kept and value["start"] == 4
    assert 0 < sum(kept) <= 2 * len(kept) and all(len(about["spectrum"]) <= 4 for about in value["details"].values())


def test_dylora_cut_to_a_rank_answers_as_the_trained_model_used_at_it(opened_again: Any, workshop: Any) -> None:
    specimen = opened_again("seed-llama", {"name": "dylora", "rank": 4})
    nested = finished(prepare(specimen.spec, workshop)).module
    for (_, trained), (_, fresh) in zip(_lora.layers(specimen.module), _lora.layers(nested), strict=True):
        for side in ("lora_A", "lora_B"):
            getattr(fresh, side)["default"].weight.data = getattr(trained, side)["default"].weight.data.clone()
    value = seen(specimen, "dylora_ranks", items=12)
    assert [each["rank"] for each in value["ranks"]] == [1, 2, 3, 4]
    losses = []
    for rank in (1, 2, 3, 4):
        _dylora.use_rank(nested, rank)
        with _nested_ranks.cut(specimen.module, rank, specimen.spec.method.alpha):
            one, other = (finished(specimen.scored(module, 12)) for module in (specimen.module, nested))
        torch.testing.assert_close(one.logits, other.logits, rtol=1e-4, atol=1e-5)
        losses.append(round(one.loss, 4))
    assert losses == [each["loss"] for each in value["ranks"]] and len(set(losses)) > 1


# ── real models ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize(("model", "method"), [("minilm-l6", "full"), ("minilm-l6", "lora"), ("smollm2-135m", "lora")])
def test_real_models_are_taken_apart_in_good_time(model: str, method: str, real_workshop: Any, run: Callable[..., Any], tmp_path: Any,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    run(real_workshop, out=tmp_path, model=model, method=method, steps=4, batch=4, eval_items=10, eval_every=0)
    began, worked = time.perf_counter(), time.process_time()
    events = list(look(Look.parse({"run": "x", "lens": "update_spectrum", "knobs": {}}), tmp_path, real_workshop))
    assert isinstance(events[-1], Finished)
    with capsys.disabled():
        print(f"\n  {model} {method}: {time.perf_counter() - began:.1f} s, {time.process_time() - worked:.1f} s of processor", end=" ")
    value = [event.value for event in events if isinstance(event, Observed) and event.lens == "update_spectrum"][-1]
    assert all(0 < cell["relative"] < 1 for cell in value["cells"])
    assert time.process_time() - worked < 120
