"""The page without a browser: the form from knobs, the address, the figures, the cards, and who may see and change what."""
from __future__ import annotations

import csv
import io
import json
import zipfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from _trials import every_nth

from lab import catalogue
from lab.accounting.shapes import shape_of
from lab.contracts import LabError, listing
from lab.events import Cancelled, Evaluated, Event, Failed, Finished, Observed, Preparing, Started, Stepped, fold
from lab.recording import Recorded, find, read, shelf, write
from lab.spec import RunSpec
from lab.store import Store
from lab.sweeping import Sweep, Tried
from lab.ui import address, cards, charts, controls, formula, home, live, page, picture, runs, train, wording
from lab.ui.bench import Bench, Limits
from lab.ui.view import answered

ROOT = Path(__file__).parent.parent
MIXED = ("minilm-l6", "smollm2-135m", "seed-t5")
PAIRS = {method: [model for model, entry in catalogue.entries("models").items() if kind().supports(shape_of(entry.config)).ok]
         for method, kind in catalogue.entries("methods").items()}
FORMS = [(model, method) for method, models in PAIRS.items() for model in sorted(models, key=lambda key: key not in MIXED)[:3]]  # all knobs, on three kinds
TINY = {"model": "seed-bert", "method": {"name": "lora", "rank": 4}, "steps": 20}
MEMORY = {"peak_bytes": 30, "peak_moment": "forward_end", "parts": {"weights": 10, "activations": 20}, "moments": []}


SAMPLE = {"text": "<b>${alert(1)}</b>", "label": "positive", "before": {"answer": "negative", "probability": 0.6},
          "after": {"answer": "positive", "probability": 0.9}}


def started(spec: RunSpec) -> Started:
    return Started(spec.to_dict(), spec.fingerprint, "w" * 64, "d" * 64, {}, spec.counts.to_dict(), "cpu", "float32", 2,
                   {"train": 100, "validation": 20, "test": 50}, MEMORY)


def stream(spec: RunSpec, end: Event | None = None, score: float = 0.75) -> list[Event]:
    """A run as the engine would tell it."""
    steps = [Stepped(step, 1 / step, spec.lr, step / 10, [[step - 1, 1.0], [step, 1 / step]], tokens=10 * step) for step in range(2, spec.steps + 1, 2)]
    return [
        started(spec), Evaluated(0, "majority", "test", "accuracy", 0.5, 0.07, 50), Evaluated(0, "base", "test", "accuracy", 0.6, 0.07, 50), *steps,
        Evaluated(10, "tuned", "validation", "accuracy", 0.7, 0.1, 20, seconds=0.2), Observed(3, "memory", MEMORY),
        *([end] if end else [Evaluated(spec.steps, "tuned", "test", "accuracy", score, 0.06, 50), Evaluated(0, "untrained", "test", "accuracy", 0.5, 0.07, 50),
                             Observed(spec.steps, "samples", [SAMPLE]),
                             Finished(spec.steps, {"first_step": 0.1, "training": 2.0, "total": 3.0}, 10.0, 5000)]),
    ]


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    with Store(tmp_path) as store:
        yield Bench(store)


def ask(questions: list[Any], name: str, **asked: Any) -> dict[str, Any]:
    return next(each for each in questions if each.__name__ == name)(asked)


def ran(bench: Bench, owner: str = "me", **change: Any) -> str:
    """A finished run in the store."""
    spec = RunSpec.parse({**TINY, **change})
    run = bench.store.submit(spec, owner)
    bench.store.claim("worker")
    bench.store.append(run.id, stream(spec))
    return run.id


# ── the form ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("model", "method"), every_nth(3, FORMS))
def test_every_knob_of_every_method_is_in_the_form_with_help(model: str, method: str) -> None:
    form = controls.form(model, method)
    shown = {control["name"]: control for control in (*form["knobs"], *form["settings"], *form["advanced"])}
    kind = catalogue.find("methods", method)
    assert set(kind.model_fields) <= set(shown)
    assert set(RunSpec.model_fields) - set(controls.HIDDEN) <= set(shown)
    for name, control in shown.items():
        assert control["help"].endswith("."), f"{name} has no help"
        assert control["label"][0].isupper()
        if control["marks"]:
            assert control["marks"] == sorted(set(control["marks"]))
            assert all(control["low"] <= mark <= control["high"] for mark in control["marks"])
    json.dumps(form, allow_nan=False)


@pytest.mark.parametrize(("model", "method"), every_nth(3, FORMS))
def test_what_the_form_shows_unchanged_is_what_the_defaults_run(model: str, method: str) -> None:
    form = controls.form(model, method)
    draft: dict[str, Any] = {"model": model, "task": form["task"], "method": {"name": method}}
    for control in (*form["knobs"], *form["settings"], *form["advanced"]):
        (draft["method"] if control["part"] == "method" else draft)[control["name"]] = control["default"]
    assert controls.parse(draft) == controls.defaults(model, method)


def test_a_knob_says_its_own_and_peft_s_name() -> None:
    rank = next(control for control in controls.form("minilm-l6", "lora")["knobs"] if control["name"] == "rank")
    assert (rank["label"], rank["small"], rank["kind"]) == ("Rank", "peft: r", "whole")
    assert {1, 8, 256} <= set(rank["marks"])


