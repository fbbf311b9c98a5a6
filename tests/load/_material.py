"""Bad input made from a seed: values of every JSON type, valid questions with parts replaced, files, paths and headers that somebody might try."""
from __future__ import annotations

import copy
import io
import json
import random
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

TEXTS = ("", " ", "0", "-1", "null", "../../../../etc/passwd", "..\\..\\x", "/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:1/x",
         "'; DROP TABLE runs; --", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "${alert(1)}", "{{7*7}}", "%00", "\x00",
         "\u202e\u0000", "a" * 10_000, "😀" * 300, "é\n\r\t",
         "__import__('os').system('id')", "seed-bert", "lora", "toy", "=cmd|' /C calc'!A0", "%s%s%n", "NaN", "1e999", "own-" + "a" * 24, "recorded:", "..", ".",
         "con", "a/b", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"))
NUMBERS = (0, 1, -1, 2**31, 2**63, 2**64, -(2**63), 10**400, 0.1, -0.0, 1e308, 1e-308, 5e-324, float("inf"), float("-inf"), float("nan"))
DOORS = ("about", "join", "back", "leave", "record", "enter", "out", "queue", "cancel", "progress", "predictions", "gallery", "export")  # of the Class tab
PATHS = ("", "config", "theme.css", "lab-assets/lab.css", "lab-assets/../../app.py", "lab-assets/%2e%2e/%2e%2e/app.py", "lab-assets//etc/passwd",
         "lesson-figures/../page.png", "adapter/{text}.zip", "run/{text}/report.html", "run/{text}/{text}", "script.zip?spec={text}", "glossary.json",
         "gradio_api/file={text}", "gradio_api/file/{text}", "gradio_api/proxy={text}", "gradio_api/info", "gradio_api/startup-events",
         "gradio_api/queue/status", "gradio_api/upload", "gradio_api/run/{text}", "gradio_api/call/{text}", "gradio_api/stream/{text}",
         "gradio_api/custom_component/{text}/client/component/{text}", "static/{text}", "assets/{text}", "svelte/{text}", "gradio_api/runs",
         *(f"class/{door}" for door in DOORS), "class/{text}", "gradio_api/lab/healthz", "gradio_api/lab/metrics", "gradio_api/lab/{text}",
         "monitoring", "docs", "openapi.json", "?run={text}", "?spec={text}", "?compare={text}&looked={text}", "?lesson={text}&lock={text}", "{text}")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW")


def value(drawn: random.Random, depth: int = 0) -> Any:
    kind = drawn.randrange(9 if depth < 4 else 6)
    if kind < 2:
        return drawn.choice(TEXTS)
    if kind == 2:
        return drawn.choice(NUMBERS)
    if kind == 3:
        return drawn.choice((True, False, None))
    if kind == 4:
        return "".join(chr(drawn.choice((drawn.randrange(32, 127), drawn.randrange(0xD7FF)))) for _ in range(drawn.randrange(40)))
    if kind == 5:
        return drawn.randrange(-(10**6), 10**6)
    if kind == 6:
        return [value(drawn, depth + 1) for _ in range(drawn.randrange(5))]
    return {str(drawn.choice((*TEXTS[:12], "name", "run", "owner", "rank"))): value(drawn, depth + 1) for _ in range(drawn.randrange(5))}


def altered(drawn: random.Random, valid: Any) -> Any:
    """A valid value in which some parts are others, gone, or new."""
    if drawn.random() < 0.1:
        return value(drawn)
    changed = copy.deepcopy(valid)
    for _ in range(drawn.randrange(1, 4)):
        place = changed
        while isinstance(place, dict | list) and place:
            key = drawn.choice(list(place)) if isinstance(place, dict) else drawn.randrange(len(place))
            inner = place[key]
            if not isinstance(inner, dict | list) or not inner or drawn.random() < 0.5:
                if drawn.random() < 0.15:
                    del place[key]
                elif drawn.random() < 0.1 and isinstance(place, dict):
                    place[str(drawn.choice(TEXTS))] = value(drawn)
                else:
                    place[key] = value(drawn, 1)
                break
            place = inner
    return changed


def body(drawn: random.Random, valid: Any) -> bytes:
    """JSON most of the time; else broken, deep, cut off or no text at all."""
    kind = drawn.randrange(12)
    text = json.dumps(altered(drawn, valid)).encode("utf-8", "replace")
    if kind == 0:
        return drawn.randbytes(drawn.randrange(2000))
    if kind == 1:
        return text[: drawn.randrange(len(text) + 1)]
    if kind == 2:
        return b"[" * drawn.choice((10, 1000, 100_000))
    if kind == 3:
        return b'{"data":' * 2000 + b"1" + b"}" * 2000
    return text


def table(drawn: random.Random) -> bytes:
    """A file that somebody calls a table: sound, odd, broken or something else."""
    cell: Callable[[], str] = lambda: drawn.choice((*TEXTS[:24], "good", "bad", "a text", str(drawn.randrange(9)), '"', '"x""y', "a,b", "a\tb"))  # noqa: E731
    kind = drawn.randrange(9)
    if kind == 0:
        return drawn.randbytes(drawn.randrange(5000))
    if kind == 1:
        return "\n".join(json.dumps(value(drawn)) for _ in range(drawn.randrange(40))).encode("utf-8", "replace")
    if kind == 2:
        return json.dumps([value(drawn) for _ in range(drawn.randrange(20))]).encode("utf-8", "replace")
    if kind == 3:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("../../outside.txt", b"0" * 1_000_000)
        return packed.getvalue()
    if kind == 4:
        return b"\x80\x04\x95" + drawn.randbytes(200)  # how a pickle begins
    separator = drawn.choice((",", "\t", ";", "|"))
    rows = [separator.join(cell() for _ in range(drawn.choice((2, 2, 2, 1, 3, 60)))) for _ in range(drawn.randrange(120))]
    return ("text,label\n" * drawn.randrange(2) + drawn.choice(("\n", "\r\n", "\r")).join(rows)).encode(drawn.choice(("utf-8", "utf-16", "latin-1")), "replace")


def path(drawn: random.Random) -> str:
    from urllib.parse import quote

    made = drawn.choice(PATHS)
    while "{text}" in made:
        text = drawn.choice(TEXTS)[:300]
        made = made.replace("{text}", quote(text, safe="/" if drawn.random() < 0.3 else ""), 1)
    return made


def headers(drawn: random.Random) -> dict[str, str]:
    found = {"Content-Type": drawn.choice(("application/json", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "x"))}
    if drawn.random() < 0.2:
        found |= {drawn.choice(("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Range", "Accept-Encoding", "Cookie", "X-Lab-Owner",
                                "Authorization")): drawn.choice([text for text in TEXTS if text.isascii() and text.isprintable()])[:2000].strip()}
    if drawn.random() < 0.05:
        found["Origin"] = "https://elsewhere.example"
    return found


def chosen(drawn: random.Random, from_: Sequence[Any]) -> Any:
    return from_[drawn.randrange(len(from_))]
