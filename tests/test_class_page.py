"""The class on the page, without a browser: what is offered, who joins, what is kept, what the desk sees, and who may not see it."""
from __future__ import annotations

import csv
import io
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from lab import lessons as course
from lab.classroom import Budgets, Settings, tally
from lab.classroom.meter import Meter, Use
from lab.classroom.register import Register
from lab.classroom.tries import OF_ONE, TOKEN_SECONDS, WITHIN_SECONDS, Tokens, Tries
from lab.contracts import LabError
from lab.events import Evaluated, Finished, Started, fold
from lab.lessons.bank import read as read_bank
from lab.lessons.known import Known
from lab.spec import RunSpec
from lab.store import Store
from lab.ui import classroom, hub, live, offered, page, rates, train
from lab.ui.bench import Bench, Limits
from lab.ui.classroom import capacity
from lab.ui.compare.tab import questions as comparing
from lab.ui.family import questions as family
from lab.ui.memory.menus import menus

ROOT = Path(__file__).parent.parent
CODE, SECRET = "spring26", "correct horse battery"
SETTINGS = Settings(class_code=CODE, instructor_secret=SECRET, shared_task="toy")
LESSON = "05-lora"
ANN, BOB, EVE = ("a" * 32, "b" * 32, "e" * 32)
TOY = RunSpec.parse({"model": "seed-bert", "task": "toy", "method": "lora", "steps": 10})


@pytest.fixture(scope="module")
def lessons() -> Any:
    return course.lessons([ROOT / "lessons"], ROOT / "assets" / "comparisons")


