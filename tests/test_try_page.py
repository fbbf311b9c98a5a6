"""The Try tab without a browser: which runs can be asked and why not the others, who may ask what, and what the answers say of their own worth."""
from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.engine import Shelf, answer, train
from lab.events import Cancelled, Failed, Finished, Observed, Started
from lab.recording import Recorded
from lab.serving import KIND, Question
from lab.spec import RunSpec
from lab.store import Store
from lab.ui import ask as tab
from lab.ui.ask import words
from lab.ui.ask.runs import apart
from lab.ui.bench import Bench
from lab.ui.picture import RECORDED

TINY = {"model": "seed-llama", "task": "toy", "method": "lora", "steps": 3, "batch": 2, "tokens": 24, "eval_items": 8, "eval_every": 0, "dtype": "float32"}


@pytest.fixture
def bench(tmp_path: Path, workshop: Any) -> Iterator[Bench]:
    with Store(tmp_path) as store:
        yield Bench(store, data=workshop.supply.data)


@pytest.fixture
def ask(bench: Bench) -> Callable[..., dict[str, Any]]:
    known = {question.__name__: question for question in tab.questions(bench)}
    return lambda name, **asked: json.loads(json.dumps(known[name]({"owner": "me", **asked}), allow_nan=False))


@pytest.fixture
def trained(bench: Bench, workshop: Any) -> Callable[..., str]:
    def make(**change: Any) -> str:
        spec = RunSpec.parse({**TINY, **change})
        run = bench.store.submit(spec, "me")
        assert bench.store.claim("worker")
        bench.store.append(run.id, train(spec, workshop, out=bench.store.folder(run.id)))
        assert bench.store.run(run.id).state == "finished", bench.store.run(run.id).reason
        return run.id

    return make


@pytest.fixture
def reply(bench: Bench, ask: Any, workshop: Any) -> Callable[..., dict[str, Any]]:
    """Asks, answers as the worker does, and reads what the page reads."""
    shelf = Shelf(workshop)

    def said(run: str, text: str = "a fine thing", **more: Any) -> dict[str, Any]:
        asked = ask("ask", run=run, owner="me", text=text, **more)
        assert "question" in asked, asked
        claimed = bench.store.claim("answers", (KIND,))
        bench.store.append(claimed.id, answer(Question.from_json(claimed.spec_json), bench.store.folder(run), shelf))
        return ask("reply", question=asked["question"], owner="me")

    return said


def test_a_classifier_shows_its_shares_with_what_they_are_worth(trained: Any, reply: Any) -> None:
    said = reply(trained())
    assert said["state"] == "finished" and [card["who"] for card in said["cards"]] == ["base", "tuned"]
    tuned = said["cards"][1]
    assert sum(row["part"] for row in tuned["rows"]) == pytest.approx(1, abs=1e-5) and sum(row["best"] for row in tuned["rows"]) == 1
    assert all("%" in row["said"] for row in tuned["rows"]) and tuned["best"] in {row["label"] for row in tuned["rows"]}
    assert "not calibrated" in said["caution"] or "nobody calibrated" in said["caution"]
    assert "reads" in tuned["took"] and said["tokens"]["tokens"] and said["tokens"]["says"]


def test_of_an_encoder_the_base_is_only_near_to_labels(trained: Any, reply: Any) -> None:
    said = reply(trained(model="seed-bert", method={"name": "prompt_tuning", "virtual_tokens": 3}))
    base = said["cards"][0]
    assert base["who"] == "base" and "no probability" in base["note"] and all(row["part"] is None for row in base["rows"])
    assert said["tokens"]["virtual"] == 3 and "3 virtual ones" in said["tokens"]["says"][0] and len(said["expected"]) == 2


def test_a_prompt_for_the_base_has_a_card_of_its_own(trained: Any, reply: Any, ask: Any) -> None:
    run = trained()
    assert ask("view", run=run)["prompt"]["own"] and ask("view", run=run)["prompt"]["examples"]
    said = reply(run, shots=2, wording="{text} This is")
    assert [card["who"] for card in said["cards"]] == ["base", "prompted", "tuned"] and said["cards"][1]["about"].endswith("2 solved examples and your wording")


def test_a_written_answer_grows_and_is_text(bench: Bench, trained: Any, ask: Any, reply: Any) -> None:
    run = trained(task="random_pairs")
    asked = ask("ask", run=run, owner="me", text="abc")["question"]
    assert ask("reply", question=asked, owner="me")["status"]
    bench.store.claim("answers", (KIND,))
    assert ask("reply", question=asked, owner="me")["status"] == "opening the run …"
    bench.store.append(asked, [Observed(0, "piece", {"who": "tuned", "text": "<b>${1}"})])
    growing = ask("reply", question=asked, owner="me")
    assert growing["cards"][0] | {"going": True, "text": "<b>${1}", "kind": "text", "took": ""} == growing["cards"][0]
    assert set(ask("reply", question=asked, owner="me", mark=growing["mark"])) == {"mark"}
    bench.store.append(asked, [Observed(0, "piece", {"who": "tuned", "text": " on"})])
    assert ask("reply", question=asked, owner="me", mark=growing["mark"])["cards"][0]["text"] == "<b>${1} on"
    bench.store.append(asked, [Cancelled(0)])
    assert reply(run, "abc")["caution"] == ""


