"""The Look-inside tab without a browser: what a run shows through each lens, who may ask for what, and what is said where nothing can be seen."""
from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab import catalogue
from lab.engine import look, train
from lab.events import Cancelled, Failed, Finished, Observed, Started
from lab.lens import Look, Probe, Table, Trace
from lab.recording import Recorded
from lab.runners._worker import subject
from lab.spec import RunSpec
from lab.store import Store
from lab.ui import inside
from lab.ui.bench import Bench, Limits
from lab.ui.inside import figures, seen
from lab.ui.picture import RECORDED

ROOT = Path(__file__).parent.parent
TINY = {"model": "seed-llama", "task": "toy", "method": {"name": "prompt_tuning", "virtual_tokens": 3}, "steps": 4, "batch": 2, "tokens": 24,
        "eval_items": 8, "eval_every": 0, "dtype": "float32"}
SMALL = {"prompt_neighbours": {"draws": 100, "items": 8}}  # knobs that make a look quick


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Store(tmp_path) as store:
        yield Bench(store)


@pytest.fixture
def ask(bench: Bench) -> Callable[..., dict[str, Any]]:
    known = {question.__name__: question for question in inside.questions(bench)}
    return lambda name, **asked: json.loads(json.dumps(known[name]({"owner": "me", **asked}), allow_nan=False))


def trained(bench: Bench, workshop: Any, **change: Any) -> str:
    """A run as a worker makes it."""
    spec = RunSpec.parse({**TINY, **change})
    run = bench.store.submit(spec, "me")
    assert bench.store.claim("worker")
    bench.store.append(run.id, train(spec, workshop, out=bench.store.folder(run.id)))
    assert bench.store.run(run.id).state == "finished", bench.store.run(run.id).reason
    return run.id


def made(bench: Bench, workshop: Any) -> None:
    """The next look, as a worker makes it."""
    run = bench.store.claim("worker", ("look",))
    assert run
    bench.store.append(run.id, look(Look.from_json(run.spec_json), bench.store.folder(subject(run)), workshop))


def row(view: dict[str, Any], key: str) -> dict[str, Any]:
    return next(each for each in view["lenses"] if each["key"] == key)


def begun(bench: Bench, *events: Any, **change: Any) -> str:
    """A run of which no more is known than these events."""
    spec = RunSpec.parse({**TINY, **change})
    run = bench.store.submit(spec, "me")
    bench.store.claim("worker")
    counts = spec.counts.to_dict()
    bench.store.append(run.id, [Started(spec.to_dict(), spec.fingerprint, "w", "d", {}, counts, "cpu", "float32", 1, {"test": 8}), *events])
    return run.id


# ── what a run shows ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_finished_run_shows_its_traces_and_says_what_its_probes_cost(bench: Bench, ask: Callable[..., Any], workshop: Any) -> None:
    view = ask("view", run=trained(bench, workshop), owner="me")
    assert {each["key"] for each in view["lenses"]} == set(catalogue.entries("lenses"))
    assert view["mine"] and view["state"] == "finished" and view["losses"][-1][0] == 4
    river = row(view, "prompt_river")
    assert [each["step"] for each in river["value"]][::len(river["value"]) - 1] == [0, 4] and len(river["value"][0]["value"]["positions"]) == 3
    assert river["says"] and river["table"]["total"] > 0 and not river["asks"]
    for each in view["lenses"]:
        lens = catalogue.find("lenses", each["key"])
        assert each["ok"] or each["reason"]
        assert each["asks"] == (each["ok"] and issubclass(lens, Probe))
        assert not each["asks"] or each["cost"], f"{each['key']} does not say what it costs"
        assert not (each["ok"] and issubclass(lens, Trace)) or each["value"]


def test_a_look_is_asked_for_once_and_brings_words_with_their_test(bench: Bench, ask: Callable[..., Any], workshop: Any) -> None:
    run = trained(bench, workshop)
    asked = ask("ask", run=run, owner="me", lens="prompt_neighbours", knobs=SMALL["prompt_neighbours"])
    assert "private" in ask("ask", run=run, owner="other", lens="prompt_neighbours")["error"]
    bench.store.share(run)
    assert ask("ask", run=run, owner="other", lens="prompt_neighbours", knobs=SMALL["prompt_neighbours"]) == asked, "an equal look is on its way"
    waiting = row(ask("view", run=run, owner="me"), "prompt_neighbours")
    assert waiting["look"]["state"] == "queued" and waiting["look"]["mine"] and waiting["look"]["status"] == "next in line" and waiting["value"] is None
    made(bench, workshop)
    view = ask("view", run=run, owner="me")
    words, swap = row(view, "prompt_neighbours"), row(view, "swap_test")
    assert words["look"] is None and len(words["value"]["positions"]) == 3 and words["says"]
    assert {"init", "p", "neighbours"} <= set(words["value"]["positions"][0])
    assert swap["value"] == words["value"]["swap"] and swap["says"], "the words come with their swap test, though only they were asked for"
    assert swap["figure"]["rows"][0]["name"] == "The trained vectors" and len(swap["figure"]["rows"]) == 7
    assert ask("ask", run=run, owner="me", lens="prompt_neighbours", knobs=SMALL["prompt_neighbours"]) == asked, "a finished look is not made again"
    assert ask("ask", run=run, owner="me", lens="prompt_neighbours", knobs={"draws": 200, "items": 8}) != asked


