"""The lab's log: one JSON line an event, or a readable one on a terminal; owners come as marks."""
from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from lab import logs

LOG = logging.getLogger("lab.somewhere")


@pytest.fixture
def logged() -> Iterator[Any]:
    stream, handlers = io.StringIO(), []

    def begin(plain: bool) -> io.StringIO:
        handlers.append(logs.configure(stream, plain))
        return stream

    yield begin
    for handler in handlers:
        logging.getLogger().removeHandler(handler)


def test_an_event_is_a_line_of_json(logged: Any) -> None:
    stream = logged(False)
    LOG.info("run submitted", extra={"run": "r1", "steps": 10})
    try:
        raise ValueError("a line\nand another")
    except ValueError:
        LOG.exception("trouble with the workers")
    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (first["event"], first["level"], first["from"], first["run"], first["steps"]) == ("run submitted", "info", "lab.somewhere", "r1", 10)
    assert first["time"].endswith("Z") and second["level"] == "error" and "ValueError: a line" in second["trace"]


def test_a_terminal_gets_words(logged: Any) -> None:
    stream = logged(True)
    LOG.warning("worker ended", extra={"worker": "local-1", "code": -9})
    assert stream.getvalue().rstrip().endswith("worker ended worker=local-1 code=-9") and "{" not in stream.getvalue()


def test_libraries_are_heard_from_warnings_on(logged: Any) -> None:
    stream = logged(False)
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("trouble")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["trouble"]


def test_a_mark_opens_nothing() -> None:
    assert logs.short("a" * 32) == logs.short("a" * 32) != logs.short("b" * 32) and len(logs.short("x")) == 10 and "aaaa" not in logs.short("a" * 32)
