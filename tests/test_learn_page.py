"""The Learn tab without a browser: nothing is given away before a guess, no text becomes markup, and runs of one's own count as soon as they have ended."""
from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from lab.classroom import Limits, Settings
from lab.comparing import Shelf, path_of
from lab.contracts import LabError
from lab.engine import measure, train
from lab.events import Finished, Started
from lab.forecast.forecaster import Forecaster
from lab.lessons import lessons
from lab.lessons.asking import asked_later, asked_so_far
from lab.lessons.bank import read as read_bank
from lab.lessons.guesses import answer
from lab.lessons.lesson import Order
from lab.lessons.recorded import find
from lab.lessons.recorded import known as recorded
from lab.measurement import MEASURED, Measuring
from lab.measuring import record
from lab.museum import exhibits
from lab.recording import provenance, read, write
from lab.spec import RunSpec
from lab.store import Store
from lab.ui import controls
from lab.ui import learn as tab_of
from lab.ui.bench import Bench
from lab.ui.learn import blocks, results
from lab.ui.learn.course import Course
from lab.ui.learn.nearest import summary
from lab.ui.learn.prose import formula, prose
from lab.ui.learn.tab import questions
from lab.ui.page import pictures, routes
from tests.test_lessons import TEXT

FIGURES = ("block", "bytes", "sums", "curve", "arms", "said", "words")
SMALL = TEXT.replace("name: first-step}", "name: first-step, knobs: {model: seed-llama, task: toy}}").replace(
    "figures:", "").replace("claims:\n", """figures:
  block: {kind: anatomy, of: small, caption: What is trained.}
  bytes: {kind: memory, of: pair, caption: Where the bytes go.}
  sums: {kind: count, of: pair/BitFit, caption: The count.}
  curve: {kind: curves, of: small, caption: The loss.}
  arms: {kind: table, of: pair, caption: All arms.}
  said: {kind: answers, of: small, caption: Some answers.}
  words: {kind: neighbours, of: small, caption: No prompt here.}
claims:
""", 1).replace("## Guess again", "".join(f"**Figure** `{name}`\n\n" for name in FIGURES) + "## Guess again")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory, workshop: Any) -> Path:
    """A lesson folder and what was recorded for it, by the lab's own recorders, on seeded models."""
    folder = tmp_path_factory.mktemp("assets")
    (folder / "lessons").mkdir()
    (folder / "lessons" / "01-small.md").write_text(SMALL)
    lesson = lessons([folder / "lessons"], folder)["01-small"]
    for spec in lesson.comparisons["pair"].runs.values():
        write(path_of(spec, folder / "comparisons"), provenance("a test"), list(train(spec, workshop)))
    record("first-step", {"model": "seed-llama", "task": "toy"}, workshop, folder / "measurements")
    return folder


@pytest.fixture
def bench(tmp_path: Path, assets: Path) -> Iterator[Bench]:
    with Store(tmp_path) as store:
        yield Bench(store, lessons=lessons([assets / "lessons"], assets), assets=assets)


@pytest.fixture
def ask(bench: Bench) -> Callable[..., dict[str, Any]]:
    known = {question.__name__: question for question in questions(bench)}
    return lambda question, **asked: json.loads(json.dumps(known[question]({"owner": "me", **asked}), allow_nan=False))


def test_the_map_and_a_lesson(ask: Any) -> None:
    assert tab_of.tab is not None
    (card,) = ask("course_map")["lessons"]
    assert card["key"] == "01-small" and card["steps"] == 8
    lesson = ask("lesson", lesson="01-small")
    kinds = [block["kind"] for step in lesson["sequence"] for block in step["blocks"]]
    assert kinds[:4] == ["predict", "run", "observe", "claim"] and lesson["opening"] == [["p", {}, "A few words."]]
    assert "there is no lesson" in ask("lesson", lesson="02-none")["error"]


def test_nothing_is_given_away_before_it_is_asked_for(ask: Any, bench: Bench) -> None:
    """The truth of a prediction and the texts that answer it come with the result only."""
    lesson, spec = ask("lesson", lesson="01-small"), bench.lessons["01-small"].runs["small"]
    told = json.dumps(lesson)
    assert "There are more." not in told and "You chose LoRA." not in told and f"{spec.counts.method:,}" not in told and str(spec.counts.method) not in told


