"""Comparisons: what is chosen, what all arms share, running and going on, and what the report makes of results."""
from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy
import pytest

from lab import catalogue
from lab.compare import Arm, Comparison, base_of, compare, copied, differences, in_common, paired, report, says, swept, usual_suspects, warnings
from lab.compare.report import judged_by, known_outcomes, spares_blocks
from lab.compare.running import Began, Compared, Ended, Happened, looks_in
from lab.contracts import LabError
from lab.events import Evaluated, Failed, Finished, Observed, RunResult, Started, fold
from lab.spec import RunSpec

BASE = {"model": "seed-bert", "task": "toy", "method": {"name": "lora", "rank": 4}, "steps": 4, "eval_items": 40}
READY = Path(__file__).parent.parent / "assets" / "comparisons"
ARMS = [{"name": "LoRA", "change": {}}, {"name": "head", "change": {"method": "head"}}]


def made(arms: Any = ARMS, seeds: Any = (0, 1, 2), base: Any = BASE, **more: Any) -> Comparison:
    return Comparison.parse({"base": base, "arms": arms, "seeds": list(seeds), **more})


def arm(change: dict[str, Any], base: dict[str, Any] = BASE) -> RunSpec:
    """The spec of one arm."""
    return made([{"name": "it", "change": change}, {"name": "other"}], base=base).specs["it"]


# ── questions that are ready to be asked ──────────────────────────────────────────────────────────────────────────────

CROSSED = ("model-scale", "size-gap", "prompt-steps", "forgetting-rates")


@pytest.mark.parametrize("path", sorted(READY.glob("*.json")), ids=lambda path: path.stem)
def test_a_ready_comparison_asks_one_thing_of_all_its_arms(path: Path) -> None:
    """What its arms differ in is the same for all of them; only equal budgets need more than one thing to change."""
    comparison = Comparison.read(path)
    assert comparison.title.endswith("?") and comparison.title[0].isupper()
    assert json.loads(path.read_text(encoding="utf-8")) == comparison.to_dict()
    specs = list(comparison.specs.values())
    if path.stem in CROSSED:  # each arm has a neighbour that differs from it in one of two things
        assert all(any(len(differences(spec, other)[0]) == 1 for other in specs) for spec in specs)
        return
    assert [warning for warning in warnings(comparison) if path.stem != "matrices"] == []
    if path.stem == "matrices":
        assert len({spec.counts.method for spec in comparison.specs.values()}) == 1, "an equal budget"


# ── what is chosen ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_comparison_has_one_dict_form_and_a_stable_fingerprint() -> None:
    comparison = made(title="Which?")
    assert Comparison.parse(comparison.to_dict()) == comparison == Comparison.from_json(comparison.to_json())
    assert Comparison.parse({"base": BASE, "arms": ARMS}).seeds == (0, 1, 2)
    same = made([{"name": "LoRA", "change": {"method": {"rank": 4}}}, {"name": "head", "change": {"method": {"name": "head"}}}], base={**BASE, "seed": 9})
    assert same.fingerprint == comparison.fingerprint and made(seeds=(0, 1)).fingerprint != comparison.fingerprint
    assert len(comparison.to_json()) < 250 and "looks" not in comparison.to_dict() and made(looks=2).to_dict()["looks"] == 2
    assert comparison.run("LoRA", 2) == RunSpec.parse({**BASE, "seed": 2})


