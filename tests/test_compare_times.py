"""Times in a comparison: told over the base's own, marked where the seeds do not agree on them, and then used for nothing."""
from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.compare import Comparison, report, steady
from lab.events import Observed, RunResult
from lab.recording import processor, provenance
from lab.reporting import of_comparison
from lab.reporting.measures import measures
from lab.reporting.tradeoffs import Evidence, axes
from lab.ui.compare.arms import looks
from lab.ui.compare.front import scatter
from lab.ui.compare.table import LOADED, arms_csv, as_csv, table
from tests.test_compare_figures import ended, methods

SCORES = {"LoRA": 0.8, "head": 0.7, "full": 0.82}
PACES = {"LoRA": 10.0, "head": 20.0, "full": 5.0}
MACHINE = """processor : 0
vendor_id : GenuineIntel
cpu family : 6
model : 85
model name : Intel(R) Xeon(R) CPU @ 2.20GHz
flags : fpu sse avx2 avx512f avx512_bf16 amx_bf16

processor : 1
model name : another
"""


def compared(spread: float, one_text: Any = None) -> tuple[Comparison, dict[str, Any], dict[str, RunResult]]:
    """Three methods over three seeds; each second seed of LoRA takes `spread` times as long."""
    asked = methods()
    results = {}
    for (name, seed), spec in asked.runs.items():
        pace = PACES[name] / (spread if name == "LoRA" and seed == 1 else 1.0)
        result = ended(spec, SCORES[name] + 0.001 * seed, pace=pace)
        if one_text:
            result = replace(result, observed=(*result.observed, Observed(3, "one_text", one_text(name, seed))))
        results[spec.fingerprint] = result
    return asked, report(asked, results), results


@pytest.mark.parametrize(("values", "found"), [([1.0, 1.24], False), ([1.0, 1.26], True), ([2.6, 2.0, 2.1], True), ([5.0], False), ([None, 1.0, None], False),
                                               ([], False)])
def test_the_threshold_stands_in_one_place(values: list[float | None], found: bool) -> None:
    assert steady.SPREAD == 1.25 and steady.shaken(values) is found


def test_a_time_that_the_seeds_do_not_agree_on_is_marked_everywhere() -> None:
    _, made, results = compared(1.4)
    assert made["arms"][0]["loaded"] == ["step_seconds", "train_seconds", "answer_seconds"] and not made["arms"][1]["loaded"]
    assert made["load"].startswith("~ marks a time that may be the machine's and not the method's: the same work took over 25 % longer at one moment")
    assert made["load"].count(". ") == 1 and "compiled" not in made["load"], "one cause, and what follows"
    chosen = measures("accuracy", True)
    for arm in made["arms"]:
        arm["elsewhere"] = ""
    look = {arm["name"]: {"colour": "#000000"} for arm in made["arms"]}
    cells = {row["name"]: row["cells"] for row in table(made["arms"], chosen, look, [], False)["rows"]}
    assert cells["LoRA"]["step_seconds"]["text"].startswith("~0.1") and cells["LoRA"]["step_seconds"]["value"] is None, "it has no place in an order"
    assert not cells["head"]["step_seconds"]["text"].startswith("~") and cells["head"]["step_seconds"]["value"] == pytest.approx(0.05)
    for text in (arms_csv(made, chosen), as_csv({"arms": made["arms"]})):
        marks = {row["arm"]: row[LOADED] for row in csv.DictReader(io.StringIO(text))}
        assert marks == {"LoRA": "step_seconds train_seconds answer_seconds", "head": "", "full": ""}
    html = re.sub(r"<[^>]+>", " ", of_comparison(made, results))
    assert "~0.1" in html and made["load"] in html.replace("&#x27;", "'")


def test_a_steady_time_is_marked_nowhere() -> None:
    _, made, results = compared(1.1)
    assert made["load"] == "" and not any(arm["loaded"] for arm in made["arms"])
    assert "~" not in re.sub(r"<style>.*?</style>", "", of_comparison(made, results))