def test_values_the_page_has_are_not_sent_again(bench: Bench, ask: Callable[..., Any], workshop: Any) -> None:
    run = trained(bench, workshop)
    view = ask("view", run=run)
    marks = {each["key"]: each["mark"] for each in view["lenses"]}
    again = ask("view", run=run, marks=marks)
    assert all(each["kept"] and "value" not in each for each in again["lenses"])
    assert len(json.dumps(again)) < len(json.dumps(view)) / 4
    assert "value" in row(ask("view", run=run, marks=marks | {"prompt_river": "another"}), "prompt_river")


@pytest.mark.parametrize("method", ["prompt_tuning", "p_tuning", "prefix_tuning"])
def test_every_figure_is_drawn_from_what_its_probe_sees(method: str, bench: Bench, ask: Callable[..., Any], workshop: Any) -> None:
    knobs = {"virtual_tokens": 3, **({"init": "random"} if method == "prefix_tuning" else {})}
    run = trained(bench, workshop, method={"name": method, **knobs})
    for key in figures.FIGURES:
        lens = catalogue.find("lenses", key)
        if lens.applies(bench.store.run(run).spec).ok and key != "swap_test":
            assert "look" in ask("ask", run=run, owner="me", lens=key, knobs={"items": 10} if "items" in lens.model_fields else {})
            made(bench, workshop)
            found = row(ask("view", run=run), key)
            assert found["value"], found["look"]
            assert found["says"] != [seen.OLDER]
            drawn = found["figure"]
            assert drawn["data"] and drawn["alt"] and len(drawn["table"]["columns"]) == len(drawn["table"]["rows"][0])
    if method == "prefix_tuning":
        view = ask("view", run=run)
        assert "no nearest token" in row(view, "prompt_neighbours")["reason"] and row(view, "prefix_norms")["figure"] and row(view, "attention_mass")["figure"]


def test_the_swap_test_says_what_each_stand_in_keeps_of_the_gain() -> None:
    score = {"score": 0.5, "standard_error": 0.02, "loss": 0.7, "items": 200}
    value = {"scores": {"none": score, "nearest": score, "prompt": score, "before": score}, "kept": {"nearest": 0.064, "before": -0.03},
             "gain": {"score": 0.1, "standard_error": 0.02}}
    rows = figures.swap(value)["rows"]
    assert [each["who"] for each in rows] == ["tuned", "nearest", "none", "before"]
    assert rows[1]["about"].endswith("keeps 6\u202f% of the gain")
    assert rows[3]["about"].endswith("keeps −3\u202f% of the gain") and "keeps" not in rows[2]["about"]
    unsure = figures.swap(value | {"gain": {"score": 0.03, "standard_error": 0.02}})["rows"]
    assert not any("keeps" in each["about"] for each in unsure), "of a gain that may be none nothing is a share"


def test_the_numbers_of_a_lens_are_a_file_with_all_rows(bench: Bench, ask: Callable[..., Any], workshop: Any) -> None:
    run = trained(bench, workshop)
    table = row(ask("view", run=run), "prompt_drift")["table"]
    file = ask("numbers", run=run, lens="prompt_drift")
    lines = list(csv.reader(io.StringIO(file["text"])))
    assert file["name"].startswith("prompt_drift-") and lines[0] == table["columns"] and len(lines) == 1 + table["total"]
    assert "no numbers of it yet" in ask("numbers", run=run, lens="cliff_walk")["error"]
    assert "unknown lens" in ask("numbers", run=run, lens="x")["error"]


def test_a_token_that_a_spreadsheet_would_run_is_marked_as_text() -> None:
    assert [seen._cell(text) for text in ("=1+1", "@x", "-", "good", 3)] == ["'=1+1", "'@x", "'-", "good", 3]


