"""What the page may ask about own data: who may, how much may be sent, what comes back; without a browser."""
from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from lab.contracts import LabError
from lab.owndata.reading import LARGEST_BYTES
from lab.spec import RunSpec
from lab.store import Store
from lab.supply import Supply
from lab.ui import code, own, picture, train
from lab.ui.ask.tab import questions as asking
from lab.ui.bench import Bench
from lab.ui.compare.tab import questions as comparing
from lab.ui.live import Watcher
from lab.ui.security import LARGEST_UPLOAD_BYTES, Guard

MINE, YOURS = "m" * 24, "y" * 24
FILE = b"text,label\n" + b"".join(b"the film number %d was fine,%s\n" % (number, b"pos" if number % 3 else b"neg") for number in range(60))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("LAB_DATA", str(tmp_path))
    with Store(tmp_path) as store:
        yield Bench(store, data=Supply(tmp_path / "cache", offline=True).data)


@pytest.fixture
def page(bench: Bench) -> TestClient:
    return TestClient(Starlette(routes=[*own.routes(bench), code.route(bench)], middleware=[Middleware(Guard)]))


def tell(page: TestClient, question: str, content: bytes = b"", **said: Any) -> Any:
    answer = page.post(f"/own-data/{question}", content=json.dumps({"owner": MINE, "name": "films.csv", **said}).encode() + b"\n" + content)
    assert answer.status_code == 200, answer.status_code
    return answer.json()


def kept(page: TestClient, **said: Any) -> str:
    return tell(page, "keep", FILE, title="Films", **said)["set"]["key"]


def draft(key: str, **more: Any) -> dict[str, Any]:
    return {"model": "seed-bert", "task": key, "method": {"name": "lora"}, "steps": 2, **more}


def questions(bench: Bench) -> dict[str, Any]:
    return {question.__name__: question for question in train.questions(bench)}


def test_a_look_keeps_nothing(page: TestClient, bench: Bench, tmp_path: Path) -> None:
    found = tell(page, "look", FILE)
    assert found["rows"] == 60 and found["choice"]["text"] == "text" and found["report"]["splits"] == {"train": 36, "validation": 9, "test": 15}
    assert not (tmp_path / "uploads").exists() and bench.owndata.of(MINE) == []


def test_what_cannot_be_made_comes_back_beside_the_columns(page: TestClient) -> None:
    found = tell(page, "look", FILE, choice={"text": "label", "answer": "text", "kind": "labels"})
    assert "60 different values" in found["error"] and [each["name"] for each in found["columns"]] == ["text", "label"] and "report" not in found
    assert "never closed" in tell(page, "look", b'text,label\n"a,b')["error"]
    assert "there are" in tell(page, "look", FILE, choice={"text": "gone"})["error"]


@pytest.mark.parametrize("body", [b"", b"[]\n", b"{", b"\xff\xfe\n", b"x" * 30_000 + b"\n", b"[" * 19_000 + b"\n"])
def test_what_is_no_question_is_refused(page: TestClient, body: bytes) -> None:
    assert "load it again" in page.post("/own-data/look", content=body).json()["error"]


def test_a_set_is_listed_used_and_removed_by_its_owner_alone(page: TestClient, bench: Bench) -> None:
    key = kept(page)
    assert [row["key"] for row in tell(page, "list")["sets"]] == [key] and tell(page, "list", owner=YOURS)["sets"] == []
    assert "somebody's own data" in tell(page, "remove", key=key, owner=YOURS)["error"] and "owner is empty" in tell(page, "keep", FILE, owner="")["error"]
    asked = questions(bench)
    assert "somebody's own data" in asked["submit"]({"draft": draft(key), "owner": YOURS})["error"]
    assert "somebody's own data" in asked["open_link"]({"spec": json.dumps(draft(key)), "owner": YOURS})["error"]
    assert asked["open_link"]({"spec": json.dumps(draft(key)), "owner": MINE})["draft"]["task"] == key
    assert "run" in asked["submit"]({"draft": draft(key), "owner": MINE})
    assert asked["form"]({"model": "seed-bert", "method": "lora", "task": key})["task"] == key
    assert tell(page, "remove", key=key) == {"removed": key} and tell(page, "list")["sets"] == []
    assert "removed by its owner" in asked["submit"]({"draft": draft(key), "owner": MINE})["error"]
    assert "removed by its owner" in asked["count"](draft(key))["error"]


