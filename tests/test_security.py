"""The page under attack, over real HTTP: headers, doors that are shut, other pages, too many and too large requests, other people's runs, text as markup."""
from __future__ import annotations

import json
import os
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request as Sent
from urllib.request import urlopen

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from lab.contracts import LabError
from lab.events import Finished, Started
from lab.spec import RunSpec
from lab.store import Store
from lab.ui import rates
from lab.ui.bench import Bench, Limits
from lab.ui.kept import Once
from lab.ui.security import HEADERS, LARGEST_BODY_BYTES, SHUT, SHUT_TOP, Guard
from tests.load.fuzz import Page

MINE, YOURS = "m" * 32, "y" * 32
SPEC = {"model": "seed-bert", "task": "toy", "method": {"name": "lora", "rank": 4}, "steps": 3}
FILE = b"text,label\n" + b"".join(b"a text of number %d,%s\n" % (number, (b"good", b"bad")[number % 2]) for number in range(60))
DANGEROUS = ("torch.load", "pickle.load", "pickle.loads", "Unpickler", "extractall", "trust_remote_code=True", '"trust_remote_code": True', "yaml.load(",
             "os.system", "shell=True", "allow_pickle=True", "eval(compile", "weights_only=False")
EVIL = ("${alert(1)}", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", '"><svg onload=alert(1)>', "{{constructor.constructor('alert(1)')()}}")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A real page process without workers."""
    page = Page(tmp_path_factory.mktemp("page"))
    yield page
    page.end()


@pytest.fixture(scope="module")
def ask(page: Page) -> Any:
    """ask(name, owner=…, …) puts a question of a tab; where several tabs have one of the name, `tab` counts them."""
    components: dict[str, list[int]] = {}
    for component, name in page.questions():
        components.setdefault(name, []).append(component)

    def asked(name: str, tab: int = 0, **said: Any) -> Any:
        body = {"data": said, "fn_name": name, "component_id": components[name][tab], "session_hash": "s"}
        status, content = page.ask("POST", "gradio_api/component_server", json.dumps(body).encode(), {"Content-Type": "application/json"})
        assert status == 200, (name, status, content[:300])
        return json.loads(content)

    return asked


@pytest.fixture
def run(ask: Any) -> Iterator[str]:
    """A run of mine, in the queue."""
    answer = ask("submit", draft=SPEC, owner=MINE)
    yield answer["run"]
    ask("stop", tab=1, run=answer["run"], owner=MINE)
    ask("delete", run=answer["run"], owner=MINE)


# ── what is sent, and to whom ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "config"), ("GET", "lab-assets/lab.css"), ("GET", "nothing-here"),
                                              ("GET", "gradio_api/file=x"), ("POST", "own-data/list"), ("DELETE", "config"),
                                              ("POST", "gradio_api/component_server")])
def test_every_answer_carries_the_headers(page: Page, method: str, path: str) -> None:
    page.connection.request(method, f"/{path}", b"{}" if method == "POST" else None)
    answer = page.connection.getresponse()
    answer.read()
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert "server" not in answer.headers or "uvicorn" in answer.headers["server"]


@pytest.mark.slow
@pytest.mark.parametrize("path", [*(f"gradio_api{path}" for path in SHUT), *(path[1:] for path in SHUT_TOP), "gradio_api/file=lab/store.py",
                                  "gradio_api/call/submit"])
def test_doors_that_the_page_does_not_use_are_shut(page: Page, path: str) -> None:
    for method in ("GET", "POST"):
        assert page.ask(method, path, b"{}" if method == "POST" else None) == (404, b'{"error": "there is nothing here"}')


@pytest.mark.slow
@pytest.mark.parametrize("path", ["lab-assets/../../app.py", "lab-assets/%2e%2e/%2e%2e/app.py", "lab-assets/..%2f..%2fapp.py", "lab-assets//etc/passwd",
                                  "lesson-figures/../../../lab/store.py", "static/../../../../etc/passwd", "adapter/..%2f..%2flab.sqlite3.zip",
                                  "run/..%2f..%2fx/report.html"])
