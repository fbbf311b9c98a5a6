"""Lessons are read strictly, their claims are held against runs by five rules, and predictions against results."""
from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.cli import main
from lab.compare import Comparison
from lab.contracts import LabError
from lab.events import Evaluated, Finished, Observed, RunResult, Started, Stepped, fold
from lab.lessons import Lesson, lessons, measures, read
from lab.lessons.claims import contradicted_if, outcome
from lab.lessons.guesses import answer
from lab.lessons.known import Known
from lab.lessons.lesson import Claim
from lab.spec import RunSpec

ROOT = Path(__file__).parent.parent
BASE = {"model": "seed-bert", "task": "toy", "method": "lora", "steps": 2}
TEXT = """---
title: A small lesson
about: What a small lesson looks like.
minutes: 5
runs:
  small: {model: seed-bert, task: toy, method: {name: lora, rank: 2}, steps: 2}
comparisons:
  pair: {base: {model: seed-bert, task: toy, method: lora, steps: 2}, arms: [{name: LoRA}, {name: BitFit, change: {method: bitfit}}], seeds: [0, 1, 2]}
measurements:
  start: {name: first-step}
predictions:
  count:
    kind: number
    ask: How many numbers are trained?
    truth: {measure: method, of: small}
    low: 1
    high: 100000
    log: true
    close: That is it.
    too_low: There are more.
    too_high: There are fewer.
  better:
    kind: choice
    ask: Which one is better?
    pair: [pair/LoRA, pair/BitFit]
    options:
      - {text: LoRA is, says: You chose LoRA.}
      - {text: BitFit is, says: You chose BitFit.}
      - {text: Cannot tell, says: You chose neither.}
  moved:
    kind: choice
    ask: How far has it moved?
    truth: {measure: change, of: start}
    options:
      - {text: Not at all, until: 0.001, says: It has not.}
      - {text: Far, says: It has not moved.}
observations:
  fell:
    ask: What did the loss do?
    show: small
    options:
      - {text: It fell, right: true, says: "Yes."}
      - {text: It rose, says: Look again.}
claims:
  few:
    sentence: It trains few numbers.
    source: arithmetic
    rule: below
    value: {measure: share, of: small}
    than: 0.5
quiz:
  one:
    ask: What is frozen?
    options:
      - {text: The base, right: true, says: "Yes."}
      - {text: The adapter, says: "No."}
---
A few words.

## Guess

**Predict** `count`

## Run it

**Run** `small`

## See

**Observe** `fell`

**Claim** `few`

## Guess again

**Predict** `better`

## Compare

**Compare** `pair`

## And again

**Predict** `moved`

## Look

**Measure** `start`

## Ask

**Quiz** `one`
"""


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Lesson]:
    def write(*changes: tuple[str, str], name: str = "01-small.md") -> Lesson:
        text = TEXT
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        (tmp_path / name).write_text(text)
        return read(tmp_path / name, ROOT / "assets" / "comparisons")

    return write


def test_a_lesson_is_read(written: Callable[..., Lesson]) -> None:
    lesson = written()
    assert lesson.key == "01-small" and lesson.number == 1 and lesson.opening == "A few words."
    assert [step.heading for step in lesson.steps][:3] == ["Guess", "Run it", "See"]
    assert [(place.kind, place.name) for place in lesson.steps[2].places] == [("Observe", "fell"), ("Claim", "few")]
    assert lesson.runs["small"] == RunSpec.parse({**BASE, "method": {"name": "lora", "rank": 2}})