@pytest.fixture
def bench(tmp_path: Path, lessons: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("LAB_DATA", str(tmp_path))
    with Store(tmp_path) as store:
        yield Bench(store, settings=SETTINGS, lessons=lessons, bank=read_bank(ROOT / "lessons" / "bank.yaml"), assets=ROOT / "assets")


def tell(bench: Bench, question: str, client: TestClient | None = None, **said: Any) -> dict[str, Any]:
    answer = (client or browser(bench)).post(f"/class/{question}", content=json.dumps(said))
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    return answer.json()


def browser(bench: Bench) -> TestClient:
    return TestClient(Starlette(routes=[*classroom.routes(bench), *capacity.routes(bench)]))


def join(bench: Bench, owner: str, name: str) -> dict[str, Any]:
    return tell(bench, "join", owner=owner, code=CODE, name=name, agreed=True)


def ended(bench: Bench, owner: str, score: float, title: str = "", spec: RunSpec = TOY) -> str:
    run = bench.store.submit(spec, owner, title=title)
    bench.store.claim("worker")
    bench.store.append(run.id, [Started(spec.to_dict(), spec.fingerprint, "w" * 64, "d" * 64, {}, spec.counts.to_dict(), "cpu", "float32", 1, {"train": 8}),
                                Evaluated(10, "tuned", "test", "accuracy", score, 0.01, 100), Finished(10, {"total": 2.0}, 10.0)])
    return run.id


def asked(bench: Bench, name: str, **said: Any) -> dict[str, Any]:
    return next(question for question in train.questions(bench) if question.__name__ == name)(said)


# ── what is offered ───────────────────────────────────────────────────────────────────────────────────────────────────

FEW = Settings(models=["seed-bert", "seed-llama"], tasks=["toy"], methods=["head", "prompt_tuning", "ia3"], tabs=["learn", "train", "memory"])


def test_menus_have_what_is_offered_and_nothing_else(bench: Bench) -> None:
    few = replace(bench, settings=FEW)
    start = train.start(few)
    for menu, keys in (("models", FEW.models), ("tasks", FEW.tasks), ("methods", FEW.methods)):
        assert {row["key"] for row in start["catalogues"][menu]} == set(keys)
    assert start["draft"]["model"] in FEW.models and start["form"]["method"] in FEW.methods and start["form"]["task"] == "toy"
    assert all(row["task"] == "toy" for row in start["catalogues"]["models"])
    shown = next(question for question in family(few.offer) if question.__name__ == "family")({})
    assert {each["key"] for each in shown["methods"]} == set(FEW.methods) and {each["key"] for each in shown["models"]} == set(FEW.models)
    memory = menus(few.offer)
    assert {each["key"] for each in memory["methods"]} == set(FEW.methods) and {each["name"] for each in memory["first"]["methods"]} <= set(FEW.methods)
    assert {each["value"]["lab"] for group in memory["models"] for each in group["models"] if "lab" in each["value"]} == set(FEW.models)
    compare = next(question for question in comparing(few) if question.__name__ == "begin")({})
    assert {row["key"] for row in compare["catalogues"]["methods"]} == set(FEW.methods) and compare["blank"]["base"]["model"] in FEW.models
    assert [place.key for place in page.places(few)] == ["learn", "train", "memory"]
    assert "class" in [place.key for place in page.places(bench)] and "class" not in [place.key for place in page.places(replace(bench, settings=Settings()))]


@pytest.mark.parametrize(("change", "words"), [
    ({"model": "seed-distilbert"}, 'model is "seed-distilbert": this lab offers seed-bert, seed-llama'),
    ({"task": "movies"}, 'task is "movies": this lab offers toy'),
    ({"method": {"name": "lora"}}, 'method is "lora": this lab offers head'),
    ({"method": {"name": "stack", "parts": [{"name": "prompt_tuning"}, {"name": "lora"}]}}, 'method is "stack"'),
    ({"tested_on": ["movies"], "task": "toy"}, "movies"),
])
def test_the_server_refuses_what_the_menus_leave_out(bench: Bench, change: dict[str, Any], words: str) -> None:
    few = replace(bench, settings=FEW)
    draft = {"model": "seed-bert", "task": "toy", "method": {"name": "head"}, **change}
    assert words in asked(few, "submit", draft=draft, owner=ANN)["error"]
    assert "error" in next(question for question in train.questions(few) if question.__name__ == "count")(draft)
    assert bench.store.waiting() == 0


def test_a_combination_is_offered_with_all_of_its_parts(bench: Bench) -> None:
    few = replace(bench, settings=Settings(methods=["stack", "prompt_tuning"]))
    with pytest.raises(LabError, match='method is "lora"'):
        few.submit(RunSpec.parse({"model": "seed-bert", "method": {"name": "stack", "parts": [{"name": "prompt_tuning"}, {"name": "lora"}]}}), ANN)


def test_forms_end_at_the_limits_and_what_is_left_open_stays_within(bench: Bench) -> None:
    small = replace(bench, limits=Limits(steps=20, rank=4, virtual_tokens=5, train_items=50, eval_items=30, tokens=12, batch=3))
    form = offered.form(small, "seed-bert", "lora", "toy")
    controls = {each["name"]: each for part in ("knobs", "settings", "advanced") for each in form[part]}
    for name, most in (("steps", 20), ("rank", 4), ("train_items", 50), ("eval_items", 30), ("tokens", 12), ("batch", 3)):
        assert controls[name]["high"] == most and controls[name]["default"] <= most and f"up to {most}" in controls[name]["help"]
        assert max(controls[name]["marks"] or [most]) == most
    spec = offered.parse(small, {"model": "seed-bert", "task": "toy", "method": {"name": "lora"}})
    assert (spec.steps, spec.method.rank, spec.train_items, spec.eval_items, spec.tokens, spec.batch) == (20, 4, 50, 30, 12, 3)
    assert small.submit(spec, ANN).state == "queued"
    assert offered.parse(small, {"model": "seed-bert", "task": "toy", "method": {"name": "prompt_tuning"}}).method.virtual_tokens == 5
    for draft, words in (({"steps": 21}, "steps is 21: this lab allows 20"), ({"method": {"name": "lora", "rank": 5}}, "rank is 5: this lab allows 4"),
                         ({"train_items": 51}, "train_items is 51: this lab allows 50"), ({"eval_items": 31}, "eval_items is 31: this lab allows 30"),
                         ({"tokens": 13}, "tokens is 13: this lab allows 12"), ({"batch": 4}, "batch is 4: this lab allows 3"),
                         ({"method": {"name": "prompt_tuning", "virtual_tokens": 6}}, "virtual_tokens is 6")):
        for question in ("submit", "count"):
            wanted = {"model": "seed-bert", "task": "toy", "method": {"name": "lora"}, **draft}
            found = asked(small, question, **({"draft": wanted, "owner": BOB} if question == "submit" else wanted))
            assert words in found["error"] and found["field"] == words.partition(" ")[0], "told in the form as well, at its field"
    with pytest.raises(LabError, match="train_items is all of them"):
        small.submit(TOY.model_copy(update={"method": spec.method}), BOB)


def test_comparisons_keep_to_the_limits(bench: Bench) -> None:
    small = replace(bench, limits=Limits(rank=4))
    plan = next(question for question in comparing(small) if question.__name__ == "look")
    draft = {"base": {"model": "seed-bert", "task": "toy", "method": "lora", "steps": 5}, "arms": [{"name": "one", "change": {}},
             {"name": "high", "change": {"method": {"rank": 8}}}], "seeds": [0]}
    assert 'arm "high": rank is 8: this lab allows 4' in plan({"draft": draft, "owner": ANN, "go": True})["error"] and bench.store.waiting() == 0


def test_an_image_has_no_tokens_to_limit(bench: Bench) -> None:
    small = replace(bench, limits=Limits(tokens=8))
    spec = RunSpec.parse({"model": "seed-vit", "task": "digits", "method": "head"})
    assert spec.tokens > 8 and small.submit(spec, ANN).state == "queued"


def test_a_rank_by_another_name_is_a_rank(bench: Bench) -> None:
    small = replace(bench, limits=Limits(rank=16))
    draft = {"model": "seed-bert", "task": "toy", "method": {"name": "adalora", "rank": 8, "start_rank": 64}}
    assert "start_rank is 64: this lab allows 16" in asked(small, "submit", draft=draft, owner=ANN)["error"]
    form = offered.form(small, "seed-bert", "adalora", "toy")
    assert next(each for part in ("knobs", "settings", "advanced") for each in form[part] if each["name"] == "start_rank")["high"] == 16


def test_a_limit_is_told_while_it_can_still_be_changed(bench: Bench) -> None:
    assert "rank is 8: this lab allows 4" in asked(replace(bench, limits=Limits(rank=4)), "count", **TOY.to_dict())["error"]


def test_who_asks_many_times_at_once_has_no_more_places(bench: Bench) -> None:
    few, refused = replace(bench, limits=Limits(waiting=3)), []

    def submit(seed: int) -> None:
        try:
            few.submit(TOY.model_copy(update={"seed": seed}), ANN)
        except LabError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=submit, args=(seed,)) for seed in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bench.store.waiting(ANN) == 3 and len(refused) == 21 and all("waiting or running" in words for words in refused)