def rate_control(*tried: Tried, model: str = "minilm-l6", base: float | None = None) -> dict[str, Any]:
    sweeps = {(model, "lora"): Sweep("movies", 100, 0.52, tried, base)} if tried else {}
    return next(control for control in controls.form(model, "lora", sweeps=sweeps)["settings"] if control["name"] == "lr")


def test_a_learning_rate_says_from_how_many_it_was_chosen() -> None:
    found = rate_control(Tried(3e-4, 0.74, 0.02), Tried(1e-3, 0.81, 0.02), Tried(3e-3, 0.80, 0.02))
    assert found["band"] == [1e-3, 3e-3] and found["default"] == 3e-3
    assert "0.003 was chosen from 3" in found["help"] and "0.80 ± 0.02" in found["help"] and "0.52" in found["help"]
    assert found["band_says"].startswith("Tinted: from 0.001 to 0.003") and "2 points" in found["band_says"] and "standard error" in found["band_says"]
    assert "the other knobs have usual values, which no sweep chose" in found["more"]
    found = rate_control(Tried(3e-4, 0.50, 0.02), Tried(1e-3, 0.53, 0.02), Tried(3e-3, None, 0.0))
    assert "None of the 3 rates" in found["help"] and "needs more steps" in found["help"] and found["band"] is None


def test_two_runs_differ_in_a_knob_that_one_of_them_does_not_write() -> None:
    prefix = {"model": "seed-llama", "task": "toy", "method": {"name": "prefix_tuning"}}
    all_blocks, half = (RunSpec.parse(prefix | {"method": prefix["method"] | knobs}).to_dict() for knobs in ({}, {"which": "lower"}))
    assert "which" not in all_blocks["method"]
    for pair, values in (((all_blocks, half), ["all", "lower"]), ((half, all_blocks), ["lower", "all"])):
        assert runs.differences(*pair) == [{"name": "which", "values": values}]


def test_an_estimated_band_is_not_passed_off_as_measured() -> None:
    found = rate_control()
    assert found["band"] == [1e-3, 5e-3] and found["band_says"].endswith("an estimate, not measured here") and "estimate" in found["help"] and not found["more"]
    assert "chosen from" not in found["help"]
    for tried in ((Tried(3e-3, 0.8, 0.02),), (Tried(1e-3, 0.8, 0.02), Tried(3e-3, 0.8, 0.02))):
        found = rate_control(*tried)
        assert found["band"] is None and found["band_says"] == "" and "usually learns" not in found["help"]


def test_a_rate_that_cannot_be_told_from_the_untouched_model_says_so() -> None:
    tried = Tried(1e-3, 0.80, 0.03)
    told = rate_control(tried, model="smollm2-135m", base=0.76)["help"]
    assert "cannot be told from the untouched model (0.76 on the same validation texts)" in told and "a lead is clear from 0.06 on" in told
    assert "None of the 2 rates that were tried can be told from" in rate_control(tried, Tried(3e-3, 0.7, 0.03), model="smollm2-135m", base=0.76)["help"]
    assert "the untouched model 0.60" in rate_control(tried, model="smollm2-135m", base=0.60)["help"]
    assert "untouched" not in rate_control(tried, model="smollm2-135m")["help"]


def test_a_long_run_and_the_number_format_of_each_are_told() -> None:
    quick = (Tried(1e-3, 0.81, 0.02, "", 20.0, 26.0, "bfloat16", 2), Tried(3e-3, 0.80, 0.02, "", 300.0, 310.0, "float32", 1))
    found = rate_control(*quick)
    assert "took" not in found["help"], "the quickest of them says how long one takes"
    assert "0.001 (0.81) in bfloat16; 0.003 (0.80) in float32" in found["more"]
    slow = rate_control(*(replace(each, seconds=4 * each.seconds) for each in quick))
    assert "took 1\u202fmin 44\u202fs when it was recorded (bfloat16, 2 threads, perhaps beside other work)" in slow["help"]


def test_what_was_tried_leaves_the_head_s_own_rate_told() -> None:
    own = "The new head has a rate of its own, 0.01."
    assert own in rate_control()["help"] and own in rate_control(Tried(3e-3, 0.8, 0.02))["help"]
    assert own not in rate_control(model="smollm2-135m")["help"]


def test_what_a_method_fixes_cannot_be_changed() -> None:
    steps = next(control for control in controls.form("seed-llama", "in_context")["settings"] if control["name"] == "steps")
    assert steps["fixed"] and steps["default"] == 0


def test_the_base_can_be_kept_in_what_the_method_takes() -> None:
    def offered(method: str) -> tuple[list[str | None], bool, str]:
        control = next(each for each in controls.form("smollm2-135m", method)["advanced"] if each["name"] == "quantization")
        for value, _ in control["choices"]:
            controls.parse({"model": "smollm2-135m", "method": method, **({} if control["fixed"] else {"quantization": value})})
        return [value for value, _ in control["choices"]], control["fixed"], control["help"]

    assert offered("lora") == ([None, "nf4", "nf4_double", "fp4", "int8"], False, offered("houlsby")[2])
    assert offered("dora")[0] == [None, "nf4", "nf4_double", "fp4"] and "stands only on a base in nf4" in offered("dora")[2]
    assert offered("full")[:2] == ([None], True) and "have no gradient" in offered("full")[2]
    assert offered("qlora")[1:] == (True, "QLoRA fixes this.")