def test_times_come_as_a_table_with_where_they_hold(trained: Any, reply: Any) -> None:
    said = reply(trained(), time=True)
    rows = said["latency"]["rows"]
    assert [row["form"] for row in rows][:3] == ["untouched base", "as it was trained", "merged into the base"] and said["timing"]
    assert max(row["part"] for row in rows) == 1 and all("ms" in row["median"] or "s" in row["median"] for row in rows)
    assert "Median of 9 calls" in said["latency"]["note"] and "one text at a time" in said["latency"]["note"] and "this machine" in said["latency"]["note"]
    assert not any("e-" in row["far"] for row in rows)


def test_forms_and_what_stands_against_them_are_known_at_once(trained: Any, ask: Any) -> None:
    forms = {form["key"]: form for form in ask("view", run=trained(method={"name": "prompt_tuning", "virtual_tokens": 3}))["forms"]}
    assert forms["adapter"]["ok"] and not forms["merged"]["ok"] and "cannot be written into" in forms["merged"]["reason"]
    run = trained()
    assert "cannot" in ask("ask", run=trained(method="houlsby"), owner="me", text="a", form="merged")["error"]
    assert ask("ask", run=run, owner="me", text="a", form="merged")["question"]


def test_an_example_is_a_test_item_with_its_label(trained: Any, ask: Any, bench: Bench) -> None:
    run = trained()
    found = ask("example", run=run, number=3)
    assert found["of"] == 8 and found["number"] == 3 and found["answer"] in ask("view", run=run)["labels"]
    assert len({ask("example", run=run)["number"] for _ in range(40)}) > 1
    recalled = ask("example", run=trained(task="random_pairs", train_items=4, eval_items=4))
    assert recalled["of"] <= 4 and recalled["answer"]
    known = {question.__name__: question for question in tab.questions(Bench(bench.store))}
    kept = bench.store.result(run).seen("samples")[0]
    assert known["example"]({"run": run, "owner": "me", "number": 0})["text"] == kept["text"], "what the run kept, where no data lie here"


def test_every_run_that_cannot_be_asked_says_why_and_what_to_do(bench: Bench, trained: Any, ask: Any) -> None:
    def standing(run: str) -> tuple[str, str]:
        view = ask("view", run=run, owner="me")
        if view["standing"] != "ready":
            assert view["reason"] and view["way_out"] and view["reason"] in ask("ask", run=run, owner="me", text="a")["error"]
        return view["standing"], view["reason"]

    going = bench.store.submit(RunSpec.parse(TINY), "me").id
    assert standing(going)[0] == "going"
    bench.store.claim("worker")
    assert "still training" in standing(going)[1]
    bench.store.append(going, [Failed("the loss ran away")])
    assert standing(going) == ("ended", "It failed before its end, so it kept no adapter that could be asked.")
    run = trained()
    assert standing(run)[0] == "ready"
    shutil.rmtree(bench.store.folder(run) / "adapter")
    assert standing(run)[0] == "gone" and "not on this machine any more" in standing(run)[1]
    images = bench.store.submit(RunSpec.parse({"model": "seed-vit", "task": "digits", "method": "head"}), "me").id
    bench.store.claim("worker")
    bench.store.append(images, [Finished(3, {"total": 1.0}, 1.0)])
    assert standing(images)[0] == "images"
    bench.store.delete(run)
    assert "deleted" in ask("view", run=run)["error"] and "deleted" in ask("ask", run=run, owner="me", text="a")["error"]


def test_runs_of_the_same_words_are_told_apart_by_what_differs() -> None:
    alike = [RunSpec.parse({**TINY, "method": {"name": "prompt_tuning", "init": init}}).to_dict() for init in ("random", "vocabulary")]
    assert apart([*alike, RunSpec.parse(TINY).to_dict()]) == ["start values random", "start values vocabulary", ""]


def test_a_recorded_run_has_no_weights(bench: Bench) -> None:
    spec = RunSpec.parse(TINY)
    started = Started(spec.to_dict(), spec.fingerprint, "w", "d", {}, spec.counts.to_dict(), "cpu", "float32", 1, {"test": 8})
    recorded = Recorded("one", {"date": "2026-01-01", "cores": 2}, (started,))
    known = {question.__name__: question for question in tab.questions(Bench(bench.store, (recorded,)))}
    key = RECORDED + "one"
    assert known["runs"]({"owner": "me"})["recorded"][0]["run"] == key
    view = known["view"]({"run": key})
    assert view["standing"] == "recorded" and "ship no weights" in view["reason"] and view["way_out"] == "Run it yourself" and view["address"]
    assert "ship no weights" in known["ask"]({"run": key, "owner": "me", "text": "a"})["error"]