def test_the_drawing_of_a_run_is_there_to_light_up(bench: Bench, ask: Callable[..., Any], workshop: Any) -> None:
    drawing = ask("drawing", run=begun(bench))
    assert '"data-part": "prompt"' in json.dumps(drawing["anatomy"]) and drawing["symbols"]


# ── what cannot be seen, and why ──────────────────────────────────────────────────────────────────────────────────────


def test_what_cannot_be_asked_is_refused_in_words(bench: Bench, ask: Callable[..., Any], workshop: Any) -> None:
    run, lora = trained(bench, workshop), begun(bench, Finished(4, {}, 1.0), method="lora")
    for asked, words in (
        ({"lens": "nothing"}, 'unknown lens "nothing"'), ({"lens": "prompt_river"}, "it is a trace, not a probe"), ({"lens": "twins"}, "not a probe"),
        ({"lens": "prompt_neighbours", "knobs": {"draws": 7}}, "draws is 7: must be 100 to 10,000"),
        ({"lens": "gates"}, "it has no bottleneck adapter"), ({"run": "gone"}, "unknown run"),
        ({"run": lora, "lens": "prompt_neighbours"}, "trains no soft prompt"), ({"lens": None}, "lens"), ({"lens": "cliff_walk", "knobs": "x"}, "knobs"),
    ):
        answer = ask("ask", **{"run": run, "owner": "me", **asked})
        assert "error" in answer, asked
        assert words in answer["error"], answer
    bench.store.share(run)
    assert "owner is empty" in ask("ask", run=run, owner="", lens="cliff_walk")["error"]


def test_one_browser_may_have_so_many_looks_waiting(bench: Bench, workshop: Any) -> None:
    few = replace(bench, limits=Limits(waiting=1))
    known = {question.__name__: question for question in inside.questions(few)}
    run = trained(few, workshop)
    bench.store.share(run)
    assert "look" in known["ask"]({"run": run, "owner": "me", "lens": "cliff_walk"})
    assert known["ask"]({"run": run, "owner": "me", "lens": "knock_out"})["error"].startswith("1 of your runs are waiting")
    assert "look" in known["ask"]({"run": run, "owner": "other", "lens": "knock_out"})


def test_looks_go_before_trainings(bench: Bench, ask: Callable[..., Any], workshop: Any) -> None:
    run = trained(bench, workshop)
    bench.store.submit(RunSpec.parse(TINY), "other")
    ask("ask", run=run, owner="me", lens="cliff_walk")
    claimed = bench.store.claim("worker", ("train", "look"))
    assert claimed.kind == "look"


def test_a_look_on_its_way_tells_how_far_it_is_and_only_its_browser_stops_it(bench: Bench, ask: Callable[..., Any], workshop: Any) -> None:
    run = trained(bench, workshop)
    made_id = ask("ask", run=run, owner="me", lens="cliff_walk")["look"]
    bench.store.claim("worker", ("look",))
    bench.store.append(made_id, [Observed(4, "progress", {"done": 3, "of": 12})])
    bench.store.share(run)
    on_its_way = row(ask("view", run=run, owner="other"), "cliff_walk")["look"]
    assert (on_its_way["done"], on_its_way["of"], on_its_way["status"], on_its_way["mine"]) == (3, 12, "3 of 12", False)
    assert "only the browser" in ask("stop", look=made_id, owner="other")["error"]
    assert ask("stop", look=made_id, owner="me")["state"] == "running" and bench.store.cancelled(made_id)
    bench.store.append(made_id, [Cancelled(4)])
    view = row(ask("view", run=run, owner="me"), "cliff_walk")
    assert view["look"]["state"] == "cancelled" and view["asks"]


def test_a_look_that_failed_says_why_and_can_be_tried_again(bench: Bench, ask: Callable[..., Any], workshop: Any) -> None:
    run = begun(bench, Finished(4, {}, 1.0))  # as if its folder had been lost
    first = ask("ask", run=run, owner="me", lens="cliff_walk")["look"]
    made(bench, workshop)
    found = row(ask("view", run=run, owner="me"), "cliff_walk")
    assert found["look"]["state"] == "failed" and "holds no finished run" in found["look"]["reason"] and found["value"] is None
    assert ask("ask", run=run, owner="me", lens="cliff_walk")["look"] != first


@pytest.mark.parametrize(("end", "words"), [
    (None, "when the run has finished"), (Cancelled(2), "was stopped at step 2"), (Failed("broken", step=2), "failed at step 2"),
])
def test_a_run_without_an_end_shows_what_it_recorded(end: Any, words: str, bench: Bench, ask: Callable[..., Any]) -> None:
    recorded = {"positions": [[[5, 0.5]]], "texts": {"5": "good"}, "persistence": 1.0}
    run = begun(bench, Observed(0, "prompt_river", recorded), *([end] if end else []))
    view = ask("view", run=run)
    assert row(view, "prompt_river")["mark"] == "trace.1" and words in row(view, "prompt_neighbours")["missing"]
    assert row(view, "prompt_map")["missing"]
    assert words.split()[-1] in ask("ask", run=run, owner="me", lens="prompt_neighbours")["error"]