@pytest.mark.parametrize(("old", "new", "complaint"), [
    ("title: A small lesson", "titel: A small lesson", 'line 2, titel: unknown key "titel": there are title, about'),
    ("minutes: 5", "minutes: 0", "line 4, minutes: minutes is 0: must be 1 to 120"),
    ("rank: 2}, steps", "rank: 0}, steps", "line 6, runs small: rank is 0: must be 1 to"),
    ("method: bitfit", "method: bitfat", 'line 8, comparisons pair: arm "BitFit": unknown method "bitfat"'),
    ("name: first-step", "name: first-stepp", 'line 10, measurements start: unknown measurement "first-stepp"'),
    ("of: small}\n    low", "of: smal}\n    low",
     'line 12, predictions count: "smal": there is no such run, measurement or comparison/arm: there are small, start'),
    ("pair/BitFit]", "pair/Bitfit]", 'predictions better: "pair/Bitfit": pair has no arm "Bitfit": there are LoRA, BitFit'),
    ("measure: method", "measure: methods", 'unknown measure "methods": there are trainable'),
    ("measure: change", "measure: changes", 'first-step gives no "changes": it gives change'),
    ("**Run** `small`", "**Run** `smal`", "line 66: there is no smal under runs in the front matter (there: small)"),
    ("**Run** `small`", "**Runs** `small`", 'line 66: unknown kind "Runs": there are Predict, Run'),
    ("**Quiz** `one`", "", "one is never used: put a line **Quiz** `one` into the text, or take it out"),
    ("## Guess\n\n**Predict** `count`\n\n## Run it\n\n**Run** `small`", "## Run it\n\n**Run** `small`\n\n## Guess\n\n**Predict** `count`",
     "Run small shows a result before anything was predicted"),
    ("## Run it\n\n", "", "has Predict count and Run small: a step has one of these"),
    ("rule: below", "rule: under", 'line 48, claims few: claims.few.rule is "under": must be one of above, below, within noise, order or equal'),
    ("    than: 0.5\n", "", "than is missing: the rule"),
    ("rule: below", "here: contradicted\n    rule: below", "why is missing"),
    ("text: It rose, says", "text: It rose, right: true, says", "exactly one is right"),
    ("until: 0.001, ", "", "with truth each but the last needs until"),
    ("show: small", "show: smal", 'there is no "smal"'),
    ("A few words.\n", "A few words.\n\n## Long\n\n" + "word " * 121 + "\n", "121 words up to here without anything to do: at most 120"),
    ("minutes: 5", "minutes: 5\nminutes: 6", 'line 5: "minutes" stands here twice'),
    ("minutes: 5", "minutes: 5: 6", "the front matter is not YAML"),
    ("---\ntitle", "title", "line 1: a lesson begins with a line ---"),
], ids=lambda value: value[:24] if isinstance(value, str) else "")
def test_what_is_wrong_is_said_with_file_line_and_way_out(written: Callable[..., Lesson], old: str, new: str, complaint: str) -> None:
    with pytest.raises(LabError) as error:
        written((old, new))
    assert str(error.value).startswith("01-small.md") and complaint in str(error.value), str(error.value)


def test_a_file_that_is_no_lesson(tmp_path: Path) -> None:
    for name, text, complaint in (("lesson.md", TEXT, "two digits"), ("02-none.md", "", "line 1"), ("03-open.md", "---\ntitle: x\n", "no end")):
        (tmp_path / name).write_text(text)
        with pytest.raises(LabError, match=complaint):
            read(tmp_path / name, tmp_path)
    (tmp_path / "04-bytes.md").write_bytes(b"---\n\xff\xfe\n---\n")
    with pytest.raises(LabError, match="UTF-8"):
        read(tmp_path / "04-bytes.md", tmp_path)
    with pytest.raises(LabError, match="cannot read"):
        read(tmp_path / "05-gone.md", tmp_path)