@pytest.mark.parametrize(("data", "words"), [
    ([], "a comparison is an object"),
    ({"arms": ARMS}, "base is missing"),
    ({"base": BASE}, "arms is missing"),
    ({"base": BASE, "arms": ARMS, "sseds": [1]}, 'unknown key "sseds": there are title, base, arms, seeds, measure, train, by, looks'),
    ({"base": BASE, "arms": ARMS[:1]}, "arms must be a list of 2 to 12, not of 1"),
    ({"base": BASE, "arms": [{"name": str(n)} for n in range(13)]}, "arms must be a list of 2 to 12, not of 13"),
    ({"base": BASE, "arms": "lora"}, "arms must be a list of 2 to 12, not lora"),
    ({"base": BASE, "arms": [*ARMS, ARMS[0]]}, 'name "LoRA" more than once'),
    ({"base": BASE, "arms": [*ARMS, {"name": "x", "chnge": {}}]}, 'arms, place 3: unknown key "chnge": there are name, change'),
    ({"base": BASE, "arms": [*ARMS, {"change": {}}]}, "arms, place 3: name is missing"),
    ({"base": BASE, "arms": [*ARMS, {"name": " "}]}, "must have 1 to 60 characters"),
    ({"base": BASE, "arms": [*ARMS, 3]}, "arms has 3 at place 3"),
    ({"base": BASE, "arms": ARMS, "seeds": []}, "seeds must be a list of 1 to 200, not of 0"),
    ({"base": BASE, "arms": ARMS, "seeds": 3}, "seeds must be a list of 1 to 200, not 3"),
    ({"base": BASE, "arms": ARMS, "seeds": [0, 0]}, "seeds has 0 more than once"),
    ({"base": BASE, "arms": ARMS, "seeds": [-1]}, "seeds has -1: each must be a whole number"),
    ({"base": BASE, "arms": ARMS, "seeds": [True]}, "seeds has True"),
    ({"base": BASE, "arms": [{"name": str(n)} for n in range(12)], "seeds": list(range(60))}, "720 runs: at most 600"),
    ({"base": BASE, "arms": ARMS, "measure": "loss"}, 'measure is "loss": must be one of score, last_loss, forgetting, elsewhere, drop, gap, vote,'),
    ({"base": BASE, "arms": ARMS, "measure": "elsewhere"}, "measure is elsewhere: the base must say in tested_on"),
    ({"base": {**BASE, "task": "movies", "tested_on": ["movies", "tweets"]}, "measure": "elsewhere",
      "arms": [*ARMS, {"name": "x", "change": {"task": "tweets"}}]}, "arms that learn different tasks have different other ones"),
    ({"base": {"model": "seed-llama", "task": "headline", "method": "lora"}, "arms": [ARMS[0], {"name": "x"}], "measure": "vote"},
     "written answers cannot be voted on"),
    ({"base": BASE, "arms": ARMS, "train": 1}, 'train is "1": '),
    ({"base": {**BASE, "task": "movies", "tested_on": ["movies", "tweets"]}, "arms": ARMS, "measure": "last_loss"}, "measure is last_loss: tested_on asks"),
    ({"base": BASE, "arms": ARMS, "looks": 0}, "looks is 0: must be 1 to 10"),
    ({"base": {**BASE, "model": "gtp2"}, "arms": ARMS}, 'base: unknown model "gtp2"'),
    ({"base": BASE, "arms": [*ARMS, {"name": "x", "change": {"steps": -3}}]}, 'arm "x": steps is -3: must be 0 to 5,000'),
    ({"base": BASE, "arms": [*ARMS, {"name": "x", "change": {"stepz": 3}}]}, 'arm "x": unknown key "stepz" in change'),
    ({"base": BASE, "arms": [*ARMS, {"name": "x", "change": {"method": {"rank": 0}}}]}, 'arm "x": rank is 0: must be 1 to 256'),
    ({"base": BASE, "arms": [*ARMS, {"name": "x", "change": {"method": "in_context"}}]}, 'arm "x": In-context'),
    ({"base": BASE, "arms": [*ARMS, {"name": "x", "change": {"method": "loar"}}]}, 'arm "x": unknown method "loar"'),
    ({"base": BASE, "arms": [*ARMS, {"name": "x", "change": {"method": 3}}]}, 'arm "x": method is 3'),
    ({"base": BASE, "arms": [*ARMS, {"name": "x", "change": {"seed": 3}}]}, 'arm "x": change has seed'),
    ({"base": BASE, "arms": [*ARMS, {"name": "x", "change": {"task": "movies"}}]}, "all arms are asked the same, so it belongs into base"),
])
def test_bad_comparisons_are_told_with_the_way_out(data: Any, words: str) -> None:
    with pytest.raises(LabError) as error:
        Comparison.parse(data)
    assert words in str(error.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="cannot read"):
        Comparison.read(tmp_path / "no.json")
    for text, words in (("{", "not JSON"), ("[" * 30_000, "nested too deeply|not JSON"), (" " * 70_000, "at most 64,000"), ("[1]", "an object")):
        with pytest.raises(LabError, match=words):
            Comparison.from_json(text)


def test_a_change_of_knobs_keeps_the_others_and_another_method_brings_its_own() -> None:
    base = {**BASE, "method": {"name": "lora", "rank": 4, "alpha": 3.0}}
    assert arm({"method": {"rank": 2}}, base).method.settings()["alpha"] == 3
    assert arm({"method": {"name": "lora", "rank": 2}}, base).method.settings()["alpha"] == 3
    assert arm({"method": {"alpha": None}}, base).method.settings() == {**arm({}, base).method.settings(), "alpha": RunSpec.parse(
        {**BASE, "method": "lora"}).method.settings()["alpha"]}
    assert arm({"method": "lora"}, base) == RunSpec.parse({**BASE, "method": "lora"}), "a string is the method with its own defaults"
    assert arm({"method": "rslora"}, base) == RunSpec.parse({**BASE, "method": "rslora"})
    assert arm({"steps": None}, base).steps == RunSpec.parse({"model": "seed-bert", "method": "lora"}).steps, "null is the default"


def test_a_default_learning_rate_follows_the_method_and_a_chosen_one_stays() -> None:
    full = RunSpec.parse(BASE).to_dict()  # as a page or a finished run writes it, with everything said
    for base in (BASE, full):
        assert arm({"method": "prompt_tuning"}, base).lr == RunSpec.parse({**BASE, "method": "prompt_tuning"}).lr
    assert arm({"method": "prompt_tuning"}, {**BASE, "lr": 0.005}).lr == 0.005
    assert arm({"method": "prompt_tuning", "lr": 0.1}).lr == 0.1


def test_what_a_method_fixes_comes_and_goes_with_it() -> None:
    llama = {"model": "seed-llama", "task": "toy", "steps": 4}
    lora, qlora = RunSpec.parse({**llama, "method": "lora"}).to_dict(), RunSpec.parse({**llama, "method": "qlora"}).to_dict()
    assert arm({"method": "qlora"}, lora).quantization == "nf4_double"
    assert arm({"method": "lora"}, qlora).quantization is None
    assert arm({"method": "in_context"}, lora).steps == 0
    assert arm({"method": "lora"}, RunSpec.parse({**llama, "method": "in_context", "steps": 0}).to_dict()).steps > 0


