"""What all visitors share is made once a minute, and nobody's own answer is ever among it."""
from __future__ import annotations

import asyncio
import gzip
from typing import Any

import brotli
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from lab.ui import kept

WORDS = "the same for everybody, " * 100


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def lab(tmp_path: Any) -> tuple[Any, list[str], Clock]:
    """A page that writes down what it makes, behind the middleware."""
    made: list[str] = []
    script = tmp_path / "train.js"
    script.write_text(WORDS)

    async def page(request: Request) -> Response:
        made.append(str(request.url))
        await asyncio.sleep(0.01)
        return PlainTextResponse(f"{request.url.hostname} {WORDS}")

    async def own(request: Request) -> Response:
        made.append(request.url.path)
        answer = PlainTextResponse("mine")
        answer.set_cookie("who", "me")
        return answer

    async def file(request: Request) -> Response:
        made.append(request.url.path)
        return FileResponse(script)

    async def missing(request: Request) -> Response:
        made.append(request.url.path)
        return PlainTextResponse("nothing here", 404)

    inner = Starlette(routes=[Route("/", page), Route("/static/own", own), Route("/lab-assets/train.js", file), Route("/lab-assets/none.js", missing),
                              Route("/adapter/1.zip", page)])
    clock = Clock()
    return kept.Once(inner, clock), made, clock


def asked(app: Any, *paths: str, **headers: str) -> list[httpx.Response]:
    async def all_at_once() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://lab") as client:
            return await asyncio.gather(*(client.get(path, headers=headers) for path in paths))

    return asyncio.run(all_at_once())


def test_a_class_that_arrives_together_gets_one_page_made_once(lab: Any) -> None:
    app, made, clock = lab
    pages = asked(app, *["/"] * 50, **{"accept-encoding": "br"})
    assert len(made) == 1 and {page.text for page in pages} == {f"lab {WORDS}"}
    assert {page.headers["content-encoding"] for page in pages} == {"br"} and int(pages[0].headers["content-length"]) < len(WORDS) / 5
    asked(app, "/?run=abc", **{"accept-encoding": "br"})
    assert len(made) == 1, "what a link names is read in the browser"
    clock.now += kept.SECONDS + 1
    asked(app, "/", **{"accept-encoding": "br"})
    assert len(made) == 2


def test_each_address_has_its_own_page(lab: Any) -> None:
    app, made, _ = lab
    (one,), (two,) = (asked(app, "/", host=host) for host in ("class.example", "other.example"))
    assert one.text.startswith("class.example") and two.text.startswith("other.example") and len(made) == 2
    asked(app, "/", **{"host": "class.example", "x-forwarded-proto": "https"})
    assert len(made) == 3


@pytest.mark.parametrize("accepted", ["br", "gzip", "identity"])
def test_a_file_is_packed_as_the_browser_takes_it(lab: Any, accepted: str) -> None:
    app, made, _ = lab
    for _ in range(2):
        (answer,) = asked(app, "/lab-assets/train.js", **{"accept-encoding": accepted})
        assert answer.text == WORDS and answer.headers.get("content-encoding", "identity") == accepted and answer.headers["etag"]
        assert answer.headers["vary"] == "Accept-Encoding" and answer.headers["content-type"].startswith("text/javascript")
    assert len(made) == 1


@pytest.mark.parametrize(("path", "headers"), [
    ("/static/own", {}), ("/lab-assets/none.js", {}), ("/adapter/1.zip", {}), ("/", {"authorization": "Bearer x"}), ("/?deep_link=abc", {}),
    ("/lab-assets/train.js", {"range": "bytes=0-9"}), ("/lab-assets/train.js", {"if-none-match": '"x"'}),
])
def test_what_is_somebody_s_own_or_no_whole_answer_is_made_each_time(lab: Any, path: str, headers: dict[str, str]) -> None:
    app, made, _ = lab
    first, second = (asked(app, path, **headers)[0] for _ in range(2))
    assert len(made) == 2 and (first.status_code, first.content) == (second.status_code, second.content)


def test_what_is_kept_has_a_bound(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    app, _, _ = lab
    monkeypatch.setattr(kept, "MOST", 3)
    for number in range(9):
        asked(app, "/", host=f"host{number}.example")
    assert len(app._kept) == 3 and app._bytes == sum(len(each.body) for each in app._kept.values())


def test_packing_can_be_undone() -> None:
    said = [{"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/css")]}, {"type": "http.response.body", "body": WORDS.encode()}]
    assert brotli.decompress(kept._kept(said, b"br", 0).body) == gzip.decompress(kept._kept(said, b"gzip", 0).body) == WORDS.encode()
    assert kept._kept([{**said[0], "headers": [(b"content-type", b"font/woff2")]}, said[1]], b"br", 0).body == WORDS.encode()
