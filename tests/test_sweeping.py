"""Learning-rate sweeps: what is tried and in which order, that a stopped one goes on, and that the summary says what the streams say."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab import catalogue, sweeping
from lab.contracts import LabError
from lab.recording import read
from lab.spec import RunSpec
from lab.sweeping import Sweep, Tried

STORED = Path(__file__).parent.parent / "assets" / "sweeps"
TINY = {"task": "toy", "steps": 3, "batch": 4, "eval_items": 2, "eval_every": 3, "dtype": "float32"}


def sweep_of(*tried: tuple[float, float | None], base: float | None = None) -> Sweep:
    return Sweep("movies", 100, 0.52, tuple(Tried(lr, score, 0.02) for lr, score in tried), base)


def swept_here(model: str, method: str) -> RunSpec:
    """What the tests below sweep in place of a method's defaults on movies."""
    return RunSpec.parse({**TINY, "model": model, "method": method})


def test_each_method_starts_at_its_default_and_asks_few_test_items(tmp_path: Path) -> None:
    specs = list(sweeping.planned(("minilm-l6",), (), 1, tmp_path))
    for spec in specs:
        assert spec.lr == pytest.approx(spec.method.rates["encoder"].default, rel=0.3)
        assert spec.eval_items == 2 and spec.eval_every == spec.steps, "test items are not for choosing"
    left_out = set(catalogue.entries("methods")) - {spec.method.key for spec in specs}
    assert "in_context" in left_out and "lora" not in left_out


@pytest.mark.parametrize(("tried", "then"), [
    ([], 1e-3), ([(1e-3, 0.8)], 3e-3), ([(1e-3, 0.8), (3e-3, 0.7)], 3e-4), ([(1e-3, 0.8), (3e-3, 0.9)], 1e-2), ([(1e-3, 0.8), (3e-3, None)], 3e-4),
    ([(3e-4, 0.7), (1e-3, 0.8), (3e-3, 0.8)], None), ([(1e-3, 0.7), (3e-3, 0.8), (1e-2, 0.9), (3e-2, 0.95), (1e-1, 0.96)], None),
    ([(3e-3, 0.8)], 1e-3),
])
def test_rates_are_tried_uphill(tried: list[tuple[float, float | None]], then: float | None) -> None:
    found = sweeping.next_rate(1e-3, sweep_of(*tried).tried, 5)
    assert found == (then if then is None else pytest.approx(then))


def test_a_rate_has_one_digit() -> None:
    assert [sweeping.round_rate(rate) for rate in (3e-3 / 3, 1e-2 / 3, 0.3 * 3, 2e-4 * 10)] == [1e-3, 3e-3, 0.9, 2e-3]


def test_what_was_tried_is_told_best_and_worst() -> None:
    sweep = sweep_of((1e-4, 0.55), (3e-4, 0.79), (1e-3, 0.80), (3e-3, 0.785), (1e-2, None))
    assert sweep.best.lr == 1e-3 and sweep.learns and sweep.good == (3e-4, 3e-3)
    assert sweep.at(1e-3 * (1 + 1e-9)).score == 0.80 and sweep.at(2e-3) is None
    none = sweep_of((1e-4, 0.53), (1e-3, 0.55), (1e-2, None))
    assert not none.learns and none.good is None
    assert sweep_of((1e-2, None)).best is None and not sweep_of((1e-2, None)).learns


def test_a_good_rate_beyond_a_bad_one_does_not_count() -> None:
    assert sweep_of((1e-4, 0.80), (3e-4, 0.60), (1e-3, 0.80), (3e-3, 0.79), (1e-2, 0.70), (3e-2, 0.80)).good == (1e-4, 1e-4), "the first of equals is the best"
    assert sweep_of((1e-4, 0.80), (3e-4, 0.60), (1e-3, 0.81), (3e-3, 0.79), (1e-2, 0.70), (3e-2, 0.80)).good == (1e-3, 3e-3)
    assert sweep_of((1e-4, 0.80), (3e-4, None), (1e-3, 0.81)).good == (1e-3, 1e-3), "a failed run is worse than all"


def test_what_is_lost_may_be_2_points_or_a_standard_error_where_that_is_more() -> None:
    def good(se: float) -> tuple[float, float] | None:
        return Sweep("movies", 100, 0.5, (Tried(1e-4, 0.77, se), Tried(1e-3, 0.80, se), Tried(1e-2, 0.76, se))).good

    assert good(0.01) == (1e-3, 1e-3) and good(0.031) == (1e-4, 1e-3) and good(0.041) == (1e-4, 1e-2)


@pytest.mark.parametrize("tried", [((1e-3, 0.80),), ((1e-3, 0.80), (3e-3, 0.80))])
def test_of_fewer_than_three_rates_nobody_knows_how_exact_one_must_be(tried: tuple[tuple[float, float], ...]) -> None:
    assert sweep_of(*tried).learns and sweep_of(*tried).good is None


def test_to_learn_is_to_beat_the_untouched_model_as_well() -> None:
    tried = ((3e-4, 0.74), (1e-3, 0.80), (3e-3, 0.79))
    assert sweep_of(*tried).learns and sweep_of(*tried, base=0.53).learns, "an untouched model near chance is beaten with the larger class"
    told = sweep_of(*tried, base=0.77)
    assert not told.learns and told.good is None and told.beaten == 0.77
    assert sweep_of(*tried, base=0.40).beaten == 0.52