def test_no_path_leads_out_of_what_is_served(page: Page, path: str) -> None:
    status, content = page.ask("GET", path)
    assert status in (400, 403, 404) and b"import" not in content and b"root:" not in content


@pytest.mark.slow
@pytest.mark.parametrize(("headers", "status"), [
    ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Sec-Fetch-Site": "same-site"}, 403), ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
    ({"Origin": "https://elsewhere.example"}, 403), ({"Origin": "null"}, 403), ({"Origin": "http://[x"}, 403),
    ({"Sec-Fetch-Site": "same-origin"}, 200), ({"Origin": "http://HOST"}, 200), ({}, 200),
])
def test_another_page_cannot_ask_in_a_visitor_s_name(page: Page, headers: dict[str, str], status: int) -> None:
    said = {name: value.replace("HOST", page.host) for name, value in headers.items()}
    assert page.ask("POST", "own-data/list", b'{"owner": "%s"}\n' % MINE.encode(), said)[0] == status


@pytest.mark.slow
def test_links_from_elsewhere_open_the_page_and_nothing_else(page: Page) -> None:
    assert page.ask("GET", "?run=x", None, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})[0] == 200
    assert page.ask("GET", "config", None, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"})[0] == 403


def test_behind_a_proxy_its_host_is_ours_too() -> None:
    async def hello(request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    for proxies, status in ((1, 200), (0, 403)):
        client = TestClient(Starlette(routes=[Route("/", hello, methods=["POST"])], middleware=[Middleware(Guard, proxies=proxies)]))
        assert client.post("/", headers={"Origin": "https://lab.example", "X-Forwarded-Host": "lab.example"}).status_code == status


# ── how much ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize("announced", [True, False])
def test_too_large_a_body_is_refused(page: Page, announced: bool) -> None:
    body = b"x" * (LARGEST_BODY_BYTES + 1)
    pieces = body if announced else (body[start:start + 65_536] for start in range(0, len(body), 65_536))
    page.connection.request("POST", "/own-data/list", pieces, encode_chunked=not announced, headers={} if announced else {"Transfer-Encoding": "chunked"})
    answer = page.connection.getresponse()
    answer.read()
    page.connection.close()
    assert answer.status == 413


def test_a_bucket_gives_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    buckets = rates.Buckets(2.0, most=3, clock=lambda: now[0])
    assert [buckets.take("a") for _ in range(20)] == [0.0] * 20 and buckets.take("a") == pytest.approx(0.5)
    assert buckets.take("b") == 0.0, "everybody has a bucket of their own"
    now[0] = 1.0
    assert [buckets.take("a") for _ in range(2)] == [0.0, 0.0] and buckets.take("a") > 0
    now[0] = -100.0  # a clock that goes back gives nothing and takes nothing
    assert buckets.take("a") > 0
    for name in ("c", "d", "e"):
        buckets.take(name)
    assert list(buckets.kept) == ["c", "d", "e"], "the memory of them is bounded"
    monkeypatch.setenv("LAB_RATE", "60")
    assert rates.allowed_per_minute() == 60
    monkeypatch.setenv("LAB_RATE", "")
    assert rates.allowed_per_minute() == rates.PER_MINUTE


@pytest.mark.parametrize(("name", "value", "told"), [
    ("LAB_RATE", "many", "LAB_RATE is many: must be a whole number, 1 to"), ("LAB_RATE", "0", "LAB_RATE is 0"), ("LAB_PROXIES", "-1", "LAB_PROXIES is -1"),
    ("LAB_KEEP_DATA", "for ever", "LAB_KEEP_DATA is for ever: must be a number of days"), ("LAB_BACKUP", "HERE", "holds something else"),
    ("LAB_CACHE", "HERE/file/cache", "set LAB_CACHE to a folder that can be written to"),
])
def test_a_variable_that_makes_no_sense_is_told_at_the_start(name: str, value: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(name, value.replace("HERE", str(tmp_path)))
    check = runpy.run_path(str(Path(__file__).parent.parent / "app.py"))["_check_variables"]
    with pytest.raises(LabError, match=told):
        check(tmp_path / "data", os.environ.get("LAB_BACKUP"))


@pytest.mark.parametrize(("forwarded", "trusted", "expected"), [
    ((), 0, "peer"), (("1.1.1.1",), 0, "peer"), (("1.1.1.1",), 1, "1.1.1.1"), (("9.9.9.9, 1.1.1.1",), 1, "1.1.1.1"),
    (("9.9.9.9", "2.2.2.2, 1.1.1.1"), 2, "2.2.2.2"), ((), 1, "peer"), (("1.1.1.1",), 5, "1.1.1.1"), ((" , ",), 1, "peer"),
    (("2001:db8:1:2:3:4:5:6",), 1, "2001:db8:1:2::"), (("2001:db8:1:2::9",), 1, "2001:db8:1:2::"), (("::ffff:1.1.1.1",), 1, "1.1.1.1"),
    (("1.1.1.1:4711",), 1, "1.1.1.1:4711"),
])
def test_only_proxies_that_stand_there_are_believed(forwarded: tuple[str, ...], trusted: int, expected: str) -> None:
    assert rates.address("peer", forwarded, trusted) == expected


def test_who_asks_too_often_waits_and_nobody_else_does() -> None:
    async def hello(request: Request) -> PlainTextResponse:
        return PlainTextResponse((await request.body()).decode())

    client = TestClient(Starlette(routes=[Route("/", hello, methods=["GET", "POST"])], middleware=[Middleware(Guard, per_minute=6, proxies=1)]))

    def asked(owner: str, address: str) -> int:
        return client.post("/", content=json.dumps({"owner": owner}), headers={"X-Forwarded-For": address}).status_code

    assert [asked(MINE, "1.1.1.1") for _ in range(3)] == [200, 429, 429]
    assert asked(MINE, "2.2.2.2") == 429, "an owner is one, from wherever"
    assert asked(YOURS, "1.1.1.1") == 200, "a class behind one address is many"
    late = client.post("/", content=json.dumps({"owner": MINE}), headers={"X-Forwarded-For": "3.3.3.3"})
    assert int(late.headers["retry-after"]) >= 1 and "too many requests" in late.json()["error"] and late.headers["x-content-type-options"] == "nosniff"
    statuses = [client.get("/", headers={"X-Forwarded-For": "4.4.4.4"}).status_code for _ in range(40)]
    assert statuses[:30] == [200] * 30 and 429 in statuses[30:], "and an address alone has a limit too"
    assert client.post("/", content=b"x" * 100_000, headers={"X-Forwarded-For": "5.5.5.5"}).text == "x" * 100_000, "a body arrives whole"


@pytest.mark.slow
def test_fresh_keys_pass_no_limit_of_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the page itself: what Gradio hands to another thread still knows whom it answers."""
    from lab.ui import page as pages

    monkeypatch.setenv("LAB_PROXIES", "1")
    with Store(tmp_path) as store:
        bench = Bench(store, limits=Limits(address_waiting=2))
        blocks = pages.build(bench).queue(default_concurrency_limit=None, api_open=False)
        launching = pages.launching(bench, Path(__file__).parent.parent / "assets")
        _, address, _ = blocks.launch(server_name="127.0.0.1", prevent_thread_lock=True, **launching)
        try:
            component = next(each["id"] for each in json.load(urlopen(address + "config"))["components"] if "submit" in (each["props"].get("server_fns") or ()))

            def submitted(key: str, heard: str) -> dict[str, Any]:
                data = {"draft": {**SPEC, "seed": store.waiting()}, "owner": key * 32}
                said = {"data": data, "fn_name": "submit", "component_id": component, "session_hash": "s"}
                headers = {"Content-Type": "application/json", "X-Forwarded-For": heard}
                return json.load(urlopen(Sent(address + "gradio_api/component_server", json.dumps(said).encode(), headers)))

            assert all("run" in submitted(key, "9.9.9.9, 1.1.1.1") for key in "ab")
            assert "network address" in submitted("c", "8.8.8.8, 1.1.1.1")["error"], "what stands further left is nobody's address"
            assert "run" in submitted("c", "2.2.2.2")
        finally:
            blocks.close(verbose=False)


@pytest.mark.parametrize("around", [[Guard], [Guard, Once]])
def test_a_body_that_nobody_can_read_is_no_mistake_of_ours(around: list[Any]) -> None:
    async def reads(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(await request.json()))

    app = Starlette(routes=[Route("/x", reads, methods=["POST"])], middleware=[Middleware(each) for each in around])
    answer = TestClient(app).post("/x", content=b"\xee&a")
    assert (answer.status_code, answer.json()) == (400, {"error": "the page sent nothing that can be read: load it again"})


def test_behind_a_proxy_visitors_are_told_apart() -> None:
    """The doors of the class count wrong secrets by address."""
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse(request.client.host))], middleware=[Middleware(Guard, proxies=1)])
    client = TestClient(app)
    assert [client.get("/", headers={"x-forwarded-for": each}).text for each in ("1.1.1.1", "9.9.9.9, 2.2.2.2")] == ["1.1.1.1", "2.2.2.2"]


def test_a_mistake_of_ours_is_told_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(request: Request) -> PlainTextResponse:
        RunSpec.parse(SPEC).method.places(None)  # our own code, and a bug in it
        raise AssertionError

    client = TestClient(Starlette(routes=[Route("/", broken)], middleware=[Middleware(Guard)]), raise_server_exceptions=False)
    answer = client.get("/")
    assert (answer.status_code, answer.json()) == (500, {"error": "the lab made a mistake with this request"})
    assert "Traceback" in capsys.readouterr().err, "whoever hosts the lab finds it in the log"


# ── whose is whose ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_nobody_changes_or_finds_another_s_run(ask: Any, run: str) -> None:
    for owner in (YOURS, "", MINE[:-1], MINE.upper(), "%", "' OR 1=1 --"):
        for name, more in (("rename", {"title": "mine"}), ("delete", {}), ("share", {})):
            assert "only the browser that started" in ask(name, run=run, owner=owner, **more)["error"], (name, owner)
        assert "only the browser that started" in ask("stop", tab=1, run=run, owner=owner)["error"]
        assert ask("history", owner=owner, search="%")["rows"] == [] and run not in ask("export", tab=-1, owner=owner, format="json")["text"]
    assert [row["id"] for row in ask("history", owner=MINE)["rows"]] == [run]
    assert "this run is private" in ask("poll", tab=1, run=run, owner=YOURS)["error"]
    assert ask("share", run=run, owner=MINE)["shared"]
    seen = ask("poll", tab=1, run=run, owner=YOURS)
    assert seen["mine"] is False and MINE not in json.dumps(seen), "who knows its address looks at it, and learns nobody's key"


@pytest.mark.slow
def test_a_run_on_somebody_s_own_data_and_its_files_are_its_owner_s_until_shared(page: Page, ask: Any) -> None:
    line = json.dumps({"owner": MINE, "name": "x.csv", "title": "Mine"}).encode()
    kept = json.loads(page.ask("POST", "own-data/keep", line + b"\n" + FILE)[1])["set"]["key"]
    assert "somebody's own data" in ask("submit", draft={**SPEC, "task": kept}, owner=YOURS)["error"]
    run_id = ask("submit", draft={**SPEC, "task": kept}, owner=MINE)["run"]
    with Store(page.data) as store:
        run = store.run(run_id)
        while store.claim("w").id != run_id:
            pass
        store.append(run_id, [Started(run.settings, run.fingerprint, "w", "d", {}, {}, "cpu", "float32", 1, {}), Finished(3, {}, 0.0, 20)])
        (store.folder(run_id) / "adapter").mkdir(parents=True)
        (store.folder(run_id) / "adapter" / "weights.txt").write_text("texts learnt by heart")
    files = [f"run/{run.id}/result.json", f"run/{run.id}/events.jsonl", f"run/{run.id}/report.html", f"adapter/{run.id}.zip"]
    for path in files:
        for given in ("", "?pass=", "?pass=" + "0" * 24, f"?pass={MINE}"):
            status, content = page.ask("GET", path + given)
            assert status == 404 and b"somebody's own data" in content, path + given
    assert "somebody's own data" in ask("poll", tab=1, run=run.id, owner=YOURS)["error"]
    assert "somebody's own data" in ask("pair", runs=[run.id, run.id], owner=YOURS)["error"]
    offers = [each["href"] for row in ask("history", owner=MINE)["rows"] if row["id"] == run.id for each in row["files"]]
    assert offers and {page.ask("GET", href)[0] for href in offers} == {200} and MINE not in "".join(offers)
    ask("share", run=run.id, owner=MINE)
    assert page.ask("GET", files[0])[0] == 200
    assert "somebody's own data" in json.loads(page.ask("POST", "own-data/remove", json.dumps({"owner": YOURS, "key": kept}).encode() + b"\n")[1])["error"]


# ── text stays text ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize("text", EVIL)
def test_what_people_write_reaches_the_page_as_data_alone(page: Page, ask: Any, run: str, text: str) -> None:
    from urllib.parse import quote

    assert ask("rename", run=run, owner=MINE, title=text)["title"] == text
    page.connection.request("GET", f"/?run={run}&spec={quote(text)}&lesson={quote(text)}")
    answer = page.connection.getresponse()
    assert text not in answer.read().decode() and answer.headers["content-type"].startswith("text/html")
    component = next(component for component, name in page.questions() if name == "history")
    body = {"data": {"run": run, "owner": MINE}, "fn_name": "history", "component_id": component, "session_hash": "s"}
    page.connection.request("POST", "/gradio_api/component_server", json.dumps(body), {"Content-Type": "application/json"})
    told = page.connection.getresponse()
    assert json.loads(told.read())["rows"][0]["title"] == text and told.headers["content-type"] == "application/json"
    assert text not in json.dumps(json.loads(page.ask("GET", "config")[1]))


@pytest.mark.slow
def test_an_error_that_repeats_what_was_sent_is_no_markup(page: Page, ask: Any) -> None:
    for text in EVIL:
        assert text[:20] in ask("submit", draft={**SPEC, "model": text}, owner=MINE)["error"]
        page.connection.request("GET", f"/run/x/{text.replace('/', '').replace(' ', '%20').replace('<', '%3C').replace('>', '%3E')}")
        answer = page.connection.getresponse()
        answer.read()
        assert answer.headers["content-type"].startswith(("text/plain", "application/json"))


# ── nothing runs that somebody else made ──────────────────────────────────────────────────────────────────────────────


def test_no_code_of_the_lab_unpickles_or_unpacks_what_it_did_not_make() -> None:
    root = Path(__file__).parents[1]
    found = {(word, path.name) for path in (*sorted((root / "lab").rglob("*.py")), root / "app.py") for word in DANGEROUS if word in path.read_text()}
    assert found == {("pickle.load", "compiled.py"), ("pickle.loads", "compiled.py")}
    order = (root / "lab" / "engine" / "fast" / "compiled.py").read_text()
    assert order.count("pickle.loads(") == 1 and "pickle.loads(sys.stdin.buffer" in order, "the order to the lab's own compiler, through a pipe"
