"""A beginning that all texts share is read once, and the scores are those of texts that are read whole."""
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lab import catalogue
from lab.engine import Workshop, beginnings, learner
from lab.engine.beginnings import LEAST, continues, shared
from lab.engine.job import prepare
from lab.engine.learner import Writer
from lab.engine.scoring import finished
from lab.engine.texts import Encoded
from lab.spec import RunSpec

DECODERS = [key for key, model in catalogue.entries("models").items() if key.startswith("seed") and model.kind == "decoder"]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """(rows, tokens) of every batch that was read to the place of its answer."""
    seen: list[tuple[int, int]] = []

    def at(module: Any, batch: Any, *rest: Any) -> torch.Tensor:
        seen.append(tuple(batch.ids.shape))
        return plain(module, batch, *rest)

    plain = learner.at
    monkeypatch.setattr(beginnings, "at", at)
    return seen


@pytest.mark.parametrize("model", DECODERS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_scores_are_those_of_texts_read_whole(model: str, dtype: str, workshop: Workshop, read: list[tuple[int, int]]) -> None:
    spec = RunSpec.parse({"model": model, "task": "toy", "method": {"name": "in_context", "shots": 4}, "eval_items": 32, "device": "cpu", "dtype": dtype})
    job = finished(prepare(spec, workshop))
    rows = job.texts.test
    found = job.answers(rows)
    assert sum(count for count, _ in read) == len(rows) and max(tokens for _, tokens in read) < min(len(row.ids) for row in rows) / 2
    assert finished(job.choosing(rows)).logits.equal(found.logits), "what is kept of the beginning does not grow"
    with torch.no_grad():
        whole = torch.cat([Writer(job.module, job.reader.answers(), "cpu").scores(job.batch([row])) for row in rows])
    near = 1e-5 if dtype == "float32" else 0.02
    assert (found.logits - whole).abs().max() <= near * whole.abs().max()


def test_few_rows_at_once_where_the_beginning_is_long(workshop: Workshop, read: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beginnings, "ROOM", 200)
    spec = RunSpec.parse({"model": "seed-llama", "task": "toy", "method": {"name": "in_context", "shots": 4}, "eval_items": 16, "device": "cpu"})
    job = finished(prepare(spec, workshop))
    job.answers(job.texts.test)
    assert max(count for count, _ in read) == 200 // max(len(row.ids) for row in job.texts.test) and sum(count for count, _ in read) == 16


@pytest.mark.parametrize(("rows", "alike"), [
    ([(*range(40), 50), (*range(40), 51, 52)], 40),
    ([tuple(range(40)), tuple(range(40))], 39),  # a token to answer from is left to each
    ([tuple(range(40)), (*range(40), 9)], 39),
    ([(*range(LEAST - 1), 90), (*range(LEAST - 1), 91)], 0),
    ([(*range(40), 1), (*range(40), *range(100, 200))], 0),  # most of it is the texts' own
    ([(*range(40), 1)], 0),  # nobody to share it with
    ([(1, *range(40)), (2, *range(40))], 0),
])
def test_what_counts_as_a_shared_beginning(rows: list[tuple[int, ...]], alike: int) -> None:
    assert shared([Encoded(ids, 0) for ids in rows]) == alike


@pytest.mark.parametrize(("config", "can"), [
    ({"is_encoder_decoder": False}, True), ({"is_encoder_decoder": True}, False), ({"is_encoder_decoder": False, "sliding_window": 64}, False),
    ({"is_encoder_decoder": False, "layer_types": ["full_attention", "sliding_attention"]}, False),
])
def test_only_where_every_token_sees_all_before_it(config: dict[str, Any], can: bool) -> None:
    assert continues(SimpleNamespace(config=SimpleNamespace(**config))) is can


@pytest.mark.parametrize("method", [{"name": "prompt_tuning", "virtual_tokens": 4}, {"name": "prefix_tuning", "virtual_tokens": 4}])
def test_nothing_goes_on_behind_virtual_tokens(method: dict[str, Any], workshop: Workshop, read: list[tuple[int, int]]) -> None:
    """Texts that begin alike are read whole where a method puts positions in front of them."""
    job = finished(prepare(RunSpec.parse({"model": "seed-llama", "task": "toy", "method": method, "eval_items": 16, "device": "cpu"}), workshop))
    rows = [Encoded((*range(5, 5 + LEAST), *row.ids), row.label) for row in job.texts.test]
    job.answers([Encoded(row.ids[:LEAST + 4], row.label) for row in rows])
    assert not read