def test_limits_are_enforced_by_the_server() -> None:
    with pytest.raises(LabError, match="rank is 0: must be 1 to 256"):
        controls.parse({"model": "seed-bert", "method": {"name": "lora", "rank": 0}})
    for nonsense in (None, 3, [], {"model": {"config": {}}}, {"model": "seed-bert", "method": "lora", "path": "/etc"}):
        with pytest.raises(LabError):
            controls.parse(nonsense)


def test_a_method_that_does_not_fit_says_why() -> None:
    methods = {row["key"]: row for row in controls.catalogues()["methods"]}
    assert "decoder" in methods["head"]["supports"]["smollm2-135m"]
    assert "smollm2-135m" not in methods["lora"]["supports"]


# ── counting by hand ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", PAIRS)
def test_the_terms_add_up_to_the_count(method: str) -> None:
    for model in PAIRS[method]:
        spec = controls.defaults(model, method)
        assert sum(term.total for term in formula.terms(spec.method.places(spec.shape))) == spec.counts.method, model
        assert sum(int(line["total"].replace(",", "")) for line in formula.lines(spec)) == spec.counts.trainable, model


def test_lora_s_formula_with_the_numbers_put_in() -> None:
    line, head = formula.lines(controls.defaults("minilm-l6", "lora"))
    assert line == {"each": "A 8 × 384 + B 384 × 8 = 6,144", "where": "in 12 places: query and value of all 6 layers", "total": "73,728"}
    assert head["total"] == "770"


def test_the_drawing_shows_what_one_layer_trains() -> None:
    block = cards.trained(controls.defaults("minilm-l6", "lora"))["block"]
    assert {box["name"]: box["count"] for box in block["boxes"] if box["trained"]} == {"query": "6,144", "value": "6,144"}
    assert cards.trained(controls.defaults("minilm-l6", "top_layers"))["block"]["caption"] == "the last 2 of 6 layers, each:"


# ── the address ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("model", "method"), FORMS)
def test_a_link_brings_back_the_same_settings(model: str, method: str) -> None:
    spec = controls.defaults(model, method)
    changed = spec.model_copy(update={"seed": 7, "weight_decay": 0.1, "shuffle_labels": True})
    for each in (spec, changed):
        assert address.read(unquote(address.query(each))) == each
        assert not set(address.query(each)) & set(' "{}&#+')


def test_a_percent_sign_in_a_text_is_not_unescaped_twice(bench: Bench) -> None:
    spec = RunSpec.parse({"model": "seed-bert", "method": {"name": "prompt_tuning", "init": "text", "text": "50% off, %41 & #1"}})
    answer = ask(train.questions(bench), "open_link", spec=unquote(address.query(spec)))
    assert answer["draft"]["method"]["text"] == "50% off, %41 & #1"


def test_a_broken_link_is_told_in_words(bench: Bench) -> None:
    for spec in ("", "%7B", "{}", '{"model":"gtp2","method":"lora"}', "x" * 100_000):
        assert ask(train.questions(bench), "open_link", spec=spec)["error"]


# ── figures ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def curve(**change: Any) -> charts.Curve:
    spec = RunSpec.parse({**TINY, **change})
    return charts.Curve("LoRA", spec.method.key, fold(stream(spec)), spec.steps)


def test_a_figure_has_curves_reference_lines_and_the_same_in_words() -> None:
    figure = charts.learning([curve()])
    json.dumps(figure, allow_nan=False)
    assert [label["name"] for label in figure["labels"]] == ["most frequent answer", "untouched model", "test texts"]
    assert "test accuracy 0.750 ± 0.060" in figure["alt"]
    assert ["LoRA", "20", "accuracy on 50 test texts", "0.750 ± 0.060"] in figure["table"]["rows"]
    assert figure["caption"].startswith("small marks: 20 validation texts; large mark: 50 test texts")


@pytest.mark.parametrize(("model", "task", "small", "large", "read"), [
    ("seed-vit", "digits", "20 validation images", "50 test images", "images"), ("seed-llama", "random_pairs", "20 taught texts", "50 questions", "texts"),
    ("seed-llama", "new_facts", "20 taught texts", "50 questions", "texts"), ("seed-bert", "toy", "20 validation texts", "50 test texts", "texts"),
])
def test_items_are_called_what_they_are(model: str, task: str, small: str, large: str, read: str) -> None:
    spec = RunSpec.parse({**TINY, "model": model, "task": task})
    settings = spec.to_dict()
    view = picture.picture(spec, settings, picture.settled(spec, settings), fold(stream(spec)), "finished", {})
    assert view["figure"]["caption"].startswith(f"small marks: {small}; large mark: {large}, after the last step")
    assert f"steps of {spec.batch} {read}" in view["settings"] and f"on {large} " in view["learned"]["about"] and view["asked"] in large
    assert ("about what it was taught" in view["learned"]["about"]) == ("questions" in large)
    assert ("patches a second" in json.dumps(view["cost"])) == (read == "images")
    if read == "images":
        assert "texts" not in json.dumps([view["figure"], view["settings"], view["status"], cards.nothing(fold([]), "running", task), view["learned"]["about"]])