def test_numbers_of_another_version_of_a_lens_are_not_shown_as_if_they_were_its_own(bench: Bench, ask: Callable[..., Any]) -> None:
    view = ask("view", run=begun(bench, Observed(0, "prompt_drift", {"something": "else"})))
    assert row(view, "prompt_drift")["says"] == [seen.OLDER] and row(view, "prompt_drift")["value"] is None


def test_a_run_that_the_catalogue_no_longer_knows_is_explained(bench: Bench, ask: Callable[..., Any]) -> None:
    spec = RunSpec.parse(TINY)

    class Old:
        fingerprint = "old"

        def to_json(self) -> str:
            return json.dumps({**spec.to_dict(), "method": {"name": "forgotten_tuning"}})

    view = ask("view", run=bench.store.submit(Old(), "me").id)
    assert all(not each["ok"] and each["reason"] == seen.NO_LENS for each in view["lenses"])
    assert ask("drawing", run=view["run"])["error"] == seen.NO_LENS


def test_a_look_is_no_run(bench: Bench, ask: Callable[..., Any], workshop: Any) -> None:
    run = trained(bench, workshop)
    assert "open the run itself" in ask("view", run=ask("ask", run=run, owner="me", lens="cliff_walk")["look"])["error"]


# ── recorded runs and the menu ────────────────────────────────────────────────────────────────────────────────────────


def test_a_recorded_run_opens_with_its_probes_and_takes_no_new_ones(bench: Bench, workshop: Any, ask: Callable[..., Any]) -> None:
    run = trained(bench, workshop)
    ask("ask", run=run, owner="me", lens="knock_out", knobs={"items": 10})
    made(bench, workshop)
    value = row(ask("view", run=run), "knock_out")["value"]
    events = [event for _, event in bench.store.events(run)]
    kept = Recorded("with-probe", {"date": "2026-11-28", "cores": 2}, (*events[:-1], Observed(4, "knock_out", value), events[-1]))
    known = {question.__name__: question for question in inside.questions(replace(bench, recorded=(kept,)))}
    view = known["view"]({"run": RECORDED + "with-probe"})
    assert row(view, "knock_out")["value"] == value and row(view, "knock_out")["figure"] and view["label"].startswith("recorded 2026-11-28")
    assert not row(view, "cliff_walk")["asks"] and "a run of your own" in row(view, "cliff_walk")["missing"]
    assert "a run of your own" in known["ask"]({"run": RECORDED + "with-probe", "owner": "me", "lens": "cliff_walk"})["error"]
    assert [each["run"] for each in known["runs"]({})["recorded"]] == [RECORDED + "with-probe"]


def test_the_menu_has_this_browser_s_runs_that_have_begun(bench: Bench, ask: Callable[..., Any]) -> None:
    first, second = begun(bench), begun(bench, Cancelled(1), method="lora")
    bench.store.submit(RunSpec.parse(TINY), "me")
    bench.store.submit(RunSpec.parse(TINY), "other")
    found = ask("runs", owner="me")["mine"]
    assert [each["run"] for each in found] == [second, first] and found[1]["told"].startswith("3 virtual tokens, from")
    assert ask("runs", owner="")["mine"] == []


def test_what_the_page_says_of_runs_loads_no_torch() -> None:
    """In a fresh process: every lens is asked whether it applies to runs of every kind, and what it costs."""
    program = """
import sys
from pathlib import Path
from lab import catalogue
from lab.lens import Experiment, Probe
from lab.spec import RunSpec
for method in ("prompt_tuning", "prefix_tuning", "lora", "adalora", "houlsby", "ia3", "full"):
    for model in ("seed-llama", "seed-bert"):
        spec = RunSpec.parse({"model": model, "task": "toy", "method": method})
        for lens in catalogue.entries("lenses").values():
            if lens.applies(spec).ok and issubclass(lens, Probe):
                lens.cost(spec)
heavy = sorted({"torch", "transformers", "peft"} & set(sys.modules))
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_a_table_is_shortened_for_the_page_only() -> None:
    told = seen._shortened(Table(("a",), tuple((place,) for place in range(1000))))
    assert len(told["rows"]) == seen.SHOWN_ROWS and told["total"] == 1000