def test_a_comparison_is_shown_with_what_came_of_the_guesses(ask: Any, bench: Bench) -> None:
    found = ask("result", lesson="01-small", kind="compare", name="pair", guesses={"better": 3, "count": 5})
    assert set(found["answers"]) == {"better"}  # `count` belongs to the run before
    assert found["answers"]["better"]["truth"] in (1, 2, 3) and found["answers"]["better"]["says"].startswith("You chose")
    assert len(found["table"]["rows"]) == 2 and found["figure"]["figure"]["data"] and found["verdicts"]["over"]
    assert found["chip"] == "6 recorded runs"


def test_ones_own_runs_answer_a_comparison_that_was_not_recorded_arm_by_arm(tmp_path: Path, assets: Path) -> None:
    lesson = lessons([assets / "lessons"], assets)["01-small"]
    runs = lesson.comparisons["pair"].runs
    with Store(tmp_path / "data") as store:
        bare = Bench(store, lessons={"01-small": lesson}, assets=tmp_path)
        shown = next(each for each in questions(bare) if each.__name__ == "result")
        said = {"lesson": "01-small", "kind": "compare", "name": "pair", "owner": "me"}
        first = next(arm for arm, _ in runs)
        for (arm, _), spec in sorted(runs.items(), key=lambda each: each[0][0] != first):
            found = shown(said)
            assert found.get("waiting") or arm != first, "an arm counts once all its seeds are there"
            run = store.submit(spec, "me")
            assert store.claim("worker").id == run.id
            store.append(run.id, read(path_of(spec, assets / "comparisons")).events)
            if arm != first:
                assert "3 of 6 runs, your own" in found["chip"]
        assert shown(said)["chip"] == "6 runs, your own" and shown({**said, "owner": "somebody else"})["waiting"]


def test_a_measurement_is_shown_with_its_numbers(ask: Any) -> None:
    found = ask("result", lesson="01-small", kind="measure", name="start", guesses={"moved": 1})
    assert found["answers"]["moved"]["near"] and found["rows"][0]["value"] == "0.000" and len(found["table"]["rows"]) == 3


def test_a_measurement_is_made_by_a_worker_and_judges_the_claims(ask: Any, bench: Bench, workshop: Any) -> None:
    """It waits in the queue as a run does, tells how far it is, and what came out of it takes the place of what was recorded, for its owner alone."""
    said = {"lesson": "01-small", "kind": "measure", "name": "start"}
    assert "no measurements" in ask("begin", **said)["error"], "workers elsewhere make none"
    assert not blocks_of(bench, "measure")[0]["offered"]
    able = replace(bench, measures=True)
    known = {each.__name__: each for each in questions(able)}
    (block,) = blocks_of(able, "measure")
    assert block["offered"] and block["recorded"] and "several minutes" not in block["takes"], "its recording says how long it took"
    run = known["begin"]({**said, "owner": "me"})["run"]
    assert bench.store.claim("worker", ("train", "look")) is None and bench.store.claim("worker", ("measure",)).id == run
    assert known["measuring"]({"run": run, "owner": "me"})["status"] == "loading what is measured"
    assert "only the browser" in known["measuring"]({"run": run, "owner": "you"})["error"]
    events = list(measure(Measuring.from_json(bench.store.run(run).spec_json), workshop))
    bench.store.append(run, events[:1])
    assert known["measuring"]({"run": run, "owner": "me"})["part"] < 1
    bench.store.append(run, [*(replace(event, value={**event.value, "values": {**event.value["values"], "change": [0.5, 0.0]}})
                               if getattr(event, "lens", "") == MEASURED else event for event in events[1:])])
    assert known["measuring"]({"run": run, "owner": "me"})["state"] == "finished"
    mine, recorded = (known["result"]({**said, "guesses": {"moved": 1}, "live": live, "owner": "me"}) for live in ({"start": run}, {}))
    assert (mine["own"], mine["chip"], recorded["own"], recorded["chip"][:8]) == (True, "your own measurement", False, "recorded")
    assert mine["rows"][0]["value"] == "0.500" and recorded["rows"][0]["value"] == "0.000"
    assert recorded["answers"]["moved"]["near"] and not mine["answers"]["moved"]["near"], "the guess is held against this very measurement"
    assert "error" in known["result"]({**said, "live": {"start": run}, "owner": "somebody else"})


