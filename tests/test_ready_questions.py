"""Ready questions in the Compare tab: what is recorded shows at once with where it comes from, own arms stand beside it, and each draws its own figure."""
from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from lab.classroom.settings import Limits
from lab.compare import Comparison
from lab.compare.varied import GROUPS, group, swept
from lab.comparing import Shelf, record
from lab.contracts import listing
from lab.store import Store
from lab.supply import Supply
from lab.ui.bench import Bench
from lab.ui.compare import sources
from lab.ui.compare.parts import Part
from lab.ui.compare.swept import Point, good_rates
from lab.ui.sheet import plain
from tests.test_compare_page import BASE, Page

SHIPPED = Path(__file__).parent.parent / "assets" / "comparisons"
ASKED = {
    "rank": {"title": "Does a higher rank help?", "base": BASE, "seeds": [0, 1, 2],
             "arms": [{"name": f"rank {rank}", "change": {"method": {"rank": rank, "alpha": 2.0 * rank}}} for rank in (1, 4, 16)]},
    "other": {"title": "LoRA or the head?", "base": BASE, "arms": [{"name": "LoRA"}, {"name": "head", "change": {"method": "head"}}], "seeds": [0, 1, 2]},
}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, workshop: Any) -> Shelf:
    """Two questions, one of them recorded."""
    folder = tmp_path_factory.mktemp("comparisons")
    for key, asked in ASKED.items():
        (folder / f"{key}.json").write_text(json.dumps(asked))
    assert record(Comparison.parse(ASKED["rank"]).runs.values(), workshop, folder) == 9
    return Shelf(folder)


@pytest.fixture
def page(tmp_path: Path, workshop: Any, shelf: Shelf) -> Iterator[Page]:
    supply = Supply(workshop.supply.cache, offline=True)
    with Store(tmp_path) as store:
        yield Page(Bench(store, data=supply.data, ready=shelf, hashes=lambda spec: (
            supply.known_sha256(spec.base) or "", supply.known_data_sha256(spec.goal) or "")))


def test_questions_are_listed_with_what_is_recorded_and_what_they_take(page: Page) -> None:
    groups = page.ask("all_questions")["groups"]
    assert [each["name"] for each in groups] == ["Which method?", "How much of it?"]
    other, rank = (each["rows"][0] for each in groups)
    assert (rank["state"], rank["recorded"], rank["of"], rank["cost"]) == ("recorded", 9, 9, "")
    assert (other["state"], other["of"]) == ("to run", 6) and other["cost"] == "6 trainings, time not known yet"
    assert rank["about"].endswith("3 arms × 3 seeds")


def test_a_recorded_question_shows_its_result_at_once(page: Page) -> None:
    draft = page.ask("question", key="rank")["draft"]
    assert page.ask("plan", draft)["cost"] == "9 runs (3 arms × 3 seeds), all of them recorded: nothing has to be trained."
    said = page.ask("look", draft)
    assert said["done"] == 9 and said["left"] == 0 and said["result"]["verdicts"]["over"]
    told = said["result"]["sources"]
    assert told["recorded"] == -1 and told["says"].startswith("All 9 runs were recorded on 20")
    assert told["says"].endswith("Nothing was trained here for this result.")
    (row,) = told["rows"]
    assert row[0] == "9" and "python -m lab.comparing" in row[1] and "torch" in row[4] and len(row[5]) == len(row[6]) == 12
    assert 'unknown question "none"' in page.ask("question", key="none")["error"]


def test_limits_are_for_what_would_be_run_not_for_what_is_recorded(page: Page) -> None:
    page = Page(replace(page.bench, limits=Limits(rank=4, steps=2)))
    recorded = page.ask("question", key="rank")["draft"]
    assert page.ask("plan", recorded)["error"] is None
    assert page.ask("look", recorded)["done"] == 9
    error = page.ask("plan", {**recorded, "seeds": [0, 1, 2, 3]})["error"]
    assert (error["arm"] == "rank 1" and error["text"].startswith("steps is")) or (error["arm"] == "rank 16" and error["text"].startswith("rank is 16")), error


