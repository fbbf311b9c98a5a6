"""The Learn tab without a browser: nothing is given away before a guess, no text becomes markup, and runs of one's own count as soon as they have ended."""
from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.comparing import path_of
from lab.engine import train
from lab.lessons import lessons
from lab.lessons.bank import read as read_bank
from lab.measuring import record
from lab.museum import exhibits
from lab.recording import provenance, write
from lab.spec import RunSpec
from lab.store import Store
from lab.ui import learn as tab_of
from lab.ui.bench import Bench
from lab.ui.learn import results
from lab.ui.learn.prose import formula, prose
from lab.ui.learn.tab import questions
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


def test_a_measurement_is_shown_with_its_numbers(ask: Any) -> None:
    found = ask("result", lesson="01-small", kind="measure", name="start", guesses={"moved": 1})
    assert found["answers"]["moved"]["near"] and found["rows"][0]["value"] == "0.000" and len(found["table"]["rows"]) == 3


def test_a_run_waits_until_there_is_one(ask: Any, bench: Bench, workshop: Any) -> None:
    assert ask("result", lesson="01-small", kind="run", name="small", guesses={"count": 5}) == {"waiting": True, "answers": {}}
    assert ask("claim", lesson="01-small", name="few")["verdict"] == "not run"
    run = ask("begin", lesson="01-small", name="small")["run"]
    assert ask("result", lesson="01-small", kind="run", name="small", live={"small": run})["waiting"]  # it has not ended
    assert bench.store.claim("worker")
    bench.store.append(run, train(bench.lessons["01-small"].runs["small"], workshop, out=bench.store.folder(run)))
    found = ask("result", lesson="01-small", kind="run", name="small", guesses={"count": 5}, live={"small": run})
    assert found["chip"] == "your run" and found["answers"]["count"]["says"] == "There are more." and found["learned"]["rows"]
    assert ask("claim", lesson="01-small", name="few", live={"small": run})["verdict"] == "holds"
    assert ask("begin", lesson="01-small", name="small")["run"]  # an equal run is taken from the history or made again
    for name, key in (("curve", "chart"), ("said", "samples")):
        assert key in ask("figure", lesson="01-small", name=name, live={"small": run})


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


def test_a_teachers_link_knows_the_controls_of_the_form(ask: Any) -> None:
    found = ask("controls", draft={"model": "seed-bert", "method": {"name": "lora", "rank": 4}})
    names = [each["name"] for each in found["controls"]]
    assert names[:3] == ["model", "task", "method"] and {"rank", "lr", "advanced"} <= set(names) and "rank" in found["address"]
    assert "error" in ask("controls", draft={"model": "nothing", "method": "lora"})


def test_a_lesson_s_table_has_the_measures_that_it_asks_about() -> None:
    lesson = lessons([ROOT / "lessons"], ROOT / "assets" / "comparisons")["14-forgetting-and-little-data"]
    asked = lesson.matter.model_dump(include={"predictions", "claims"})
    assert set(results._asked(asked, "forgetting")) == {"forgetting", "score"} and set(results._asked(asked, "nowhere")) == set()