def test_a_base_that_is_not_here_is_said_before_anybody_waits(bench: Bench) -> None:
    run = bench.store.submit(RunSpec.parse({**TINY, "model": "minilm-l6", "task": "movies"}), "me")
    known = {question.__name__: question for question in tab.questions(bench)}
    assert "not on this machine now" in known["view"]({"run": run.id, "owner": "me"})["here"]
    there = {question.__name__: question for question in tab.questions(Bench(bench.store, hashes=lambda spec: ("w", "d")))}
    assert there["view"]({"run": run.id, "owner": "me"})["here"] == ""


def test_the_menu_has_this_browsers_finished_runs(bench: Bench, trained: Any, ask: Any) -> None:
    first, second = trained(), trained(method={"name": "prompt_tuning", "virtual_tokens": 3})
    bench.store.submit(RunSpec.parse(TINY), "me")
    assert [each["run"] for each in ask("runs", owner="me")["mine"]] == [second, first] and ask("runs", owner="other")["mine"] == []
    assert ask("runs", owner="me")["mine"][0]["told"].startswith("toy, 3 virtual tokens, 3 steps, seed 0 · ")


def test_one_browser_asks_little_at_a_time_and_reads_its_own_answers_only(bench: Bench, trained: Any, ask: Any) -> None:
    run = trained()
    bench.store.submit(RunSpec.parse(TINY), "me")
    first = ask("ask", run=run, owner="me", text="one")["question"]
    assert ask("ask", run=run, owner="me", text="two")["question"] and ask("ask", run=run, owner="me", text="two")["question"]
    assert "3 of your questions are being answered" in ask("ask", run=run, owner="me", text="three")["error"]
    bench.store.share(run)
    assert ask("ask", run=run, owner="other", text="one")["question"], "whoever has a run's link may ask it"
    assert "error" in ask("reply", question=first, owner="other") and "error" in ask("stop", question=first, owner="other")
    assert "error" in ask("reply", question=run, owner="me")
    assert ask("stop", question=first, owner="me")["state"] == "cancelled"
    assert "owner" in ask("ask", run=run, owner="", text="a")["error"]
    for number in range(20):
        ask("stop", question=ask("ask", run=run, owner="me", text=f"again {number}")["question"], owner="me")
    assert "error" in ask("reply", question=first, owner="me"), "old questions are forgotten"


@pytest.mark.parametrize(("asked", "field", "says"), [
    ({"text": " "}, "text", "text is empty"), ({"text": "x" * 5000}, "text", "at most 4,000"), ({}, "text", "text is missing"),
    ({"text": "a", "shots": 99}, "shots", "0 to 16"), ({"text": "a", "shots": 1.5}, "shots", "whole number"),
    ({"text": "a", "wording": "{0}"}, "wording", "{text} once"), ({"text": "a", "form": "x"}, "form", "must be one of")])
def test_bad_input_is_refused_in_words(asked: dict[str, Any], field: str, says: str, trained: Any, ask: Any) -> None:
    found = ask("ask", run=trained(), owner="me", **asked)
    assert found["field"] == field and says in found["error"]


def test_typing_has_the_run_opened_once(bench: Bench, trained: Any, ask: Any, workshop: Any) -> None:
    run = trained()
    assert all("this run is private" in ask("warm", run=run, owner=owner)["error"] for owner in ("", "somebody else"))
    assert ask("warm", run=run, owner="me") == ask("warm", run=run, owner="me") == {}
    assert bench.store.waiting(questions=True) == 1, "once is enough, and only for a browser that is known"
    claimed, shelf = bench.store.claim("answers", (KIND,)), Shelf(workshop)
    bench.store.append(claimed.id, answer(Question.from_json(claimed.spec_json), bench.store.folder(run), shelf))
    assert (run, "float32", "adapter") in shelf and bench.store.run(claimed.id).state == "finished"


def test_a_failed_question_keeps_its_reason(bench: Bench, trained: Any, ask: Any) -> None:
    question = ask("ask", run=trained(), owner="me", text="a")["question"]
    bench.store.claim("answers", (KIND,))
    bench.store.append(question, [Failed("The worker that answers ended unexpectedly.", "Ask again.")])
    said = ask("reply", question=question, owner="me")
    assert said["state"] == "failed" and said["reason"].startswith("The worker") and said["advice"] == "Ask again."


def test_times_are_said_as_people_say_them() -> None:
    assert [words._short(amount).replace("\u202f", " ") for amount in (0.00432, 0.0432, 0.256, 1.26)] == ["4.3 ms", "43.2 ms", "256 ms", "1.3 s"]
