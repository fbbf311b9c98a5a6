"""The Memory tab without a browser: what it is told to draw comes from the forecaster and from arithmetic, and every wrong input is answered in words."""
from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from lab import catalogue
from lab.accounting.counts import by_layer
from lab.accounting.devices import GB, device, fits
from lab.accounting.papers import examples
from lab.accounting.points import PARTS
from lab.accounting.presets import preset, presets
from lab.accounting.shapes import shape_of
from lab.accounting.why import RULE, differs, rules
from lab.contracts import LabError
from lab.events import Finished, Observed, Started, fold
from lab.forecast.forecaster import Forecaster
from lab.forecast.order import Order
from lab.forecast.tracer import Tracer
from lab.spec import RunSpec
from lab.ui import cards, memory
from lab.ui.bench import Bench
from lab.ui.desk import Desk
from lab.ui.foretold import foretold
from lab.ui.memory.detail import placed, spread, timeline
from lab.ui.memory.menus import FIRST, menus, parameters
from tests._patience import within
from tests.test_memory_process import SMALL, ByHand

OURS = {"model": {"config": SMALL, "title": "small"}, "methods": [{"name": "full"}, {"name": "lora"}], "batch": 4, "tokens": 40}


class Slow(ByHand):
    """Answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.go = Event()

    def record(self, *orders: Any) -> Any:
        assert self.go.wait(20)
        return super().record(*orders)


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Callable[..., Callable[..., dict[str, Any]]]]:
    """asking(tracer)(question, …): the tab's questions, with a tracer by hand."""
    made: list[Forecaster] = []

    def with_tracer(tracer: Any = None) -> Callable[..., dict[str, Any]]:
        made.append(Forecaster(tmp_path, tracer or ByHand()))
        known = {question.__name__: question for question in memory.questions(Bench(None, forecaster=made[-1]))}

        def ask(name: str, asked: Any = None, **more: Any) -> dict[str, Any]:
            return known[name]({**(OURS if asked is None else asked), **more})

        return ask

    yield with_tracer
    for forecaster in made:
        getattr(forecaster.tracer, "go", Event()).set()
        forecaster.close()


def settled(ask: Callable[..., dict[str, Any]], **more: Any) -> dict[str, Any]:
    ends = time.monotonic() + 20
    while (found := ask("memory", **more)).get("waiting") and time.monotonic() < ends:
        pass
    return found


# ── the picture ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_all_rows_come_at_once_and_one_of_them_closely(asking: Callable[..., Any]) -> None:
    found = settled(asking(), shown=1)
    full, lora = found["rows"]
    assert [row["state"] for row in found["rows"]] == ["exact", "exact"] and not found["waiting"]
    for row in (full, lora):
        assert [part["name"] for part in row["parts"]] == list(PARTS) and sum(part["bytes"] for part in row["parts"]) == row["bytes"]
        counts = RunSpec.parse({"model": {"config": SMALL}, "method": row["method"]}).counts
        assert (row["trainable"], row["total"]) == (f"{counts.trainable:,}", f"{counts.total:,}")
    assert found["detail"]["title"] == "LoRA" and found["detail"]["why"]["largest"] == "activations"
    assert found["detail"]["why"]["yours"] == "30" and "÷ (4 texts × 40 tokens × width 64)" in found["detail"]["why"]["sum"]
    assert "LoRA trains" in found["sentence"] and "full fine-tuning trains" in found["sentence"]


def test_the_sentence_speaks_of_the_chosen_row(asking: Callable[..., Any]) -> None:
    ask, asked = asking(), [{"name": "full"}, {"name": "lora"}, {"name": "prompt_tuning"}]
    said = [settled(ask, methods=asked, shown=shown)["sentence"] for shown in range(3)]
    assert said[0].startswith("One training step of full fine-tuning on small") and "LoRA trains" in said[1] and "prompt tuning trains" in said[2]
    assert "prompt tuning" not in said[0] + said[1]


