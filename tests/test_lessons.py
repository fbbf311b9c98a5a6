"""Lessons are read strictly, their claims are held against runs by five rules, and predictions against results."""
from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from math import log10
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from lab import catalogue
from lab.cli import main
from lab.compare import Comparison
from lab.comparing import results
from lab.contracts import LabError
from lab.events import Evaluated, Finished, Observed, RunResult, Started, Stepped, fold
from lab.lessons import Lesson, asking, lessons, measures, read
from lab.lessons.claims import contradicted_if, outcome
from lab.lessons.explained import explained
from lab.lessons.guesses import answer
from lab.lessons.known import Known
from lab.lessons.lesson import RESULTS, Claim
from lab.lessons.recorded import known as recorded
from lab.spec import RunSpec
from lab.sweeping import sweeps
from lab.ui.learn.results import _asks_for_full
from lab.ui.wording import size

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
    ("claims:\n", "figures:\n  drawn: {kind: picture, file: drawn.svg, caption: A drawing.}\nclaims:\n",
     'line 45, figures drawn file: there is no picture "drawn.svg": put it into '),
    ("claims:\n", "figures:\n  drawn: {kind: picture, file: ../drawn.svg, caption: A drawing.}\nclaims:\n", 'file is "../drawn.svg": a picture is called like'),
    ("## Run it\n\n**Run** `small`\n\n## See\n\n**Observe** `fell`", "## See\n\n**Observe** `fell`\n\n## Run it\n\n**Run** `small`",
     'line 66: Observe fell shows "small", which comes only after it'),
    ("of: small}\n    low", "of: pair/LoRA}\n    low",
     "Run small shows a result before anything was predicted of it: put a **Predict** before it that asks about small"),
    ("minutes: 5", "minutes: 5\nexplains: {lorra: Guess}", 'line 5, explains lorra: unknown method "lorra"'),
    ("minutes: 5", "minutes: 5\nexplains: {lora: Guesses}", 'line 5, explains lora: there is no step "Guesses": there are Guess, Run it'),
    ("minutes: 5", "minutes: 5\nexplains: {lora: Run it}", "from “Run it” on, Run small is shown without its prediction, which stands further up"),
], ids=lambda value: value[:24] if isinstance(value, str) else "")
def test_what_is_wrong_is_said_with_file_line_and_way_out(written: Callable[..., Lesson], old: str, new: str, complaint: str) -> None:
    with pytest.raises(LabError) as error:
        written((old, new))
    assert str(error.value).startswith("01-small.md") and complaint in str(error.value), str(error.value)


def test_the_course_of_a_step_is_that_of_one_run(written: Callable[..., Lesson]) -> None:
    def figure(of: str) -> tuple[str, str]:
        return "claims:\n", f"figures:\n  course: {{kind: timeline, of: {of}, caption: One step.}}\nclaims:\n"

    placed = ("**Claim** `few`\n", "**Claim** `few`\n\n**Figure** `course`\n")
    for of in ("small", "pair/BitFit"):
        assert written(figure(of), placed).matter.figures["course"].of == of
    with pytest.raises(LabError) as error:
        written(figure("pair"), placed)
    assert 'line 45, figures course of: "pair" is not one run, and a figure of kind timeline is of one: there are small, pair/' in str(error.value)


def test_a_prediction_that_no_result_answers(written: Callable[..., Lesson]) -> None:
    late = "  late:\n    kind: number\n    ask: How many?\n    truth: {measure: method, of: small}\n    low: 1\n    high: 9\n" + "".join(
        f"    {word}: Yes.\n" for word in ("close", "too_low", "too_high"))
    with pytest.raises(LabError, match="no result comes after Predict late, so nothing answers it"):
        written(("predictions:\n", f"predictions:\n{late}"), ("## Ask\n", "## Late\n\n**Predict** `late`\n\n## Ask\n"))