def blocks_of(bench: Bench, kind: str) -> list[dict[str, Any]]:
    lesson = bench.lessons["01-small"]
    return [each for step in blocks.shown(Course(bench), lesson)["sequence"] for each in step["blocks"] if each["kind"] == kind]


def test_a_measurement_keeps_to_what_a_lab_offers_and_allows(bench: Bench) -> None:
    asked = Measuring.parse({"measurement": "vote", "knobs": {"model": "seed-bert", "task": "toy", "method": "lora"}})
    free = replace(bench, measures=True)
    free.check_measurement(asked)
    for settings, words in (({"methods": ["full"]}, 'method is "lora"'), ({"models": ["seed-llama"]}, 'model is "seed-bert"')):
        with pytest.raises(LabError, match=words):
            replace(free, settings=Settings(**settings)).check_measurement(asked)
    with pytest.raises(LabError, match="this lab allows 5"):
        replace(free, limits=Limits(steps=5)).check_measurement(asked)
    hourly = replace(free, limits=Limits(per_hour=1))
    hourly.measure(asked, "me")
    with pytest.raises(LabError, match="within the last hour"):
        hourly.measure(asked, "me")


def test_a_run_waits_until_there_is_one(ask: Any, bench: Bench, workshop: Any) -> None:
    waiting = {"waiting": True, "answers": {}, "open": {"count": ["Run it"]}, "later": {}}
    assert ask("result", lesson="01-small", kind="run", name="small", guesses={"count": 5}) == waiting
    assert ask("claim", lesson="01-small", name="few")["verdict"] == "not run"
    run = ask("begin", lesson="01-small", name="small")["run"]
    assert ask("result", lesson="01-small", kind="run", name="small", live={"small": run})["waiting"]  # it has not ended
    assert bench.store.claim("worker")
    bench.store.append(run, train(bench.lessons["01-small"].runs["small"], workshop, out=bench.store.folder(run)))
    found = ask("result", lesson="01-small", kind="run", name="small", guesses={"count": 5}, live={"small": run})
    assert found["own"] and found["chip"] == "your run" and found["answers"]["count"]["says"] == "There are more." and found["learned"]["rows"]
    assert ask("claim", lesson="01-small", name="few", live={"small": run})["verdict"] == "holds"
    assert ask("begin", lesson="01-small", name="small")["run"]  # an equal run is taken from the history or made again
    for name, key in (("curve", "chart"), ("said", "samples")):
        assert key in ask("figure", lesson="01-small", name=name, live={"small": run})


def test_a_run_that_was_made_here_before_is_taken_unless_it_is_wanted_anew(bench: Bench) -> None:
    knowing = replace(bench, hashes=lambda spec: ("w" * 64, "d" * 64))
    begin, spec = next(each for each in questions(knowing) if each.__name__ == "begin"), bench.lessons["01-small"].runs["small"]
    said = {"lesson": "01-small", "name": "small", "owner": "you"}
    run = bench.store.run(begin(said)["run"])
    assert run.state == "queued" and bench.store.claim("worker")
    bench.store.append(run.id, [Started(spec.to_dict(), spec.fingerprint, "w" * 64, "d" * 64, {}, spec.counts.to_dict(), "cpu", "float32", 1, {"train": 8}),
                                Finished(10, {"total": 2.0}, 10.0)])
    found, anew = begin({**said, "owner": "me"}), begin({**said, "owner": "me", "anew": True})
    assert found["answered"] and bench.store.run(found["run"]).reused
    assert not anew["answered"] and bench.store.run(anew["run"]).state == "queued"


def test_another_run_counts_for_nothing(ask: Any, bench: Bench, workshop: Any) -> None:
    other = RunSpec.parse({**bench.lessons["01-small"].runs["small"].to_dict(), "seed": 7})
    run = bench.store.submit(other, "me").id
    assert bench.store.claim("worker")
    bench.store.append(run, train(other, workshop))
    assert ask("result", lesson="01-small", kind="run", name="small", live={"small": run})["waiting"]
    assert "error" in ask("result", lesson="01-small", kind="run", name="small", live={"small": "no-such-run"})


@pytest.mark.parametrize(("name", "key"), [("block", "anatomy"), ("bytes", "memory"), ("sums", "count"), ("curve", "waiting"), ("arms", "arms"),
                                           ("words", "waiting")])