@pytest.mark.parametrize(("method", "said"), [
    ("lora", "r = 8 on query and value"), ("qlora", "on all linears"), ("full", ""), ("prompt_tuning", ""),
    ({"name": "lora", "rank": 2, "targets": ["attention"]}, "r = 2 on all of attention"),
    ({"name": "lora", "targets": ["ffn"]}, "on the feed-forward part"), ({"name": "lora", "targets": ["ffn_out"]}, "r = 8 on feed-forward out"),
])
def test_a_row_names_what_its_method_works_on(asking: Callable[..., Any], method: Any, said: str) -> None:
    found = asking()("counts", methods=[method], device="NVIDIA T4")["rows"][0]["where"]
    assert found == said if not said else found.endswith(said)


def test_a_gpu_before_ampere_is_said_to_have_no_bfloat16(asking: Callable[..., Any]) -> None:
    ask = asking()
    for on, dtype, said in (("T4", "bfloat16", True), ("T4", "float32", False), ("A100 80GB", "bfloat16", False), ("cpu", "bfloat16", False)):
        assert any("float16 there" in line for line in settled(ask, device=on, dtype=dtype)["detail"]["assumptions"]) == said, (on, dtype)


def test_until_the_trace_has_come_a_rule_of_thumb_stands_there(asking: Callable[..., Any]) -> None:
    tracer = Slow()
    ask = asking(tracer)
    began = time.perf_counter()
    early = ask("counts")
    assert time.perf_counter() - began < within(0.5) and early["early"] and {row["state"] for row in early["rows"]} == {"estimate"}
    began = time.perf_counter()
    waiting = ask("memory")
    assert waiting["waiting"] and waiting["detail"] is None and time.perf_counter() - began < within(3), "nobody's browser waits for a trace"
    assert {row["state"] for row in waiting["rows"]} == {"estimate"} and waiting["rows"][1]["trainable"] == early["rows"][1]["trainable"]
    tracer.go.set()
    assert {row["state"] for row in settled(ask)["rows"]} == {"exact"}


@pytest.mark.slow
def test_what_many_ask_is_traced_once(asking: Callable[..., Any]) -> None:
    tracer = Slow()
    ask = asking(tracer)
    one = {**OURS, "methods": [{"name": "lora"}]}
    for _ in range(3):
        assert ask("memory", one)["waiting"]
    tracer.go.set()
    settled(lambda name, **more: ask(name, one))
    assert 2 <= tracer.asked <= 2 + 12 + 2, "two traces, and, as far as it is, those of the fit made afterwards and of the step it is checked against"


def test_a_method_that_does_not_go_is_one_row_and_not_the_end(asking: Callable[..., Any]) -> None:
    found = settled(asking(), methods=[{"name": "bitfit"}, {"name": "lora", "rank": 0}, {"name": "lora"}])
    states = [row["state"] for row in found["rows"]]
    assert states == ["refused", "refused", "exact"] and found["shown"] == 2
    assert "without biases" in found["rows"][0]["reason"] and "Rank is 0" in found["rows"][1]["reason"]


def test_what_cannot_be_traced_is_a_lower_bound(asking: Callable[..., Any]) -> None:
    found = settled(asking(ByHand("no fake kernel")))
    assert {row["state"] for row in found["rows"]} == {"static"} and found["rows"][0]["verdict"].startswith("at least")
    assert "lower bound" in found["detail"]["moment"] and found["detail"]["timeline"] is None and found["detail"]["map"] is None
    assert any("no fake kernel" in line for line in found["detail"]["assumptions"])


def test_without_a_tracing_process_there_is_arithmetic() -> None:
    ask = {question.__name__: question for question in memory.questions(Bench(None))}
    assert {row["state"] for row in ask["memory"](OURS)["rows"]} == {"static"} and not ask["memory"](OURS)["waiting"]