def test_another_model_is_asked_the_same_items() -> None:
    spec = arm({"model": "seed-llama"}, {"model": "seed-bert", "task": "toy", "method": "lora", "eval_items": 37})
    assert (spec.model, spec.task, spec.eval_items) == ("seed-llama", "toy", 37)


def test_two_things_at_once_are_warned_of() -> None:
    base = RunSpec.parse(BASE)
    things, notes = differences(base, RunSpec.parse({**BASE, "method": "prompt_tuning"}))
    assert things == ["method"] and "the default of Prompt tuning" in notes[0], "its own learning rate is no second thing, but it is said"
    assert differences(base, RunSpec.parse({**BASE, "method": "prompt_tuning", "lr": 0.5}))[0] == ["method", "learning rate"]
    kept = {**BASE, "lr": 0.005}
    assert "chosen for all methods" in differences(RunSpec.parse(kept), RunSpec.parse({**kept, "method": "prompt_tuning"}))[1][0]
    assert differences(base, RunSpec.parse({**BASE, "method": {"name": "lora", "rank": 2, "alpha": 1.0}, "batch": 4}))[0] == ["rank", "alpha", "batch"]
    things, notes = differences(base, RunSpec.parse({**BASE, "method": {"name": "lora", "rank": 2, "alpha": 8.0}}))
    assert things == ["rank"] and notes == ["alpha is 8, not 16: it follows the rank, alpha / rank stays 4"]
    assert differences(base, RunSpec.parse({**BASE, "seed": 5, "eval_every": 1})) == ([], [])
    assert warnings(made()) == []
    told = warnings(made([*ARMS, {"name": "hot", "change": {"lr": 0.1, "steps": 9}}, {"name": "again"}], seeds=[0]))
    assert told[0].startswith("hot and the base differ in 2 things at once (steps, learning rate)")
    assert told[1].startswith("again is the same run as LoRA") and told[2].startswith("with 1 of at least 3 seeds")


def test_usual_suspects_fit_their_model() -> None:
    for model in ("seed-bert", "seed-llama", "seed-vit", "seed-t5", "minilm-l6", "smollm2-135m"):
        arms = usual_suspects(model)
        comparison = Comparison.parse({"base": {"model": model, "method": arms[0].change["method"]}, "arms": [each.model_dump() for each in arms]})
        assert 4 <= len(arms) <= 6 and warnings(comparison) == []
    keys = {each.change["method"] for each in usual_suspects("smollm2-135m", "headline")}
    assert {"lora", "prompt_tuning", "full", "ia3"} <= keys and not keys & {"bitfit", "head"}
    with pytest.raises(LabError, match="unknown model"):
        usual_suspects("gtp2")


def test_arms_of_a_swept_knob_and_copies() -> None:
    base = RunSpec.parse(BASE)
    assert swept(base, "rank", [1, 2])[1] == Arm(name="rank 2", change={"method": {"rank": 2}})
    assert swept(base, "lr", [0.1, 0.001])[1] == Arm(name="learning rate 0.001", change={"lr": 0.001})
    made([each.model_dump() for each in swept(base, "targets", [["query"], ["query", "value"]])])
    with pytest.raises(LabError, match='unknown knob "tokenz": LoRA has rank'):
        swept(base, "tokenz", [1])
    arm = Arm(name="LoRA", change={"lr": 1.0})
    assert copied(arm, ["LoRA", "LoRA 2"]) == Arm(name="LoRA 3", change={"lr": 1.0})


def test_a_base_in_short_is_the_same() -> None:
    for data in (BASE, {"model": "seed-llama", "method": "qlora", "lr": 0.5}, {"model": "minilm-l6", "method": {"name": "prompt_tuning", "init": "text"}}):
        spec = RunSpec.parse({**data, "seed": 4})
        short = base_of(spec)
        assert RunSpec.parse({**short, "seed": 4}) == spec and set(short) <= set(data) | {"task"}


