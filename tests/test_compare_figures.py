"""Figures of a comparison: each is made of measured values alone, and what was not measured is left out and said."""
from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest

from lab.compare import Comparison, report
from lab.compare.report import known_outcomes
from lab.compare.varied import swept
from lab.comparing import Kept
from lab.events import Evaluated, Finished, Observed, RunResult, Started, fold
from lab.reporting import of_comparison
from lab.reporting.evidence import evidence
from lab.reporting.measures import measures
from lab.spec import RunSpec
from lab.sweeping import Sweep, Tried
from lab.ui.bench import Bench
from lab.ui.compare.arms import looks
from lab.ui.compare.figures import figures, shows
from lab.ui.compare.interaction import Side, beside, crosses, says
from lab.ui.compare.interaction import figure as interaction
from lab.ui.compare.race import Runner, first_chart, race
from lab.ui.compare.tradeoffs import Evidence, axes, bars, radar

BASE = {"model": "seed-bert", "task": "movies", "method": "lora", "eval_items": 100}
THREE = [{"name": "LoRA"}, {"name": "head", "change": {"method": "head"}}, {"name": "full", "change": {"method": "full"}}]


def ended(spec: RunSpec, score: float, *, pace: float = 10.0, peak: int = 1000, general: float | None = None, more: Mapping[str, Any] | None = None,
          beyond: Mapping[str, float] | None = None, metric: str = "accuracy") -> RunResult:
    """A result as the engine tells it."""
    started = Started(spec.to_dict(), spec.fingerprint, "w", f"data of {spec.task}", {"torch": "2"}, {}, "cpu", "float32", 1, {"train": 500, "test": 100})
    events = [started, Evaluated(0, "majority", "test", metric, 0.5, 0.05, 100), Observed(3, "memory", {"peak_bytes": peak, "parts": {"weights": peak // 2}}),
              Evaluated(3, "tuned", "test", metric, score, 0.03, 100, seconds=100 / pace, more=dict(more or {}))]
    if general is not None:
        events.append(Observed(3, "general_text", {"before": 50.0, "after": 50.0 * general, "ratio": general, "standard_error": 0.1, "paragraphs": 24}))
    if beyond:
        events.append(Observed(3, "transfer", {
            key: {"score": value, "standard_error": 0.04, "items": 100, "data_sha256": key} for key, value in beyond.items()}))
    return fold([*events, Finished(3, {"training": 3 / pace}, pace, 10)])


def drawn(asked: Comparison, result: Callable[[str, int, RunSpec], RunResult], known: Evidence = Evidence()) -> dict[str, Any]:  # noqa: B008  frozen
    """{key: figure}, in the order in which they are shown."""
    made = report(asked, {spec.fingerprint: result(name, seed, spec) for (name, seed), spec in asked.runs.items()})
    look = dict(zip(asked.specs, looks(list(asked.specs.values())), strict=True))
    return {each["key"]: each["figure"] for each in figures(asked, made, look, measures(made["metric"], made["higher_is_better"]), known)}


def methods() -> Comparison:
    return Comparison.parse({"base": BASE, "arms": THREE, "seeds": [0, 1, 2]})


def test_methods_are_dots_with_their_trade_offs() -> None:
    score = {"LoRA": 0.8, "head": 0.7, "full": 0.82}
    found = drawn(methods(), lambda name, seed, spec: ended(spec, score[name] + 0.01 * seed, pace={"LoRA": 10, "head": 20, "full": 5}[name]))
    assert list(found) == ["scores", "tradeoffs", "bars"]
    assert [row[0] for row in found["scores"]["table"]["rows"]] == ["LoRA", "head", "full"] and "most frequent answer 0.500" in found["scores"]["caption"]
    assert found["tradeoffs"]["table"] == found["bars"]["table"], "the same numbers"
    assert found["tradeoffs"]["says"].startswith("Left out: inference (not measured for every arm) and flexibility (it takes a sweep of learning rates")
    assert [name for name, _ in found["tradeoffs"]["notes"]] == ["parameters", "memory", "training speed", "quality"]


def test_axes_are_shares_of_the_best_and_never_guessed() -> None:
    asked = methods()
    score = {"LoRA": 0.75, "head": 0.6, "full": 0.75}
    made = report(asked, {spec.fingerprint: ended(spec, score[name], pace={"LoRA": 10, "head": 20, "full": 5}[name]) for (name, _), spec in asked.runs.items()})
    found, _ = axes(made, Evidence())
    by_name = {axis.name: axis for axis in found}
    assert by_name["training speed"].places == pytest.approx({"LoRA": 0.5, "head": 1.0, "full": 0.25})
    assert by_name["quality"].places == pytest.approx({"LoRA": 1.0, "head": 0.4, "full": 1.0})
    assert by_name["parameters"].places["head"] == 1.0 and by_name["parameters"].places["full"] < by_name["parameters"].places["LoRA"] < 1.0
    known = Evidence({"LoRA": 1.0, "head": 2.0, "full": 0.5}, {"LoRA": (4, 4), "head": (1, 4), "full": (3, 4)})
    flexible = next(axis for axis in axes(made, known)[0] if axis.name == "flexibility")
    assert flexible.values == {"LoRA": 1.0, "head": 0.5, "full": 0.375} and flexible.places["LoRA"] == 1.0
    assert any(name.startswith("flexibility") for name in axes(made, Evidence(known.widths, {"LoRA": (1, 1), "head": (1, 1), "full": (1, 1)}))[1])
    made["arms"][0]["elsewhere"] = "another machine"
    assert "training speed (arms were timed on different machines)" in axes(made, Evidence())[1]
    for arm in made["arms"]:
        arm["peak_bytes"] = None
    assert "memory (not measured for every arm)" in axes(made, Evidence())[1]
    for arm in made["arms"]:
        arm["share"] = 0
    look = dict(zip(asked.specs, looks(list(asked.specs.values())), strict=True))
    assert radar(made, look, Evidence()) is None and bars(made, look, Evidence()) is None, "one axis is no radar"


def test_flexibility_needs_sweeps_and_scores_on_several_tasks(tmp_path: Any) -> None:
    asked = Comparison.parse({"base": BASE, "arms": THREE[:2], "seeds": [0]})
    lr = {name: spec.lr for name, spec in asked.specs.items()}
    swept = {("seed-bert", key): Sweep("movies", 3, 0.5, (Tried(lr[name], 0.8, 0.01), Tried(lr[name] * 10, 0.79, 0.01), Tried(lr[name] * 100, 0.5, 0.01)))
             for name, key in (("LoRA", "lora"), ("head", "head"))}
    found = evidence(asked, swept)
    assert found.widths == pytest.approx({"LoRA": 1.0, "head": 1.0}) and found.tasks == {"LoRA": (0, 0), "head": (0, 0)}
    odd = Comparison.parse({"base": BASE, "arms": [{"name": "LoRA", "change": {"method": {"rank": 2}}}, THREE[1]], "seeds": [0]})
    assert "LoRA" not in evidence(odd, swept).widths, "other knobs are another method's flexibility"


def test_a_transfer_table_has_a_row_an_arm_and_a_column_a_test() -> None:
    tests = ["movies", "products"]
    asked = Comparison.parse({"base": {**BASE, "tested_on": tests}, "seeds": [0, 1, 2],
                              "arms": [{"name": "on movies"}, {"name": "on products", "change": {"task": "products"}}]})
    found = drawn(asked, lambda name, seed, spec: ended(spec, 0.8, beyond=dict.fromkeys(spec.beyond, 0.6)))
    assert next(iter(found)) == "transfer"
    table = found["transfer"]["table"]
    assert table["columns"] == ["arm", "trained on", "Movie reviews", "Product reviews"]
    assert [row[2:] for row in table["rows"]] == [["0.800 ± 0.000", "0.600 ± 0.000"], ["0.600 ± 0.000", "0.800 ± 0.000"]]
    assert "“on movies” 20.0 and “on products” 20.0" in found["transfer"]["says"] and "the mean over all these tests" in found["transfer"]["says"]
    assert [trace["text"] for trace in found["transfer"]["data"] if trace.get("mode") == "text"] == [["0.80 ●", "0.60"], ["0.60", "0.80 ●"]]


def test_number_formats_are_drawn_against_bytes() -> None:
    asked = Comparison.parse({"base": BASE, "seeds": [0, 1, 2], "arms": [{"name": "as it is"}, {"name": "NF4", "change": {"quantization": "nf4"}}]})
    found = drawn(asked, lambda name, seed, spec: ended(spec, 0.8 + 0.01 * seed, peak=400 if spec.quantization else 1000))
    assert next(iter(found)) == "formats" and found["formats"]["table"]["columns"][1:3] == ["weights", "accuracy"]
    assert [row[1] for row in found["formats"]["table"]["rows"]] == ["500\u202fbytes", "200\u202fbytes"]


def test_forgetting_and_unseen_kinds_are_drawn_where_they_were_measured() -> None:
    asked = Comparison.parse({"base": {"model": "seed-llama", "task": "table_to_text", "method": "lora"}, "arms": [THREE[0], THREE[2]], "seeds": [0, 1, 2]})
    more = {"BLEU (seen)": [40.0, 1.0], "BLEU (unseen)": [25.0, 1.0]}
    found = drawn(asked, lambda name, seed, spec: ended(spec, 30.0, metric="BLEU", general=1.1 if name == "LoRA" else 2.0, more=more))
    assert {"groups", "forgetting", "learned"} <= set(found)
    assert [row[3] for row in found["forgetting"]["table"]["rows"]] == ["× 1.10", "× 2.00"]
    assert "From × 1.10 (LoRA) to × 2.00 (full)" in found["forgetting"]["says"]
    assert [row[3] for row in found["groups"]["table"]["rows"]] == ["−15.0 BLEU ± 0.0"] * 2
    assert "forgetting" not in drawn(methods(), lambda name, seed, spec: ended(spec, 0.7))


def test_all_texts_stand_at_how_many_there_are() -> None:
    asked = Comparison.parse({"base": BASE, "seeds": [0, 1, 2],
                              "arms": [*({"name": str(count), "change": {"train_items": count}} for count in (16, 64)), {"name": "all"}]})
    found = drawn(asked, lambda name, seed, spec: ended(spec, {"16": 0.6, "64": 0.7, "all": 0.8}[name] + 0.01 * seed))
    assert [row[0] for row in found["swept"]["table"]["rows"]] == ["16", "64", "500"] and ", at 500 (texts to learn from)" in found["swept"]["says"]


def test_a_learning_rate_has_its_good_interval(tmp_path: Any) -> None:
    scores = {0.001: 0.6, 0.01: 0.79, 0.1: 0.8, 1.0: 0.5}
    asked = Comparison.parse({"base": BASE, "seeds": [0, 1, 2], "arms": [{"name": f"{lr:g}", "change": {"lr": lr}} for lr in scores]})
    found = drawn(asked, lambda name, seed, spec: ended(spec, scores[spec.lr] + 0.002 * (seed - 1)))["swept"]
    assert found["says"] == "Best mean 0.800, at 0.1 (learning rate). Good from 0.01 to 0.1, a factor of 10." and "Tinted" in found["caption"]
    tinted = next(trace for trace in found["data"] if trace["name"] == " good rates")
    assert min(tinted["x"]) < 0.01 and max(tinted["x"]) > 0.1 and max(tinted["x"]) < 1.0


# ── every ready question has its own figure ───────────────────────────────────────────────────────────────────────────

READY = Path(__file__).parent.parent / "assets" / "comparisons"
FIRST = {  # what answers a question, where that is neither a curve over a number nor the scores of the arms
    "domains": "transfer", "domains-decoder": "transfer", "domains-methods": "transfer", "forgetting": "learned", "forgetting-rates": "learned",
    "seen-unseen": "groups", "new-facts": "groups", "steps": "gap", "prompt-vote": "votes", "four-bits": "formats", "nf4-or-bf16": "formats",
    "seven-techniques": "formats", "examples-order": "sets", "examples-wording": "sets", "examples-labels": "sets", "examples-or-training": "tokens",
    "lower-or-upper": "halves", "prompts-labels": "crossed", "prompts-texts": "crossed", "rank-by-heart": "scores",
}
CURVES = {"rank": "rank", "rank-text": "rank", "prompt-length": "virtual tokens", "few-texts": "texts to learn from", "few-texts-full": "texts to learn from",
          "few-texts-adapter": "texts to learn from", "few-texts-bitfit": "texts to learn from", "layers": "layers", "bottleneck": "bottleneck",
          "lora-plus": "ratio", "intrinsic-dimension": "dimension", "model-scale": "numbers in the model", "learning-rate-lora": "learning rate",
          "learning-rate-full": "learning rate", "learning-rate-adapter": "learning rate", "learning-rate-prompt": "learning rate"}


def everything(name: str, seed: int, spec: RunSpec) -> RunResult:
    """A run in which all was measured that can be."""
    kinds = {"table_to_text": ("seen", "unseen"), "new_facts": ("as told", "backwards")}.get(str(spec.task), ())
    metric = spec.goal.metric
    made = learned("LoRA", seed, spec, 0.8 + 0.01 * seed)
    told = ended(spec, 0.8 + 0.01 * seed, general=1.1 + 0.1 * seed, metric=metric, more={f"{metric} ({kind})": [0.7, 0.01] for kind in kinds},
                 beyond=dict.fromkeys(spec.beyond, 0.6), peak=400 if spec.quantization else 1000)
    seen = (*told.observed, Observed(3, "answers", {"tuned": "01" * 50, "untrained": ""}), Observed(3, "read", {"tokens_per_answer": 50 + spec.longest}))
    return replace(told, losses=made.losses, observed=seen, scores={**told.scores, "tuned": replace(told.scores["tuned"], loss=0.7)})


@pytest.mark.parametrize("path", sorted(READY.glob("*.json")), ids=lambda path: path.stem)
def test_every_ready_question_is_answered_by_its_own_figure(path: Path) -> None:
    asked = Comparison.read(path)
    shelf = Known({key.stem: Comparison.read(key) for key in READY.glob("prompts-*.json")})
    made = report(asked, {spec.fingerprint: everything(name, seed, spec) for (name, seed), spec in asked.runs.items()}, [0, 1] * 50)
    look = dict(zip(asked.specs, looks(list(asked.specs.values())), strict=True))
    found = figures(asked, made, look, measures(made["metric"], made["higher_is_better"], made["test_metric"]), Evidence(),
                    beside(Bench(None, ready=shelf), asked, made, look))
    first = found[0]["key"]
    if path.stem in CURVES:
        assert first == "swept" and found[0]["title"] == f"By {CURVES[path.stem]}"
    else:
        assert first == FIRST.get(path.stem, "swept" if swept(asked) else "scores"), [each["key"] for each in found]
    about = next(iter(known_outcomes(asked, made)))
    assert about == asked.measure and shows(about, about, found) == first
    assert json.dumps(found, allow_nan=False) and made["pairs"][0]["says"]


class Known:
    """A shelf of questions whose runs are all recorded."""

    def __init__(self, asked: dict[str, Comparison]) -> None:
        self.questions = asked
        self._runs = {spec.fingerprint: (name, seed, spec) for each in asked.values() for (name, seed), spec in each.runs.items()}

    def of(self, spec: RunSpec) -> Kept | None:
        return Kept({}, everything(*self._runs[spec.fingerprint])) if spec.fingerprint in self._runs else None


# ── methods × kinds of task ───────────────────────────────────────────────────────────────────────────────────────────


def sides(labels: dict[str, list[float]], texts: dict[str, list[float]]) -> list[Side]:
    return [Side(kind, "a task", metric, {name: dict(enumerate(scores)) for name, scores in each.items()})
            for kind, metric, each in (("labels", "accuracy", labels), ("texts", "chrF", texts))]


def test_an_interaction_is_told_where_methods_change_places_and_else_not() -> None:
    crossing = sides({"prompt": [0.80, 0.81, 0.80], "prefix": [0.60, 0.61, 0.61]}, {"prompt": [30.0, 30.5, 30.2], "prefix": [40.0, 40.4, 40.1]})
    told = says(crossing, ["prompt", "prefix"])
    assert told.startswith("An interaction can be told. With labels rather than texts, in shares of the best: prompt gains ") and " on prefix (" in told
    near = sides({"prompt": [0.80, 0.84, 0.78], "prefix": [0.78, 0.81, 0.80]}, {"prompt": [40.0, 42.5, 39.2], "prefix": [39.0, 41.4, 40.1]})
    alike = says(near, ["prompt", "prefix"])
    assert alike.startswith("No interaction can be told") and "more seeds of both would be needed" in alike
    assert "at least 3 seeds" in says(sides({"a": [0.8], "b": [0.7]}, {"a": [30.0], "b": [20.0]}), ["a", "b"])
    drawn_ = interaction(crossing, {name: {"colour": "#000000", "dash": "solid", "symbol": "circle"} for name in ("prompt", "prefix")})
    assert [trace["name"] for trace in drawn_["data"]] == ["prompt", "prefix"] and max(drawn_["data"][0]["y"]) == pytest.approx(100)
    assert drawn_["table"]["rows"][0][3:] == ["100.0%", "75.3%"]


def test_without_an_interaction_none_is_told() -> None:
    """Three methods, equally far apart on both tasks, with luck of the size that seeds have."""
    random, false = numpy.random.default_rng(12), 0
    for _ in range(1000):
        labels, texts = ({name: list(level * (share + 0.02 * random.standard_normal(3))) for name, share in (("a", 1.0), ("b", 0.9), ("c", 0.85))}
                         for level in (0.8, 40.0))
        false += says(sides(labels, texts), ["a", "b", "c"]).startswith("An interaction")
    assert 0 < false / 1000 <= 0.065


def test_only_the_same_methods_on_the_other_kind_of_task_are_crossed() -> None:
    labels, texts = (Comparison.read(READY / f"prompts-{key}.json") for key in ("labels", "texts"))
    assert crosses(labels, texts) and crosses(texts, labels) and not crosses(labels, labels)
    assert not crosses(labels, Comparison.read(READY / "table-to-text.json"))


# ── what was learned by heart ─────────────────────────────────────────────────────────────────────────────────────────


def by_heart(**more: Any) -> Comparison:
    return Comparison.parse({"base": BASE, "arms": THREE[:2], "seeds": [0, 1, 2], "measure": "last_loss", "train": True, **more})


def learned(name: str, seed: int, spec: RunSpec, score: float = 0.5) -> RunResult:
    """Twenty steps whose last ten lie around 0.2 for LoRA and 0.6 for the head; the test knows nothing."""
    whole = ended(spec, score)
    level = (0.2 if name == "LoRA" else 0.6) + 0.002 * seed
    losses = tuple((step, 0.9 if step <= 10 else level + 0.1 * (-1) ** step) for step in range(1, 21))
    return replace(whole, losses=losses, scores={**whole.scores, "tuned": replace(whole.scores["tuned"], loss=0.7)})


def test_verdicts_may_be_about_the_last_training_loss_of_which_less_is_better() -> None:
    asked = by_heart()
    made = report(asked, {spec.fingerprint: learned(name, seed, spec) for (name, seed), spec in asked.runs.items()})
    assert (made["metric"], made["higher_is_better"], made["test_metric"]) == ("training loss", False, "accuracy")
    assert made["arms"][0]["mean"] == pytest.approx(0.202) and made["arms"][0]["test_score"] == 0.5, "the mean of ten steps, and the test beside it"
    (pair,) = made["pairs"]
    assert pair["verdict"] == "a_better" and pair["says"].startswith("LoRA beats head by 0.400 training loss") and pair["items"] == []
    assert made["references"] == {} and made["arms"][0]["vote"] is None
    chosen = measures(made["metric"], made["higher_is_better"], made["test_metric"])
    assert [each.key for each in chosen[:2]] == ["score", "test_score"] and chosen[0].better == -1 and chosen[1].title == "accuracy"
    assert "last_loss" not in [each.key for each in chosen] and "last_loss" in [each.key for each in measures("accuracy", True)]
    assert "training loss" in of_comparison(made, {})


def test_what_verdicts_are_about_changes_no_run() -> None:
    plain = Comparison.parse({"base": BASE, "arms": THREE[:2], "seeds": [0, 1, 2]})
    assert [spec.fingerprint for spec in by_heart().runs.values()] == [spec.fingerprint for spec in plain.runs.values()]
    assert Comparison.parse(by_heart().to_dict()) == by_heart() and not {"measure", "train"} & set(plain.to_dict())


def test_training_stands_against_test_where_it_is_asked_for() -> None:
    found = drawn(by_heart(), learned)
    assert list(found)[:2] == ["scores", "gap"]
    assert found["gap"]["table"]["rows"] == [["LoRA", "0.202", "0.7", "+0.498"], ["head", "0.602", "0.7", "+0.098"]]
    assert "furthest apart for LoRA (+0.498)" in found["gap"]["says"] and found["scores"]["layout"]["xaxis"]["title"]["text"] == "training loss"
    assert next(iter(drawn(by_heart(measure="score"), learned))) == "gap" and "gap" not in drawn(by_heart(train=False), learned)


def test_the_loss_on_validation_texts_stands_beside_that_on_training_texts() -> None:
    spec = RunSpec.parse({**BASE, "steps": 20})
    result = learned("LoRA", 0, spec)
    looked = [Evaluated(step, "tuned", "validation", "accuracy", 0.5, 0.1, 20, loss=0.7 + step / 100) for step in (10, 20)]
    runner = Runner("LoRA", looks([spec])[0], [(0, replace(result, evaluations=(*result.evaluations, *looked)), True)])
    held = next(trace for trace in race([runner], "loss", True, "movies", True)["data"] if trace.get("name") == "LoRA: validation")
    assert held["x"] == [10, 20] and held["y"] == pytest.approx([0.8, 0.9]) and held["line"]["dash"] == "dot"
    assert "LoRA: validation" not in [trace.get("name") for trace in race([runner], "loss", True, "movies")["data"]]
    assert first_chart([runner], True) == "score" and first_chart([runner], False) == "loss"


def test_scores_of_runs_that_were_never_looked_at_in_between_are_in_the_chart() -> None:
    spec = RunSpec.parse({**BASE, "steps": 20})
    found = race([Runner("LoRA", looks([spec])[0], [(0, ended(spec, 0.7), True)])], "score", True, "movies")
    marks = next(trace for trace in found["data"] if trace.get("name") == "LoRA: test")
    low, high = found["layout"]["xaxis"]["range"]
    assert marks["x"] and all(low < step < high for step in marks["x"])


def test_kinds_of_items_whatever_they_are_called_are_a_row_each() -> None:
    asked = Comparison.parse({"base": {"model": "seed-llama", "task": "new_facts", "method": "lora"}, "arms": [THREE[0], THREE[2]], "seeds": [0, 1, 2]})
    more = {"token F1": [0.5, 0.1], "exact match (as told)": [0.9, 0.1], "exact match (backwards)": [0.1, 0.1], "exact match (true facts)": [0.6, 0.1],
            "token F1 (as told)": [0.95, 0.1]}
    found = drawn(asked, lambda name, seed, spec: ended(spec, 0.5, metric="exact match", more=more))["groups"]
    assert found["table"]["columns"] == ["arm", "as told", "backwards", "true facts"], "kinds of the score, not those of other metrics"
    assert [row[1] for row in found["table"]["rows"]] == ["0.900 ± 0.000"] * 2 and "LoRA: as told 0.900, backwards 0.100." in found["says"]
    assert [trace["name"] for trace in found["data"]] == ["LoRA", "full"] and found["key"]