def test_a_run_with_own_data_is_opened_by_its_owner_until_it_is_shared(page: TestClient, bench: Bench) -> None:
    key = kept(page)
    run = bench.submit(RunSpec.parse(draft(key)), MINE)
    watcher, ask = Watcher(bench), {question.__name__: question for question in asking(bench)}
    assert watcher.poll({"run": run.id, "owner": MINE})["name"] and "somebody's own data" in watcher.poll({"run": run.id, "owner": YOURS})["error"]
    for question in ("view", "example", "ask"):
        assert "somebody's own data" in ask[question]({"run": run.id, "owner": YOURS, "text": "x"})["error"]
    assert "error" not in ask["view"]({"run": run.id, "owner": MINE}) and ask["example"]({"run": run.id, "owner": MINE})["text"].startswith("the film")
    bench.store.share(run.id)
    assert watcher.poll({"run": run.id, "owner": YOURS})["name"]
    assert ask["example"]({"run": run.id, "owner": MINE, "number": 1})["of"] > 1
    assert "type a text of your own" in ask["example"]({"run": run.id, "owner": YOURS, "number": 1})["error"], "a shared run shows what it kept, not the file"
    ours = bench.submit(RunSpec.parse(draft("toy")), MINE)
    first = watcher.poll({"run": run.id, "owner": MINE})
    bench.owndata.remove(key, MINE)
    seen = watcher.poll({"run": run.id, "owner": MINE, "mark": first["mark"]})
    assert "removed meanwhile" not in first["settings"] and "removed meanwhile" in seen["settings"], "also to a page that has been watching"
    assert "this run is private" in watcher.poll({"run": ours.id, "owner": YOURS})["error"], "runs on the lab's own tasks are private as well"


def test_a_comparison_on_own_data_is_its_owners(page: TestClient, bench: Bench) -> None:
    key = kept(page)
    asked = {question.__name__: question for question in comparing(bench)}
    arms = [{"name": "one", "change": {}}, {"name": "two", "change": {"method": {"rank": 1}}}]
    sent = {"draft": {"base": draft(key), "arms": arms, "seeds": [0]}}
    for question in ("look", "differ", "export", "halt"):
        assert "somebody's own data" in asked[question]({**sent, "owner": YOURS})["error"], question
    assert "error" not in asked["look"]({**sent, "owner": MINE})
    assert asked["base"](sent)["task"] == key
    bench.owndata.remove(key, MINE)
    assert "error" not in asked["look"]({**sent, "owner": MINE}), "what was made with it can still be read"
    assert "removed by its owner" in str(asked["look"]({**sent, "owner": MINE, "go": True}))


def test_examples_that_were_read_are_not_shown_once_the_set_is_gone(page: TestClient, bench: Bench) -> None:
    key = kept(page)
    run = bench.submit(RunSpec.parse(draft(key)), MINE)
    example = next(question for question in asking(bench) if question.__name__ == "example")
    assert example({"run": run.id, "owner": MINE})["text"]
    bench.owndata.remove(key, MINE)
    assert "not on this machine" in example({"run": run.id, "owner": MINE})["error"]
    assert "Films (own data, removed meanwhile)" in picture.sentence(run.settings)


def test_the_archive_of_a_script_ships_its_data_to_the_owner_only(page: TestClient) -> None:
    key = kept(page)
    for headers in ({}, {"x-lab-owner": YOURS}):
        refused = page.get("/script.zip", params={"spec": json.dumps(draft(key))}, headers=headers)
        assert refused.status_code == 400 and "somebody's own data" in refused.text


def test_no_more_is_taken_than_a_set_may_have(page: TestClient) -> None:
    big = b"x" * (LARGEST_UPLOAD_BYTES + 1)
    assert page.post("/own-data/look", content=big).status_code == 413
    assert page.post("/own-data/list", content=b"x" * 3_000_001).status_code == 413, "only a file may be that long"
    assert "at most 5 MB" in tell(page, "look", b"x" * (LARGEST_BYTES + 1))["error"]

    def stream() -> Any:
        for _ in range(200):
            yield b"y" * 1_000_000

    assert page.post("/own-data/look", content=stream()).status_code == 413, "200 MB whose length was not announced"


def test_a_title_becomes_no_code_in_a_script(page: TestClient) -> None:
    from lab import export

    key = tell(page, "keep", FILE, title='x"""\nimport os; os.system("echo hacked")\n#')["set"]["key"]
    text = export.script(RunSpec.parse(draft(key))).text
    tree = ast.parse(text)
    assert "echo hacked" in ast.get_docstring(tree) and "os" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}, "words, and no code"
    with pytest.raises(LabError):
        RunSpec.parse(draft("own-" + "0" * 24))