def test_choosing_and_judging_load_no_torch(tmp_path: Path) -> None:
    program = f"""
import sys, lab.compare
from pathlib import Path
from lab.supply import Supply

comparison = lab.compare.Comparison.parse({{"base": {BASE!r}, "arms": {ARMS!r}}})
lab.compare.usual_suspects("minilm-l6")
assert len(lab.compare.right_labels(comparison, Supply(Path({str(tmp_path)!r})).data)) == 40
lab.compare.report(comparison, {{}})
lab.compare.paired.judged([[1.0, 2.0, 3.0]])
assert not {{"torch", "scipy.stats"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parent.parent, check=True)


# ── what all arms share ───────────────────────────────────────────────────────────────────────────────────────────────


def test_one_seed_means_one_order_and_one_head_for_every_method(workshop: Any, finish: Any) -> None:
    """What the hash stands for, seen in the engine itself."""
    from lab.engine.feeding import fed
    from lab.engine.job import prepare

    orders, heads = {}, {}
    for method, seed in product(("lora", "prompt_tuning", "full"), (0, 1)):
        spec = RunSpec.parse({**BASE, "method": method, "seed": seed})
        orders[method, seed] = json.dumps(list(finish(fed(spec, workshop))[1][1]))
        job = finish(prepare(spec, workshop))[1]
        heads[method, seed] = (str(job.learner.head.linear.weight.tolist()), tuple(item.id for item in job.texts.asked))
    for made in (orders, heads):
        assert len({value for (_, seed), value in made.items() if seed == 0}) == len({value for (_, seed), value in made.items() if seed == 1}) == 1
        assert made["lora", 0] != made["lora", 1]
    assert heads["lora", 0][1] == heads["full", 1][1], "the test items are the same for every seed"


# ── running ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_seed_by_seed_and_nothing_twice(tmp_path: Path, workshop: Any) -> None:
    comparison = made()
    events = list(compare(comparison, workshop, tmp_path))
    began = [(event.arm, event.seed, event.number, event.of) for event in events if isinstance(event, Began)]
    assert began == [(name, seed, number, 6) for number, (seed, name) in enumerate(product((0, 1, 2), ("LoRA", "head")), 1)]
    assert [type(event) for event in events[:2]] == [Began, Happened] and isinstance(events[-1], Compared)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result == json.loads(json.dumps(events[-1].result)) and result["state"] == "finished"
    assert Comparison.read(tmp_path / "comparison.json") == comparison == Comparison.parse(result["comparison"])
    folder = tmp_path / "runs" / comparison.run("head", 1).fingerprint
    assert {path.name for path in folder.iterdir()} == {"spec.json", "events.jsonl", "result.json", "adapter"}
    first, pair = result["arms"][0], result["pairs"][0]
    assert {"name", "spec", "runs"} <= set(first) and RunSpec.parse(first["spec"]) == comparison.specs["LoRA"]
    assert first["scores"] == [run["score"] for run in first["runs"]] and len(first["scores"]) == 3
    assert first["trainable"] == 2 * 2 * 4 * 64 + 66 and first["peak_bytes"] > 0 and first["step_seconds"] > 0 and first["adapter_bytes"] > 0
    assert {"a", "b", "difference", "low", "high", "p", "verdict", "more_seeds"} <= set(pair)
    assert pair["low"] <= pair["difference"] <= pair["high"] and pair["verdict"] in ("a_better", "b_better", "cannot_tell")
    assert [row["seed"] for row in pair["items"]] == [0, 1, 2] and pair["items"][0]["test"] == "McNemar, exact" and pair["items"][0]["items"] == 40
    for row, (a, b) in zip(pair["items"], zip(first["scores"], result["arms"][1]["scores"], strict=True), strict=True):
        assert row["difference"] == pytest.approx(a - b), "items and scores say the same"
    assert all(row["same"] and row["hash"] for row in result["shared"]) and len({row["hash"] for row in result["shared"]}) == 3
    assert {"majority", "base"} <= set(result["references"])

    again = list(compare(comparison, workshop, tmp_path))
    assert {type(event) for event in again} == {Ended, Compared} and all(event.reused for event in again[:-1])
    assert again[-1].result == events[-1].result, "also the look is the same one"

    more = list(compare(made(seeds=(0, 1, 2, 3)), workshop, tmp_path))
    assert [event.seed for event in more if isinstance(event, Began)] == [3, 3]
    looks = more[-1].result["looks"]
    assert looks["look"] == 2 and looks["seeds"] == [3, 4] and looks["strictness"] == 0.0125 and "seeds were added" in looks["says"]
    assert looks["says"] in more[-1].result["warnings"] and looks_in(tmp_path) == [[0, 1, 2], [0, 1, 2, 3]]


def test_a_stopped_comparison_goes_on_and_is_not_judged_early(tmp_path: Path, workshop: Any) -> None:
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return sum(1 for _ in tmp_path.glob("runs/*/result.json")) >= 3

    stopped = list(compare(made(), workshop, tmp_path, cancelled=stop))[-1].result
    assert stopped["state"] == "cancelled" and not (tmp_path / "looks.json").exists()
    pair = stopped["pairs"][0]
    assert pair["verdict"] == "cannot_tell" and pair["p"] is None and pair["difference"] is not None and pair["says"].startswith("Not judged yet: 1 of 3")
    assert [run["state"] for run in stopped["arms"][0]["runs"]] == ["finished", "finished", "queued"]
    went_on = list(compare(made(), workshop, tmp_path))
    assert [event.reused for event in went_on if isinstance(event, Ended)] == [True] * 3 + [False] * 3 and went_on[-1].result["state"] == "finished"


def test_a_run_left_in_the_middle_is_run_again(tmp_path: Path, workshop: Any) -> None:
    comparison = made(seeds=[0])
    folder = tmp_path / "runs" / comparison.run("head", 0).fingerprint
    folder.mkdir(parents=True)
    (folder / "events.jsonl").write_text("half a li")
    last = list(compare(comparison, workshop, tmp_path))[-1].result
    assert last["state"] == "finished" and last["pairs"][0]["more_seeds"] == 2 and "1 of 1 seeds has a score" in last["pairs"][0]["says"]


def test_a_run_that_fails_stays_with_its_reason(tmp_path: Path, workshop: Any) -> None:
    hot = {"lr": 100.0, "clip": 0.0, "warmup": 0.0, "steps": 60, "method": "full"}
    comparison = made([{"name": "LoRA"}, {"name": "hot", "change": hot}], seeds=[0], base={**BASE, "model": "seed-llama"})
    result = list(compare(comparison, workshop, tmp_path))[-1].result
    run = result["arms"][1]["runs"][0]
    assert run["state"] == "failed" and "learning rate" in run["reason"] + run["advice"] and run["score"] is None
    assert any("hot failed with seed 0" in warning for warning in result["warnings"]) and "hot failed with seed 0" in result["pairs"][0]["says"]
    assert not [event for event in compare(comparison, workshop, tmp_path) if isinstance(event, Began)]


def test_written_answers_are_compared_word_for_word(tmp_path: Path, workshop: Any) -> None:
    base = {"model": "seed-llama", "task": "random_pairs", "method": "lora", "steps": 2, "train_items": 16, "eval_items": 16}
    comparison = made([{"name": "a"}, {"name": "b", "change": {"method": "full"}}], seeds=[0], base=base)
    pair = list(compare(comparison, workshop, tmp_path))[-1].result["pairs"][0]
    assert pair["items"][0]["test"] == "paired bootstrap" and pair["items"][0]["items"] == 16


def test_a_folder_that_cannot_be_written(tmp_path: Path, workshop: Any) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match="give another folder"):
        next(compare(made(), workshop, tmp_path / "file" / "in"))


def test_two_at_once_in_a_folder_are_refused(tmp_path: Path, workshop: Any) -> None:
    running = compare(made(), workshop, tmp_path)
    next(running)
    with pytest.raises(LabError, match="another comparison is running"):
        next(compare(made(), workshop, tmp_path))
    running.close()
    assert isinstance(next(compare(made(), workshop, tmp_path)), Began), "one that was left alone leaves no lock behind"


# ── the report, on results made here ──────────────────────────────────────────────────────────────────────────────────


def result(spec: RunSpec, score: float | None, metric: str = "accuracy", answers: str = "", weights: str = "w") -> RunResult:
    started = Started(spec.to_dict(), spec.fingerprint, weights, "d", {}, {}, "cpu", "float32", 1, {"train": 10, "validation": 10, "test": 40})
    if score is None:
        return fold([started, Failed("the loss is not a number")])
    seen = [Observed(4, "answers", {"untrained": "", "tuned": answers})] if answers else []
    return fold([started, Evaluated(4, "tuned", "test", metric, score, 0.05, 40), *seen, Finished(4, {"training": 2.0, "total": 3.0}, 2.0, 10)])


def reported(scores: dict[str, list[float | None]], metric: str = "accuracy", comparison: Comparison | None = None, **more: Any) -> dict[str, Any]:
    comparison = comparison or made([{"name": name, "change": {"batch": 2 + place}} for place, name in enumerate(scores)], range(len(scores["a"])))
    results = {}
    for name, row in scores.items():
        for seed, score in zip(comparison.seeds, row, strict=True):
            spec = comparison.run(name, seed)
            results[spec.fingerprint] = result(spec, score, metric)
    return report(comparison, results, **more)


def test_a_clear_gap_is_told_with_its_interval() -> None:
    pair = reported({"a": [0.9, 0.925, 0.9, 0.875], "b": [0.7, 0.75, 0.675, 0.7]})["pairs"][0]
    assert pair["verdict"] == "a_better" and pair["low"] > 0 and pair["p"] < 0.05 and pair["more_seeds"] == 0
    assert pair["says"].startswith("a beats b by 19.4 points (") and pair["says"].endswith("over 4 seeds.")


def test_beats_is_said_exactly_where_it_is_judged() -> None:
    random, said = numpy.random.default_rng(0), 0
    for _ in range(40):
        scores = {name: [round(float(0.7 + 0.05 * place + 0.02 * each), 4) for each in random.standard_normal(3)] for place, name in enumerate("abcd")}
        pairs = reported(scores, "token F1")["pairs"]
        gaps = paired.judged([[x - y for x, y in zip(scores[pair["a"]], scores[pair["b"]], strict=True)] for pair in pairs], grain=0.001)
        for pair, gap in zip(pairs, gaps, strict=True):
            assert (" beats " in pair["says"]) == gap.told == (pair["verdict"] != "cannot_tell") == (pair["low"] > 0 or pair["high"] < 0)
            said += gap.told
            if gap.told:
                first = "a" if gap.difference > 0 else "b"
                assert pair["says"].startswith(f"{pair[first]} beats ") and pair["verdict"] == f"{first}_better"
    assert 0 < said < 240


def test_lower_is_better_for_ter() -> None:
    told = reported({"a": [50.0, 51.0, 52.0], "b": [70.1, 71.0, 72.3]}, "TER")
    assert told["pairs"][0]["verdict"] == "a_better" and told["pairs"][0]["difference"] < 0 and not told["higher_is_better"]
    assert reported({"a": [50.0, 51.0, 52.0], "b": [70.1, 71.0, 72.3]}, "BLEU")["pairs"][0]["verdict"] == "b_better"


def test_equal_scores_are_said() -> None:
    pair = reported({"a": [0.8, 0.85, 0.9], "b": [0.8, 0.85, 0.9]})["pairs"][0]
    assert pair["verdict"] == "cannot_tell" and pair["more_seeds"] is None and pair["p"] == 1
    assert "the same score in each of 3 seeds (0.800, 0.850, 0.900)" in pair["says"]
    steady = reported({"a": [1.0, 1.0, 1.0], "b": [0.5, 0.5, 0.5]})["pairs"][0]
    assert steady["verdict"] == "a_better" and "rounding to whole items" in steady["says"]


def test_arms_without_chance_are_one_run_repeated() -> None:
    base = {"model": "seed-llama", "task": "toy", "method": {"name": "in_context"}}
    comparison = made([{"name": "a"}, {"name": "b", "change": {"method": {"shots": 2}}}], base=base)
    pair = reported({"a": [0.5] * 3, "b": [0.9] * 3}, comparison=comparison)["pairs"][0]
    assert pair["verdict"] == "cannot_tell" and pair["more_seeds"] is None and "one and the same run" in pair["says"]


def test_seeds_that_failed_are_left_out_and_said() -> None:
    told = reported({"a": [0.9, None, 0.91, float("nan")], "b": [0.7] * 4, "c": [0.5, 0.525, 0.5, 0.5]})
    pair = told["pairs"][0]
    assert pair["seeds"] == [0, 2] and pair["verdict"] == "cannot_tell" and "a failed with seed 1: the loss is not a number" in pair["says"]
    assert told["arms"][0]["scores"] == [0.9, None, 0.91, None] and told["arms"][0]["runs"][3]["reason"] == "its score is not a number"
    assert told["pairs"][2]["verdict"] == "a_better", "the others are judged as if it were not there"
    json.dumps(told, allow_nan=False)


def test_more_pairs_make_each_stricter() -> None:
    scores = {"a": [0.80, 0.82, 0.84], "b": [0.77, 0.785, 0.802]}
    two = reported(scores)["pairs"][0]
    four = reported({**scores, "c": [0.8, 0.79, 0.85], "d": [0.81, 0.8, 0.83]})["pairs"][0]
    assert four["alone"] == two["alone"] and four["p"] > two["p"] and four["high"] > two["high"] and "widened for 6 pairs" in four["says"]


def test_looks_are_counted_by_their_seeds() -> None:
    scores = {"a": [0.80, 0.82, 0.84, 0.86], "b": [0.77, 0.785, 0.802, 0.83]}
    first, second = (reported(scores, looks=looks) for looks in ([], [[0, 1, 2]]))
    assert first["looks"]["look"] == 1 and second["looks"]["look"] == 2 and second["pairs"][0]["p"] == pytest.approx(4 * first["pairs"][0]["p"])
    assert reported(scores, looks=[[0, 1, 2, 3], [0, 1]])["looks"]["look"] == 1, "the same seeds again"
    planned = made([{"name": "a"}, {"name": "b", "change": {"batch": 3}}], range(4), looks=2)
    third = reported(scores, comparison=planned, looks=[[0, 1, 2]])
    assert third["looks"]["strictness"] == 0.025 and third["looks"]["spent"] == 0.05 and "Look 2 of 2" in third["looks"]["says"]


def test_what_is_not_shared_is_said() -> None:
    told = reported({"a": [0.8] * 3, "b": [0.7] * 3})  # with other batches
    assert told["shared"][0]["differ"] == ["data order"] and told["shared"][0]["hash"] is None and not told["shared"][0]["same"]
    assert any("do not share data order" in warning for warning in told["warnings"])
    assert told["pairs"][0]["differ"] == ["batch"] and told["pairs"][0]["warning"] == ""


def test_items_are_compared_within_a_pair_of_runs() -> None:
    comparison = made(seeds=[0])
    results = {comparison.run(name, 0).fingerprint: result(comparison.run(name, 0), 0.5, answers=answers)
               for name, answers in (("LoRA", "11110000"), ("head", "11100001"))}
    row = report(comparison, results, labels=[1, 1, 1, 1, 0, 0, 0, 1])["pairs"][0]["items"][0]
    assert (row["only_a"], row["only_b"], row["items"]) == (1, 1, 8) and "LoRA alone has 1 right and head alone 1" in row["says"]
    assert report(comparison, results)["pairs"][0]["items"] == [], "without the right labels nothing is said"


def test_all_tests_on_items_are_corrected_for_each_other() -> None:
    """6 differences of 6 are p = 0.031 in one test; of two pairs and three seeds none of nine is told any more."""
    arms = [{"name": "a"}, {"name": "b", "change": {"method": "head"}}, {"name": "c", "change": {"method": "bitfit"}}]
    answers = {"a": "11111111", "b": "11000000", "c": "11111111"}

    def rows(arms: Any, seeds: Any) -> list[dict[str, Any]]:
        comparison = made(arms, seeds)
        return report(comparison, {spec.fingerprint: result(spec, 0.5, answers=answers[name]) for (name, _), spec in comparison.runs.items()},
                      labels=[1] * 8)["on_items"]

    (alone,), many = rows(arms[:2], [0]), rows(arms, [0, 1, 2])
    assert alone["p"] == alone["corrected_p"] == pytest.approx(2 / 64) and alone["says"].count("p = ") == 1 and "these two runs differ" in alone["says"]
    assert len(many) == 9 == many[0]["tests"] and many[0]["p"] == alone["p"] and many[0]["corrected_p"] == pytest.approx(9 * 2 / 64)
    assert "p = 0.281 with Holm over all 9 such tests here" in many[0]["says"] and not any("runs differ." in row["says"] for row in many)


def outcomes_of(comparison: Comparison, *keys: str, **each: Any) -> dict[str, list[dict[str, Any]]]:
    """Verdicts by other outcomes, of runs that all score the same; `each` has what is put into an arm's runs, seed by seed."""
    found = report(comparison, {spec.fingerprint: result(spec, 0.5) for spec in comparison.runs.values()})
    for arm in found["arms"]:
        for key, values in each.get(arm["name"], {}).items():
            for run, value in zip(arm["runs"], values, strict=True):
                run[key] = value
        arm |= each.get(f"{arm['name']}_arm", {})
    return judged_by(comparison, found, keys)