def test_a_result_that_is_there_is_not_copied_twice(bench: Bench) -> None:
    ended(bench, ANN, 0.7)
    knowing = replace(bench, hashes=lambda spec: ("w" * 64, "d" * 64))
    again = knowing.again(TOY, BOB)
    assert again.reused and knowing.again(TOY, BOB).id == again.id and len(bench.store.history(BOB)) == 1
    full = replace(knowing)
    full.__dict__["meter"] = Meter(bench.store, Budgets(disk_mb=500), lambda store: Use(disk=600_000_000, free_disk=10**10, memory=1))
    with pytest.raises(LabError, match="600 MB of the 500"):
        full.again(TOY, EVE)


def test_an_equal_run_is_answered_at_once_and_counts_for_nothing(bench: Bench) -> None:
    told: list[str] = []
    strict = replace(bench, limits=Limits(waiting=1, per_hour=1, address_waiting=1, address_per_hour=1), submitted=lambda run: told.append(run.id),
                     hashes=lambda spec: ("w" * 64, "d" * 64))
    rates.ASKING.set("1.1.1.1")
    try:
        first = ended(bench, ANN, 0.7, title="Ann's secret")
        others = [RunSpec.parse({**TOY.to_dict(), "seed": seed}) for seed in (5, 6)]
        strict.submit(others[0], BOB)  # no further place, and no further run in this hour
        answer = strict.submit(TOY, BOB)
        assert (answer.state, answer.reused, answer.owner, answer.title) == ("finished", True, BOB, "") and answer.id != first
        assert strict.submit(TOY, BOB).id == answer.id and strict.submit(TOY, ANN).id == first, "one's own is not copied"
        assert len(told) == 1, "no runner hears of it, and no quota is asked for"
        for refused in (lambda: strict.submit(TOY, BOB, anew=True), lambda: strict.submit(others[1], BOB)):
            with pytest.raises(LabError, match="1 of your runs are waiting or running"):
                refused()
    finally:
        rates.ASKING.set("")


def test_what_is_asked_for_anew_is_made(bench: Bench) -> None:
    knowing = replace(bench, hashes=lambda spec: ("w" * 64, "d" * 64))
    first = ended(bench, ANN, 0.7)
    found = asked(knowing, "submit", draft=TOY.to_dict(), owner=BOB)
    assert found["answered"] and bench.store.run(found["run"]).reused
    watcher = live.Watcher(knowing)
    assert watcher.poll({"run": found["run"], "owner": BOB})["reused"] and not watcher.poll({"run": first, "owner": ANN})["reused"]
    anew = asked(knowing, "submit", draft=TOY.to_dict(), owner=BOB, anew=True)
    assert not anew["answered"] and bench.store.claim("worker").id == anew["run"] and not bench.store.answer(bench.store.run(anew["run"]))
    assert asked(knowing, "count", **TOY.to_dict())["made_before"]


@pytest.mark.parametrize("hashes", [("", ""), ("w" * 64, "other"), ("other", "d" * 64)])
def test_other_weights_or_data_answer_nothing(bench: Bench, hashes: tuple[str, str]) -> None:
    ended(bench, ANN, 0.7)
    for owner in (ANN, BOB):
        assert replace(bench, hashes=lambda spec: hashes).submit(TOY, owner).state == "queued"