def test_own_arms_stand_beside_recorded_ones_and_times_are_kept_apart(page: Page, workshop: Any) -> None:
    draft = page.ask("question", key="rank")["draft"]
    draft["arms"] = [*draft["arms"], {"name": "mine", "change": {"method": "head"}}]
    assert "12 runs (4 arms × 3 seeds), 9 of them recorded; " in page.ask("plan", draft)["cost"]
    said = page.finish(workshop, draft)
    assert len(page.bench.store.history("me")) == 3, "what is recorded is not run again"
    rows = {row["name"]: row["cells"] for row in said["result"]["table"]["rows"]}
    assert rows["rank 1"]["step_seconds"]["note"] == "elsewhere" and "note" not in rows["mine"]["step_seconds"] and "note" not in rows["rank 1"]["score"]
    told = said["result"]["sources"]
    assert told["recorded"] == 9 and told["apart"].startswith("Times marked “elsewhere” were measured on ") and len(told["rows"]) == 2
    seen = page.ask("look", draft, x="step_seconds")
    assert seen["result"]["scatter"]["says"].startswith("Times of recorded arms are of another machine")
    runs = list(csv.DictReader(io.StringIO(page.ask("export", draft, format="csv")["text"])))
    assert {row["arm"]: row["origin"] for row in runs} == {"rank 1": "recorded", "rank 4": "recorded", "rank 16": "recorded", "mine": "here"}


def test_more_seeds_of_a_recorded_arm_are_timed_here_alone(page: Page, workshop: Any) -> None:
    draft = {**page.ask("question", key="rank")["draft"], "seeds": [0, 1, 2, 3]}
    said = page.finish(workshop, draft)
    assert len(page.bench.store.history("me")) == 3 and said["result"]["sources"]["recorded"] == 9 and said["result"]["sources"]["apart"] == ""
    made = json.loads(page.ask("export", draft, format="json")["text"])
    for arm in made["arms"]:
        assert arm["step_seconds"] == next(run["step_seconds"] for run in arm["runs"] if run["origin"] == "here")


def test_a_recording_that_cannot_be_read_is_as_good_as_none(shelf: Shelf, tmp_path: Path) -> None:
    spec = next(iter(shelf.questions["rank"].runs.values()))
    name = next(path.name for path in (shelf.folders[0] / "runs").iterdir() if spec.fingerprint[:12] in path.name)
    (tmp_path / "runs").mkdir()
    for content in (b"nothing", (shelf.folders[0] / "runs" / name).read_bytes()[:200]):
        (tmp_path / "runs" / name).write_bytes(content)
        assert Shelf(tmp_path).of(spec) is None
    assert shelf.of(spec) is not None and shelf.of(spec).made["date"]


def test_a_question_may_be_added_while_the_lab_runs_and_a_broken_one_is_told(page: Page, shelf: Shelf) -> None:
    folder = shelf.folders[0]
    try:
        (folder / "late.json").write_text(json.dumps({**ASKED["other"], "title": "Late?"}))
        (folder / "odd.json").write_text("{")
        found = page.ask("all_questions")
        assert "Late?" in [row["title"] for group in found["groups"] for row in group["rows"]]
        assert found["broken"][0].startswith("odd.json cannot be asked: the comparison is not JSON")
    finally:
        (folder / "late.json").unlink()
        (folder / "odd.json").unlink()
    assert page.ask("all_questions")["broken"] == []


# ── figures ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_sweep_is_drawn_against_its_number(page: Page) -> None:
    found = page.ask("look", page.ask("question", key="rank")["draft"])["result"]["figures"]
    assert [each["key"] for each in found] == ["swept", "scores", "votes"] and found[0]["title"] == "By rank"
    figure = found[0]["figure"]
    assert figure["layout"]["xaxis"]["type"] == "log" and figure["layout"]["xaxis"]["tickvals"] == [1, 4, 16]
    means = next(trace for trace in figure["data"] if trace.get("error_y"))
    assert means["x"] == [1, 4, 16] and len(means["error_y"]["array"]) == 3 and re.match(r"Best mean [\d.]+, at \d+ \(rank\)", figure["says"])
    assert [row[0] for row in figure["table"]["rows"]] == ["1", "4", "16"]


def test_a_sweep_of_ones_own_draws_the_same(page: Page) -> None:
    base = {**BASE, "method": "bitfit"}
    arms = page.ask("add", {"base": base, "arms": [], "seeds": [0]}, how="sweep", method="bitfit", knob="lr", values=[0.001, 0.01, 0.1])["arms"]
    found = swept(Comparison.parse({"base": base, "arms": arms, "seeds": [0]}))
    assert (found.key, found.word, found.alone) == ("lr", "learning rate", ()) and [value for _, value in found.series[0].points] == [0.001, 0.01, 0.1]


