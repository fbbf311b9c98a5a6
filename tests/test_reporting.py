"""Reports as files: what was found is in them, what people typed stays text, and nothing is loaded from anywhere."""
from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from lab.compare import Comparison, report
from lab.events import Cancelled, Evaluated, Failed, Finished, Observed, RunResult, Started, Stepped, fold
from lab.reporting import of_comparison, of_run
from lab.reporting.figures import Curve, Dot, Spread, curves, grouped, intervals, scattered
from lab.reporting.measures import columns, half_width, measures
from lab.spec import RunSpec
from lab.ui.looks import looks

MARKUP = "<img src=x onerror=alert(1)>"
BASE = {"model": "seed-bert", "task": "toy", "method": "lora", "steps": 12, "eval_items": 100}


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.names.add(tag)
        if tag not in ("meta", "polyline", "line", "circle", "rect"):
            self.open.append(tag)
        assert not {name for name, _ in attributes} & {"src", "href", "onload", "onerror"}

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


def result(spec: RunSpec, score: float, end: Any = None) -> RunResult:
    started = Started(spec=spec.to_dict(), fingerprint=spec.fingerprint, counts=spec.counts.to_dict(), weights_sha256="ab" * 32, data_sha256="cd" * 32,
                      versions={"peft": "0.21"}, device="cpu", dtype="float32", threads=2, items={"test": 100})
    steps = [Stepped(step=step, loss=1 / step, lr=0.1, seconds=step) for step in range(1, 13)]
    seen = [Evaluated(step=12, who=who, split="test", metric="accuracy", score=value, standard_error=0.02, items=100)
            for who, value in (("base", 0.5), ("tuned", score))]
    memory = Observed(12, "memory", {"peak_bytes": 5_000_000})
    samples = Observed(12, "samples", [{"text": MARKUP, "label": "good", "before": "bad", "after": "good"}])
    return fold([started, *steps, *seen, memory, samples, end or Finished(step=12, seconds={"training": 12.0, "total": 15.0}, steps_per_second=1.0,
                                                                          adapter_bytes=1234)])


def compared(**changes: Any) -> tuple[dict[str, Any], dict[str, RunResult]]:
    asked = Comparison.parse({"title": MARKUP, "base": BASE, "arms": [{"name": MARKUP}, {"name": "head", "change": {"method": "head"}}], **changes})
    results = {asked.run(name, seed).fingerprint: result(asked.run(name, seed), 0.9 - 0.2 * (name == "head") - 0.01 * seed)
               for name in asked.specs for seed in asked.seeds}
    return report(asked, results), results


def test_a_sweep_is_drawn_against_its_number_and_other_tests_are_a_table() -> None:
    arms = [{"name": f"rank {rank}", "change": {"method": {"rank": rank}}} for rank in (1, 4, 16)]
    told, results = compared(arms=arms, seeds=[0, 1, 2])
    text = of_comparison(told, results)
    Tags(text)
    assert "<h2>By rank</h2>" in text and "rank (logarithmic)" in text and "Tested on other tasks" not in text and "By rank" not in of_comparison(*compared())
    told["tests"] = ["toy", "movies"]
    table = of_comparison(told, results)
    assert "<h2>Tested on other tasks</h2>" in table and "on Movie reviews" in table


def test_a_comparison_is_told_whole_and_asks_nobody() -> None:
    told, results = compared()
    text = of_comparison(told, results, "Made here.")
    tags = Tags(text)
    assert not tags.open and {"svg", "table"} <= tags.names and not tags.names & {"script", "link", "img", "iframe"}
    assert "url(" not in text and MARKUP not in text and "&lt;img" in text
    plain = re.sub(r"<[^>]+>", " ", text)
    assert told["pairs"][0]["says"].split(MARKUP)[-1][:40] in plain and "Made here." in plain
    assert "5.00 MB" in plain.replace("\u202f", " ") and "ab" * 32 in plain and "peft 0.21" in plain and '"seeds"' in plain.replace("&quot;", '"')
    assert text.count('class="c0 thick"') >= 2 and "#0072B2" in text and  text.count("<polyline") == 2 * (len(told["seeds"]) + 1) + 1, "curves, and the front"