def test_what_has_not_finished_or_lost_its_adapter_answers_nothing(bench: Bench) -> None:
    knowing = replace(bench, hashes=lambda spec: ("w" * 64, "d" * 64))
    assert knowing.submit(TOY, ANN).state == knowing.submit(TOY, BOB).state == "queued"
    for run in bench.store.queue():
        bench.store.cancel(run.id)
    ended(bench, ANN, 0.7)
    bench.store.expire(adapters_before=bench.store.now + 1)
    assert knowing.submit(TOY, ANN).state == "queued"


def test_who_may_not_train_is_not_answered_either(bench: Bench) -> None:
    ended(bench, ANN, 0.7)
    closed = replace(bench, settings=Settings(class_code=CODE, members_only=True), hashes=lambda spec: ("w" * 64, "d" * 64))
    with pytest.raises(LabError, match="only members"):
        closed.submit(TOY, EVE)
    assert bench.store.history(EVE) == []


def test_settings_with_too_much_text_are_refused_before_they_are_kept(bench: Bench) -> None:
    draft = {"model": "seed-bert", "task": "toy", "method": {"name": "prompt_tuning", "init": "text", "text": "x" * 70_000}}
    assert "at most 64,000" in asked(bench, "submit", draft=draft, owner=ANN)["error"] and bench.store.waiting() == 0
    plan = next(question for question in comparing(bench) if question.__name__ == "plan")
    assert "too much text" in plan({"draft": {"base": draft, "arms": [{"name": "one"}, {"name": "two"}], "seeds": [0]}, "owner": ANN})["error"]


def test_a_run_known_to_take_too_long_is_refused(bench: Bench) -> None:
    ended(bench, ANN, 0.7)  # ten steps a second, two seconds in all
    quick = replace(bench, limits=Limits(seconds=60))
    assert quick.submit(TOY, BOB).state == "queued"
    with pytest.raises(LabError, match=r"seconds is about .*this lab allows 60"):
        quick.submit(TOY.model_copy(update={"steps": 4000}), BOB)


@pytest.mark.parametrize(("use", "words"), [
    (Use(disk=600_000_000, free_disk=10**10, memory=1), "the lab's folder has 600 MB of the 500 it may have"),
    (Use(disk=1, free_disk=10_000_000, memory=1), "10 MB are free on the lab's disk, and 200 have to stay free"),
    (Use(disk=1, free_disk=10**10, memory=700_000_000), "the lab's page takes 700 MB of memory of the 600"),
])
def test_a_full_budget_refuses_new_runs_and_loses_none(bench: Bench, use: Use, words: str) -> None:
    waits = bench.submit(TOY, ANN)
    full = replace(bench)
    full.__dict__["meter"] = Meter(bench.store, Budgets(disk_mb=500, page_memory_mb=600), lambda store: use)
    with pytest.raises(LabError, match=words):
        full.submit(TOY, BOB)
    assert bench.store.run(waits.id).state == "queued" and bench.store.claim("worker").id == waits.id
    assert capacity.health(full)["ok"] is False and "refused" in capacity.health(full)["trouble"]


def test_what_is_used_is_measured(bench: Bench) -> None:
    use = bench.meter.use
    assert use.disk >= 4096 and use.free_disk > 0 and use.memory > 10_000_000


# ── private until it is shared ────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_is_its_owner_s_until_it_is_shared(bench: Bench) -> None:
    run, watcher = ended(bench, ANN, 0.7), live.Watcher(bench)
    assert watcher.poll({"run": run, "owner": ANN})["name"]
    for owner in (BOB, "", None):
        assert "this run is private" in watcher.poll({"run": run, "owner": owner})["error"]
    assert asked(bench, "share", run=run, owner=ANN)["shared"] and watcher.poll({"run": run, "owner": BOB})["name"]