def test_figures_are_parts_of_the_other_tabs(ask: Any, name: str, key: str) -> None:
    assert key in ask("figure", lesson="01-small", name=name)


def test_the_words_nearest_to_a_prompt_are_a_line_for_each_vector_and_the_rest_is_folded() -> None:
    """Of the recorded run of lesson 11: 20 vectors, four measures and the start, five words each; empty cells are dashes that are explained."""
    lesson = lessons([ROOT / "lessons"], ROOT / "assets" / "comparisons")["11-what-does-a-prompt-say"]
    value = find(lesson.runs["written"], ROOT / "assets").result.seen("prompt_neighbours")
    found = summary(value)
    assert len(found["vectors"]["rows"]) == len(value["positions"]) == 20 and len(found["table"]["rows"]) == 500
    assert found["vectors"]["rows"][0] == ["1", value["positions"][0]["init"][0]["text"], "Class", "yes", "below 0.001"]
    assert {row["who"] for row in found["scores"]} == {"tuned", *value["swap"]["scores"]} - {"prompt"} and found["items"] == 200
    cells = [cell for row in found["table"]["rows"] for cell in row]
    assert "None" not in cells and cells.count("–") == 800 and found["table"]["note"].startswith("–:") and not any("e-" in cell for cell in cells)


def test_how_long_it_takes_is_what_was_seen_here_or_where_it_was_recorded() -> None:
    assert blocks.takes(41.0, 300.0) == "about 40\u202fs" and blocks.takes(None, 300.0) == "it took 5\u202fmin where it was recorded"
    assert blocks.takes(None, None) == "how long is not known yet"


def test_bad_questions_are_answered_in_words(ask: Any) -> None:
    for asked in ({"kind": "compare", "name": "nothing"}, {"kind": "claim", "name": "few"}, {"kind": "", "name": None}):
        assert "error" in ask("result", lesson="01-small", **asked)
    assert "choose 1 to 3" in ask("result", lesson="01-small", kind="compare", name="pair", guesses={"better": 9})["error"]
    assert "error" in ask("figure", lesson="01-small", name="nothing")


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_markdown_becomes_a_tree_of_known_tags() -> None:
    tree = prose("One *two* **three** `four` [five](04-adapters.md)\n\n- six\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> seven")
    five = ["a", {"lesson": "04-adapters"}, "five"]
    assert tree[0] == ["p", {}, "One ", ["em", {}, "two"], " ", ["strong", {}, "three"], " ", ["code", {}, "four"], " ", five]
    assert [node[0] for node in tree] == ["p", "ul", "table", "blockquote"]


@pytest.mark.parametrize("text", ["<img src=x onerror=alert(1)>", "<script>alert(1)</script>", "[x](javascript:alert(1))", "${alert(1)}", "![x](http://a/b.png)",
                                  "[x](data:text/html,hi)", "\ue0000\ue001"])
def test_no_text_becomes_markup(text: str) -> None:
    def tags(node: Any) -> Iterator[str]:
        if isinstance(node, list):
            yield node[0]
            assert set(node[1]) <= {"href", "lesson"} and str(node[1].get("href", "https://")).startswith("https://")
            for child in node[2:]:
                yield from tags(child)

    assert {tag for node in prose(text) for tag in tags(node)} <= {"p", "span", "code"}


def test_formulas_become_mathml() -> None:
    (paragraph,) = prose(r"$$h = W x + \frac{\alpha}{r} B A x$$")
    math = paragraph[2]
    assert math[0] == "math" and math[1]["display"] == "block" and "mfrac" in json.dumps(math) and "α" in json.dumps(math, ensure_ascii=False)
    assert prose("It costs $5 and $6.") == [["p", {}, "It costs $5 and $6."]]
    assert formula(r"\frac{") == ["code", {}, r"\frac{"]


