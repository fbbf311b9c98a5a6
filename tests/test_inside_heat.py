"""What the Look-inside tab draws of any method: maps, curves and single cells, from what real lenses saw in seeded runs and from values with known answers."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.contracts import LabError
from lab.engine import look, train
from lab.lens import Look, Seen
from lab.spec import RunSpec
from lab.store import Store
from lab.ui.bench import Bench
from lab.ui.inside import curves, heat
from lab.ui.inside.curves import Sight, said
from lab.ui.inside.subject import Subjects

TINY = {"model": "seed-bert", "task": "toy", "method": {"name": "lora", "targets": ["query", "ffn_in"]}, "steps": 4, "batch": 2, "tokens": 24,
        "eval_items": 4, "eval_every": 0, "dtype": "float32"}


@pytest.fixture(scope="module")
def looked_at(workshop: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, list[str]]]:
    """Three runs of one browser in a store; two of the same model, and a look through a real lens at the first."""
    with Store(tmp_path_factory.mktemp("store")) as store:
        runs = []
        for spec in (TINY, {**TINY, "method": {"name": "lora", "targets": ["query"]}}, {**TINY, "model": "seed-llama", "method": "lora"}):
            run = store.submit(RunSpec.parse(spec), "me")
            store.claim("worker")
            store.append(run.id, train(run.spec, workshop, out=store.folder(run.id)))
            runs.append(run.id)
        asked = Look.parse({"run": runs[0], "lens": "update_spectrum"})
        made = store.submit(asked, "me", kind="look")
        store.claim("worker", ("look",))
        store.append(made.id, look(asked, store.folder(runs[0]), workshop))
        yield Bench(store), runs


@pytest.fixture
def ask(looked_at: tuple[Bench, list[str]]) -> Callable[..., dict[str, Any]]:
    known = {question.__name__: question for question in heat.questions(Subjects(looked_at[0]))}
    return lambda name, **asked: known[name]({"owner": "me", **asked})


def cells(*values: float | None, name: str = "relative", role: str = "query") -> dict[str, Any]:
    return {"measures": {name: "what it is"}, "cells": [{"layer": layer, "role": role, name: value} for layer, value in enumerate(values)], "details": {}}


def amounts(picture: dict[str, Any], place: int = 0, when: str = "now", name: str = "relative") -> list[float]:
    return [cell["seen"][name][0] for cell in picture["maps"][place][when]]


# ── from real runs ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_map_has_every_matrix_that_was_changed(ask: Callable[..., dict[str, Any]], looked_at: Any) -> None:
    picture = ask("heat", run=looked_at[1][0], lens="update_spectrum")
    assert picture["kind"] == "grid" and picture["details"]
    assert [column["name"] for column in picture["columns"]] == ["1", "2"]
    assert [(row["name"], row["part"]) for row in picture["rows"]] == [("query", "query"), ("feed-forward in", "ffn_in")]
    found = amounts(picture)
    assert len(found) == 4 and max(found) == 1 and min(found) >= 0
    assert [measure["title"] for measure in picture["measures"]][:3] == ["relative change", "length", "effective rank"]


def test_a_cell_closely_has_its_spectrum(ask: Callable[..., dict[str, Any]], looked_at: Any) -> None:
    seen = ask("closely", run=looked_at[1][0], lens="update_spectrum", layer=1, role="query")
    assert seen["title"] == "query, block 2" and seen["runs"] == ["LoRA"]
    assert {fact["name"] for fact in seen["facts"]} >= {"relative change", "effective rank"}
    bars = seen["figures"][0]["data"][0]
    assert bars["type"] == "bar" and list(bars["y"]) == sorted(bars["y"], reverse=True) and bars["y"][0] > 0
    assert "error" in ask("closely", run=looked_at[1][0], lens="update_spectrum", layer=1, role="value")


def test_a_trace_is_a_curve_for_each_of_its_numbers(ask: Callable[..., dict[str, Any]], looked_at: Any) -> None:
    picture = ask("heat", run=looked_at[1][0], lens="gradient_norms")
    drawn = picture["figures"][0]["data"]
    assert picture["kind"] == "curves" and [line["name"] for line in drawn] == ["A", "B"]
    assert drawn[0]["x"][0] == 0 and drawn[0]["y"][0] == 0 < drawn[1]["y"][0], "B moves first"
    assert len(picture["figures"][0]["table"]["rows"]) == len(drawn[0]["x"])


def test_two_runs_stand_side_by_side_with_a_letter_each(ask: Callable[..., dict[str, Any]], looked_at: Any) -> None:
    one, other, _ = looked_at[1]
    names = [line["name"] for line in ask("heat", run=one, other=other, lens="gradient_norms")["figures"][0]["data"]]
    assert names == ["A A", "A B", "B A", "B B"]
    assert "nobody has looked at" in ask("heat", run=one, other=other, lens="update_spectrum")["error"]


def test_runs_of_the_same_model_are_offered_and_told_whether_they_were_looked_at(ask: Callable[..., dict[str, Any]], looked_at: Any) -> None:
    one, other, another_model = looked_at[1]
    offered = {each["run"]: each for each in ask("beside", run=other, lens="update_spectrum", owner="me")["runs"]}
    assert set(offered) == {one} and offered[one]["ready"] and another_model not in offered
    assert not ask("beside", run=one, lens="update_spectrum", owner="me")["runs"][0]["ready"]
    shared = looked_at[0].store.share(one)
    assert ask("beside", run=shared.id, lens="update_spectrum", owner="somebody else")["runs"] == []
    looked_at[0].store.share(one, False)


def test_nobody_looks_into_somebody_else_s_private_run(ask: Callable[..., dict[str, Any]], looked_at: Any) -> None:
    bench, (one, other, _) = looked_at
    asked = ({"name": "heat"}, {"name": "closely", "layer": 1, "role": "query"}, {"name": "beside"})
    for owner in ("somebody else", ""):
        for each in asked:
            assert "this run is private" in ask(**each, run=one, lens="update_spectrum", owner=owner)["error"]
    bench.store.share(one)
    assert ask("heat", run=one, lens="update_spectrum", owner="somebody else")["kind"] == "grid"
    assert "this run is private" in ask("heat", run=one, other=other, lens="gradient_norms", owner="somebody else")["error"], "nor beside a shared one"
    bench.store.share(one, False)


def test_what_is_not_there_is_said(ask: Callable[..., dict[str, Any]], looked_at: Any) -> None:
    assert 'unknown lens "nothing"' in ask("heat", run=looked_at[1][0], lens="nothing")["error"]
    for run in ("0" * 24, "", None, [], "../x"):
        assert "unknown run" in ask("heat", run=run, lens="gradient_norms")["error"]
    assert "nobody has looked at" in ask("heat", run=looked_at[1][0], lens="gates")["error"]


# ── values with known answers ─────────────────────────────────────────────────────────────────────────────────────────


def test_two_runs_have_one_scale() -> None:
    picture = heat.pictured("drift", [Sight("A LoRA", "lora", cells(0.1, 0.2)), Sight("B full", "full", cells(0.2, 0.4))])
    assert amounts(picture) == [0.25, 0.5] and amounts(picture, 1) == [0.5, 1]
    assert (picture["measures"][0]["low"], picture["measures"][0]["high"]) == ("0", "0.4")


def test_a_scale_begins_at_zero_unless_all_values_lie_far_from_it() -> None:
    assert heat.scale([0.4, 1.0]).low == 0 and heat.scale([0.9, 1.0]).low == 0.9
    assert heat.scale([3.0, 3.0]).amount(3.0) == 0, "equal values have one colour, and nothing is divided by 0"


def test_around_a_centre_both_sides_reach_equally_far() -> None:
    picture = heat.pictured("ia3_scales", [Sight("IA3", "ia3", cells(0.9, 1.3, 1.0, name="mean"))])
    assert amounts(picture, name="mean") == pytest.approx([-1 / 3, 1, 0], abs=1e-3)
    assert picture["measures"][0] | {"about": ""} == {"name": "mean", "title": "mean", "about": "", "both": True, "low": "0.7", "middle": "1", "high": "1.3"}
    assert heat.scale([-0.2, 0.1]).centre == 0, "numbers of both signs have their centre at 0"


def test_the_state_before_training_has_the_same_scale() -> None:
    value = cells(0.1, 0.2) | {"before": cells(0.4, 0.0)["cells"]}
    picture = heat.pictured("update_spectrum", [Sight("PiSSA", "pissa", value)])
    assert amounts(picture) == [0.25, 0.5] and amounts(picture, when="before") == [1, 0]
    assert heat.pictured("drift", [Sight("LoRA", "lora", cells(0.1) | {"before": []})])["maps"][0]["before"] is None
    facts = heat.detail([Sight("PiSSA", "pissa", value)], 0, "query")["facts"]
    assert facts[0]["values"] == ["0.1"] and facts[0]["before"] == ["0.4"]


def test_what_stands_outside_the_blocks_or_has_no_number_is_shown_as_such() -> None:
    value = cells(0.1, None)
    value["cells"].append({"layer": None, "role": "norm gain", "relative": 0.3})
    value["details"]["None.norm gain"] = {"histogram": {"edges": [0, 1, 2], "counts": [3, 1]}}
    picture = heat.pictured("drift", [Sight("norms", "norms", value)])
    assert [column["name"] for column in picture["columns"]] == ["outside", "1", "2"]
    assert [cell["seen"] for cell in picture["maps"][0]["now"] if cell["column"] == 2] == [{}]
    assert heat.parts_said("norm gain") == "norm" and heat.parts_said("query bias") == "query bias" and "value" in heat.parts_said("qkv").split()
    close = heat.detail([Sight("norms", "norms", value)], None, "norm gain")
    assert close["title"] == "norm gain, outside the blocks" and close["figures"][0]["data"][0]["x"] == [0.5, 1.5]


def test_histograms_of_two_runs_are_shares() -> None:
    close = [(Sight(name, "lora", None), {"histogram": {"edges": [0, 1, 2], "counts": counts}}) for name, counts in (("A", [3, 1]), ("B", [5, 5]))]
    one, other = curves.close_figures(close)[0]["data"]
    assert one["y"] == [0.75, 0.25] and other["y"] == [0.5, 0.5]


def test_similarity_is_drawn_from_what_goes_into_the_first_block() -> None:
    layers = [{"layer": layer, "stack": "", "cka": cka, "before": 1.0} for layer, cka in ((None, 1.0), (0, None), (1, 0.8))]
    figure = heat.pictured("representations", [Sight("LoRA", "lora", {"layers": layers, "items": 100})])["figures"][0]
    assert [(line["name"], line["x"], line["y"]) for line in figure["data"]] == [("after training", [0, 2], [1.0, 0.8]), ("before", [0, 1, 2], [1.0, 1.0, 1.0])]
    assert figure["table"]["rows"][1] == ["1", "–", "1"]


def test_spans_are_drawn_between_all_on_and_all_off() -> None:
    def scored(score: float, **more: Any) -> dict[str, Any]:
        return {"score": score, "standard_error": 0.05, "loss": 1 - score, "items": 100, **more}

    value = {"spans": [scored(0.6, first=0, last=1), scored(0.7, first=0, last=0), scored(0.8, first=1, last=1)], "score": scored(0.9), "none": scored(0.5)}
    score, loss = heat.pictured("layer_span", [Sight("adapters", "houlsby", value)])["figures"]
    lines = {line["name"]: line for line in score["data"]}
    assert lines["off in one block"]["x"] == [1, 2] and lines["off in one block"]["error_y"]["array"] == [0.05, 0.05]
    assert lines["off in 1 to 2"]["y"] == [0.6, 0.6] and lines["on everywhere"]["y"] == [0.9, 0.9] and lines["off everywhere"]["y"] == [0.5, 0.5]
    assert next(line for line in loss["data"] if line["name"] == "off in one block")["y"] == pytest.approx([0.3, 0.2])


def test_ranks_have_error_bars_that_fit_the_axis() -> None:
    ranks = [{"rank": 1, "score": 0.5, "standard_error": 0.2, "loss": 1}, {"rank": 4, "score": 0.9, "standard_error": 0.2, "loss": 1}]
    figure = heat.pictured("dylora_ranks", [Sight("DyLoRA", "dylora", {"ranks": ranks})])["figures"][0]
    low, high = figure["layout"]["yaxis2"]["range"]
    assert low < 0.3 and high > 1.1 and figure["layout"]["xaxis"]["tickvals"] == [1, 4]
    assert figure["table"]["rows"] == [["1", "0.5 ± 0.2"], ["4", "0.9 ± 0.2"]]


def test_what_has_no_form_here_is_said_to_have_none() -> None:
    assert heat.pictured("new_lens", [Sight("LoRA", "lora", {"words": ["a"]})]) == {"kind": "none"}
    assert heat.pictured("new_trace", [Sight("LoRA", "lora", [Seen(0, None), Seen(1, {"words": "a"})], "trace")]) == {"kind": "none"}


@pytest.mark.parametrize(("value", "words"), [(0.0, "0"), (3, "3"), (1234.5, "1,230"), (0.012345, "0.0123"), (-0.5, "−0.5"), (-12, "−12"), (1e-14, "0"),
                                              (12.345, "12.3")])
def test_numbers_are_for_people(value: float, words: str) -> None:
    assert said(value) == words


def test_a_cell_that_is_none_is_refused_with_a_way_out() -> None:
    with pytest.raises(LabError, match="choose one of the cells"):
        heat.detail([Sight("LoRA", "lora", cells(0.1))], 7, "query")


def test_names_reach_the_figure_library_without_markup() -> None:
    figure = curves.figure([curves.Line("<b>A</b>", [0, 1], [0.0, 1.0], "#000000")], "step", "", "")
    assert "<b>" not in figure["data"][0]["hovertemplate"]