def test_a_picture_lies_beside_the_lesson_or_among_ours(tmp_path: Path) -> None:
    text = TEXT.replace("claims:\n", "figures:\n  drawn: {kind: picture, file: drawn.svg, caption: A drawing.}\nclaims:\n", 1)
    text = text.replace("**Claim** `few`\n", "**Claim** `few`\n\n**Figure** `drawn`\n")
    (tmp_path / "own" / "figures").mkdir(parents=True)
    (tmp_path / "assets" / "figures" / "lessons").mkdir(parents=True)
    (tmp_path / "own" / "40-own.md").write_text(text)
    ours, theirs = (folder / "drawn.svg" for folder in (tmp_path / "assets" / "figures" / "lessons", tmp_path / "own" / "figures"))
    ours.write_text("<svg/>")
    assert read(tmp_path / "own" / "40-own.md", tmp_path / "assets" / "comparisons").pictures == {"drawn.svg": ours}
    theirs.write_text("<svg/>")
    assert read(tmp_path / "own" / "40-own.md", tmp_path / "assets" / "comparisons").pictures == {"drawn.svg": theirs}
    for path in (ours, theirs):
        path.unlink()
    (tmp_path / "secret.svg").write_text("<svg/>")
    theirs.symlink_to(tmp_path / "secret.svg")
    (theirs.parent / "other.png").write_bytes(b"")
    with pytest.raises(LabError, match=r'40-own.md, line 45, figures drawn file: there is no picture "drawn.svg": .* \(there: other.png\)'):
        read(tmp_path / "own" / "40-own.md", tmp_path / "assets" / "comparisons")


# ── what is asked when ────────────────────────────────────────────────────────────────────────────────────────────────

TWO = [("  small: {model", "  other: {model: seed-bert, task: toy, method: bitfit, steps: 2}\n  small: {model"),
       ("  better:\n", """  both:
    kind: number
    ask: How many times as many?
    truth: {measure: method, of: small, per: other}
    low: 0.1
    high: 10
    close: That is it.
    too_low: There are more.
    too_high: There are fewer.
  better:
"""),
       ("## Guess\n\n", "## Guess first\n\n**Predict** `both`\n\n## Guess\n\n"),
       ("## Guess again\n\n", "## Run the other\n\n**Run** `other`\n\n## Guess again\n\n")]


def test_a_prediction_is_answered_by_the_last_result_that_it_is_about(written: Callable[..., Lesson]) -> None:
    lesson = written(*TWO)
    small, other = (next(place for place in lesson.places if (place.kind, place.name) == ("Run", name)) for name in ("small", "other"))
    assert asking.answered_by(lesson, small) == ["count"] and asking.answered_by(lesson, other) == ["both"]
    assert asking.begun_by(lesson, small) == {"both": other} and asking.begun_by(lesson, other) == {}
    assert asking.showing(lesson, "both") == [small, other] and asking.showing(lesson, "count") == [small]
    assert asking.heading(lesson, other) == "Run the other"


def test_what_is_asked_later_is_not_shown_before(written: Callable[..., Lesson]) -> None:
    """Of two measurements of one kind, the first shows nothing that is asked only of the second; what a claim right below it asks for it shows."""
    moved = TEXT[TEXT.index("  moved:"):TEXT.index("observations:")]
    drift = moved.replace("  moved:", "  drift:").replace("measure: change, of: start", "measure: gradient_a, of: again")
    claimed = "  few:\n"
    lesson = written(("  start: {name: first-step}", "  start: {name: first-step}\n  again: {name: first-step, knobs: {rank: 4}}"),
                     ("observations:\n", f"{drift}observations:\n"), (claimed, """  zero:
    sentence: B gets a gradient.
    source: arithmetic
    rule: above
    value: {measure: gradient_b, of: start}
    than: 0
  few:
"""), ("**Measure** `start`", "**Measure** `start`\n\n**Claim** `zero`\n\n## Third\n\n**Predict** `drift`\n\n## Fourth\n\n**Measure** `again`"))
    first, second = (next(place for place in lesson.places if place.name == name) for name in ("start", "again"))
    assert asking.asked_so_far(lesson, "start", first) == {"change", "gradient_b"} and asking.asked_later(lesson, "start", first) == {"gradient_a"}
    assert asking.asked_later(lesson, "again", second) == set()


def test_what_is_told_of_a_result_waits_until_it_has_been_shown(written: Callable[..., Lesson]) -> None:
    """A claim below a result waits for it; so does one above it, if it tells what is still to be predicted, and does not if it tells something else."""
    early = """  first:
    sentence: BitFit scores less.
    source: measured
    rule: above
    value: {measure: score, of: pair/LoRA}
    than: pair/BitFit
  second:
    sentence: BitFit trains less.
    source: arithmetic
    rule: above
    value: {measure: trainable, of: pair/LoRA}
    than: pair/BitFit
"""
    figures = "figures:\n  bytes: {kind: memory, of: pair, caption: Where they go.}\n  curve: {kind: curves, of: small, caption: The loss.}\n"
    lesson = written(("claims:\n", f"{figures}claims:\n{early}"),
                     ("**Claim** `few`", "**Claim** `few`\n\n**Claim** `first`\n\n**Claim** `second`\n\n**Figure** `bytes`\n\n**Figure** `curve`"))
    waits = {place.name: asking.awaited(lesson, place) for place in lesson.places if place.kind in ("Claim", "Figure")}
    assert waits == {"few": ["small"], "first": ["pair"], "second": [], "bytes": ["pair"], "curve": ["small"]}