@pytest.mark.parametrize(("arms", "key", "series", "alone"), [
    ([{"rank": 1}, {"rank": 2}, {"rank": 4}], "rank", 1, 0),  # alpha stays
    ([{"rank": 1, "alpha": 2.0}, {"rank": 2, "alpha": 4.0}, {"rank": 4, "alpha": 8.0}], "rank", 1, 0),  # alpha follows
    ([{"rank": 1}, {"rank": 2}, {"rank": 4}, "head"], "rank", 1, 1),  # a level beside the line
    ([{"rank": 1}, {"rank": 2}, {"rank": 4}, {"rank": 1, "dropout": 0.2}, {"rank": 2, "dropout": 0.2}], "rank", 2, 0),
    ([{"init": "orthogonal"}, {"init": "gaussian"}, {}], None, 0, 0),
    ([{"rank": 1}, {"rank": 2}], None, 0, 0),  # two points are no sweep
    ([{}, "head", "full"], None, 0, 0),
])
def test_what_is_swept_follows_from_the_arms(arms: list[Any], key: str | None, series: int, alone: int) -> None:
    named = [{"name": f"arm {place}", "change": {"method": change}} for place, change in enumerate(arms)]
    found = swept(Comparison.parse({"base": BASE, "arms": named, "seeds": [0]}))
    assert (found is None) == (key is None)
    if found is not None:
        assert (found.key, len(found.series), len(found.alone)) == (key, series, alone)


def test_the_good_rates_are_those_next_to_the_best() -> None:
    points = [Point(str(x), x, [mean, mean]) for x, mean in ((0.001, 0.79), (0.003, 0.5), (0.01, 0.79), (0.03, 0.8), (0.1, 0.6))]
    assert good_rates(points, "accuracy", True) == (0.01, 0.03, False, False), "a good rate beyond a bad one is not part of the interval"
    assert good_rates(points[2:4], "accuracy", True) == (0.01, 0.03, True, True)
    assert good_rates(points[:2], "perplexity", False) == (0.003, 0.003, False, True)


@pytest.mark.parametrize("key", Shelf(SHIPPED).questions)
def test_every_question_has_a_title_a_group_and_a_cost(key: str) -> None:
    asked = Shelf(SHIPPED).questions[key]
    assert asked.title.endswith("?") and group(asked) in GROUPS and len(asked.seeds) >= 3


# ── what is gone, and what is taken away ──────────────────────────────────────────────────────────────────────────────


def test_a_deleted_run_is_said(page: Page, workshop: Any) -> None:
    draft = page.ask("question", key="other")["draft"]
    said = page.finish(workshop, draft)
    assert ["head", 1] in said["had"] and said["gone"] == []
    page.bench.store.delete(next(run.id for run in page.bench.store.history("me") if run.settings["method"]["name"] == "head" and run.settings["seed"] == 1))
    after = page.ask("look", draft, had=said["had"])
    assert after["gone"] == ["head, seed 1: the run was deleted, so it is not counted"] and not after["result"]["verdicts"]["over"] and after["left"] == 1
    assert page.ask("look", draft, had="nonsense")["gone"] == [] and page.ask("look", draft, had=[[1, {}], "x", ["head"]])["gone"] == []


def test_everything_can_be_taken_away(page: Page) -> None:
    draft = page.ask("question", key="rank")["draft"]
    files = {kind: page.ask("export", draft, format=kind) for kind in ("csv", "table", "items", "json", "comparison", "html")}
    assert [each["name"] for each in files.values()] == [f"does-a-higher-rank-help-{end}" for end in ("runs.csv", "arms.csv", "items.csv", "result.json")] + [
        "does-a-higher-rank-help.json", "does-a-higher-rank-help-report.html"]
    items = list(csv.reader(io.StringIO(files["items"]["text"])))
    assert len(items) == 1 + 24 and items[0][3:6] == ["rank 1, seed 0", "rank 4, seed 0", "rank 16, seed 0"] and set(items[1][3:]) <= {"negative", "positive"}
    assert len(files["table"]["text"].strip().splitlines()) == 4
    assert Comparison.from_json(files["comparison"]["text"]) == Comparison.parse(ASKED["rank"])
    html = files["html"]["text"]
    assert html.startswith("<!doctype html>") and "All 9 runs were recorded" in html and "<script" not in html and "SHA-256 of the weights" in html
    assert 'unknown kind of file "pdf"' in page.ask("export", draft, format="pdf")["error"]