def test_forgetting_is_told_in_times_and_the_lower_one_wins() -> None:
    pair = outcomes_of(made(), "forgetting", LoRA={"forgetting": [1.02, 1.03, 1.025]}, head={"forgetting": [2.0, 2.05, 2.02]})["forgetting"][0]
    assert pair["verdict"] == "a_better" and pair["p"] < 0.05 and pair["more_seeds"] == 0
    assert pair["says"].startswith("LoRA forgets less than head by a factor of 1.97 in perplexity (1.9") and pair["says"].endswith("over 3 seeds.")
    open_ = outcomes_of(made(), "forgetting", LoRA={"forgetting": [1.02, 1.3, 1.1]}, head={"forgetting": [1.1, 1.2, 1.25]})["forgetting"][0]
    assert open_["verdict"] == "cannot_tell" and open_["more_seeds"] and "more seeds would be needed" in open_["says"]


def test_what_was_not_measured_is_not_judged_and_asks_for_no_seeds() -> None:
    pair = outcomes_of(made(), "forgetting", LoRA={"forgetting": [1.02, 1.03, 1.025]})
    assert "forgetting" not in known_outcomes(made(), {**report(made(), {}), "measure": "score"})
    assert pair["forgetting"][0]["verdict"] == "cannot_tell" and pair["forgetting"][0]["more_seeds"] is None