def test_no_front_and_no_trade_off_is_made_of_such_a_time() -> None:
    asked, made, _ = compared(1.4)
    look = dict(zip(asked.specs, looks(list(asked.specs.values())), strict=True))
    by_key = {each.key: each for each in measures("accuracy", True)}
    figure = scatter(made["arms"], look, by_key["step_seconds"], by_key["score"])
    assert [row[-1] for row in figure["table"]["rows"]] == ["not judged (~)", "yes", "yes"] and "Not judged: LoRA" in figure["says"]
    mark = next(trace for trace in figure["data"] if "LoRA" in "".join(trace.get("text", "")))
    assert mark["marker"]["symbol"].endswith("-open") and mark["opacity"] < 1 and "~" in mark["text"][0]
    same = scatter(made["arms"], look, by_key["trainable"], by_key["score"])
    assert [row[-1] for row in same["table"]["rows"]] == ["yes", "yes", "yes"] and "Not judged" not in same["says"], "what was counted is as good as ever"
    names = [axis.name for axis in axes(made, Evidence())[0]]
    assert names == ["parameters", "memory", "quality"]
    missing = axes(made, Evidence())[1]
    assert any(each.startswith("training speed (this time of LoRA cannot be told from the machine's load") for each in missing)
    assert any(each.startswith("inference (this time of LoRA") for each in missing)
    every = scatter([made["arms"][0]], look, by_key["step_seconds"], by_key["score"])
    assert every["says"].startswith("Nothing can be put on a front.")


def test_a_busy_machine_shows_in_the_base_beside_an_arm() -> None:
    """Its seeds agree: the machine was as busy with each of them. The base, the same work beside every arm, tells."""
    def one_text(name: str, seed: int) -> dict[str, Any]:
        slow = 1.5 if name == "head" else 1.2 if name == "full" else 1.0
        return {"base": 0.010 * slow, "tuned": 0.011 * slow, "merged": None, "calls": 5}

    _, made, _ = compared(1.0, one_text)
    assert [arm["loaded"] for arm in made["arms"]] == [[], ["step_seconds", "train_seconds", "alone_seconds"], []]
    assert "over 25 %" in made["load"]
    for arm in made["arms"]:
        arm["elsewhere"] = "another machine" if arm["name"] == "head" else ""
    steady.mark(made["arms"])
    assert not any(arm["loaded"] for arm in made["arms"]), "another machine is slower by itself"


def test_compiled_code_is_not_compared_with_what_runs_as_written() -> None:
    """Which arms found code ready hangs on what ran before: whoever differs from the usual way is marked, and only its training."""
    asked, _, results = compared(1.0)
    with_code = {spec.fingerprint: replace(results[spec.fingerprint], compiled=1.0 if name == "LoRA" else 0.0) for (name, _), spec in asked.runs.items()}
    made = report(asked, with_code)
    assert [arm["loaded"] for arm in made["arms"]] == [["step_seconds", "train_seconds"], [], []]
    assert "some arms trained as compiled code and others did not (LoRA)" in made["load"] and "25 %" not in made["load"]
    for share in (0.0, 1.0, None):
        assert not any(arm["loaded"] for arm in report(asked, {key: replace(run, compiled=share) for key, run in results.items()})["arms"])
    halfway = {spec.fingerprint: replace(results[spec.fingerprint], compiled=float(seed)) for (_, seed), spec in asked.runs.items() if seed < 2}
    assert all("step_seconds" in arm["loaded"] for arm in report(asked, halfway)["arms"]), "neither way is the usual one"


def test_verdicts_do_not_hang_on_times() -> None:
    assert compared(1.4)[1]["pairs"] == compared(1.0)[1]["pairs"]


def test_one_text_is_told_over_the_base_that_was_asked_in_turn() -> None:
    """The machine is three times as slow with the second seed; the ratio is not."""
    def one_text(name: str, seed: int) -> dict[str, Any]:
        slow = 3.0 if seed == 1 else 1.0
        return {"base": 0.010 * slow, "tuned": 0.012 * slow, "merged": None if name == "head" else 0.010 * slow, "calls": 5}

    _, made, _ = compared(1.4, one_text)
    for arm in made["arms"]:
        assert arm["alone_times"] == pytest.approx(1.2) and "alone_times" not in arm["loaded"] and "alone_seconds" in arm["loaded"]
    assert made["arms"][0]["merged_times"] == pytest.approx(1.0) and made["arms"][1]["merged_times"] is None
    inference = next(axis for axis in axes(made, Evidence())[0] if axis.name == "inference")
    assert "over the base's time" in inference.scale and inference.places["LoRA"] == 1.0, "the steady one of both times is taken"
    assert "over 25 %" in made["load"]


def test_a_recording_says_which_processor_it_was() -> None:
    assert processor(MACHINE) == ("Intel(R) Xeon(R) CPU @ 2.20GHz, family 6 model 85", ["amx_bf16", "avx512_bf16", "avx512f", "avx2"])
    assert processor("CPU part : 0xd0c\nFeatures : fp asimd bf16\n") == ("0xd0c", ["bf16", "asimd"])
    made = provenance("here")
    assert made["threads"] >= 1 and isinstance(made["cpu"], str) and isinstance(made["instructions"], list)
    if Path("/proc/cpuinfo").exists():
        assert made["cpu"]