def test_every_formula_of_our_lessons_can_be_drawn(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent
    with Store(tmp_path) as store:
        bench = Bench(store, lessons=lessons([root / "lessons"], root / "assets" / "comparisons"), assets=root / "assets")
        known = {question.__name__: question for question in questions(bench)}
        shown = {key: json.dumps(known["lesson"]({"lesson": key})) for key in bench.lessons}
    assert len(shown) >= 18
    for key, told in shown.items():
        assert "\\\\frac" not in told and "\\\\alpha" not in told, f"{key}: a formula that stays as it was typed"


# ── the test before and after, the museum, links for a class ──────────────────────────────────────────────────────────


def test_the_test_is_scored_with_a_word_to_each_answer(tmp_path: Path) -> None:
    bank = read_bank(Path(__file__).parent.parent / "lessons" / "bank.yaml")
    with Store(tmp_path) as store:
        known = {question.__name__: question for question in questions(Bench(store, bank=bank))}
        asked = known["test"]({"form": "A"})
        assert len(asked["questions"]) == 10 and "right" not in json.dumps(asked["questions"][0]) and "says" not in asked["questions"][0]
        right = [next(place for place, option in enumerate(each.options, 1) if option.right) for each in bank.forms["A"]]
        told = known["mark"]({"form": "A", "answers": right})
        assert told["right"] == told["of"] == 10 and all(row["right"] and row["says"] for row in told["rows"])
        open_ones = known["mark"]({"form": "A", "answers": [None, *right[1:]]})
        assert open_ones["right"] == 9 and open_ones["rows"][0]["answer"]
        assert open_ones["csv"].splitlines()[0] == "form,question,misconception,answer,right" and len(open_ones["csv"].splitlines()) == 11
        for answers in (None, [1], [9] * 10, ["1"] * 10):
            assert "error" in known["mark"]({"form": "A", "answers": answers})
        assert "form is C" in known["test"]({"form": "C"})["error"]


def test_a_museum_says_what_went_wrong_only_when_it_is_asked(tmp_path: Path) -> None:
    found = exhibits(Path(__file__).parent.parent / "assets" / "museum")
    with Store(tmp_path) as store:
        known = {question.__name__: question for question in questions(Bench(store, museum=found))}
        shown = known["museum"]({})["exhibits"]
        assert [each["key"] for each in shown] == list(found) and all(each["key"] in [name["key"] for name in each["names"]] for each in shown)
        for key in found:
            told = known["exhibit"]({"exhibit": key})
            assert told["diagnoses"][0]["key"] == key and told["figure"]["data"]
        assert "there is no exhibit" in known["exhibit"]({"exhibit": "nothing"})["error"]


def test_a_teachers_link_knows_every_control_of_the_form(ask: Any) -> None:
    """As it stands, and of the methods that one could choose instead."""
    found = ask("controls", draft={"model": "seed-bert", "method": {"name": "lora", "rank": 4}})
    groups = {group["title"]: [each["name"] for each in group["controls"]] for group in found["groups"]}
    assert groups["The menus"] == ["model", "task", "method"] and groups["Knobs of LoRA"] == ["rank", "alpha", "targets"] and "lr" in groups["The run"]
    assert "virtual_tokens" in groups["Knobs of other methods"] and "rank" in found["address"]
    names = [name for group in groups.values() for name in group]
    form = controls.form("seed-bert", "lora", "toy")
    assert {each["name"] for part in ("knobs", "settings", "advanced") for each in form[part]} <= set(names) and len(names) == len(set(names))
    assert "error" in ask("controls", draft={"model": "nothing", "method": "lora"})


def test_a_teachers_link_to_a_lesson_may_fix_the_same_controls(ask: Any) -> None:
    found = ask("controls", lesson="01-small")
    groups = {group["title"]: [each["name"] for each in group["controls"]] for group in found["groups"]}
    assert "rank" in groups["Knobs of LoRA, BitFit (biases only)"], "of its runs and of the arms of its comparisons"
    whole = {each["name"] for group in ask("controls")["groups"] for each in group["controls"]}
    assert {name for group in groups.values() for name in group} == whole, "any control, whatever the lesson is about"
    assert all(re.fullmatch(r"[a-z_]{1,30}", name) for name in whole), "else the page would not read it in a link"
    assert "there is no lesson" in ask("controls", lesson="77-none")["error"]


def test_a_lesson_s_table_has_the_measures_that_it_has_asked_about() -> None:
    lesson = lessons([ROOT / "lessons"], ROOT / "assets" / "comparisons")["14-forgetting-and-little-data"]
    place = next(place for place in lesson.places if place.name == "forgetting")
    assert asked_so_far(lesson, "forgetting", place) == {"forgetting", "score"} and not asked_later(lesson, "forgetting", place)


# ── what is answered when ─────────────────────────────────────────────────────────────────────────────────────────────

RATIO = """---
title: Two runs
about: A question about two runs at once.
minutes: 5
runs:
  one: {model: seed-bert, task: toy, method: {name: lora, rank: 2}, steps: 2}
  two: {model: seed-bert, task: toy, method: {name: lora, rank: 4}, steps: 2}
measurements:
  first: {name: first-step, knobs: {model: seed-llama, task: toy}}
  second: {name: first-step, knobs: {model: seed-llama, task: toy, rank: 4}}
predictions:
  ratio:
    kind: choice
    ask: How many times as many?
    truth: {measure: method, of: two, per: one}
    options: [{text: As many, until: 1.5, says: No.}, {text: Twice, says: Yes.}]
  count: {kind: number, ask: "How many?", truth: {measure: method, of: two}, low: 1, high: 10000, close: Near., too_low: More., too_high: Fewer.}
  moved: {kind: choice, ask: "How far?", truth: {measure: change, of: first}, options: [{text: Not at all, until: 0.001, says: Yes.}, {text: Far, says: No.}]}
  slope:
    kind: choice
    ask: How steep?
    truth: {measure: gradient_b, of: second}
    options: [{text: Flat, until: 0.001, says: No.}, {text: Steep, says: Yes.}]
claims:
  few: {sentence: It trains few numbers., source: arithmetic, rule: below, value: {measure: share, of: one}, than: 0.5}
---
Two runs.

## Guess

**Predict** `ratio`

## The smaller one

**Run** `one`

**Claim** `few`

## Guess its count

**Predict** `count`

## The larger one

**Run** `two`

## And

**Predict** `moved`

## First

**Measure** `first`

## Again

**Predict** `slope`

## Second

**Measure** `second`
"""


@pytest.fixture
def two(tmp_path: Path, assets: Path) -> Iterator[tuple[Bench, Callable[..., dict[str, Any]]]]:
    (tmp_path / "lessons").mkdir()
    (tmp_path / "lessons" / "02-two.md").write_text(RATIO)
    with Store(tmp_path) as store:
        bench = Bench(store, lessons=lessons([tmp_path / "lessons"], tmp_path), assets=assets)
        known = {question.__name__: question for question in questions(bench)}
        yield bench, lambda question, **asked: json.loads(json.dumps(known[question]({"owner": "me", "lesson": "02-two", **asked}), allow_nan=False))


def test_a_guess_about_two_runs_is_answered_at_the_second(two: Any, workshop: Any) -> None:
    """Live, with nothing recorded: at the first it waits, at the second it is answered, and without the first it is not forgotten."""
    bench, ask = two
    live: dict[str, str] = {}

    def run(name: str) -> dict[str, Any]:
        live[name] = ask("begin", name=name)["run"]
        while (job := bench.store.claim("worker")) is not None:
            bench.store.append(job.id, train(job.spec, workshop, out=bench.store.folder(job.id)))
        return result(name)

    def result(name: str) -> dict[str, Any]:
        return ask("result", kind="run", name=name, guesses={"ratio": 2, "count": 5}, live=live)

    block = ask("lesson")["sequence"][0]["blocks"][0]
    assert block["settled"] == ["one", "two"] and block["answered"] == "two" and block["answered_in"] == "The larger one"
    found = run("two")
    assert found["open"] == {"ratio": ["The smaller one"]} and set(found["answers"]) == {"count"}
    found = run("one")
    assert found["answers"] == found["open"] == {} and found["later"] == {"ratio": "The larger one"}
    answers = result("two")["answers"]
    assert answers["ratio"]["near"] and answers["ratio"]["truth"] == 2 and answers["count"]["says"] == "More."


def test_a_measurement_keeps_back_what_is_asked_of_the_next_one(two: Any, bench: Bench, ask: Any) -> None:
    found = two[1]("result", kind="measure", name="first", guesses={"moved": 1})
    assert [row["about"] for row in found["rows"]] == ["largest change of an output at step 0, B = 0"] and found["answers"]["moved"]["near"]
    assert len(ask("result", lesson="01-small", kind="measure", name="start")["rows"]) == 5, "all of it where nothing more is asked"


def test_a_table_keeps_back_what_is_asked_later(two: Any, bench: Bench, assets: Path) -> None:
    later = SMALL.replace("  moved:\n", """  bytes:
    kind: choice
    ask: Which one takes more?
    truth: {measure: peak_bytes, of: pair/LoRA, per: pair/BitFit}
    options:
      - {text: BitFit, until: 1, says: You chose BitFit.}
      - {text: LoRA, says: You chose LoRA.}
  moved:
""").replace("## Ask\n", "## Once more\n\n**Predict** `bytes`\n\n## Its run\n\n**Run** `late`\n\n**Figure** `arms`\n\n## Ask\n").replace(
        "  small: {model", "  late: {model: seed-bert, task: toy, method: bitfit, steps: 2}\n  small: {model", 1)
    folder = bench.store.root / "later"
    folder.mkdir()
    (folder / "03-later.md").write_text(later)
    course = Course(Bench(bench.store, lessons=lessons([folder], folder), assets=assets))
    lesson = course.find("03-later")
    place = next(place for place in lesson.places if place.kind == "Compare")
    shown = results.compared(course, lesson, "pair", course.known(lesson, {}, ""), place)["table"]["columns"]
    assert "score" in [each["key"] for each in shown] and "peak_bytes" not in [each["key"] for each in shown]
    last = next(place for place in reversed(lesson.places) if place.kind == "Figure")
    shown = results.figure(course, lesson, last, course.known(lesson, {}, ""))["arms"]["columns"]
    assert "peak_bytes" in [each["key"] for each in shown]


@pytest.mark.slow
def test_times_stand_in_a_lesson_s_table_where_all_arms_were_made_on_one_machine(tmp_path: Path) -> None:
    """By where the runs that it shows were made, not equal ones that were recorded by themselves."""
    assets = ROOT / "assets"
    ours = lessons([ROOT / "lessons"], assets / "comparisons")
    with Store(tmp_path) as store:
        course = Course(Bench(store, lessons=ours, assets=assets, ready=Shelf(assets / "comparisons")))
        for key, name, timed in (("14-forgetting-and-little-data", "facts", True), ("08-qlora", "formats", False)):
            lesson = course.find(key)
            shown = results.compared(course, lesson, name, course.known(lesson, {}, ""), course.place(lesson, "Compare", name))
            assert ("step_seconds" in [each["key"] for each in shown["table"]["columns"]]) == timed
            assert ("Times are left out" in shown["verdicts"]["lead"]) != timed


def test_an_order_is_shown_in_no_order_that_says_something(tmp_path: Path) -> None:
    """Not as the file has it, not as it came out, and the same for everybody."""
    found = lessons([ROOT / "lessons"], ROOT / "assets" / "comparisons")
    with Store(tmp_path) as store:
        course, again = (Course(Bench(store, lessons=found, assets=ROOT / "assets")) for _ in range(2))
        seen = 0
        for key, lesson in found.items():
            for name, asked in lesson.matter.predictions.items():
                if isinstance(asked, Order):
                    shown = [item["key"] for item in blocks._predict(course, lesson, name, asked)["items"]]
                    assert sorted(shown) == sorted(asked.arms) and shown != asked.arms, f"{key}: {name}"
                    assert shown == blocks.mixed(again, lesson, name, asked), f"{key}: {name}"
                    came_out = answer(asked, shown, course.known(lesson, {}, ""))
                    assert came_out is None or came_out.truth != shown, f"{key}: {name}"
                    seen += 1
    assert seen >= 15


def test_an_order_does_not_follow_the_claims(tmp_path: Path) -> None:
    """What a claim expects is a half of what one would have to find out."""
    arms = "[{name: a}, {name: b, change: {method: bitfit}}, {name: c, change: {method: norms}}]"
    claim = "  {name}: {{sentence: So it is., source: a test, rule: above, value: {{measure: score, of: three/{one}}}, than: three/{other}}}\n"
    order = "{kind: order, ask: 'Which?', measure: score, arms: [three/b, three/a, three/c], right: Right., wrong: Wrong.}"
    three = f"{{base: {{model: seed-bert, task: toy, method: lora}}, arms: {arms}, seeds: [0]}}"
    text = TEXT.replace("comparisons:\n", f"comparisons:\n  three: {three}\n").replace("predictions:\n", f"predictions:\n  order: {order}\n").replace(
        "claims:\n", "claims:\n" + claim.format(name="top", one="a", other="b")).replace(
        "## Ask\n", "## Order\n\n**Predict** `order`\n\n## Three\n\n**Compare** `three`\n\n**Claim** `top`\n\n## Ask\n")
    (tmp_path / "09-order.md").write_text(text)
    found = lessons([tmp_path], tmp_path)
    with Store(tmp_path) as store:
        lesson = found["09-order"]
        shown = blocks.mixed(Course(Bench(store, lessons=found, assets=tmp_path)), lesson, "order", lesson.matter.predictions["order"])
    assert shown.index("three/b") < shown.index("three/a") and shown != ["three/b", "three/a", "three/c"]


# ── pictures, and where a method is explained ─────────────────────────────────────────────────────────────────────────


def test_a_host_s_pictures_are_served_and_nothing_beside_them(tmp_path: Path) -> None:
    (tmp_path / "own" / "figures").mkdir(parents=True)
    (tmp_path / "own" / "40-own.md").write_text(TEXT.replace("claims:\n", "figures:\n  mine: {kind: picture, file: mine.svg, caption: Mine.}\nclaims:\n", 1)
                                                .replace("**Claim** `few`\n", "**Claim** `few`\n\n**Figure** `mine`\n"))
    (tmp_path / "own" / "figures" / "mine.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    (tmp_path / "own" / "figures" / "other.svg").write_text("<svg/>")
    found = lessons([ROOT / "lessons", tmp_path / "own"], ROOT / "assets" / "comparisons")
    with Store(tmp_path / "data") as store:
        bench = Bench(store, lessons=found, assets=ROOT / "assets")
        shown = json.dumps([question({"lesson": "40-own"}) for question in questions(bench) if question.__name__ == "lesson"])
        client = TestClient(Starlette(routes=pictures(bench)))
        assert '"src": "lesson-figures/40-own/mine.svg"' in shown
        mine = client.get("/lesson-figures/40-own/mine.svg")
        assert mine.status_code == 200 and mine.headers["content-type"].startswith("image/svg+xml")
        assert "default-src 'none'" in mine.headers["content-security-policy"] and "sandbox" in mine.headers["content-security-policy"]
        assert "script-src" not in mine.headers["content-security-policy"], "a script in a picture runs nowhere"
        assert client.get("/lesson-figures/04-adapters/adapter-places.svg").status_code == 200
        for path in ("40-own/other.svg", "40-own/..%2f40-own.md", "40-own/../40-own.md", "04-adapters/mine.svg", "77-none/mine.svg", "mine.svg"):
            assert client.get(f"/lesson-figures/{path}").status_code == 404, path
        (tmp_path / "own" / "figures" / "mine.svg").unlink()
        assert client.get("/lesson-figures/40-own/mine.svg").status_code == 404


def test_the_page_says_where_a_method_is_explained(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        bench = Bench(store, lessons=lessons([ROOT / "lessons"], ROOT / "assets" / "comparisons"), assets=ROOT / "assets")
        route = next(route for route in routes(bench, ROOT / "assets") if getattr(route, "path", "") == "/explained.json")
        found = TestClient(Starlette(routes=[route])).get("/explained.json").json()
    assert found["lora"] == {"lesson": "05-lora", "number": 5, "title": "LoRA from the equation up", "step": 0, "heading": "The equation"}
    assert found["vera"]["lesson"] == "07-loras-family" and found["vera"]["step"] > 0


@pytest.mark.slow
def test_the_course_of_a_step_has_the_peak_that_its_run_measured(tmp_path: Path) -> None:
    """Of the batch that was measured, and not of the longest texts: bar and course stand under each other."""
    lesson = lessons([ROOT / "lessons"], ROOT / "assets" / "comparisons")["12-where-does-the-memory-go"]
    known, forecaster = recorded(lesson, ROOT / "assets"), Forecaster(tmp_path / "forecast")
    with Store(tmp_path) as store:
        course = SimpleNamespace(bench=Bench(store, forecaster=forecaster))
        try:
            for of in ("full", "lora"):
                while "course" not in (found := results._timeline(course, lesson, of, known, None)):
                    time.sleep(0.1)
                measured = known.runs[lesson.runs[of].fingerprint].seen("memory")["peak_bytes"] / 1e6
                assert max(point for trace in found["course"]["timeline"]["data"] for point in trace["y"]) == pytest.approx(measured, rel=0.03)
        finally:
            forecaster.close()
