"""What a run leaves to take home: a report, its result, its events and its script, as links that work; and words where there is nothing."""
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from lab.engine import train
from lab.events import fold, from_json
from lab.recording import Recorded
from lab.spec import RunSpec
from lab.store import Store
from lab.ui import files
from lab.ui.bench import Bench
from lab.ui.runs import row

SPEC = {"model": "seed-bert", "task": "toy", "method": "lora", "steps": 3, "batch": 4, "tokens": 24, "eval_items": 24, "eval_every": 0, "dtype": "float32"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, workshop: Any) -> Iterator[tuple[Bench, TestClient, str]]:
    """A store with one finished run, and the same run recorded."""
    spec = RunSpec.parse(SPEC)
    with Store(tmp_path_factory.mktemp("store")) as store:
        run = store.submit(spec, "me", title="<b>mine</b>")
        store.claim("worker")
        events = tuple(train(spec, workshop, out=store.folder(run.id)))
        store.append(run.id, events)
        bench = Bench(store, [Recorded("one_of_them", {"date": "2026-01-01", "cores": 2}, events)])
        yield bench, TestClient(Starlette(routes=[files.route(bench)])), run.id


def test_every_link_of_a_finished_run_leads_to_a_file(lab: tuple[Bench, TestClient, str]) -> None:
    bench, client, run = lab
    offers = files.offered(bench.store.run(run), bench.store.result(run))
    assert [each["words"] for each in offers] == ["Adapter", "Report", "Result (JSON)", "Events (JSON lines)", "Script and notebook"]
    assert offers[0]["href"].startswith(f"adapter/{run}.zip?pass=") and offers[-1]["href"].startswith("script.zip?spec=")
    got = {each["words"]: client.get(f"/{each['href']}") for each in offers[1:4]}
    assert {answer.status_code for answer in got.values()} == {200}
    assert all(answer.headers["content-disposition"].startswith('attachment; filename="lora-seed-bert-') for answer in got.values())
    report = got["Report"].text
    assert report.startswith("<!doctype html>") and "<script" not in report and "&lt;b&gt;mine&lt;/b&gt;" in report and "<b>mine" not in report
    result = bench.store.result(run)
    assert json.loads(got["Result (JSON)"].text) == json.loads(json.dumps(result.to_dict()))
    assert fold(map(from_json, got["Events (JSON lines)"].text.splitlines())).scores == result.scores
    assert row(bench.store.run(run), result)["files"] == offers


def test_a_recorded_run_has_its_files_too(lab: tuple[Bench, TestClient, str]) -> None:
    bench, client, _ = lab
    offers = files.of_recorded(bench.recorded[0])
    got = [client.get(f"/{each['href']}") for each in offers]
    assert [answer.status_code for answer in got] == [200, 200, 200] and "recorded 2026-01-01" in got[0].text


def test_what_is_not_there_is_told(lab: tuple[Bench, TestClient, str], tmp_path: Path) -> None:
    bench, client, run = lab
    waiting = bench.store.submit(RunSpec.parse({**SPEC, "seed": 5}), "me")
    bench.store.share(waiting.id)
    assert files.offered(waiting, bench.store.result(waiting.id)) == []
    for address, words in ((f"/run/{run}/model.bin", "there are report.html, result.json, events.jsonl"), ("/run/nobody/report.html", "unknown run"),
                           (f"/run/{waiting.id}/report.html", "has not begun"), ("/run/recorded.none/result.json", "unknown recorded run")):
        answer = client.get(address)
        assert answer.status_code == 404 and words in answer.text


def test_what_no_plain_script_can_do_has_none(lab: tuple[Bench, TestClient, str], workshop: Any) -> None:
    bench, _, _ = lab
    spec = RunSpec.parse({**SPEC, "method": "houlsby"})
    run = bench.store.submit(spec, "you")
    while (claimed := bench.store.claim("worker")) is not None:
        bench.store.append(claimed.id, train(claimed.spec, workshop))
    assert "Script and notebook" not in [each["words"] for each in files.offered(bench.store.run(run.id), bench.store.result(run.id))]