def test_results_that_nobody_is_asked_about(written: Callable[..., Lesson]) -> None:
    assert [place.name for place in asking.unobserved(written())] == ["pair"]
    assert [place.name for place in asking.unobserved(written(*TWO))] == ["other", "pair"]
    shown = written(("    show: small", "    show: pair"), ("**Observe** `fell`\n\n", ""), ("## And again", "## See it\n\n**Observe** `fell`\n\n## And again"))
    assert [place.name for place in asking.unobserved(shown)] == ["small"]


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
    assert "Contradicted if" in contradicted_if(said, written())


@pytest.mark.parametrize(("parts", "words"), [
    ({"rule": "above", "value": SCORE, "than": "pair/BitFit"},
     "Contradicted if “score on the test items after training” of LoRA is below that of BitFit by more than the noise of these runs."),
    ({"rule": "below", "value": {"measure": "peak_bytes", "of": "pair/LoRA", "per": "pair/BitFit"}, "than": 0.67},
     "Contradicted if “memory of a training step at its peak” of LoRA is not below 0.67 times that of BitFit."),
    ({"rule": "below", "value": {"measure": "last_loss", "of": "small"}, "than": -0.00001},
     "Contradicted if “mean training loss of the last 10 steps” of LoRA is above −0.00001 by more than the noise of these runs."),
    ({"rule": "equal", "value": {"measure": "optimizer_bytes", "of": "small"}, "than": 180529168, "tolerance": 10000},
     "Contradicted if “optimizer in memory at the peak of a step” of LoRA differs from 181\u202fMB by more than 10.0\u202fKB."),
    ({"rule": "within noise", "pair": ["pair/LoRA", "small"]},
     "Contradicted if LoRA (“pair”) and “small” differ in “score on the test items after training” by more than the noise of these runs."),
])
def test_a_rule_is_told_with_names_and_units(written: Callable[..., Lesson], parts: dict[str, Any], words: str) -> None:
    titled = written(("pair: {base", "pair: {title: pair, base"))
    assert contradicted_if(claim(**parts), titled) == words


def test_what_came_out_is_told_with_names(written: Callable[..., Lesson]) -> None:
    found = outcome(claim(rule="below", value=SCORE, than="pair/BitFit"), known_of(written(), [0.60, 0.61, 0.62], [0.80, 0.82, 0.81]))
    assert found.says.startswith("LoRA 0.610 against BitFit 0.810 (difference −0.2") and "pair/" not in found.says and "-" not in found.says


def test_bytes_are_rounded_by_one_rule_and_less_than_nothing_has_its_own_sign() -> None:
    for amount in (0, 999, 38_912, 180_529_168, 99_960_000, 4_200_000_000):
        assert measures.said(amount, "bytes") == size(amount)
    assert measures.said(-1_310_000, "bytes") == "−1.31\u202fMB" and measures.said(-0.0896, "points") == "−0.090" and measures.said(-0.0, "points") == "0.000"
    assert measures.said(0.00002, "loss") == "0.00002", "what is there never shows as 0"
    assert measures.said(123456, "times") == "123,000 times", "and there is no power of ten"


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