def test_a_report_has_the_columns_the_intervals_and_the_figures_of_the_page() -> None:
    told, results = compared()
    for arm in told["arms"]:  # as where these were measured
        arm |= {"alone_times": 1.25, "merged_times": 1.0, "forgetting": 1.5, "rates": 7}
    text = of_comparison(told, results)
    numbers = re.search(r"<h2>Numbers</h2>(.*?)</section>", text, re.DOTALL)[1]
    shown = columns(measures("accuracy", True), told["arms"])
    assert re.findall(r'<th scope="col">(.*?)</th>', numbers) == ["arm", *(each.title for each in shown)]
    assert {"one text", "merged", "forgetting", "rates tried"} <= {each.title for each in shown}
    half = half_width(told["arms"][0]["scores"])
    assert f"0.890 ± {half:.3f}" in numbers and "× 1.25" in numbers and "× 1.50" in numbers and ">7<" in numbers
    drawn = intervals([Spread(arm["name"], place, arm["scores"], arm["mean"], arm["mean"] - width, arm["mean"] + width)
                       for place, arm in enumerate(told["arms"]) if (width := half_width(arm["scores"]))], "accuracy on test items", levels=[0.5])
    assert drawn in text, "a bar is the 95 % interval that the page shows"
    assert '<h2>What does a score cost?</h2><div class="wide" tabindex="0"><svg' in text and 'class="stairs"' in text and "On the front:" in text
    trade = re.search(r"<h2>Trade-offs</h2>(.*?)</section>", text, re.DOTALL)[1]
    assert trade.count("<rect") == 2 * 5 and "Left out: " in trade and "flexibility" in trade


def test_a_report_says_what_was_trained_and_what_it_is_held_against() -> None:
    told, results = compared()
    text = of_comparison(told, results)
    assert "Seeded BERT learns the task Toy sentences: 12 steps of 8 texts each." in text
    assert "Dotted: untouched model 0.500." in text and text.count('class="level"') == 2, "in the figure of scores and in that of costs"
    assert "untouched model, 0.5" not in text, "the arms are ahead of it"
    asked = Comparison.parse(told["comparison"])
    low = {spec.fingerprint: result(spec, 0.3 + 0.01 * seed) for (_, seed), spec in asked.runs.items()}
    assert "Every arm does worse than the untouched model, 0.500" in of_comparison(report(asked, low), low)


def test_a_figure_scrolls_in_its_own_box_where_the_page_is_narrow() -> None:
    drawn = curves([Curve([(1, 0.1), (100, 0.98)], 0, "a")], "step", "loss")
    assert drawn.startswith('<div class="wide"') and "min-width: 36rem" in of_comparison(*compared())