def test_a_run_stopped_before_its_first_step_says_so_and_can_be_run_again() -> None:
    spec = RunSpec.parse(TINY)
    settings = spec.to_dict()
    view = picture.picture(spec, settings, picture.settled(spec, settings), fold([started(spec), Cancelled(0)]), "cancelled", {})
    assert view["unbegun"] and view["nothing"] == cards.STOPPED and view["next"][0]["words"] == "Run it again"
    assert RunSpec.parse(view["next"][0]["draft"]) == spec


def test_slow_steps_are_told_in_seconds() -> None:
    assert wording.pace(0.04) == ("time of a step", "25\u202fs") and wording.speed(0.25) == "4.0\u202fs a step"
    assert wording.pace(2.34) == ("steps a second", "2.3") and wording.speed(2.34) == "2.3 steps/s"


def test_random_weights_are_not_asked_for_english_and_their_noise_is_explained() -> None:
    general = Observed(20, "general_text", {"before": 50.0, "after": 40.0, "ratio": 0.8, "standard_error": 0.01, "paragraphs": 9})
    told = {}
    for model in ("seed-llama", "smollm2-135m"):
        spec = RunSpec.parse({**TINY, "model": model, "task": "random_pairs"})
        told[model] = cards.learned(fold([*stream(spec)[:-1], general, stream(spec)[-1]]), spec.shape)
    assert (told["seed-llama"]["general"], told["seed-llama"]["noise"]) == ("", cards.UNREAD)
    assert "better by" in told["smollm2-135m"]["general"] and told["smollm2-135m"]["noise"] == ""


def test_hand_written_prompts_are_told_without_praise() -> None:
    spec = RunSpec.parse({**TINY, "model": "seed-llama", "task": "movies"})
    events = [*stream(spec)[:-1], Evaluated(0, "prompt", "test", "accuracy", 0.4, 0.07, 50), stream(spec)[-1]]
    row = next(row for row in cards.learned(fold(events), spec.shape)["rows"] if row["who"] == "prompt")
    tried = 1 + len(spec.goal.wordings)
    assert tried > 1 and row["name"] == "Hand-written prompt" and f"of {tried} wordings the one that did best on validation items" in row["about"]


def test_an_empty_run_has_a_figure() -> None:
    json.dumps(charts.learning([charts.Curve("LoRA", "lora", fold([]), 100)]), allow_nan=False)


def test_a_loss_that_is_no_number_leaves_a_gap() -> None:
    spec = RunSpec.parse(TINY)
    result = fold([started(spec), Stepped(2, 0.5, 0.1, 1.0, [[1, None], [2, 0.5]])])
    json.dumps(charts.learning([charts.Curve("LoRA", "lora", result, 20)]), allow_nan=False)


def test_a_long_run_is_thinned_and_keeps_its_ends() -> None:
    thin = charts.thinned([(step, 1.0) for step in range(1, 5001)])
    assert len(thin) <= charts.POINTS + 1 and thin[0][0] == 1 and thin[-1][0] == 5000


def test_the_mean_of_the_last_steps() -> None:
    assert charts.smoothed([1, 2, 3, 4], 2) == [1, 1.5, 2.5, 3.5]
    assert charts.smoothed([], 2) == []


def test_labels_keep_their_distance_and_their_order() -> None:
    placed = charts.spread([{"y": height} for height in (0.98, 0.5, 0.97, 0.99)], 0.05)
    heights = [label["at"] for label in placed]
    assert [label["y"] for label in placed] == [0.5, 0.97, 0.98, 0.99]
    assert all(high - low >= 0.0499 for low, high in pairwise(heights)) and heights[-1] <= 1.0 and heights[0] == 0.5


def test_a_method_keeps_its_colour_and_usual_ones_never_share_one() -> None:
    assert len({charts.colour(method) for method in charts.USUAL}) == len(charts.USUAL)
    assert charts.colour("lora") == charts.colour("lora") == charts.BLUE


def test_two_runs_of_one_method_can_be_told_apart() -> None:
    lines = [trace["line"]["dash"] for trace in charts.learning([curve(), curve(seed=1)])["data"] if "mean" in trace.get("name", "")]
    assert lines == ["solid", "dash"]


# ── live ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_poll_tells_only_what_is_new(bench: Bench) -> None:
    spec = RunSpec.parse(TINY)
    run = bench.store.submit(spec, "me")
    watcher = live.Watcher(bench)
    first = watcher.poll({"run": run.id, "owner": "me"})
    assert (first["state"], first["status"], first["mine"]) == ("queued", "next in line", True)
    assert watcher.poll({"run": run.id, "owner": "me", "mark": first["mark"]}) == {"mark": first["mark"], "again": live.EACH_PLACE}
    bench.store.claim("worker")
    bench.store.append(run.id, [Preparing("fetching the model", 20_000_000, 80_000_000)])
    seen = watcher.poll({"run": run.id, "owner": "me", "mark": first["mark"]})
    assert (seen["state"], seen["status"], seen["mine"]) == ("preparing", "fetching the model: 20.0\u202fMB of 80.0\u202fMB", True)
    assert seen["progress"] == 0.25
    bench.store.append(run.id, stream(spec)[:8])
    seen = watcher.poll({"run": run.id, "owner": "me", "mark": seen["mark"]})
    assert seen["state"] == "running" and seen["status"].startswith("step 10 of 20 · ")
    bench.store.append(run.id, stream(spec)[8:])
    done = watcher.poll({"run": run.id, "owner": "me", "mark": seen["mark"]})
    assert done["state"] == "finished" and [row["who"] for row in done["learned"]["rows"]] == ["majority", "base", "untrained", "tuned"]
    assert done["cost"]["bars"][0]["name"] == "measured" and done["next"]
    json.dumps(done, allow_nan=False)