def test_lessons_of_another_folder_stand_beside_ours(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours" / "01-small.md").write_text(TEXT)
    (tmp_path / "theirs" / "40-own.md").write_text(TEXT.replace("minutes: 5", "minutes: 5\nneeds: [01-small]"))
    assert list(lessons([tmp_path / "ours", tmp_path / "theirs"], tmp_path)) == ["01-small", "40-own"]
    (tmp_path / "theirs" / "01-small.md").write_text(TEXT)
    with pytest.raises(LabError, match="there is a lesson 01-small already"):
        lessons([tmp_path / "ours", tmp_path / "theirs"], tmp_path)
    (tmp_path / "theirs" / "01-small.md").write_text(TEXT.replace("minutes: 5", "minutes: 5\nneeds: [02-gone]"))
    with pytest.raises(LabError, match='needs the lesson "02-gone"'):
        lessons([tmp_path / "theirs"], tmp_path)


# ── results ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def run_of(spec: RunSpec, score: float, peak: int = 1_000_000, rate: float = 10.0) -> RunResult:
    """A finished run whose numbers are chosen."""
    started = Started(spec.to_dict(), spec.fingerprint, "w", "d", {}, spec.counts.to_dict(), "cpu", "float32", 2, {"train": 8})
    return fold([started, Stepped(2, 0.5, 0.1, 0.2, [[1, 0.9], [2, 0.5]]), Evaluated(0, "base", "test", "accuracy", 0.5, 0.05, 100),
                 Evaluated(2, "tuned", "test", "accuracy", score, 0.05, 100), Observed(2, "memory", {"peak_bytes": peak, "parts": {"weights": peak // 2}}),
                 Finished(2, {"training": 0.2}, rate)])


def known_of(lesson: Lesson, lora: list[float], bitfit: list[float], peaks: tuple[int, int] = (1_000_000, 500_000)) -> Known:
    pair: Comparison = lesson.comparisons["pair"]
    runs = {pair.run(name, seed).fingerprint: run_of(pair.run(name, seed), score, peak)
            for name, scores, peak in (("LoRA", lora, peaks[0]), ("BitFit", bitfit, peaks[1])) for seed, score in enumerate(scores)}
    small = lesson.runs["small"]
    return Known(lesson, {**runs, small.fingerprint: run_of(small, 0.7)}, {"start": {"change": [0.0, 0.0]}})


def claim(**parts: Any) -> Claim:
    return Claim.model_validate({"sentence": "It is so.", "source": "nobody", **parts})


SCORE = {"measure": "score", "of": "pair/LoRA"}


@pytest.mark.parametrize(("parts", "lora", "bitfit", "verdict"), [
    ({"rule": "above", "value": SCORE, "than": "pair/BitFit"}, [0.80, 0.82, 0.81], [0.60, 0.61, 0.62], "holds"),
    ({"rule": "above", "value": SCORE, "than": "pair/BitFit"}, [0.60, 0.61, 0.62], [0.80, 0.82, 0.81], "contradicted"),
    ({"rule": "above", "value": SCORE, "than": "pair/BitFit"}, [0.80, 0.60, 0.70], [0.70, 0.61, 0.62], "cannot tell"),
    ({"rule": "above", "value": SCORE, "than": "pair/BitFit"}, [0.80, 0.82], [0.60, 0.61], "cannot tell"),  # two seeds
    ({"rule": "below", "value": SCORE, "than": 0.9}, [0.60, 0.61, 0.62], [0.5, 0.5, 0.5], "holds"),
    ({"rule": "below", "value": SCORE, "than": 0.5}, [0.60, 0.61, 0.62], [0.5, 0.5, 0.5], "contradicted"),
    ({"rule": "below", "value": SCORE, "than": 0.611}, [0.60, 0.61, 0.62], [0.5, 0.5, 0.5], "cannot tell"),
    ({"rule": "within noise", "pair": ["pair/LoRA", "pair/BitFit"]}, [0.80, 0.60, 0.70], [0.70, 0.61, 0.62], "holds"),
    ({"rule": "within noise", "pair": ["pair/LoRA", "pair/BitFit"]}, [0.80, 0.82, 0.81], [0.60, 0.61, 0.62], "contradicted"),
    ({"rule": "within noise", "pair": ["pair/LoRA", "pair/BitFit"]}, [0.80], [0.60], "cannot tell"),
    ({"rule": "order", "arms": ["pair/LoRA", "pair/BitFit"]}, [0.80, 0.82, 0.81], [0.60, 0.61, 0.62], "holds"),
    ({"rule": "order", "arms": ["pair/BitFit", "pair/LoRA"]}, [0.80, 0.82, 0.81], [0.60, 0.61, 0.62], "contradicted"),
    ({"rule": "order", "arms": ["pair/LoRA", "pair/BitFit"], "measure": "peak_bytes"}, [0.8, 0.8, 0.8], [0.6, 0.6, 0.6], "holds"),
    ({"rule": "above", "value": {"measure": "peak_bytes", "of": "pair/LoRA", "per": "pair/BitFit"}, "than": 1.5}, [0.8], [0.6], "holds"),
    ({"rule": "below", "value": {"measure": "peak_bytes", "of": "pair/LoRA", "per": "pair/BitFit"}, "than": 2}, [0.8], [0.6], "contradicted"),  # it is 2
    ({"rule": "equal", "value": {"measure": "change", "of": "start"}, "than": 0}, [0.8], [0.6], "holds"),
    ({"rule": "equal", "value": {"measure": "trainable", "of": "pair/LoRA"}, "than": 7}, [0.8], [0.6], "contradicted"),
    ({"rule": "above", "value": {"measure": "score", "of": "small"}, "than": 0.55}, [0.8], [0.6], "holds"),  # by its items: 0.7 ± 0.05
    ({"rule": "above", "value": {"measure": "score", "of": "small"}, "than": 0.65}, [0.8], [0.6], "cannot tell"),
    ({"rule": "above", "value": SCORE, "than": "pair/BitFit"}, [], [], "not run"),
], ids=lambda value: value["rule"] if isinstance(value, dict) else "")
def test_the_five_rules(written: Callable[..., Lesson], parts: dict[str, Any], lora: list[float], bitfit: list[float], verdict: str) -> None:
    said = claim(**parts)
    found = outcome(said, known_of(written(), lora, bitfit))
    assert found.verdict == verdict, found.says
    assert contradicted_if(said).startswith("Contradicted if")


def test_a_claim_under_no_difference_is_rarely_told(written: Callable[..., Lesson]) -> None:
    """Scores drawn alike: `above` must not hold or be contradicted in more than 5 % of comparisons, but for the luck of 400."""
    import numpy

    lesson, drawn = written(), numpy.random.default_rng(0)
    said = claim(rule="above", value=SCORE, than="pair/BitFit")
    told = sum(outcome(said, known_of(lesson, list(drawn.normal(0.8, 0.03, 3)), list(drawn.normal(0.8, 0.03, 3)))).verdict != "cannot tell" for _ in range(400))
    assert told / 400 < 0.08


def test_predictions_meet_what_came_out(written: Callable[..., Lesson]) -> None:
    lesson = written()
    known = known_of(lesson, [0.80, 0.82, 0.81], [0.60, 0.61, 0.62])
    count, better, moved = (lesson.matter.predictions[key] for key in ("count", "better", "moved"))
    truth = lesson.runs["small"].counts.method
    assert (near := answer(count, truth * 1.1, known)).near and near.truth == truth and near.says == "That is it."
    assert answer(count, truth / 3, known).says == "There are more." and answer(count, truth * 3, known).says == "There are fewer."
    assert answer(better, 1, known).near and not answer(better, 3, known).near and answer(better, 3, known).says == "You chose neither."
    assert answer(better, 3, known_of(lesson, [0.80, 0.60, 0.70], [0.70, 0.61, 0.62])).near
    assert answer(moved, 1, known).near and answer(moved, 2, known).truth == 1
    assert answer(count, 5, replace(known, runs={})) is None  # nothing is shown before it was run
    for prediction, guess in ((count, float("nan")), (count, "many"), (better, 0), (better, 4), (better, True)):
        with pytest.raises(LabError):
            answer(prediction, guess, known)


def test_orders_and_curves(written: Callable[..., Lesson]) -> None:
    arms = "[{name: a}, {name: b, change: {method: bitfit}}, {name: c, change: {method: norms}}]"
    order = """  order: {kind: order, ask: "In which order?", measure: score, arms: [three/a, three/b, three/c], right: "Yes.", wrong: "No."}
  curve: {kind: curve, ask: Draw it., measure: score, over: three, low: 0, high: 1, within: 0.05, close: Near., apart: Far.}
"""
    lesson = written(("comparisons:\n", f"comparisons:\n  three: {{base: {{model: seed-bert, task: toy, method: lora}}, arms: {arms}, seeds: [0, 1, 2]}}\n"),
                     ("predictions:\n", f"predictions:\n{order}"),
                     ("## Ask", "## Order\n\n**Predict** `order`\n\n## Draw\n\n**Predict** `curve`\n\n## Three\n\n**Compare** `three`\n\n## Ask"))
    three = lesson.comparisons["three"]
    scores = {"a": 0.9, "b": 0.7, "c": 0.7}
    runs = {three.run(name, seed).fingerprint: run_of(three.run(name, seed), score + 0.01 * seed * (name != "c")) for name, score in scores.items()
            for seed in range(3)}
    known = Known(lesson, runs)
    order, curve = lesson.matter.predictions["order"], lesson.matter.predictions["curve"]
    assert answer(order, ["three/a", "three/c", "three/b"], known).near  # b and c cannot be told apart, so either order is right
    assert not answer(order, ["three/b", "three/a", "three/c"], known).near
    assert answer(curve, [0.91, 0.7, 0.7], known).near and answer(curve, [0.5, 0.5, 0.5], known).says == "Far."
    with pytest.raises(LabError, match="has 2 points: give 3"):
        answer(curve, [0.5, 0.5], known)
    with pytest.raises(LabError, match="put each of"):
        answer(order, ["three/a", "three/a", "three/b"], known)


def test_quantities_of_a_run(written: Callable[..., Lesson]) -> None:
    """Those that are read from what stands beside the score."""
    spec = written().runs["small"]
    started = Started(spec.to_dict(), spec.fingerprint, "w", "d", {}, spec.counts.to_dict(), "cpu", "float32", 2, {"train": 8})
    more = {"BLEU (seen)": [60.0, 3.0], "BLEU (unseen)": [20.0, 4.0], "chrF (seen)": [1.0, 1.0], "chrF (unseen)": [1.0, 1.0]}
    run = fold([started, Stepped(2, 0.5, 0.1, 0.2, [[1, 0.9], [2, 0.5]]), Evaluated(2, "tuned", "test", "BLEU", 40.0, 2.0, 100, loss=1.0, more=more),
                Observed(2, "transfer", {"a": {"score": 0.5, "standard_error": 0.03}, "b": {"score": 0.7, "standard_error": 0.04}}),
                Observed(2, "memory", {"peak_bytes": 99, "parts": {"weights": spec.counts.total, "optimizer": 2 * spec.counts.total, "activations": 5}}),
                Finished(2, {}, 10.0)])
    read = {key: measures.find(key).read(run) for key in ("seen", "unseen", "drop", "elsewhere", "gap", "as_told", "state_bytes")}
    assert read == {"seen": (60.0, 3.0), "unseen": (20.0, 4.0), "drop": (40.0, 5.0), "elsewhere": pytest.approx((0.6, 0.025)), "gap": pytest.approx((0.3, 0.0)),
                    "as_told": None, "state_bytes": (3.0, 0.0)}
    assert all(measure.read(RunResult()) is None for measure in measures.MEASURES.values())


# ── those of the lab ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_claim_of_our_lessons_comes_out_as_it_says_on_what_was_recorded(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    code = main(["lessons", "check", "--json"])
    rows = json.loads(capsys.readouterr().out)["claims"]
    assert not [row for row in rows if row["verdict"] not in (row["here"], "not run")]
    assert code == 0, "a claim of which nothing was recorded is not broken"
    main(["lessons", "check"])
    missing = sum(row["verdict"] == "not run" for row in rows)
    assert f"of their {len(rows)} claims {len(rows) - missing} were run" in capsys.readouterr().out


def test_claims_are_run_again_when_asked_for(written: Callable[..., Lesson], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trained in this process: the runs of both arms and the lone one; the measurement is left out, its weights are not everywhere."""
    change = [("measurements:\n  start: {name: first-step}\n", ""), ("## And again\n\n**Predict** `moved`\n\n## Look\n\n**Measure** `start`\n\n", ""),
              (TEXT[TEXT.index("  moved:"):TEXT.index("observations:")], "")]
    written(*change)
    assert main(["lessons", "check", "--run", "--json", "--folder", str(tmp_path), "--assets", str(ROOT / "assets"), "--cache", str(tmp_path / "cache")]) == 0
    (row,) = json.loads(capsys.readouterr().out)["claims"]
    assert row["verdict"] == "holds" and "against 50 %" in row["says"]
    assert main(["lessons", "check", "nothing", "--folder", str(tmp_path)]) == 2