def test_one_question_by_itself_is_told_apart_from_all_pairs_at_once(written: Callable[..., Lesson]) -> None:
    """A claim asks one thing; the verdicts of its comparison, and an order of its arms, ask about every pair, and are stricter."""
    arms = "[{name: a}, {name: b, change: {method: bitfit}}, {name: c, change: {method: norms}}, {name: d, change: {method: head}}]"
    lesson = written(("comparisons:\n", f"comparisons:\n  four: {{base: {{model: seed-bert, task: toy, method: lora}}, arms: {arms}, seeds: [0, 1, 2]}}\n"),
                     ("predictions:\n", """predictions:
  order: {kind: order, ask: "In which order?", measure: score, arms: [four/a, four/b, four/c], right: "Yes.", wrong: "No."}
"""), ("## Ask", "## Order\n\n**Predict** `order`\n\n## Four\n\n**Compare** `four`\n\n## Ask"))
    four, asked = lesson.comparisons["four"], lesson.matter.predictions["order"]

    def seen(apart: float) -> Known:
        ahead = {"a": 0.0, "b": apart, "c": 0.001, "d": -0.001}
        return Known(lesson, {four.run(name, seed).fingerprint: run_of(four.run(name, seed), 0.7 + lead + wobble) for name, lead in ahead.items()
                              for seed, wobble in enumerate({"a": (0.0, 0.01, 0.02), "b": (0.0, 0.02, 0.01)}.get(name, (0.01, 0.0, 0.02)))})

    said = claim(rule="above", value={"measure": "score", "of": "four/b"}, than="four/a")
    little, much = outcome(said, seen(0.03)), outcome(said, seen(0.3))
    assert little.verdict == much.verdict == "holds"
    assert "Among all 6 pairs at once it would not be told" in little.says and "Among all" not in much.says
    assert answer(asked, ["four/a", "four/b", "four/c"], seen(0.03)).near and not answer(asked, ["four/a", "four/b", "four/c"], seen(0.3)).near


def test_an_interval_has_as_many_digits_at_both_ends() -> None:
    assert measures.span(-0.066, 0.000415, "loss") == "−0.066 to 0.000" and measures.span(0.0763, 0.383, "times") == "0.08 to 0.38"
    assert measures.span(-0.264, -0.256, "times") == "−0.264 to −0.256"
    assert measures.span(0.00001, 0.00004, "loss") == "0.000010 to 0.000040" and measures.span(-2e6, 3e6, "bytes") == "−2.00\u202fMB to 3.00\u202fMB"