def test_a_run_that_is_not_there_is_told_so(bench: Bench) -> None:
    for asked in ({}, {"run": "nobody"}, {"run": None}, "text"):
        assert "unknown run" in live.Watcher(bench).poll(asked)["error"]


def test_a_deleted_run_is_told_so_while_it_is_watched(bench: Bench) -> None:
    watcher, run = live.Watcher(bench), ran(bench)
    assert watcher.poll({"run": run, "owner": "me"})["state"] == "finished"
    bench.store.delete(run)
    assert "deleted" in watcher.poll({"run": run, "owner": "me"})["error"]


def test_failed_and_stopped_runs_keep_what_they_showed(bench: Bench) -> None:
    ran_away = Failed("The loss ran away.", "Lower the learning rate.", "lr", step=12)
    for end, words in ((ran_away, "failed at step 20"), (Cancelled(20), "stopped after all 20 steps, before the score was known")):
        spec = RunSpec.parse(TINY)
        run = bench.store.submit(spec, "me")
        bench.store.claim("worker")
        bench.store.append(run.id, stream(spec, end))
        seen = live.Watcher(bench).poll({"run": run.id, "owner": "me"})
        assert seen["status"] == words and seen["figure"]["data"]
        if isinstance(end, Failed):
            assert (seen["reason"], seen["advice"], seen["knob"]) == ("The loss ran away.", "Lower the learning rate.", "lr")


def test_the_time_left_counts_looks_and_scoring() -> None:
    spec = RunSpec.parse({**TINY, "eval_every": 10})
    early = stream(spec)[:8]
    looked = [*early, Evaluated(10, "tuned", "validation", "accuracy", 0.7, 0.1, 20, seconds=0.2)]
    # 10 steps at 10 a second; one more look at 20 validation texts and two passes over 50 test texts, 0.01 s a text as seen in the look
    assert picture.left(spec, fold(looked), 20) == pytest.approx(1.0 + 0.2 + 1.0)
    # before any look, a third of a training step's time a text: 1 / 3 / (10 steps a second of 8 texts)
    assert picture.left(spec, fold(early), 20) == pytest.approx(1.0 + 120 / 240)


def test_scoring_tells_whom_it_asks_and_how_far_it_is() -> None:
    spec = RunSpec.parse({**TINY, "eval_every": 10})
    trained = [*stream(spec)[:13], Evaluated(20, "tuned", "validation", "accuracy", 0.7, 0.1, 20, seconds=2.0)]
    seen = fold([*trained, Observed(20, "scoring", {"who": "tuned", "done": 20, "items": 50})])
    told = lambda result: picture.status(spec, result, "running", 20).replace("\u202f", " ")  # noqa: E731
    assert picture.unasked(spec, seen) == 30 + 50  # the base is known
    assert told(seen) == "training done; answering the test texts: 20 of 50, about 8 s left"
    assert 0 < picture.progress(seen, "running", 20) < 1 and picture.scoring(seen, "running", 20)
    later = fold([*trained, Evaluated(20, "tuned", "test", "accuracy", 0.7, 0.1, 50, seconds=1.0),
                  Observed(20, "scoring", {"who": "untrained", "done": 10, "items": 50})])
    assert told(later) == "training done; asking the method before training: 10 of 50, a few seconds left"
    assert picture.status(spec, seen, "cancelled", 20) == "stopped after all 20 steps, before the score was known"


def test_full_fine_tuning_is_a_line_where_it_was_recorded(bench: Bench) -> None:
    full = RunSpec.parse({"model": "seed-bert", "method": "full", "steps": 20})
    recorded = Recorded("full", {"date": "2026-01-01", "cores": 2}, tuple(stream(full, score=0.9)))
    lines = picture.reference([recorded], RunSpec.parse(TINY).to_dict())
    assert lines["full fine-tuning, recorded"].score == 0.9
    assert not picture.reference([recorded], RunSpec.parse({"model": "seed-llama", "method": "lora"}).to_dict())


def test_a_recorded_run_opens_in_the_same_view(tmp_path: Path) -> None:
    recorded = Recorded("one", {"date": "2026-01-01", "cores": 2}, tuple(stream(RunSpec.parse(TINY))))
    with Store(tmp_path) as store:
        watcher = live.Watcher(Bench(store, [recorded]))
        seen = watcher.poll({"run": "recorded.one"})
        assert (seen["state"], seen["label"], seen["mine"], seen["cost"]["adapter"]) == ("finished", "recorded 2026-01-01 on 2 CPU cores", False, "")
        assert watcher.poll({"run": "recorded.one", "mark": seen["mark"]}) == {"mark": seen["mark"]}
        assert "unknown run" in watcher.poll({"run": "recorded.two"})["error"]