def test_times_are_judged_only_where_they_are_of_the_methods() -> None:
    fast, slow = {"step_seconds": [0.1, 0.101, 0.1]}, {"step_seconds": [0.2, 0.202, 0.201]}
    told = outcomes_of(made(), "step_seconds", LoRA=fast, head=slow)["step_seconds"][0]
    assert told["verdict"] == "a_better" and told["says"].startswith("LoRA is faster a step than head by a factor of 2.0")
    for why, more in (("timed on different machines", {"elsewhere": "another machine"}),
                      ("of head cannot be told from what else", {"loaded": ["step_seconds"]})):
        pair = outcomes_of(made(), "step_seconds", LoRA=fast, head=slow, head_arm=more)["step_seconds"][0]
        assert pair["verdict"] == "cannot_tell" and pair["more_seeds"] is None and why in pair["says"], pair["says"]
    pair = outcomes_of(made(), "peak_bytes", LoRA={"peak_bytes": [1e8] * 3}, head={"peak_bytes": [2e8] * 3, "dtype": ["bfloat16"] * 3})["peak_bytes"][0]
    assert pair["verdict"] == "cannot_tell" and "different number formats (LoRA float32, head bfloat16)" in pair["says"]


def test_a_vote_is_judged_over_items_for_each_arm() -> None:
    """Five seeds that are each wrong on their own fifth of 100 items: the vote has all of them right. Where all say the same, a vote changes nothing."""
    comparison = made([{"name": "apart"}, {"name": "alike", "change": {"method": "head"}}], range(5), measure="vote")

    def said(name: str, seed: int) -> str:
        return "".join("0" if (item % 5 == seed if name == "apart" else item % 5 == 0) else "1" for item in range(100))

    found = report(comparison, {spec.fingerprint: result(spec, 0.8, answers=said(name, seed)) for (name, seed), spec in comparison.runs.items()}, [1] * 100)
    apart, alike = found["pairs"]
    assert apart["verdict"] == "a_better" and "100 test items" in apart["says"]
    assert apart["says"].startswith("apart: the vote of 5 seeds beats their mean by 20.0 points")
    assert alike["verdict"] == "cannot_tell" and "scores what they do on average" in alike["says"] and alike["more_seeds"] is None
    assert found["pairs"] is not None and len(found["on_items"]) == 5, "the runs stand against each other all the same"
    json.dumps(found, allow_nan=False)