def test_the_base_is_scored_on_the_items_of_the_sweep_and_stands_in_its_summary(workshop: Any, tmp_path: Path) -> None:
    """Held against a run that cannot move: at a learning rate of 0 LoRA answers as the base."""
    still = RunSpec.parse({**TINY, "model": "seed-llama", "method": "lora", "lr": 0.0})
    sweeping.sweep([still], workshop, tmp_path, swept_here)
    assert sweeping.sweeps(tmp_path)["seed-llama", "lora"].base is None, "not known yet"
    sweeping.record_base([still, RunSpec.parse({**TINY, "model": "seed-bert", "method": "lora"})], workshop, tmp_path)
    found = json.loads((tmp_path / sweeping.BASE).read_text())
    assert list(found) == ["seed-llama"], "the head of an encoder's base has learned nothing"
    scored = next(seen for seen in read(sweeping.path_of(still, tmp_path)).result.evaluations if seen.split == "validation")
    told = found["seed-llama"]["toy"]
    assert (told["score"], told["items"]) == (pytest.approx(scored.score, abs=1e-4), scored.items) and told["dtype"] == "float32"
    sweeping.sweeps.cache_clear()
    sweeping.write_summary(tmp_path, swept_here)
    sweep = sweeping.sweeps(tmp_path)["seed-llama", "lora"]
    assert sweep.base == told["score"] and not sweep.learns


def test_runs_of_superseded_defaults_are_not_counted_as_tried(workshop: Any, tmp_path: Path) -> None:
    now = swept_here("seed-bert", "lora")
    old = RunSpec.parse({**now.to_dict(), "method": {"name": "lora", "rank": 2}})
    sweeping.sweep([sweeping.at_rate(now, 1e-3), sweeping.at_rate(old, 3e-3)], workshop, tmp_path, swept_here)
    assert len(list(tmp_path.glob("*.jsonl.gz"))) == 2
    assert [each.lr for each in sweeping.sweeps(tmp_path)["seed-bert", "lora"].tried] == [1e-3]


def test_the_summary_keeps_how_each_ran(workshop: Any, tmp_path: Path) -> None:
    spec = sweeping.at_rate(swept_here("seed-bert", "lora"), 1e-3)
    sweeping.sweep([spec], workshop, tmp_path, swept_here)
    tried, result = sweeping.sweeps(tmp_path)["seed-bert", "lora"].tried[0], read(sweeping.path_of(spec, tmp_path)).result
    assert (tried.dtype, tried.threads) == ("float32", result.started.threads)
    assert (tried.training_seconds, tried.seconds) == (round(result.seconds["training"], 1), round(result.seconds["total"], 1))


def test_a_sweep_takes_up_what_was_recorded(workshop: Any, tmp_path: Path) -> None:
    spec = swept_here("seed-bert", "lora")
    for lr in (1e-3, 3e-3):
        sweeping.sweep([sweeping.at_rate(spec, lr)], workshop, tmp_path, swept_here)
    assert [each.lr for each in sweeping.recorded_rates(spec, tmp_path)] == [1e-3, 3e-3]
    other = RunSpec.parse({**spec.to_dict(), "batch": 5})
    assert sweeping.recorded_rates(other, tmp_path) == [], "runs at other defaults say nothing of these"


def test_a_stopped_sweep_goes_on_and_its_summary_is_that_of_the_streams(workshop: Any, tmp_path: Path) -> None:
    specs = [RunSpec.parse({**TINY, "model": "seed-bert", "method": "lora", "lr": lr}) for lr in (1e-3, 1e-2)]
    sweeping.sweep(specs[:1], workshop, tmp_path, swept_here)
    path = sweeping.path_of(specs[0], tmp_path)
    written = path.stat().st_mtime_ns
    sweeping.sweep(specs, workshop, tmp_path, swept_here)
    assert path.stat().st_mtime_ns == written, "what is there is not run again"
    found = sweeping.sweeps(tmp_path)["seed-bert", "lora"]
    assert [each.lr for each in found.tried] == [1e-3, 1e-2] and found.task == "toy" and found.steps == 3
    for spec, each in zip(specs, found.tried, strict=True):
        stored = next(seen for seen in read(sweeping.path_of(spec, tmp_path)).result.evaluations if seen.split == "validation")
        assert each.score == pytest.approx(stored.score, abs=1e-4) and stored.items > 100 and stored.step == 3
    changed = RunSpec.parse({**specs[0].to_dict(), "steps": 2, "eval_every": 2})
    assert sweeping.known(path, specs[0]) and not sweeping.known(path, changed), "another default is another run"


def test_a_folder_without_a_sweep_is_no_error(tmp_path: Path) -> None:
    assert sweeping.sweeps(tmp_path / "nothing") == {}


def test_the_stored_summary_is_that_of_the_stored_streams() -> None:
    streams = [read(path) for path in sorted(STORED.glob("*.jsonl.gz"))]
    assert json.loads((STORED / sweeping.SUMMARY).read_text()) == sweeping.summarised(streams, sweeping.bases(STORED))
    assert all(map(sweeping.current, streams)), "a stream of other defaults than today's is of no use"
    assert sum(path.stat().st_size for path in STORED.iterdir()) < 20_000_000


@pytest.mark.parametrize(("model", "method"), sorted(sweeping.sweeps(STORED)))
def test_the_default_is_as_good_as_the_best_that_was_tried(model: str, method: str) -> None:
    """To within 2 points, or one standard error where that is more."""
    sweep = sweeping.sweeps(STORED)[model, method]
    default = sweep.at(sweeping.round_rate(sweeping.usual(model, method).lr))
    assert default is not None and default.score is not None, [each.lr for each in sweep.tried]
    assert default.score >= sweep.best.score - max(0.02, sweep.best.se), [(each.lr, each.score) for each in sweep.tried]


def test_an_unknown_model_is_told_in_words() -> None:
    with pytest.raises(LabError, match='unknown model "nobody"'):
        list(sweeping.planned(("nobody",), ("lora",), 1, Path()))