def test_an_account_has_one_key_in_every_browser_that_nobody_can_guess(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    class Request:
        def __init__(self, name: str) -> None:
            self.scope = {"session": {"oauth_info": {"access_token": "t", "userinfo": {"preferred_username": name}}}} if name else {}

    monkeypatch.delenv("SPACE_ID", raising=False)
    assert hub.owner(bench, Request("ann")) == "", "only where one can sign in"
    monkeypatch.setenv("SPACE_ID", "class/lab")
    monkeypatch.setenv("OAUTH_CLIENT_ID", "x")
    key = hub.owner(bench, Request("ann"))
    assert key == hub.owner(bench, Request("ann")) != hub.owner(bench, Request("bob")) and len(key) > 40 and "ann" not in key
    assert hub.owner(bench, Request("")) == "" and page.known("k" * 30, 1, key) == ["k" * 30, {"owner": key}]


# ── the door ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_joining_takes_the_code_a_yes_and_a_free_name(bench: Bench) -> None:
    assert "not the class code" in tell(bench, "join", owner=ANN, code="autumn", name="Ann", agreed=True)["error"]
    assert "agreed is missing" in tell(bench, "join", owner=ANN, code=CODE, name="Ann")["error"]
    for name in ("", " ", "x" * 41, "=cmd()", "<b>", "a\nb\x00", 7):
        assert "name is" in tell(bench, "join", owner=ANN, code=CODE, name=name, agreed=True)["error"], name
    assert bench.register.members() == []
    word = join(bench, ANN, " Ann  Ångström ")["member"]["word"]
    assert bench.register.member(ANN).name == "Ann Ångström"
    assert "somebody has joined with it" in join(bench, BOB, "ann A\u030angström")["error"] and "already" in join(bench, ANN, "Other")["error"]
    about = tell(bench, "about", owner=ANN)
    assert about["member"] == {"name": "Ann Ångström", "word": word} and tell(bench, "about", owner=BOB)["member"] is None
    assert CODE not in json.dumps(about) and SECRET not in json.dumps(about)


def test_a_name_is_taken_up_again_with_its_word_only(bench: Bench) -> None:
    word, client = join(bench, ANN, "Ann")["member"]["word"], browser(bench)
    assert tell(bench, "back", client, name="ANN", word=f"{word[:4]}-{word[4:8]}-{word[8:]}")["owner"] == ANN
    wrong = [tell(bench, "back", client, name=name, word=word) for name, word in (("Ann", "guess"), ("Nobody", word), ("Ann", ""))]
    assert all("do not belong together" in each["error"] and "owner" not in each for each in wrong)


def test_only_members_may_train_where_the_host_says_so(bench: Bench) -> None:
    closed = replace(bench, settings=SETTINGS.model_copy(update={"members_only": True}))
    with pytest.raises(LabError, match="only members of the class"):
        closed.submit(TOY, EVE)
    join(bench, ANN, "Ann")
    assert closed.submit(TOY, ANN).state == "queued"


def test_nothing_is_kept_of_who_has_not_joined(bench: Bench) -> None:
    sent = {"lesson": LESSON, "records": [{"kind": "progress", "name": "", "value": {"step": 1}}]}
    assert "in no class" in tell(bench, "record", owner=EVE, **sent)["error"]
    with pytest.raises(LabError, match="in no class"):
        bench.register.record(EVE, LESSON, "progress", "", {"step": 1})
    assert bench.store.rows("SELECT count(*) FROM records") == [(0,)]


def test_what_fits_the_lesson_is_kept_and_goes_when_one_leaves(bench: Bench) -> None:
    join(bench, ANN, "Ann")
    records = [("progress", "", {"step": 3, "ended": False}), ("prediction", "count", 9216), ("prediction", "speed", 2), ("answer", "which-moved", 1),
               ("answer", "symmetry", 2)]
    bad = [("progress", "", {"step": 999}), ("prediction", "count", "much"), ("prediction", "none", 1), ("answer", "symmetry", 9),
           ("prediction", "dimension", [1]), ("quiz", "symmetry", True), ("gossip", "", 1), ("test", "A", [1])]
    told = tell(bench, "record", owner=ANN, lesson=LESSON, records=[{"kind": kind, "name": name, "value": value} for kind, name, value in (*records, *bad)])
    assert told["kept"] == len(records) and len(told["refused"]) == len(bad)
    assert [(each.kind, each.name) for each in bench.register.records()] == [
        ("observation", "which-moved"), ("prediction", "count"), ("prediction", "speed"), ("progress", ""), ("quiz", "symmetry")]
    questions = len(bench.bank.forms["A"])
    assert tell(bench, "record", owner=ANN, lesson="test", records=[{"kind": "test", "name": "A", "value": [1] * questions}])["kept"] == 1
    assert tell(bench, "record", owner=ANN, lesson="none", records=[{"kind": "progress", "name": "", "value": {"step": 1}}])["kept"] == 0
    tell(bench, "leave", owner=ANN)
    assert bench.register.member(ANN) is None and bench.store.rows("SELECT count(*) FROM records") == [(0,)]


def test_a_member_sees_the_leaderboard_without_names(bench: Bench) -> None:
    for owner, name in ((ANN, "Ann"), (BOB, "Bob")):
        join(bench, owner, name)
    for owner, score in ((ANN, 0.6), (ANN, 0.8), (BOB, 0.9), (EVE, 0.99)):
        ended(bench, owner, score, title="mine")
    board = tell(bench, "about", owner=ANN)["board"]
    assert [(row["place"], row["score"], row["mine"]) for row in board["rows"]] == [(1, "0.900 ± 0.010", False), (2, "0.800 ± 0.010", True)]
    assert "Bob" not in json.dumps(board) and BOB not in json.dumps(board) and tell(bench, "about", owner=EVE)["board"] is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 5000, b'{"owner": 1}'])
def test_what_is_no_question_is_told_in_words(bench: Bench, body: bytes) -> None:
    answer = browser(bench).post("/class/join", content=body)
    assert answer.status_code == 200 and answer.json()["error"]


