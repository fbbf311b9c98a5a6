"""Rows of a recorded step, put together for other depths, batches and lengths: arithmetic on made-up recordings, where every number is known."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lab.accounting.points import PARTS, Deep, Fit, Recording, Section, moments, place_of
from lab.contracts import LabError
from lab.forecast.plan import plan, with_depths
from lab.spec import RunSpec

SMALL = {"num_hidden_layers": 12, "hidden_size": 24, "num_attention_heads": 4, "intermediate_size": 40, "vocab_size": 50}
T5 = {"model_type": "t5", "num_layers": 9, "num_decoder_layers": 5, "d_model": 24, "d_kv": 8, "d_ff": 40, "num_heads": 4, "vocab_size": 50}


def step(depth: int, batch: int, tokens: int) -> Recording:
    """A model whose blocks weigh 1,000 and keep batch x tokens x 10, with a head that needs batch x tokens² for a moment."""
    weights, kept, moment = 500 + 1000 * depth, 10 * batch * tokens, batch * tokens * tokens

    def rows(activations: float, *temporary: float) -> np.ndarray:
        return np.array([[weights, 0, 0, activations, each] for each in temporary], dtype=np.float64)

    def inside(phase: str, block: int, names: str, *temporary: float) -> Section:
        return Section(phase, 0, place_of(block, depth, 1), block, tuple(names), rows(kept * (block + 1), *temporary))

    sections = [*(inside("forward", block, "ab", 3.0 * batch, 7.0 * tokens) for block in range(depth)),
                Section("forward_end", -1, "1", -1, ("",), rows(kept * depth, 0)),
                Section("backward", -1, "2", -1, ("head",), rows(kept * depth, moment)),
                *(inside("backward", block, "c", 2.0 * kept) for block in reversed(range(depth))),
                Section("optimizer", -1, "3", -1, tuple("w" * depth), rows(0, *[100.0] * depth))]
    return Recording((depth,), tuple(sections), {f"blocks.{block}": kept for block in range(depth)})


def deep(batch: int, tokens: int) -> Deep:
    return Deep(step(3, batch, tokens), {0: step(2, batch, tokens)})


@pytest.mark.parametrize("depth", [4, 5, 40])
@pytest.mark.parametrize(("batch", "tokens"), [(2, 4), (3, 100)])
def test_few_blocks_give_many(depth: int, batch: int, tokens: int) -> None:
    put_together = list(deep(batch, tokens).sections((depth,), every_block=True))
    whole = step(depth, batch, tokens)
    assert [(section.phase, section.block) for section in put_together] == [(section.phase, section.block) for section in whole.sections]
    for found, real in zip(put_together, whole.sections, strict=True):
        if real.phase == "optimizer":  # as many rows as weights: the highest stands for them
            assert found.rows.sum(1).max() == real.rows.sum(1).max()
        else:
            assert np.array_equal(found.rows, real.rows) and found.names == real.names
    assert moments(put_together) == moments(whole.sections) == moments(list(deep(batch, tokens).sections((depth,))))


def test_the_highest_moment_moves_with_the_sizes() -> None:
    def highest(depth: int, batch: int, tokens: int) -> str:
        return max(moments(list(deep(batch, tokens).sections((depth,)))), key=lambda moment: moment["bytes"])["module"]

    assert highest(4, 2, 100) == "head" and highest(4, 2, 8) == "c"


def test_any_batch_and_length_from_six_of_each(tmp_path: Path) -> None:
    grid = [(batch, tokens) for batch in (2, 3) for tokens in (8, 16, 32)]
    fit = Fit.through(grid, [deep(*sizes) for sizes in grid])
    for batch, tokens in ((2, 8), (7, 33), (64, 4096)):
        for found in (fit, kept(fit, tmp_path / "kept.npz")):
            at = found.at(batch, tokens)
            assert np.array_equal(at.short.bytes, step(3, batch, tokens).bytes) and np.array_equal(at.fewer[0].bytes, step(2, batch, tokens).bytes)


def kept(fit: Fit, path: Path) -> Fit:
    fit.write(path)
    return Fit.read(path)


def test_steps_that_differ_in_more_than_sizes_give_no_fit() -> None:
    assert Fit.through([(2, 8), (3, 8)], [deep(2, 8), Deep(step(4, 3, 8), {})]) is None


def test_recordings_that_do_not_correspond_are_told_apart() -> None:
    assert deep(2, 4).corresponds and Deep(step(3, 2, 4), {}).corresponds
    without = step(2, 2, 4)
    assert not Deep(step(3, 2, 4), {0: Recording((2,), without.sections[1:], without.saved)}).corresponds


def test_the_parts_of_a_moment_sum_to_it() -> None:
    for moment in moments(step(5, 3, 7).sections):
        assert set(moment["parts"]) == set(PARTS) and sum(moment["parts"].values()) == moment["bytes"]


@pytest.mark.parametrize(("config", "method", "short", "tail", "fewer"), [
    ({"model_type": "llama", **SMALL}, "lora", (3,), 1, (0,)),
    ({"model_type": "llama", **SMALL}, "full", (3,), 1, (0,)),
    ({"model_type": "llama", **SMALL}, "prompt_tuning", (3,), 1, (0,)),
    ({"model_type": "llama", **SMALL}, {"name": "top_layers", "layers": 2}, (4,), 2, (0,)),
    ({"model_type": "llama", **SMALL, "num_hidden_layers": 2}, "lora", (2,), 1, ()),
    ({"model_type": "llama", **SMALL}, {"name": "lora", "targets": ["layers.5.self_attn.q_proj"]}, (12,), 7, ()),
    (T5, "lora", (3, 3), 1, (0, 1)), (T5, "full", (3, 3), 1, (0, 1)),
])
def test_as_few_blocks_are_recorded_as_stand_for_all(config: dict[str, object], method: object, short: tuple[int, ...], tail: int,
                                                     fewer: tuple[int, ...]) -> None:
    spec = RunSpec.parse({"model": {"config": config}, "method": method})
    found = plan(spec.method, config)
    assert (found.short, found.tail, found.fewer) == (short, tail, fewer)
    assert RunSpec.parse({"model": {"config": with_depths(config, short)}, "method": method}).shape.layers == sum(short)


def test_too_many_different_blocks_are_refused() -> None:
    config = {"model_type": "llama", **SMALL, "num_hidden_layers": 200}
    spec = RunSpec.parse({"model": {"config": config}, "method": {"name": "lora", "targets": ["layers.5.self_attn.q_proj"]}})
    with pytest.raises(LabError, match="200 blocks"):
        plan(spec.method, config)