def test_a_place_in_the_queue_comes_with_a_time_where_it_is_known(bench: Bench) -> None:
    first, second = (bench.store.submit(RunSpec.parse({**TINY, "steps": 100, "seed": seed}), "me") for seed in (1, 2))
    watcher = live.Watcher(bench)
    assert watcher.poll({"run": second.id, "owner": "me"})["status"] == "second in line"
    bench.store.cancel(first.id)
    bench.store.cancel(second.id)
    ran(bench)
    bench.store.submit(RunSpec.parse({**TINY, "steps": 300}), "you")
    last = bench.store.submit(RunSpec.parse(TINY), "me")
    assert watcher.poll({"run": last.id, "owner": "me"})["status"] == "second in line, about 30\u202fs"  # 300 steps at 10 a second


def test_a_class_that_waits_is_told_its_places_and_asks_rarely(bench: Bench) -> None:
    """Of a waiting run only the place changes: nothing else is sent again; and who is far from their turn asks less often."""
    now = [0.0]
    watcher = live.Watcher(bench, clock=lambda: now[0])
    runs = [bench.store.submit(RunSpec.parse({**TINY, "seed": seed}), f"student {seed}") for seed in range(40)]

    def asks(place: int, mark: str = "") -> dict[str, Any]:
        now[0] += 1.5  # never two within a second
        return watcher.poll({"run": runs[place - 1].id, "owner": f"student {place - 1}", "mark": mark})

    seen = {place: asks(place) for place in (1, 2, 3, 40)}
    assert [answer["again"] for answer in seen.values()] == [0.25, 0.5, 0.75, live.RARELY]
    bench.store.cancel(runs[0].id)
    assert asks(3, seen[3]["mark"]) == {"mark": seen[3]["mark"].replace("@3", "@2"), "again": 0.5, "status": "second in line"}
    assert "figure" in asks(1, seen[1]["mark"]) and "figure" in asks(2, ""), "what has ended, and who knows nothing yet, is told everything"
    for run in runs[1:]:
        watcher.poll({"run": run.id, "owner": "nobody"})
    assert asks(2)["again"] == 0.25, "an answer that refuses is not counted"
    rates = [watcher.poll({"run": runs[1].id, "owner": "student 1"})["again"] for _ in range(3 * int(live.POLLS_PER_SECOND))]
    assert rates[0] == 0.25 and rates[-1] == pytest.approx(3 * 0.25, rel=0.05), "three times as many as are answered with ease"
    assert asks(2)["again"] == 0.25


# ── who may do what ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_only_the_owner_changes_a_run(bench: Bench) -> None:
    run = ran(bench)
    asked = {"stop": train.questions(bench), "share": train.questions(bench), "rename": runs.questions(bench), "delete": runs.questions(bench)}
    for owner in ("somebody", "", None):
        for name, questions in asked.items():
            assert "only the browser that started" in ask(questions, name, run=run, owner=owner, title="x")["error"]
    assert ask(asked["rename"], "rename", run=run, owner="me", title="mine")["title"] == "mine"
    assert ask(asked["share"], "share", run=run, owner="me")["shared"]
    assert ask(asked["delete"], "delete", run=run, owner="me")["deleted"]