def test_what_a_comparison_is_about_decides_its_verdicts() -> None:
    comparison = made(measure="forgetting")
    found = report(comparison, {spec.fingerprint: result(spec, 0.5 + 0.1 * (name == "LoRA")) for (name, _), spec in comparison.runs.items()})
    assert found["measure"] == "forgetting" and found["metric"] == "accuracy" and "have a value in both" in found["pairs"][0]["says"]
    assert judged_by(comparison, found, ["score"])["score"][0]["verdict"] == "a_better"


def test_every_task_metric_can_be_put_in_words() -> None:
    for metric in {task.metric for task in catalogue.entries("tasks").values()}:
        assert reported({"a": [0.8, 0.7, 0.9], "b": [0.1, 0.2, 0.3]}, metric)["pairs"][0]["says"]


# ── sentences ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["all 5,992 texts", "16 texts", "LoRA, rank 4", "query and value", "Adapters", "0.0003", "no examples", "a; b"])
def test_a_name_that_reads_as_several_things_stands_in_quotes(name: str) -> None:
    assert says.named(name) == f"“{name}”"
    gap = paired.judged([[0.2, 0.21, 0.22]])[0]
    assert says.verdict(name, "LoRA", gap, "accuracy", 0).startswith(f"“{name}” beats LoRA by ")
    assert says.same(name, name, ["0.5"]).startswith(f"Cannot tell: “{name}” and “{name}” have")


