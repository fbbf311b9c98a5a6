"""What a lesson and the museum show beside a result: the chart of a diagnosis, a picture in words, the course of a step."""
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab import catalogue
from lab.events import Evaluated, Failed, Observed, Started, fold
from lab.lessons import lessons
from lab.museum import exhibits
from lab.recording import shelf
from lab.store import Store
from lab.ui.bench import Bench
from lab.ui.charts import Curve, learning
from lab.ui.learn import blocks, evidence, results
from lab.ui.learn.course import Course
from lab.ui.learn.evidence import wrong
from lab.ui.learn.tab import questions

ROOT = Path(__file__).parents[1]


# ── what is wrong with a run, and where one sees it ───────────────────────────────────────────────────────────────────


def told_wrong(key: str) -> dict[str, Any]:
    """The diagnosis of an exhibit as the museum shows it, beside the recorded runs that come with the lab."""
    found = exhibits(ROOT / "assets" / "museum")[key]
    return next(each for each in wrong(found.spec, found.result, shelf(ROOT / "assets" / "recorded")) if each["key"] == key)


@pytest.mark.parametrize("key", catalogue.entries("diagnoses"))
def test_every_diagnosis_comes_with_what_shows_it(key: str) -> None:
    told = told_wrong(key)
    assert sum(name in told for name in ("figure", "bars", "above")) == 1
    if "figure" in told:
        assert told["figure"]["data"] and told["figure"]["table"]["rows"] and told["figure"]["alt"] and told["figure"]["caption"]
    elif "above" in told:
        assert told["shown"] == "loss", "of that there is a chart above"


def test_the_answers_that_were_given_stand_beside_the_right_ones() -> None:
    right, given = told_wrong("one-answer")["figure"]["data"]
    assert (right["name"], right["y"]) == ("right", [500, 500]) and (given["name"], given["y"]) == ("given", [1000, 0])
    spec = exhibits(ROOT / "assets" / "museum")["one-answer"].spec
    uneven = fold([Started(spec.to_dict(), spec.fingerprint, "w", "d", {}, spec.counts.to_dict(), "cpu", "float32", 1, {}),
                   Evaluated(0, "majority", "test", "accuracy", 0.6, 0.0, 100), Observed(1, "answers", {"tuned": "0" * 90 + "1" * 10})])
    told = evidence.answers(spec, uneven, None)["figure"]
    assert [each["y"] for each in told["data"]] == [[90, 10]], "which label is right how often is not known here"
    assert "for 60% of them" in told["caption"]


def test_an_error_bar_of_a_share_ends_where_shares_end() -> None:
    """All 40 validation texts were answered rightly: a standard error more would be above 1."""
    exhibit = exhibits(ROOT / "assets" / "museum")["wrong-template"]
    (bars,) = told_wrong("wrong-template")["figure"]["data"]
    drawn = [(bars["x"], bars["error_x"]), *((trace["y"], trace["error_y"]) for trace in learning([Curve("", "lora", exhibit.result, 100)])["data"]
                                              if "error_y" in trace)]
    assert len(drawn) == 3 and any(1.0 in scores for scores, _ in drawn)
    for scores, error in drawn:
        for score, up, down in zip(scores, error["array"], error["arrayminus"], strict=True):
            assert score - down >= 0 and score + up <= 1.0 and down > 0


def test_charts_of_a_diagnosis_have_its_numbers() -> None:
    (tokens,) = told_wrong("cut-off")["figure"]["data"]
    assert tokens["x"][0] == pytest.approx(8.0, abs=0.05) and tokens["x"][1] > 20, "what the same texts fill where they may"
    norms = {trace["name"]: trace["y"] for trace in told_wrong("nothing-moves")["figure"]["data"]}
    assert not any(norms["A, here"] + norms["B, here"]) and any(norms["B, recorded, usual start"])
    thin, one = told_wrong("above-break-even")["figure"]["data"]
    assert thin["x"][-1] == 256 and thin["y"][-1] > one["y"][-1] == pytest.approx(thin["y"][1], rel=0.01)
    assert min(told_wrong("left-the-words")["figure"]["data"][0]["y"]) > 4
    heard = dict(told_wrong("by-heart")["figure"]["table"]["rows"])
    assert heard["untouched model"].startswith("0.766") and heard["this run, tested"].startswith("0.68")
    mine, lora = told_wrong("nothing-frozen")["bars"]
    assert mine["bytes"] > 1.5 * lora["bytes"]


def test_a_run_of_ones_own_that_goes_wrong_says_so_and_a_recorded_one_does_not(tmp_path: Path) -> None:
    broken = exhibits(ROOT / "assets" / "museum")["steps-too-large"]
    spec = broken.spec
    with Store(tmp_path) as store:
        bench = Bench(store)
        failure = next(each for each in questions(bench) if each.__name__ == "failure")
        run = store.submit(spec, "me")
        assert store.claim("worker")
        store.append(run.id, [Started(spec.to_dict(), spec.fingerprint, "w", "d", {}, spec.counts.to_dict(), "cpu", "float32", 1, {"train": 8}),
                              Failed("The loss ran away.", "Lower the learning rate.", "lr", 5)])
        (found,) = failure({"run": run.id, "owner": "me"})["wrong"]
        assert found["key"] == "steps-too-large" and found["says"] == "The loss ran away." and found["advice"] and found["above"]
        assert "only the browser" in failure({"run": run.id, "owner": "somebody else"})["error"]
        course = SimpleNamespace(bench=bench, made=lambda lesson, name: None)
        place, runs = SimpleNamespace(kind="Run", name="x"), {spec.fingerprint: broken.result}
        lesson = SimpleNamespace(runs={"x": spec}, places=[place])
        mine, recorded = (results.run(course, lesson, place, SimpleNamespace(runs=runs, own=own)) for own in ({"x": {}}, {}))
        assert "steps-too-large" in [each["key"] for each in mine["wrong"]] and not recorded["wrong"]


# ── pictures in words ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_picture_is_told_in_words_to_who_cannot_see_it(tmp_path: Path) -> None:
    """What an SVG says of itself; each of ours says something, with the numbers in it."""
    found = lessons([ROOT / "lessons"], ROOT / "assets" / "comparisons")
    with Store(tmp_path) as store:
        course = Course(Bench(store, lessons=found, assets=ROOT / "assets"))
    for key, lesson in found.items():
        for name, figure in lesson.matter.figures.items():
            if figure.kind == "picture":
                said = blocks.block(course, lesson, next(place for place in lesson.places if (place.kind, place.name) == ("Figure", name)))
                assert len(said["words"]) > 100 and "<" not in said["words"], (key, name)
                if figure.file == "model-sizes.svg":
                    assert "175 billion" in said["words"]
