"""Similarity of states: the sums against plain tables, what must not change it, and which positions are words."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from lab.engine.scoring import finished
from lab.engine.texts import Batch
from lab.lens import made
from lab.lenses import _reading
from lab.lenses._similarity import Product, Similarity
from lab.spec import RunSpec


def numbers(rows: int, columns: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def plain_hsic(x: np.ndarray, y: np.ndarray) -> float:
    """With the (n, n) tables, as Song et al. write it."""
    n, k, m = len(x), x @ x.T, y @ y.T
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)
    one = np.ones(n)
    return (np.trace(k @ m) + one @ k @ one * (one @ m @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ m @ one)) / (n * (n - 3))


def similar(x: torch.Tensor, *others: torch.Tensor, size: int = 7) -> list[float | None]:
    found = Similarity(len(others))
    for first in range(0, len(x), size):
        found.add(x[first:first + size], [other[first:first + size] for other in others])
    return found.values


@pytest.mark.parametrize(("rows", "widths"), [(12, (5, 8)), (40, (64, 64)), (4, (3, 2))])
def test_sums_batch_by_batch_give_what_whole_tables_give(rows: int, widths: tuple[int, int]) -> None:
    x, y = numbers(rows, widths[0], 0), numbers(rows, widths[1], 1) + 0.5 * numbers(rows, widths[0], 0)[:, :1]
    product = Product()
    for first in range(0, rows, 3):
        product.add(x[first:first + 3], y[first:first + 3])
    assert product.value == pytest.approx(plain_hsic(x.double().numpy(), y.double().numpy()), rel=1e-4, abs=1e-6)


def test_turning_shifting_and_scaling_all_states_alike_changes_nothing() -> None:
    x = numbers(60, 24, 0)
    turn = torch.linalg.qr(numbers(24, 24, 1)).Q
    assert similar(x, x, 3 * x @ turn + 40) == pytest.approx([1, 1], abs=1e-4)


def test_unrelated_states_have_none_even_where_they_are_wider_than_many() -> None:
    """The usual estimate gives .83 here."""
    found = [similar(numbers(60, 300, seed), numbers(60, 300, 100 + seed))[0] for seed in range(20)]
    assert abs(float(np.mean(found))) < 0.02


def test_more_noise_is_less_similar() -> None:
    x, noise = numbers(200, 32, 0), numbers(200, 32, 1)
    found = similar(x, x + 0.3 * noise, x + noise, x + 3 * noise)
    assert 1 > found[0] > found[1] > found[2] > 0


def test_states_that_do_not_differ_or_are_too_few_have_no_similarity() -> None:
    assert similar(torch.ones(20, 4), numbers(20, 4, 0)) == [None]
    assert similar(numbers(3, 4, 0), numbers(3, 4, 0)) == [None]


# ── which positions are words ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("where", "wanted"), [("front", [[2, 3, 4, 5], [2, 3]]), ("middle", [[0, 1, 4, 5], [0, 3]]), ("end", [[0, 1, 2, 3], [0, 1]]),
                                               ("added", [[0, 1, 2, 3], [0, 1]])])
def test_words_are_found_beside_virtual_tokens(where: str, wanted: list[list[int]], opened_again: Any) -> None:
    specimen = opened_again("seed-bert", {"name": "prompt_tuning", "virtual_tokens": 2, "position": where})
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    length = 4 if where == "added" else 6
    states = torch.arange(length).expand(2, length).unsqueeze(-1)
    found = _reading.at_words(specimen, Batch(mask, mask, mask[:, 0]), states)
    assert found.flatten().tolist() == [place for row in wanted for place in row]


@pytest.mark.parametrize("where", ["front", "middle", "end"])
def test_where_the_words_are_is_where_their_embeddings_come_in(where: str, opened_again: Any) -> None:
    """What goes into the first block of a Llama, before it has seen any neighbour, is the word's own vector wherever it stands."""
    specimen = opened_again("seed-llama", {"name": "prompt_tuning", "virtual_tokens": 3, "position": where})
    batch = next(specimen.batches(specimen.texts(6)))
    states = specimen.run(specimen.module, batch, output_hidden_states=True).hidden_states[0]
    table = specimen.base.get_input_embeddings().weight
    torch.testing.assert_close(_reading.at_words(specimen, batch, states), table[batch.ids[batch.mask.bool()]])


# ── the lens ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", ["seed-bert", "seed-llama", "seed-t5"])
def test_layers_below_the_first_change_are_exactly_the_base(model: str, opened_again: Any) -> None:
    specimen = opened_again(model, {"name": "top_layers", "layers": 1})
    found = finished(made("representations", {}).look(specimen))["layers"]
    similarity = {layer["layer"]: layer["cka"] for layer in found if layer["stack"] != "reading"}
    last = specimen.shape.layers - 1
    assert similarity[last] < 0.9999 and all(value == 1 for layer, value in similarity.items() if layer is not None and layer < last)
    assert all(layer["before"] == 1 for layer in found)


def test_a_prompt_changes_states_before_it_is_trained(opened_again: Any) -> None:
    value = finished(made("representations", {"items": 12}).look(opened_again("seed-bert", "prompt_tuning")))
    last = value["layers"][-1]
    assert 0 < last["before"] < 0.9999 and last["cka"] != last["before"] and value["items"] == 12
    assert value["layers"][0]["layer"] is None and value["words"] > 12


@pytest.mark.slow
def test_images_are_compared_patch_by_patch(opened_again: Any) -> None:
    specimen = opened_again("seed-vit", "lora")
    value = finished(made("representations", {"items": 10}).look(specimen))
    assert value["words"] == 10 * (specimen.shape.positions - 1) and len(value["layers"]) == specimen.shape.layers + 1
    assert all(0.2 < layer["cka"] <= 1 for layer in value["layers"])


def test_a_head_alone_leaves_nothing_to_compare() -> None:
    fits = made("representations", {}).applies(RunSpec.parse({"model": "seed-bert", "task": "toy", "method": "head"}))
    assert not fits.ok and "exactly what the base gives" in fits.reason