def test_an_equal_run_is_offered_and_becomes_one_s_own(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        bench = Bench(store, hashes=lambda spec: ("w", "d"))
        theirs = ran(bench, "them")
        spec = RunSpec.parse(TINY)
        started = store.result(theirs).started
        here = Bench(store, hashes=lambda spec: (started.weights_sha256, started.data_sha256))
        assert here.made_before(spec) and not bench.made_before(spec) and not Bench(store).made_before(spec)
        mine = here.again(spec, "me")
        assert (mine.owner, mine.state, mine.reused) == ("me", "finished", True) and mine.id != theirs
        store.delete(mine.id)
        store.delete(theirs)
        with pytest.raises(LabError, match="deleted meanwhile"):
            here.again(spec, "me")


def test_the_history_is_one_s_own(bench: Bench) -> None:
    ran(bench)
    questions = runs.questions(bench)
    assert len(ask(questions, "history", owner="me")["rows"]) == 1
    for owner in ("you", "", None):
        assert ask(questions, "history", owner=owner)["rows"] == []
    assert json.loads(ask(questions, "export", owner="", format="json")["text"]) == []
    assert ask(train.questions(bench), "latest", owner="you") == {"run": None}


def test_a_browser_cannot_fill_the_queue(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        questions = train.questions(Bench(store, limits=Limits(waiting=2, steps=50)))
        submit = lambda **change: ask(questions, "submit", draft={**TINY, **change}, owner="me")  # noqa: E731
        assert "run" in submit() and "run" in submit(seed=1)
        assert "2 of your runs" in submit(seed=2)["error"]
        assert "this lab allows 50" in submit(steps=60)["error"]


def test_errors_come_back_in_words_with_their_field() -> None:
    @answered
    def wrong(asked: Any) -> dict[str, Any]:
        raise LabError("rank is 0: must be 1 to 256")

    assert wrong({}) == wrong(None) == {"error": "rank is 0: must be 1 to 256", "field": "rank"}


# ── history ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_runs_side_by_side_name_what_differs_and_no_winner(bench: Bench) -> None:
    answer = ask(runs.questions(bench), "pair", owner="me", runs=[ran(bench), ran(bench, method={"name": "lora", "rank": 2}, seed=3)])
    assert [(each["name"], each["values"]) for each in answer["differ"]] == [("rank", ["4", "2"]), ("seed", ["0", "3"])]
    assert not any(word in json.dumps(answer).lower() for word in ("better", "wins", "beats"))


def test_two_runs_of_different_things_say_so_and_whose_line_is_whose(bench: Bench) -> None:
    alike = ask(runs.questions(bench), "pair", owner="me", runs=[ran(bench), ran(bench, seed=3)])
    assert alike["caution"] == "" and "untouched model" in [label["name"] for label in alike["figure"]["labels"]]
    spec = RunSpec.parse({**TINY, "model": "seed-llama"})
    run = bench.store.submit(spec, "me")
    bench.store.claim("worker")
    bench.store.append(run.id, [replace(event, items=9, score=0.8) if isinstance(event, Evaluated) else event for event in stream(spec)])
    other = ask(runs.questions(bench), "pair", owner="me", runs=[ran(bench), run.id])
    assert other["caution"] == "These two scores cannot be compared directly: the model differs and A was asked 50 test texts and B 9."
    names = [label["name"] for label in other["figure"]["labels"]]
    assert {"A: untouched model", "B: untouched model"} <= set(names) and "untouched model" not in names
    assert "large mark: 50 (A) and 9 (B) test texts" in other["figure"]["caption"]


def test_a_run_that_did_harm_is_told_and_offered_more_steps() -> None:
    spec = RunSpec.parse({**TINY, "eval_items": 50})
    seen = {score: picture.picture(spec, spec.to_dict(), picture.settled(spec, spec.to_dict()), fold(stream(spec, score=score)), "finished", {})
            for score in (0.3, 0.45, 0.75)}
    assert seen[0.3]["learned"]["verdict"] == cards.WORSE and not seen[0.45]["learned"]["verdict"] and not seen[0.75]["learned"]["verdict"]
    assert seen[0.3]["next"][0]["words"] == "Twice the steps" and seen[0.3]["next"][0]["draft"]["steps"] == 40
    assert "Twice the steps" not in [offer["words"] for offer in seen[0.75]["next"]]


def test_a_learning_rate_above_the_band_is_called_an_experiment() -> None:
    words = lambda lr: picture.next_steps(RunSpec.parse({**TINY, "lr": lr}))[-1]["words"]  # noqa: E731
    assert words(1e-4) == "Learning rate × 10" and words(1e-2) == "Learning rate × 10 (an experiment: above the usual band)"


def test_the_words_to_start_from_are_told_only_where_they_count() -> None:
    said = {init: picture.sentence(RunSpec.parse({**TINY, "method": {"name": "prompt_tuning", "init": init}}).to_dict()) for init in ("text", "random")}
    assert "text Classify" in said["text"] and "Classify" not in said["random"]
    text = next(knob for knob in controls.form("seed-bert", "prompt_tuning")["knobs"] if knob["name"] == "text")
    assert text["only"] == ("init", "text")


def test_the_table_for_a_spreadsheet_runs_no_formula(bench: Bench) -> None:
    run = ran(bench)
    bench.store.rename(run, '=HYPERLINK("http://x")')
    rows = list(csv.DictReader(io.StringIO(ask(runs.questions(bench), "export", owner="me", format="csv")["text"])))
    assert rows[0]["title"].startswith("'=") and rows[0]["test_score"] == "0.75" and rows[0]["method"] == "lora"


def test_past_runs_tell_the_time(bench: Bench) -> None:
    spec = RunSpec.parse(TINY)
    assert bench.paces.of(spec) is None
    ran(bench)
    pace = bench.paces.of(spec)
    assert (pace.steps_per_second, pace.rest, pace.source) == (10.0, pytest.approx(1.0), "as in 1 past run here")
    assert "another batch" in bench.paces.of(RunSpec.parse({**TINY, "batch": 4})).source
    assert bench.paces.of(RunSpec.parse({**TINY, "eval_items": spec.eval_items * 3})).rest == pytest.approx(3.0)
    longer = RunSpec.parse({**TINY, "steps": 400})
    assert cards.estimated_time(bench.paces.of(longer), longer).replace("\u202f", " ") == "about 40 s in all, 40 s of it training, as in 1 past run here"
    assert bench.paces.of(RunSpec.parse({"model": "seed-bert", "method": "full"})) is None


def test_memory_is_estimated_in_the_format_that_past_runs_had(bench: Bench) -> None:
    spec, full = RunSpec.parse(TINY), RunSpec.parse({"model": "seed-bert", "method": "full"})
    assert cards.before(spec, bench.paces.dtype(spec))["memory"]["name"] == "if float32"
    assert cards.before(full, bench.paces.dtype(full))["memory"]["name"] == "if float32"
    run = bench.store.submit(spec, "me")
    bench.store.claim("worker")
    bench.store.append(run.id, [replace(event, dtype="bfloat16") if isinstance(event, Started) else event for event in stream(spec)])
    assert bench.paces.dtype(spec) == bench.paces.dtype(RunSpec.parse({**TINY, "seed": 9})) == bench.paces.dtype(full) == "bfloat16"
    assert cards.before(spec, "bfloat16")["memory"]["bytes"] < cards.before(spec, "auto")["memory"]["bytes"]


# ── recorded runs and the first screen ────────────────────────────────────────────────────────────────────────────────


def test_a_recorded_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    spec = RunSpec.parse(TINY)
    write(tmp_path / "one.jsonl.gz", {"date": "2026-01-01", "cores": 2}, stream(spec))
    first = (tmp_path / "one.jsonl.gz").read_bytes()
    write(tmp_path / "one.jsonl.gz", {"date": "2026-01-01", "cores": 2}, stream(spec))
    assert (tmp_path / "one.jsonl.gz").read_bytes() == first
    (recorded,) = shelf(tmp_path)
    assert recorded.spec == spec and recorded.result == fold(stream(spec)) and find([recorded], "seed-bert", "toy", "lora") is recorded
    assert read(tmp_path / "one.jsonl.gz").made["cores"] == 2


def test_the_shipped_recordings_make_the_first_screen() -> None:
    recorded = shelf(ROOT / "assets" / "recorded")
    shown = home.home(recorded)
    assert shown is not None and len(shown["runs"]) == 2
    for each in recorded:
        labelled = bool(catalogue.find("tasks", each.result.started.spec["task"]).labels)
        assert {"base", "untrained", "tuned"} | ({"majority"} if labelled else set()) <= set(each.result.scores) and each.made["date"]
    for run in shown["runs"]:
        assert run["label"].startswith("recorded 20") and run["score"] in shown["sentence"]
    assert not any(word in (shown["sentence"] + shown["question"]).lower() for word in ("better", "beats", "wins", "as good"))


def test_runs_that_do_not_belong_together_are_not_put_side_by_side() -> None:
    made = {"date": "2026-01-01", "cores": 2}
    lora, full = (RunSpec.parse({**TINY, "method": method}) for method in ("lora", "full"))
    other = RunSpec.parse({**TINY, "method": "full", "seed": 1})
    assert home.home([Recorded("a", made, tuple(stream(lora))), Recorded("b", made, tuple(stream(full)))])
    assert home.home([Recorded("a", made, tuple(stream(lora))), Recorded("b", made, tuple(stream(other)))]) is None
    assert home.home([]) is None


# ── the page ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_page_is_built_and_shows_only_tabs_that_work(bench: Bench) -> None:
    blocks = page.build(bench)
    titles = [block.label for block in blocks.blocks.values() if block.get_block_name() == "tabitem"]
    assert titles == [place.title for place in page.PLACES if place.make and place.key != "class"], "a Class tab is for whom there is a class"
    assert {"Learn", "Compare", "Memory", "Look inside", "Try", "Class"} <= {place.title for place in page.PLACES}


def test_a_browser_keeps_its_key() -> None:
    key = page.known(None, 2)[0]
    assert len(key) >= 32 and page.known(key, 2)[0] == key != page.known("short", 2)[0]


def test_an_adapter_is_packed_on_demand(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="adapter of this run is not here"):
        page.zipped(tmp_path / "none", tmp_path)
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "weights.bin").write_bytes(b"x" * 10)
    with page.zipped(tmp_path / "adapter", tmp_path) as packed, zipfile.ZipFile(packed) as archive:
        assert archive.read("adapter/weights.bin") == b"x" * 10
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"], "the archive has no name that could be left behind"


def test_nothing_a_person_wrote_can_become_markup() -> None:
    """Scripts set text and attributes only, and no template has a place to fill in."""
    for script in sorted((ROOT / "assets" / "page").glob("*.js")):
        text = script.read_text(encoding="utf-8")
        for namespace in ("2000/svg", "1998/Math/MathML"):  # a name: nothing is fetched from it
            text = text.replace(f'"http://www.w3.org/{namespace}"', "")
        for dangerous in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://"):
            assert dangerous not in text, f"{script.name} uses {dangerous}"
    for source in sorted((ROOT / "lab" / "ui").glob("*.py")):
        assert "gr.Markdown" not in source.read_text(encoding="utf-8")


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("said", "expected"), [
    (wording.percent(0.0032905), "0.33 %"), (wording.percent(1.0), "100 %"), (wording.percent(0.0000856), "0.0086 %"), (wording.percent(0.1573), "15.7 %"),
    (wording.percent(0), "0 %"), (wording.size(1.24e9), "1.24 GB"), (wording.size(109.2e6), "109 MB"), (wording.size(300), "300 bytes"),
    (wording.seconds(0.42), "0.42 s"), (wording.seconds(8.6), "8.6 s"), (wording.seconds(12.3), "12 s"), (wording.seconds(200), "3 min 20 s"),
    (wording.seconds(3900), "1 h 5 min"), (wording.roughly(1), "a few seconds"), (wording.roughly(43), "45 s"), (wording.roughly(130), "2 min"),
    (wording.roughly(94_320), "26 h"), (wording.roughly(900_000), "10 days"), (wording.figures(0.0423), "0.042"), (wording.figures(8.24), "8.2"),
    (wording.figures(388.0), "390"), (wording.figures(12_345), "12,000"),
    (wording.plain(0.00003), "0.00003"), (wording.plain(16.0), "16"), (wording.plain(1e-3), "0.001"), (wording.ordinal(3), "third"),
    (wording.ordinal(11), "11th"), (wording.ordinal(21), "21st"),
    (listing(["query", "key", "value"]), "query, key and value"), (wording.score(0.8181, 0.0122), "0.818 ± 0.012"),
])
def test_numbers_are_for_people(said: str, expected: str) -> None:
    assert said.replace(wording.THIN, " ") == expected