def test_the_lines_are_gpus_and_the_verdict_is_theirs(asking: Callable[..., Any]) -> None:
    ask = asking()
    large = {"model": {"preset": "llama-7b"}, "methods": ["full", "lora"], "device": "NVIDIA L40S"}
    found = ask("counts", large)
    sizes = [line["bytes"] // GB for line in found["scale"]["lines"]]
    assert 48 in sizes and sizes == sorted(sizes) and [line["name"] for line in found["scale"]["lines"] if line["chosen"]] == ["L40S"]
    for row in found["rows"]:
        assert row["fits"] == fits(row["bytes"], device("L40S")) and row["beside"]["end"] > row["bytes"]
        assert row["verdict"].startswith("fits on an L40S" if row["fits"] == "fits" else ("too large for an L40S", "only just fits on an L40S"))
    assert ask("counts", large, device="7 GB")["scale"]["lines"][0]["name"] == "your GPU"
    small = ask("counts", device="cpu")
    assert small["scale"]["lines"] == [] and small["rows"][0]["verdict"] == "" and small["rows"][0]["beside"] is None
    assert "H200 or more" in ask("counts", large | {"model": {"preset": "gpt-3-175b"}})["rows"][0]["verdict"]


def test_what_a_method_fixes_is_not_contradicted(asking: Callable[..., Any]) -> None:
    rows = asking()("counts", methods=["qlora", "lora", "full"], quantization="int8")["rows"]
    assert [row.get("format") for row in rows] == ["4-bit base", "8-bit base", None] and rows[2]["state"] == "refused"


def test_what_would_help_is_found_one_after_another(asking: Callable[..., Any]) -> None:
    ask, found, at = asking(), [], 0
    settled(ask, shown=1)
    while True:
        answer = ask("help", shown=1, at=at)
        if answer["waiting"]:
            continue
        found += [answer["found"]] if answer["found"] else []
        at += 1
        if not answer["more"]:
            break
    checkpointing = next(each for each in found if each["change"] == {"checkpointing": True})
    assert checkpointing["bytes"] == 6 * 28 * 4 * 40 * 64 and {"batch": 2} in [each["change"] for each in found]
    for each in found:
        assert settled(ask, methods=[{"name": "lora"}], **each["change"])["rows"][0]["peak"] == each["peak"], "a click leads where it said"
    assert ask("help", shown=1, at=99) == {"found": None, "more": False, "waiting": False}


# ── one step closely ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_timeline_has_every_phase_and_names_modules() -> None:
    point = dict.fromkeys(PARTS, 10) | {"bytes": 50}
    points = [{**point, "phase": "forward", "block": 0, "module": "model.layers.0.mlp"}, {**point, "phase": "forward_end", "block": -1, "module": ""},
              *({**point, "phase": "backward", "block": 1, "module": "mul.Tensor"} for _ in range(200)),
              {**point, "phase": "optimizer", "block": -1, "module": "_fused_adamw_", "bytes": 60}]
    figure = timeline({"timeline": points, "peak_bytes": 60, "moments": [], "peak_at": ""})
    assert figure["layout"]["xaxis"]["ticktext"] == ["forward", "backward", "optimizer"] and [trace["name"] for trace in figure["data"][:5]] == list(PARTS)
    said = [each[0] for each in figure["data"][5]["customdata"]]
    assert said[0] == "forward, model.layers.0.mlp" and said[1] == "end of forward" and said[2] == "backward, block 2, the operation mul"
    x = spread(points)
    assert x == sorted(x) and x[-1] - x[-2] > 5 and figure["data"][6]["x"] == [x[-1]], "a phase of one point still has room for its name"
    assert placed("model.layers.3.self_attn.q_proj") == "model.layers.3.self_attn.q_proj" and placed("_log_softmax") == "the operation log_softmax"


def test_what_is_trained_is_shown_by_role_and_by_block(asking: Callable[..., Any]) -> None:
    ask = asking()
    lora = settled(ask, methods=[{"name": "lora", "rank": 2}])["detail"]["trains"]
    assert [(row["name"], row["each"], row["all"]) for row in lora["rows"]] == [("query", "256", "1,536"), ("value", "256", "1,536")]
    assert lora["about"].endswith("512 in each of 6 blocks.") and lora["outside"] == [] and lora["sums"][0] == ["method", "3,072"]
    top = settled(ask, methods=[{"name": "top_layers", "layers": 2}])["detail"]["trains"]
    assert all([bool(cell) for cell in row["cells"]] == [False] * 4 + [True] * 2 for row in top["rows"]) and "the last 2 of 6 blocks" in top["about"]
    prompt = settled(ask, methods=["prompt_tuning"])["detail"]["trains"]
    assert prompt["rows"] == [] and prompt["outside"] == [{"name": "prompt", "text": "1,280"}] and "1,280 outside the blocks" in prompt["about"]
    assert "Nothing is trained" in settled(ask, methods=["in_context"])["detail"]["trains"]["about"]


@pytest.mark.parametrize("method", sorted(catalogue.entries("methods")))
def test_blocks_and_what_lies_outside_add_up_to_the_count(method: str) -> None:
    for key, model in catalogue.entries("models").items():
        if model.seeded and catalogue.find("methods", method)().supports(shape_of(model.config)).ok:
            task = "digits" if model.kind == "vision" else "toy"
            spec = RunSpec.parse({"model": key, "task": task, "method": method})
            found: dict[str, int] = {}
            for layer, roles in by_layer(spec.method, spec.shape).items():
                assert layer is None or 0 <= layer < spec.shape.layers
                found |= {role: found.get(role, 0) + count for role, count in roles.items()}
            assert found == {role: count for role, count in spec.counts.by_role.items() if count}, key


def test_the_map_adds_up(asking: Callable[..., Any]) -> None:
    found = settled(asking(), shown=1)["detail"]["map"]
    assert found["blocks"] == 6 and [row["name"] for row in found["rows"]] == ["mlp"] and len(found["rows"][0]["cells"]) == 6
    assert found["rows"][0]["each"] == "307 KB".replace(" ", "\u202f") and found["total"] == found["rows"][0]["all"]


@pytest.mark.parametrize(("method", "more", "bytes_"), [
    ({"name": "full"}, {}, 34), ({"name": "prompt_tuning"}, {}, 20), ({"name": "lora"}, {}, 22), ({"name": "lora", "targets": ["ffn"]}, {}, 30),
    ({"name": "lora", "targets": ["all"]}, {}, 34), ({"name": "lora", "targets": ["all"], "dropout": 0.1}, {"adapter_dtype": "bfloat16"}, 41),
    ({"name": "lora", "targets": ["all"], "dropout": 0.1}, {}, 55), ({"name": "full"}, {"checkpointing": True}, 2), ({"name": "houlsby"}, {}, None),
])
def test_the_rule_knows_which_row_is_the_students(method: dict[str, Any], more: dict[str, Any], bytes_: int | None) -> None:
    spec = RunSpec.parse({"model": {"config": SMALL}, "method": method, **more})
    found = rules(spec.method, spec.shape, spec.checkpointing, spec.adapter_dtype)
    assert {row["bytes"] for row in found} == set(RULE.values())
    assert [row["bytes"] for row in found if row["yours"]] == ([bytes_] if bytes_ else [])


def test_another_architecture_is_not_shown_as_the_rule_itself(asking: Callable[..., Any]) -> None:
    told = settled(asking(), shown=1, device="NVIDIA T4", dtype="bfloat16")["detail"]["why"]
    assert [rule["mark"] for rule in told["rules"] if rule["mark"]] == ["row of the rule (GPT-2, BERT)"]
    assert told["differs"].startswith("30 and not 22, because its new weights have 32 bits") and "(llama)" in told["differs"]
    same = settled(asking(), methods=[{"name": "lora", "targets": ["ffn"]}])["detail"]["why"]
    assert [rule["mark"] for rule in same["rules"] if rule["yours"]] == ["this step"] and same["differs"] == ""


@pytest.mark.parametrize(("key", "more", "said", "unsaid"), [
    ("llama-2-7b", {"adapter_dtype": "float32"}, ["new weights have 32 bits", "llama", "2.69 times"], ["GPT-2's own"]),
    ("llama-2-7b", {"adapter_dtype": "bfloat16"}, ["llama"], ["32 bits"]),
    ("gpt-2-medium", {"adapter_dtype": "bfloat16"}, ["GPT-2's own"], ["32 bits", "times as"]),
    ("bert-base", {"dtype": "float32", "attention": "eager"}, ["not 16", "scores"], ["architecture"]),
])
def test_why_a_block_keeps_another_number_than_the_rule(key: str, more: dict[str, str], said: list[str], unsaid: list[str]) -> None:
    spec = RunSpec.parse({"model": preset(key).model, "method": "lora"})
    words = " ".join(differs(spec.method, spec.shape, **({"dtype": "bfloat16", "adapter_dtype": "float32", "attention": "sdpa"} | more)))
    assert all(each in words for each in said) and not any(each in words for each in unsaid), words


def test_energy_shows_its_factors_and_refuses_nonsense(asking: Callable[..., Any]) -> None:
    ask = asking()
    spent = settled(ask, steps=1000)["detail"]["energy"]
    assert len(spent["assumptions"]) >= 3 and spent["tokens"] == f"{4 * 40 * 1000:,}"
    for wrong in (0, -1, "many", 1e9, None, True):
        assert "Steps" in settled(ask, steps=wrong)["detail"]["energy"]["error"]
    assert "kilowatt hour" in settled(ask, grid=-1)["detail"]["energy"]["error"]


# ── what can be chosen ────────────────────────────────────────────────────────────────────────────────────────────────


def test_everything_that_can_be_chosen_can_be_counted(asking: Callable[..., Any]) -> None:
    ask = asking()
    found = ask("begin", {})
    offered = [each for group in found["models"] for each in group["models"]]
    assert {json.dumps(each["value"]) for each in offered} >= {json.dumps({"preset": each.key}) for each in presets()}
    assert {each["value"]["lab"] for each in offered if "lab" in each["value"]} == set(catalogue.entries("models"))
    for each in offered:
        rows = ask("counts", {**found["shared"], **found["first"], **each["suits"], "model": each["value"]})["rows"]
        assert [row["state"] for row in rows][:2] == ["estimate", "estimate"], (each["title"], rows)
    assert {method["key"] for method in found["methods"]} == set(catalogue.entries("methods")) and len(json.dumps(found)) < 60_000


def test_the_papers_examples_open_with_their_arithmetic() -> None:
    shown = {each["key"]: each for each in menus()["examples"]}
    assert list(shown) == [each.key for each in examples()]
    for each in shown.values():
        assert each["steps"] and each["printed"] and each["result"] and each["verdict"] and (each["remark"] or each["follows"])
    assert shown["bottleneck"]["result"] == "49,152" and shown["lora-512x64"]["result"] == "4,608" and shown["gpt-2-medium-r4-2"]["result"] == "393,216"
    assert "does not follow" in shown["gpt-2-medium-r4-2"]["verdict"] and "11.0" in shown["gpt-2-medium-r4-2"]["verdict"]
    assert "round figures" in shown["gpt-3-checkpoint"]["verdict"] and "no formula" in shown["gpt-3-memory"]["verdict"]
    assert len({each["word"][0] for each in shown.values()}) == 4, "each way to differ has its own sign"
    assert [parameters(count) for count in (68_851_000_000_000, 6_738_415_616, 124_000_000)] == ["69 T", "6.7 B", "124 M"]
    assert shown["gpt-3-memory"]["result"].endswith(" TB") and shown["llama-65b-qlora"]["verdict"].startswith("It fits")


def test_a_pasted_config_becomes_a_model(asking: Callable[..., Any]) -> None:
    ask = asking()
    found = ask("model", {"text": json.dumps({**SMALL, "id2label": {str(label): "x" * 50 for label in range(500)}})})
    assert found["title"] == "your llama" and "id2label" not in found["value"]["config"] and found["numbers"] and found["suits"]["tokens"] <= 480
    assert ask("counts", model=found["value"])["model"] == "your llama"
    encoder = ask("model", {"text": json.dumps(preset("bert-base").config)})
    assert "head" not in encoder and ask("counts", model=encoder["value"])["rows"][1]["head"] == f"{2 * 769:,}"


@pytest.mark.parametrize(("text", "said"), [
    ("", "nothing was pasted"), ("not json", "not JSON"), ("[1]", "object of names"), ("{}", "model_type"), ('{"model_type": "nobody"}', "the lab knows"),
    (json.dumps({**SMALL, "num_hidden_layers": 10**9}), "1 to 1,000"), (json.dumps({**SMALL, "hidden_size": -4}), "hidden_size"),
    (json.dumps({**SMALL, "num_attention_heads": 5}), "divide"), (json.dumps({**SMALL, "vocab_size": 0}), "vocab_size"), ("[" * 50_000, "nested too deeply"),
    ('{"model_type": "llama", "x": "' + "y" * 300_000 + '"}', "at most"), ('{"model_type": ["llama"]}', "model_type"), ('{"a": NaN', "not JSON"),
])
def test_a_config_that_is_none_is_answered_in_words(asking: Callable[..., Any], text: str, said: str) -> None:
    began = time.perf_counter()
    error = asking()("model", {"text": text})["error"]
    assert said in error and len(error) < 600 and time.perf_counter() - began < within(1)


def test_the_hub_is_left_alone_when_offline(asking: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    ask = asking()
    assert "Paste the model" in ask("model", {"hub": "meta-llama/Llama-3.2-3B"})["error"]
    for wrong in ("llama", "", None, 7, "a/b/c", "../x"):
        assert "owner/name" in ask("model", {"hub": wrong})["error"]


@pytest.mark.parametrize(("change", "said"), [
    ({"tokens": 0}, "tokens is 0"), ({"batch": "many"}, "batch"), ({"batch": 10**9}, "batch"), ({"device": "toaster"}, "device"),
    ({"device": "0 GB"}, "device"), ({"methods": []}, "methods"), ({"methods": ["lora"] * 5}, "1 to 4"), ({"methods": [3]}, ""),
    ({"model": None}, "no model"), ({"model": {"preset": "x"}}, "preset"), ({"model": {"lab": "gtp2"}}, "unknown model"),
    ({"model": {"config": {"model_type": "llama"}}}, "num_hidden_layers of the config is missing"), ({"optimizer": "magic"}, "optimizer"),
    ({"optimizer": "adamw_8bit", "device": "cpu"}, "GPU"), ({"dtype": 3}, "dtype"), ({"checkpointing": "yes"}, "checkpointing"),
])
def test_settings_that_make_no_sense_are_answered_in_words(asking: Callable[..., Any], change: dict[str, Any], said: str) -> None:
    ask = asking()
    for name in ("counts", "memory", "help"):
        answer = ask(name, at=0, shown=0, **change)
        words = answer.get("error") or " ".join(row.get("reason", "") for row in answer.get("rows", []))
        assert said.lower() in words.lower() or name == "help", (name, answer)


# ── the desk, and a run against its forecast ──────────────────────────────────────────────────────────────────────────


def test_the_desk_has_a_limit(tmp_path: Path) -> None:
    tracer = Slow()
    desk = Desk(Forecaster(tmp_path, tracer))
    orders = [Order.parse({"model": {"config": SMALL}, "method": "lora", "batch": batch, "tokens": 40}) for batch in range(1, 70)]
    with pytest.raises(LabError, match="try again in a minute"):
        for order in orders:
            desk.order(order)
    tracer.go.set()


def test_a_run_is_held_against_its_forecast(tmp_path: Path) -> None:
    spec = RunSpec.parse({"model": "seed-llama", "task": "toy", "method": "lora", "steps": 4, "batch": 4, "tokens": 40})
    counts = spec.counts.to_dict()
    started = Started(spec.to_dict(), "", "", "", {}, counts, "cpu", "float32", 1, {}, predicted=spec.memory("float32"))
    layers = spec.shape.layers
    peak = layers * 1000 + layers * 30 * 4 * 40 * 64 + 10
    parts = dict.fromkeys(PARTS, 0)
    seen = {"peak_bytes": round(peak / 1.01), "parts": parts, "peak_moment": "backward_peak", "batch": 4, "tokens": 40, "real_tokens": 160}

    def bench(memory: dict[str, Any]) -> Any:
        result = fold([started, Observed(2, "memory", memory), Finished(4, {"training": 1.0}, 4.0)])
        store = SimpleNamespace(run=lambda name: SimpleNamespace(id=name), result=lambda name: result)
        return SimpleNamespace(recorded=(), store=store, desk=desk, check_reader=lambda run, owner: readers.append(owner))

    desk, readers = Desk(Forecaster(tmp_path, ByHand())), []
    answer = foretold(bench(seen), {"run": "a", "owner": "me"})
    assert readers == ["me"]
    end = time.monotonic() + within(5)
    while answer["waiting"] and time.monotonic() < end:  # as the page does: a busy machine may need a second question
        answer = foretold(bench(seen), {"run": "a", "owner": "me"})
    assert not answer["waiting"] and answer["bar"]["bytes"] == peak and "1.00\u202f% more than was measured" in answer["against"]
    old = {key: value for key, value in seen.items() if key != "real_tokens"}
    answer = foretold(bench(old), {"run": "b"})
    assert answer["bar"] is None and "run it again" in answer["against"]
    with pytest.raises(LabError, match="finished run"):
        foretold(bench({}), {"run": "c"})


def test_the_cost_card_says_how_far_the_estimate_was_off() -> None:
    assert cards.against(0.0123, "Foretold") == "Foretold: 1.23\u202f% more than was measured."
    assert cards.against(-0.5, "Foretold").endswith("50.0\u202f% less than was measured.") and "exactly" in cards.against(0.0, "Foretold")


# ── how quick ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.alone
def test_counts_answer_within_50_ms(asking: Callable[..., Any]) -> None:
    """Four methods on a model of 80 blocks, in time of computing."""
    ask = asking()
    begun = ask("begin", {})
    asked = {**begun["shared"], **FIRST, "model": {"preset": "llama-65b"}}
    times = []
    for _ in range(15):
        began = time.thread_time()
        ask("counts", asked)
        times.append(time.thread_time() - began)
    assert median(times) < 0.05


@pytest.mark.slow
@pytest.mark.alone
def test_memory_answers_within_200_ms_where_the_steps_are_known(asking: Callable[..., Any], tmp_path: Path) -> None:
    """Four methods on a model of 32 blocks, once the tracing process has recorded the grids that any batch and length follow from."""
    tracer = Tracer()
    ask = asking(tracer)
    tracer.warm()
    asked = {**ask("begin", {})["shared"], **FIRST}
    began = time.monotonic()
    settled(lambda name, **more: ask(name, asked))
    cold = time.monotonic() - began
    ends = time.monotonic() + 300
    while len(list((tmp_path / "fits").glob("*.npz"))) < 4 and time.monotonic() < ends:
        time.sleep(0.2)
    times = []
    for batch in (3, 5, 9, 12):
        began = time.thread_time()
        found = ask("memory", asked, batch=batch)
        times.append(time.thread_time() - began)
        assert not found["waiting"] and {row["state"] for row in found["rows"]} == {"exact"}
    assert median(times) < 0.2 and cold < 30, (times, cold)