def test_no_cell_becomes_a_formula(page: Page) -> None:
    assert [plain(cell) for cell in ("=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "text", -0.5, None)] == [
        "'=1+1", "'+1", "'-1", "'@x", "'\t=1", "'\r=1", "text", -0.5, None]
    draft = page.ask("question", key="rank")["draft"]
    draft["arms"][0]["name"] = "=HYPERLINK(0)"
    for kind in ("csv", "table", "items"):
        rows = list(csv.reader(io.StringIO(page.ask("export", draft, format=kind)["text"])))
        assert not [cell for row in rows for cell in row if cell.startswith("=")]


def test_times_of_two_recorded_machines_are_apart_too(shelf: Shelf) -> None:
    asked = shelf.questions["rank"]
    parts = {}
    for (name, seed), spec in asked.runs.items():
        kept = shelf.of(spec)
        parts[spec.fingerprint] = Part(name, seed, spec, None, kept.result, made={**kept.made, "cores": 64 if name == "rank 1" else 2})
    made = {"arms": [{"name": name, "step_seconds": 0.1, "answer_seconds": 0.1, "runs": [
        {"fingerprint": asked.run(name, seed).fingerprint, **dict.fromkeys(sources.TIMES, 0.1)} for seed in asked.seeds]} for name in asked.specs]}
    assert sources.marked(made, parts) and ", 64 cores" in made["arms"][0]["elsewhere"]
    told = sources.sources(list(parts.values()), True)["apart"]
    alike = [name for name in asked.specs if name != "rank 1"]
    assert f"Compare the times of {listing(alike)} with each other; not with times of another machine" in told and ", 64 cores" in told
    parts = {key: replace(part, made={**part.made, "cores": 2}) for key, part in parts.items()}
    assert not sources.marked(made, parts)
    slower = {key: replace(part, made={**part.made, "cpu": "Another CPU", "instructions": ["avx2"]}) if part.arm == "rank 4" else part
              for key, part in parts.items()}
    assert sources.marked(made, slower) and "(Another CPU, avx2)" in made["arms"][1]["elsewhere"], "as many cores of another processor are another machine"
    old = {key: replace(part, made={"date": "2026-01-01", "machine": "x86_64", "system": "Linux", "cores": 2}) for key, part in parts.items()}
    assert not sources.marked(made, old) and "(unknown CPU)" in made["arms"][0]["elsewhere"], "recordings that name no processor are read"


# ── tests on other tasks ──────────────────────────────────────────────────────────────────────────────────────────────


def test_other_tests_are_offered_where_labels_are_the_same_and_texts_are_not(page: Page) -> None:
    base = {"model": "minilm-l6", "task": "movies", "method": "lora", "tested_on": ["movies", "tweets"]}
    tests = page.ask("base", {"base": base, "arms": [], "seeds": [0]})["tests"]
    assert {each["key"]: each["on"] for each in tests} == {"editorials": False, "products": False, "toy": False, "tweets": True}
    assert page.ask("base", {"base": {"model": "seed-vit", "method": "full"}, "arms": [], "seeds": [0]})["tests"] == []


def test_a_comparison_of_what_was_learned_where(page: Page) -> None:
    asked = page.ask("plan", {"base": {**BASE, "task": "movies", "tested_on": ["movies", "toy"]}, "seeds": [0, 1, 2],
                              "arms": [{"name": "movies", "change": {}}, {"name": "toy", "change": {"task": "toy"}}]})
    assert "learns toy sentences" in asked["arms"][1]["settings"] and "learns" not in asked["arms"][0]["settings"] and asked["error"] is None
    assert "each run also answers test texts of the other tasks among movies and toy" in asked["cost"]
    draft = json.loads(unquote(asked["address"]))
    found = page.ask("differ", draft, seed=0)
    assert found["says"].startswith("These arms learn different tasks") and found["rows"] == [] and found["count"] == 0
    assert "change has task" in page.ask("plan", {**draft, "base": {**BASE, "task": "movies"}})["arms"][1]["error"]