def test_points_and_bars_lie_inside_their_frame() -> None:
    dots = [Dot("a", 0, 100, 0.5, 0.1, True), Dot("b", 1, 1_000_000, 0.9, 0.02, True), Dot("c", 2, 5000, 0.4, 0.0, False)]
    drawn = scattered(dots, "trained", "accuracy", str)
    places = [(float(x), float(y)) for x, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', drawn)]
    assert all(58 <= x <= 570 and 14 <= y <= 260 for x, y in places) and places[0][0] < places[2][0] < places[1][0] and "(logarithmic)" in drawn
    bars = grouped([("memory", [(0, "a", 0.5, "2 GB"), (1, "b", 1.0, "1 GB")])], "1 is the best")
    one, whole = (float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', bars))
    assert one == pytest.approx(whole / 2, abs=0.1) and "a 2 GB" in bars and scattered([], "x", "y", str) == grouped([], "x") == ""


def test_what_is_missing_of_a_comparison_is_left_out() -> None:
    told, results = compared()
    asked = Comparison.parse(told["comparison"])
    name, seed = "head", 0
    broken = dict(results)
    broken[asked.run(name, seed).fingerprint] = result(asked.run(name, seed), 0.5, Failed(reason="out of memory", step=3))
    assert "out of memory" in of_comparison(report(asked, broken), broken)
    nothing = of_comparison(report(asked, {}), {})
    assert not Tags(nothing).open and "<svg" not in nothing and "Running" in nothing


@pytest.mark.parametrize("end", [None, Failed(reason=MARKUP, step=3), Cancelled(step=3)])
def test_a_run_is_told_however_it_ended(end: Any) -> None:
    text = of_run(result(RunSpec.parse(BASE), 0.8, end), "LoRA on a seeded model")
    assert not Tags(text).open and MARKUP not in text and "&lt;img" in text and "0.800 ± 0.020" in text and "<svg" in text
    assert not Tags(of_run(RunResult(), "Nothing yet")).open


def test_figures_lie_inside_their_frame_and_name_round_numbers() -> None:
    drawn = curves([Curve([(1, 0.1234), (100, 0.98)], 0, "a name that is far too long for its place"), Curve([(1, 0.5), (50, 0.2)], 1)], "step", "loss")
    points = [tuple(map(float, pair.split(","))) for line in re.findall(r'points="([^"]+)"', drawn) for pair in line.split()]
    assert all(58 <= x <= 570 and 14 <= y <= 260 for x, y in points) and ">0.5<" in drawn and ">1.0<" in drawn and "…" in drawn
    spread = intervals([Spread("one", 0, (0.5, 0.6), 0.55, 0.5, 0.6), Spread("two", 1, (0.7,), 0.7, None, None)], "accuracy")
    places = [float(x) for x in re.findall(r'cx="([\d.]+)"', spread)]
    assert len(places) == 5 and places == sorted(places[:2]) + places[2:] and places[-1] == max(places)
    assert curves([], "x", "y") == intervals([], "x") == curves([Curve([(1, 2)], 0)], "x", "y") == ""
    assert "<polyline" in curves([Curve([(1, 2.0), (2, 2.0)], 0)], "x", "y"), "a constant is a line"


def test_the_figure_of_the_question_comes_first_and_arms_look_as_on_the_page() -> None:
    told, results = compared(measure="peak_bytes", by="last_loss")
    for place, arm in enumerate(told["arms"]):
        for run in arm["runs"]:
            run["peak_bytes"] = (1 + place) * 1_000_000 + run["seed"]
    text = of_comparison(told, results)
    heads = re.findall(r"<h2>(.*?)</h2>", text)
    assert heads.index("Memory of a step") == heads.index("Verdicts") + 1 < heads.index("Scores"), heads
    assert "memory of a step, MB" in text
    way = looks(list(Comparison.parse(told["comparison"]).specs.values()))
    assert all(f"svg .c{place} {{ stroke: {each['colour']}; }}" in text for place, each in enumerate(way))
    wide = {arm["name"]: {"colour": "#123456", "dash": "dash"} for arm in told["arms"]}
    assert "stroke: #123456" in of_comparison(told, results, drawn=wide)
    assert "Memory of a step" not in of_comparison(*compared())


def test_an_outcome_that_is_read_beside_has_its_own_verdicts() -> None:
    told, results = compared(by="gap")
    for arm in told["arms"]:
        for run in arm["runs"]:
            run |= {"test_loss": 0.5 + 0.01 * run["seed"], "last_loss": 0.4}
    text = of_comparison(told, results)
    part = re.search(r"<h2>Gap between training and test</h2>(.*?)</section>", text, re.DOTALL)[1]
    assert "<svg" in part and "<li>" in part


def test_what_spans_powers_of_ten_is_marked_at_them() -> None:
    rows = [Spread("a", 0, [1.0], 1.0, None, None), Spread("b", 1, [1000.0], 1000.0, None, None)]
    drawn = intervals(rows, "times", True)
    assert re.findall(r'class="tick" x="[\d.]+" y="[\d.]+">([\d,]+)<', drawn) == ["1", "10", "100", "1,000"] and "times (logarithmic)" in drawn
