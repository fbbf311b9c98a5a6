"""Numbers that stand in the text of a lesson are those of what was recorded."""
from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import median

import pytest

from lab.comparing import results
from lab.lessons import Lesson, lessons
from lab.lessons.lesson import Curve
from lab.lessons.recorded import known as recorded
from lab.ui.learn.prose import formula
from lab.ui.wording import size

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def ours() -> dict[str, Lesson]:
    return dict(lessons([ROOT / "lessons"], ROOT / "assets" / "comparisons"))


def text_of(lesson: Lesson) -> str:
    return " ".join((ROOT / "lessons" / f"{lesson.key}.md").read_text(encoding="utf-8").split())


def test_a_curve_is_asked_for_at_each_point_that_is_drawn(ours: dict[str, Lesson]) -> None:
    asked = [(lesson, each) for lesson in ours.values() for each in lesson.matter.predictions.values() if isinstance(each, Curve)]
    assert len(asked) > 5
    for lesson, curve in asked:
        for arm in lesson.comparisons[curve.over].specs:
            (point,) = re.findall(r"\d[\d,]*", arm)
            assert re.search(rf"(?<![\d,]){point}(?![\d,]*\d)", curve.ask), (lesson.key, arm, curve.ask)


def test_the_peaks_of_single_runs_and_the_medians_of_three_seeds_are_both_told(ours: dict[str, Lesson]) -> None:
    lesson, suspects = ours["12-where-does-the-memory-go"], ours["01-why-not-train-everything"].comparisons["methods"]
    runs = recorded(lesson, ROOT / "assets").runs
    single = [size(runs[lesson.runs[name].fingerprint].seen("memory")["peak_bytes"]).split()[0] for name in ("lora", "prompt", "full")]
    found = results(suspects, ROOT / "assets" / "comparisons")
    peaks = {arm: [found[spec.fingerprint].seen("memory")["peak_bytes"] for (each, _), spec in suspects.runs.items() if each == arm]
             for arm in ("LoRA", "Prompt tuning", "Full fine-tuning")}
    middle = [size(median(each)).split()[0] for each in peaks.values()]
    text = text_of(lesson)
    assert f"{single[0]}, {single[1]} and {single[2]} MB" in text and f"{middle[0]}, {middle[1]} and {middle[2]} MB" in text


def test_what_the_prompt_gained_is_told_for_both_numbers_of_reviews(ours: dict[str, Lesson]) -> None:
    lesson = ours["11-what-does-a-prompt-say"]
    run = recorded(lesson, ROOT / "assets").runs[lesson.runs["written"].fingerprint]
    few, all_of_them = run.seen("prompt_neighbours")["swap"]["scores"], run.scores
    gained = 100 * (few["prompt"]["score"] - few["none"]["score"]), 100 * (all_of_them["tuned"].score - all_of_them["base"].score)
    said = re.search(r"the first (\d+) of the (\d+) reviews: on those the prompt gained (\d+) points, on all \d+ it gained (\d+)", text_of(lesson))
    assert said and [int(each) for each in said.groups()] == [few["prompt"]["items"], all_of_them["tuned"].items, *map(round, gained)]


def test_what_a_rule_of_thumb_misses_is_told_with_the_bytes_of_the_recorded_step(ours: dict[str, Lesson]) -> None:
    """SmolLM2 with LoRA, eight texts of 2,048 tokens: 30 blocks of width 576."""
    found = json.loads((ROOT / "assets" / "measurements" / "longer-texts-batch-8-method-lora-model-smollm2-135m.json").read_text(encoding="utf-8"))
    row = dict(zip(found["columns"], found["rows"][-1], strict=True))
    units, text = 30 * 8 * 2048 * 576, text_of(ours["12-where-does-the-memory-go"])
    assert row["tokens"] == 2048 and row["weights"] == pytest.approx(4 * 135e6, rel=0.01), "32 bits a weight"
    said = re.search(r"2,048 tokens take (\d+) GB of activations, and here they take (\d+)\. .+? 22 bytes become 44, and \d+ GB become (\d+)\. "
                     r".+? than one of BERT: (\d+) bytes", text)
    assert said and [int(each) for each in said.groups()] == [round(22 * units / 1e9), round(row["activations"] / 1e9), round(44 * units / 1e9),
                                                              round(row["activations"] / units)]


def test_in_a_formula_a_number_stands_apart_from_its_unit(ours: dict[str, Lesson]) -> None:
    """7 billion parameters of 16 bytes each are 112 GB."""
    assert r"16\ \text{bytes} = 112\ \text{GB}" in text_of(ours["01-why-not-train-everything"])
    (row,) = formula(r"16\ \text{bytes} = 112\ \text{GB}")[2:]
    assert [each[2] for each in row[2:]] == ["16", "\u00a0", "bytes", "=", "112", "\u00a0", "GB"]