def test_quantities_of_a_run(written: Callable[..., Lesson]) -> None:
    """Those that are read from what stands beside the score."""
    spec = written().runs["small"]
    started = Started(spec.to_dict(), spec.fingerprint, "w", "d", {}, spec.counts.to_dict(), "cpu", "float32", 2, {"train": 8})
    more = {"BLEU (seen)": [60.0, 3.0], "BLEU (unseen)": [20.0, 4.0], "chrF (seen)": [1.0, 1.0], "chrF (unseen)": [1.0, 1.0]}
    run = fold([started, Stepped(2, 0.5, 0.1, 0.2, [[1, 0.9], [2, 0.5]]), Evaluated(2, "tuned", "test", "BLEU", 40.0, 2.0, 100, loss=1.0, more=more),
                Observed(2, "transfer", {"a": {"score": 0.5, "standard_error": 0.03}, "b": {"score": 0.7, "standard_error": 0.04}}),
                Observed(2, "memory", {"peak_bytes": 99, "parts": {"weights": spec.counts.total, "optimizer": 2 * spec.counts.total, "activations": 5}}),
                Finished(2, {}, 10.0)])
    read = {key: measures.find(key).read(run) for key in ("seen", "unseen", "drop", "elsewhere", "fall", "gap", "as_told", "state_bytes")}
    assert read == {"seen": (60.0, 3.0), "unseen": (20.0, 4.0), "drop": (40.0, 5.0), "elsewhere": pytest.approx((0.6, 0.025)),
                    "fall": pytest.approx((39.4, 2.0001), abs=1e-3), "gap": pytest.approx((0.3, 0.0)),
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


def test_results_without_a_question_are_mentioned_and_fail_nothing(written: Callable[..., Lesson], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written()
    asked = ["lessons", "check", "--folder", str(tmp_path), "--assets", str(ROOT / "assets")]
    assert main([*asked, "--json"]) == 0
    assert [(each["kind"], each["name"]) for each in json.loads(capsys.readouterr().out)["unobserved"]] == [("Compare", "pair")]
    assert main(asked) == 0 and "01-small                 pair (line 80)" in capsys.readouterr().out


@pytest.fixture(scope="module")
def ours() -> dict[str, Lesson]:
    return lessons([ROOT / "lessons"], ROOT / "assets" / "comparisons")


def test_full_fine_tuning_is_no_line_in_the_chart_of_a_run_before_the_lesson_asks_about_it(ours: dict[str, Lesson]) -> None:
    def asks(lesson: str, run: str) -> bool:
        return _asks_for_full(ours[lesson], next(place for place in ours[lesson].places if (place.kind, place.name) == ("Run", run)))

    assert asks("17-choosing-a-method", "digits") and not asks("01-why-not-train-everything", "lora")


def test_each_prediction_of_our_lessons_is_still_open_when_it_is_made(ours: dict[str, Lesson]) -> None:
    """Something of what it asks about comes after it, and its answer after all of that. What P-tuning keeps can be worked out from what was seen."""
    for key, lesson in ours.items():
        places = lesson.places
        for name, last in asking.answering(lesson).items():
            here = next(number for number, place in enumerate(places) if (place.kind, place.name) == ("Predict", name))
            about = asking.references(lesson, name)
            later = [place for place in places[here:] if place.kind in RESULTS and place.name in about]
            assert later or not about or (key, name) == ("10-soft-prompts", "kept"), f"{key}: all of what {name} asks has been shown"
            assert last == later[-1] if later else last in places[here:], f"{key}: {name}"
            between = [place for place in places[here:places.index(last)] if place.kind == "Claim"]
            early = [place.name for place in between if {reference.partition("/")[0] for _, reference in
                                                         asking.quantities(lesson, lesson.matter.claims[place.name])} >= about and about]
            assert not early, f"{key}: {early} tells what {name} asks"


def test_no_claim_and_no_figure_of_our_lessons_answers_a_prediction_before_its_result(ours: dict[str, Lesson]) -> None:
    """What tells a quantity that a prediction asks for waits for the results that show it."""
    held = 0
    for lesson in ours.values():
        for prediction in lesson.matter.predictions:
            asked = set(asking.quantities(lesson, lesson.matter.predictions[prediction]))
            for place in (each for each in lesson.places if each.kind == "Claim"):
                told = {reference.partition("/")[0] for _, reference in asked & set(asking.quantities(lesson, lesson.matter.claims[place.name]))}
                assert told <= set(asking.awaited(lesson, place)), f"{lesson.key}: {place.name} tells what {prediction} asks for"
                held += bool(told)
    assert held > 50


def test_nothing_of_a_second_measurement_is_shown_with_the_first(ours: dict[str, Lesson]) -> None:
    lesson = ours["11-what-does-a-prompt-say"]
    first = next(place for place in lesson.places if place.name == "from-text")
    assert asking.asked_so_far(lesson, "from-text", first) == {"stayed"} and "lost" in asking.asked_later(lesson, "from-text", first)


def test_each_method_is_explained_at_a_step_that_speaks_of_it(ours: dict[str, Lesson]) -> None:
    found = explained(ours)
    assert set(found) == set(catalogue.entries("methods"))
    for method, place in found.items():
        lesson = ours[place["lesson"]]
        assert lesson.steps[place["step"]].heading == place["heading"], method


def test_memory_and_rank_are_seen_as_the_recorded_runs_show_them(ours: dict[str, Lesson]) -> None:
    """The right answers of lesson 12's and 18's observations, on what was recorded."""
    lesson = ours["12-where-does-the-memory-go"]
    known = recorded(lesson, ROOT / "assets")
    parts = {name: known.runs[spec.fingerprint].seen("memory")["parts"] for name, spec in lesson.runs.items()}
    assert _right(lesson, "alike") == "Weights and gradients" and parts["full"]["weights"] == pytest.approx(parts["full"]["gradients"], rel=0.01)
    assert parts["full"]["optimizer"] > 1.9 * parts["full"]["gradients"] and parts["full"]["activations"] < 0.05 * parts["full"]["weights"]
    grown = {part: parts["rank-64"][part] / parts["lora"][part] for part in ("weights", "optimizer", "activations")}
    assert _right(lesson, "eightfold") == "Optimizer states" and grown["optimizer"] > 7 and max(grown["weights"], grown["activations"]) < 1.1
    assert _right(lesson, "doubled") == "Nearly twice as long" and 1.7 < parts["prompt"]["activations"] / parts["lora"]["activations"] < 2.1
    assert _right(lesson, "bars") == "Gradients and optimizer states" and parts["lora"]["optimizer"] < 0.01 * parts["full"]["optimizer"]


def test_sentences_are_seen_as_the_recorded_runs_show_them(ours: dict[str, Lesson]) -> None:
    lesson = ours["18-myth-or-fact"]
    known = recorded(lesson, ROOT / "assets")
    parts = {name: known.runs[spec.fingerprint].seen("memory")["parts"] for name, spec in lesson.runs.items()}
    shrunk = {part: parts["qlora"][part] / parts["lora"][part] for part in ("weights", "optimizer", "activations")}
    assert _right(lesson, "bytes").startswith("Weights") and shrunk["weights"] < 0.7 and min(shrunk["optimizer"], shrunk["activations"]) > 0.95
    assert _right(lesson, "mask").startswith("Nothing") and set(lesson.runs["ia3"].counts.by_role) == {"key", "value", "ffn_out"}
    adapter = lesson.runs["adapter"]
    sizes = {shape for place in adapter.method.places(adapter.shape) for _, shape in place.tensors}
    assert _right(lesson, "matrices").startswith("Two") and sizes == {(16, 384), (16,), (384, 16), (384,)}
    arms = list(lesson.comparisons["suspects"].specs)
    trained, time = (sorted(arms, key=lambda arm: known.sample(measure, f"suspects/{arm}").mean) for measure in ("trainable", "step_seconds"))
    assert _right(lesson, "pace").startswith("No: prompt tuning is among the fewest")
    assert trained.index("Prompt tuning") == 1 and time.index("Prompt tuning") == len(arms) - 2 and trained[0] == time[0] == "Head alone"


def test_flexibility_in_the_lesson_is_what_was_measured() -> None:
    """Widths from the sweeps of learning rates, and who is within two points of the best of its table, from recorded comparisons."""
    text = (ROOT / "lessons" / "17-choosing-a-method.md").read_text(encoding="utf-8")
    text = text[text.index("## Flexibility, measured"):text.index("## What does not fit")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|") and "---" not in line]
    seven, six = rows[1:8], rows[9:]
    swept = sweeps(ROOT / "assets" / "sweeps")
    near = {name: within_two_points(name) for name in ("seven-techniques", "usual-suspects", "usual-suspects-products")}
    for name, arms, place in (("seven-techniques", seven, 2), ("usual-suspects", six, 1)):
        specs = Comparison.read(ROOT / "assets" / "comparisons" / f"{name}.json").specs
        for row in arms:
            spec = specs[row[0].partition(",")[0]]
            low, high = swept[str(spec.model), spec.method.key].good
            assert float(row[place]) == pytest.approx(log10(high / low), abs=0.05), row
            if name == "seven-techniques":
                assert row[1] == (f"{low:g} to {high:g}" if low < high else f"{low:g}"), row
                assert row[3] == "not run so" or (row[3] == "within 2 points") == (row[0] in near[name]), row
            else:
                tasks = sum(row[0] in near[each] for each in ("usual-suspects", "usual-suspects-products"))
                assert row[2] == f"{tasks} of 2" and float(row[3]) == pytest.approx(float(row[1]) * tasks / 2), row
    assert len(seven) == 7 and len(six) == 6


def within_two_points(name: str) -> set[str]:
    comparison = Comparison.read(ROOT / "assets" / "comparisons" / f"{name}.json")
    found = results(comparison, ROOT / "assets" / "comparisons")
    means = {arm: fmean(found[spec.fingerprint].scores["tuned"].score for (of, _), spec in comparison.runs.items() if of == arm and spec.fingerprint in found)
             for arm in comparison.specs}
    return {arm for arm, mean in means.items() if mean >= max(means.values()) - 0.02}


def _right(lesson: Lesson, observation: str) -> str:
    return next(option.text for option in lesson.matter.observations[observation].options if option.right)


def test_claims_are_run_again_when_asked_for(written: Callable[..., Lesson], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trained in this process: the runs of both arms and the lone one; the measurement is left out, its weights are not everywhere."""
    change = [("measurements:\n  start: {name: first-step}\n", ""), ("## And again\n\n**Predict** `moved`\n\n## Look\n\n**Measure** `start`\n\n", ""),
              (TEXT[TEXT.index("  moved:"):TEXT.index("observations:")], "")]
    written(*change)
    assert main(["lessons", "check", "--run", "--json", "--folder", str(tmp_path), "--assets", str(ROOT / "assets"), "--cache", str(tmp_path / "cache")]) == 0
    (row,) = json.loads(capsys.readouterr().out)["claims"]
    assert row["verdict"] == "holds" and "against 50 %" in row["says"]
    assert main(["lessons", "check", "nothing", "--folder", str(tmp_path)]) == 2