@pytest.mark.parametrize("name", ["LoRA", "rank 8", "Full fine-tuning", "BitFit", "a class", "focus", "Head alone"])
def test_a_name_that_is_one_thing_stands_as_it_is(name: str) -> None:
    assert says.named(name) == name


def test_names_are_told_apart_in_a_list() -> None:
    assert says.listed(["LoRA", "LoRA, rank 4", "all 5,992 texts"]) == "“LoRA”, “LoRA, rank 4” and “all 5,992 texts”", "all where one has to be"
    assert says.listed(["LoRA", "head"]) == "LoRA and head"
    assert says.listed(["LoRA"]) == "LoRA" and says.listed([]) == ""


def test_small_learning_rates_are_written_out() -> None:
    one, other = (RunSpec.parse({**BASE, "method": "full", "lr": lr}) for lr in (2e-5, 1e-3))
    assert "e-0" not in " ".join(differences(one, RunSpec.parse({**BASE, "method": "lora"}))[1])
    assert swept(other, "lr", [1e-5])[0].name == "learning rate 0.00001"


def test_what_all_arms_get_alike_follows_from_their_settings() -> None:
    def common(*changes: dict[str, Any]) -> tuple[list[str], list[str]]:
        return in_common(Comparison.parse({"base": BASE, "arms": [{"name": str(place), "change": change} for place, change in enumerate(changes)]}))

    assert common({}, {"method": "head"}) == (["weights", "texts to learn from", "data order", "head", "test items"], [])
    assert common({}, {"batch": 2}) == (["weights", "texts to learn from", "head", "test items"], ["data order"])
    assert common({}, {"train_items": 16})[1] == ["texts to learn from", "data order"]


def test_the_outcome_that_is_read_goes_with_the_comparison_and_changes_no_run() -> None:
    plain, read = (Comparison.parse({"base": BASE, "arms": ARMS, **more}) for more in ({}, {"by": "peak_bytes"}))
    assert Comparison.from_json(read.to_json()).by == "peak_bytes" and "by" not in plain.to_dict()
    assert read.fingerprint == plain.fingerprint and read.runs == plain.runs


def test_answers_of_a_run_whose_lowest_block_nothing_trains_are_not_timed() -> None:
    """They may have been answered from what its frozen blocks gave before."""
    base = {"model": "seed-bert", "task": "toy"}
    top = {"name": "top_layers", "layers": 1}
    asked = ("head", top, "lora", "bitfit", "full", "pfeiffer", "prompt_tuning")
    assert [method for method in asked if spares_blocks(RunSpec.parse({**base, "method": method}))] == ["head", top]
    assert not spares_blocks(RunSpec.parse({"model": "seed-vit", "task": "digits", "method": "head"})), "of images nothing is kept"


def test_bare_numbers_are_told_with_what_they_are_of() -> None:
    rates = made([{"name": "1", "change": {"lr": 1.0}}, {"name": "0.001", "change": {"lr": 0.001}}])
    runs = {spec.fingerprint: result(spec, (0.9 if name == "1" else 0.5) + 0.01 * seed) for (name, seed), spec in rates.runs.items()}
    assert report(rates, runs)["pairs"][0]["says"].startswith("learning rate 1 beats learning rate 0.001 by ")
    assert says.called(["1", "4"]) == {"1": "“1”", "4": "“4”"}, "of what is not known where arms differ in more than one thing"
    assert says.called(["Adapters", "P-tuning"]) == {"Adapters": "“Adapters”", "P-tuning": "“P-tuning”"}, "all of a report or none"


@pytest.mark.parametrize(("scores", "says"), [
    ({"a": [0.9, 0.91, 0.92], "b": [0.3, 0.31, 0.32]}, ""),
    ({"a": [0.2, 0.21, 0.22], "b": [0.3, 0.31, 0.32]}, "Every arm does worse than the untouched model, 0.500"),
    ({"a": [0.2, 0.3, 0.9], "b": [0.3, 0.31, 0.32]}, "No arm does better than the untouched model, 0.500"),
    ({"a": [0.2, 0.21, 0.22], "b": [0.3, None, 0.32]}, "No arm does better than the untouched model, 0.500"),
])
def test_it_is_said_where_no_arm_is_ahead_of_the_untouched_model(scores: dict[str, list[float | None]], says: str) -> None:
    """By more than luck for each arm, or in the means alone; each run is held against the base with its own seed."""
    asked = made([{"name": name, "change": {"batch": 2 + place}} for place, name in enumerate(scores)])
    runs = {}
    for (name, seed), spec in asked.runs.items():
        run = result(spec, scores[name][seed])
        runs[spec.fingerprint] = replace(run, scores={**run.scores, "base": Evaluated(0, "base", "test", "accuracy", 0.49 + 0.01 * seed, 0.05, 40)})
    said = report(asked, runs)["untouched"]
    assert said.startswith(says) and bool(said) == bool(says)