# ── the desk ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def at_the_desk(bench: Bench, client: TestClient | None = None) -> tuple[TestClient, str]:
    client = client or browser(bench)
    return client, tell(bench, "enter", client, secret=SECRET)["token"]


def test_nothing_of_the_desk_is_told_without_the_secret(bench: Bench) -> None:
    client = browser(bench)
    run = bench.submit(TOY, ANN)
    for question in ("queue", "progress", "predictions", "gallery", "export", "cancel"):
        for token in ("", "guess", None, SECRET, 7):
            assert "sign-in is over" in tell(bench, question, client, token=token, run=run.id, what="runs")["error"]
    assert bench.store.run(run.id).state == "queued"
    client, token = at_the_desk(bench, client)
    assert "error" not in tell(bench, "queue", client, token=token)
    assert SECRET not in json.dumps(tell(bench, "queue", client, token=token))
    tell(bench, "out", client, token=token)
    assert "sign-in is over" in tell(bench, "queue", client, token=token)["error"]
    shut = browser(replace(bench, settings=Settings(class_code=CODE)))
    assert shut.post("/class/enter", content=b'{"secret": ""}').status_code == 404, "without a secret there is no desk"


def test_the_secret_cannot_be_tried_for_long(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    client = browser(bench)
    caplog.set_level("INFO", "lab")
    for number in range(OF_ONE):
        assert "not the instructor secret" in tell(bench, "enter", client, secret=f"guess {number}")["error"]
    assert "too many wrong tries: try again in 5 min" in tell(bench, "enter", client, secret=SECRET)["error"], "not even with the right one"
    assert len(caplog.records) >= OF_ONE and "guess" not in caplog.text and SECRET not in caplog.text


def test_tries_are_counted_by_client_and_forgotten_after_a_while() -> None:
    now = [0.0]
    tries = Tries(lambda: now[0])
    for _ in range(OF_ONE):
        with pytest.raises(LabError, match="not the word"):
            tries.check("wrong", SECRET, "one", "word")
    with pytest.raises(LabError, match="too many"):
        tries.check(SECRET, SECRET, "one", "word")
    for _ in range(3 * OF_ONE):
        tries.check(SECRET, SECRET, "other", "word")  # right ones are not counted
    now[0] += WITHIN_SECONDS + 1
    tries.check(SECRET, SECRET, "one", "word")
    crowd = Tries(lambda: now[0], of_all=8)
    for number in range(8):
        with pytest.raises(LabError, match="not the word"):
            crowd.check("wrong", SECRET, f"client {number}", "word")
    with pytest.raises(LabError, match="too many"):
        crowd.check("wrong", SECRET, "a new one", "word")
    with pytest.raises(LabError, match="not the word"):
        Tries().check("", None, "one", "word")


def test_a_token_ends() -> None:
    now = [0.0]
    tokens = Tokens(lambda: now[0])
    token = tokens.new()
    tokens.check(token)
    now[0] += TOKEN_SECONDS + 1
    with pytest.raises(LabError, match="is over"):
        tokens.check(token)


def test_the_desk_sees_who_runs_and_waits_and_stops_a_run(bench: Bench) -> None:
    join(bench, ANN, "Ann")
    first, second, third = bench.submit(TOY, ANN), bench.submit(TOY, EVE), bench.submit(TOY, ANN)
    bench.store.claim("worker")
    client, token = at_the_desk(bench)
    seen = tell(bench, "queue", client, token=token)
    assert [(row["id"], row["state"], row["place"]) for row in seen["rows"]] == [(first.id, "running", 0), (second.id, "queued", 1), (third.id, "queued", 2)]
    assert seen["rows"][0]["who"] == "Ann" and seen["rows"][1]["who"].startswith("browser ") and EVE not in json.dumps(seen) and ANN not in json.dumps(seen)
    assert (seen["running"], seen["waiting"], seen["members"]) == (1, 2, 1) and {"Workers", "Disk", "Page"} <= {each["name"] for each in seen["capacity"]}
    assert tell(bench, "cancel", client, token=token, run=third.id)["state"] == "cancelled"
    assert tell(bench, "cancel", client, token=token, run=first.id)["state"] == "running" and bench.store.cancelled(first.id)
    assert "unknown run" in tell(bench, "cancel", client, token=token, run="none")["error"]


def test_the_desk_sees_whose_runs_are_to_follow(bench: Bench) -> None:
    join(bench, ANN, "Ann")
    client, token = at_the_desk(bench)
    assert (before := tell(bench, "queue", client, token=token))["following"] == 0 and before["follow"] == ""
    seeds = [RunSpec.parse({**TOY.to_dict(), "seed": seed}) for seed in range(3)]
    bench.following.add(seeds, ANN)
    bench.following.add(seeds[:1], EVE)
    seen = tell(bench, "queue", client, token=token)
    assert seen["following"] == 4 and seen["follow"].startswith("4 more runs follow as there is room")
    assert ": 3 of Ann; 1 of browser " in seen["follow"] and EVE not in json.dumps(seen)
    bench.following.drop([seeds[0].fingerprint], EVE)
    bench.following.drop([spec.fingerprint for spec in seeds[:2]], ANN)
    assert tell(bench, "queue", client, token=token)["follow"].startswith("1 more run follows as there is room")


def test_progress_and_predictions_of_the_class(bench: Bench) -> None:
    register = Register(bench.store)
    for owner, name, step, guess, choice in ((ANN, "Ann", 2, 73_728, 1), (BOB, "Bob", 19, 1000, 2), (EVE, "Eve", 0, 900, 2)):
        join(bench, owner, name)
        register.record(owner, LESSON, "progress", "", {"step": step, "ended": name == "Bob"})
        register.record(owner, LESSON, "prediction", "count", guess)
        register.record(owner, LESSON, "prediction", "before-first-step", choice)
    register.record(ANN, LESSON, "prediction", "dimension", [0.6, 0.6, 0.7, 0.8])
    register.record(BOB, LESSON, "prediction", "dimension", [0.1])  # of a lesson that has been changed since
    client, token = at_the_desk(bench)
    table = tell(bench, "progress", client, token=token)
    place = next(place for place, each in enumerate(table["lessons"]) if each["key"] == LESSON)
    assert [(row["name"], row["cells"][place]["step"], row["cells"][place]["ended"]) for row in table["rows"]] == [
        ("Ann", 3, False), ("Bob", 20, True), ("Eve", 1, False)]
    assert (table["lessons"][place]["ended"], table["lessons"][place]["begun"]) == (1, 3)
    seen = tell(bench, "predictions", client, token=token)
    assert seen["lesson"] == LESSON, "the one that most have predicted in"
    found = {each["name"]: each for each in seen["predictions"]}
    assert found["count"]["guesses"] == 3 and sum(bar["count"] for bar in found["count"]["bars"]) == 3
    choices = found["before-first-step"]  # which a measurement that comes with the lab has settled
    assert [(bar["count"], bar["truth"]) for bar in choices["bars"]] == [(1, True), (2, False), (0, False)] and choices["near"] == 1
    assert [bar["value"] for bar in found["dimension"]["bars"]] == [0.6, 0.6, 0.7, 0.8] and found["dimension"]["guesses"] == 1
    assert found["merge"]["guesses"] == 0 and found["merge"]["near"] is None and found["merge"]["bars"], "nobody has guessed it"
    assert "no lesson" in tell(bench, "predictions", client, token=token, lesson="none")["error"]


def test_a_number_that_was_predicted_stands_beside_what_came_out(bench: Bench) -> None:
    lesson = bench.lessons[LESSON]
    spec = lesson.runs["lora"]
    result = fold([Started(spec.to_dict(), spec.fingerprint, "w" * 64, "d" * 64, {}, spec.counts.to_dict(), "cpu", "float32", 1, {"train": 8}),
                   Evaluated(100, "tuned", "test", "accuracy", 0.7, 0.01, 100), Finished(100, {"total": 2.0}, 10.0)])
    seen = tally.predicted(lesson, "count", [73_728, 1000, 2_000_000, "much"], Known(lesson, {spec.fingerprint: result}, {}))
    assert seen["guesses"] == 3 and seen["near"] == 1 and seen["truth"] == "73,728"
    (right,) = [bar for bar in seen["bars"] if bar["truth"]]
    assert right["count"] == 1 and seen["bars"][0]["count"] == seen["bars"][-1]["count"] == 1 and len(seen["bars"]) == tally.BINS
    unknown = tally.predicted(lesson, "count", [5000], Known(lesson, {}, {}))
    assert unknown["truth"] == "" and unknown["near"] is None and not any(bar["truth"] for bar in unknown["bars"])


def test_results_of_a_shared_task(bench: Bench) -> None:
    join(bench, ANN, "Ann")
    join(bench, BOB, "Bob")
    ended(bench, ANN, 0.8)
    ended(bench, BOB, 0.8)
    ended(bench, EVE, 0.99)
    client, token = at_the_desk(bench)
    seen = tell(bench, "gallery", client, token=token)
    assert seen["task"] == "toy" and seen["shared"] and [row["place"] for row in seen["board"]] == [1, 1], "equal scores share a place"
    assert sorted(row["name"] for row in seen["runs"]) == ["Ann", "Bob"] and all("name" not in row for row in seen["board"])


def test_tables_run_no_formula(bench: Bench) -> None:
    """Names are held to letters; what else a student writes, the title of a run for instance, is a text in every cell."""
    join(bench, ANN, "Ann")
    evil = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", '=HYPERLINK("x","y")', 'a"b', "a,b\r\n=c"]
    for title in evil:
        ended(bench, ANN, 0.5, title=title)
    bench.register.record(ANN, LESSON, "prediction", "count", 9216)
    bench.register.record(ANN, LESSON, "quiz", "symmetry", 1)
    bench.register.record(ANN, LESSON, "observation", "which-moved", 2)
    bench.register.record(ANN, "test", "test", "A", [1] * len(bench.bank.forms["A"]))
    bench.register.record(ANN, LESSON, "progress", "", {"step": 3, "ended": True})
    client, token = at_the_desk(bench)
    for what in ("progress", "predictions", "observations", "quiz", "runs"):
        found = tell(bench, "export", client, token=token, what=what)
        rows = list(csv.reader(io.StringIO(found["text"])))
        assert found["name"].startswith(f"class-{what}-") and len(rows) > 1 and {len(row) for row in rows} == {len(rows[0])}
        for cell in (cell for row in rows[1:] for cell in row if cell):
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")), cell
    titles = [row[2] for row in rows[1:]]
    assert set(titles) == {f"'{title}" if title[0] in "=+-@\t" else title for title in evil}
    assert "what is" in tell(bench, "export", client, token=token, what="secrets")["error"]


def test_scores_of_quizzes_and_tests(bench: Bench) -> None:
    join(bench, ANN, "Ann")
    right = [next(place for place, option in enumerate(each.options, 1) if option.right) for each in bench.bank.forms["B"]]
    bench.register.record(ANN, "test", "test", "B", [*right[:-1], None])
    quiz = bench.lessons[LESSON].matter.quiz
    for name, asked_ in quiz.items():
        bench.register.record(ANN, LESSON, "quiz", name, next(place for place, option in enumerate(asked_.options, 1) if option.right))
    client, token = at_the_desk(bench)
    rows = list(csv.reader(io.StringIO(tell(bench, "export", client, token=token, what="quiz")["text"])))
    assert [row[:4] for row in rows[1:]] == [["Ann", LESSON, str(len(quiz)), str(len(quiz))], ["Ann", "test, form B", str(len(right) - 1), str(len(right))]]


def test_the_first_answer_counts_where_the_page_explains_the_right_one(bench: Bench) -> None:
    join(bench, ANN, "Ann")
    for kind, name in (("quiz", "symmetry"), ("observation", "which-moved"), ("prediction", "speed")):
        for place in (2, 1):
            bench.register.record(ANN, LESSON, kind, name, place)
    assert {each.kind: each.value for each in bench.register.records()} == {"quiz": 2, "observation": 2, "prediction": 1}
    client, token = at_the_desk(bench)
    rows = list(csv.DictReader(io.StringIO(tell(bench, "export", client, token=token, what="observations")["text"])))
    assert [(row["kind"], row["question"]) for row in rows] == [("observation", "which-moved"), ("quiz", "symmetry")] and all(row["asked"] for row in rows)


def test_a_lesson_begun_again_takes_no_progress_back(bench: Bench) -> None:
    join(bench, ANN, "Ann")
    for step, done in ((3, False), (7, True), (0, False)):
        tell(bench, "record", owner=ANN, lesson=LESSON, records=[{"kind": "progress", "name": "", "value": {"step": step, "ended": done}}])
    assert [each.value for each in bench.register.records(["progress"])] == [{"step": 7, "ended": True}]


# ── health ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Worker:
    def __init__(self, state: str) -> None:
        self.state = state


def test_health_and_metrics(bench: Bench) -> None:
    join(bench, ANN, "Ann")
    ended(bench, ANN, 0.5)
    bench.submit(TOY, ANN)
    alive = replace(bench, workers=lambda: [Worker("running"), Worker("waiting")])
    found = browser(alive).get("/gradio_api/lab/healthz")
    assert found.status_code == 200 and found.json()["ok"] and found.json()["queue"]["waiting"] == 1 and found.json()["workers"]["running"] == 1
    dead = browser(replace(bench, workers=lambda: [Worker("waiting")])).get("/gradio_api/lab/healthz")
    assert dead.status_code == 503 and dead.json()["trouble"] == "no worker is there"
    assert browser(replace(bench, workers=tuple)).get("/gradio_api/lab/healthz").status_code == 503
    text = browser(alive).get("/gradio_api/lab/metrics").text
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert 'lab_runs{kind="train",state="finished"} 1' in lines and "lab_queue_waiting 1" in lines and "lab_members 1" in lines
    assert 'lab_workers{state="running"} 1' in lines and text.endswith("\n")
    for line in lines:
        name, value = line.rsplit(" ", 1)
        assert float(value) >= 0 and f"# TYPE {name.partition('{')[0]} gauge" in text
    assert "Ann" not in text + found.text and ANN not in text and str(bench.store.root) not in text + found.text
