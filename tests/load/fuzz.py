"""Bad specs, files and requests by the thousand: `python -m tests.load.fuzz 10000 [--seed 0]` prints what came of them; exit code 1 where something is wrong.

A third are specs, read in this process. The others go to a real page over HTTP, in a process of its own with its own home, cache and temporary folder:
questions of every tab to `component_server`, Gradio's queue, uploads, the doors of the class and of its desk, our own routes, paths and methods. Wrong is: an
exception that is no LabError, a traceback or a path of this machine in an answer, an answer with status 500 from our own code, a page that is gone or slow to
answer, a run of one visitor in the answer to another, the class code or the desk's secret in an answer or in the log, and any file, program or outside
address that the page touches beside its data folder (seen by an audit hook in it).
"""
from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lab import catalogue
from lab.contracts import LabError
from lab.lens import Look
from lab.serving.question import Question
from lab.spec import RunSpec
from tests.load import _material as material
from tests.load._page import CODE, SECRET

ROOT = Path(__file__).parents[2]
VICTIM = "victim-" + "v" * 24
TITLE = "kept to myself"  # of the victim's run
MEMBER = "o" * 24  # who asks most, and is in the class
SLOW_SECONDS = 60.0
Request = tuple[str, str, bytes | None, dict[str, str]]  # method, path, body, headers
TELLING = ("Traceback (most recent call", 'File "/', "sqlite3.", "site-packages")


@dataclass
class Found:
    """What came of it: how many of what kind, and everything wrong, with its input."""

    kinds: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    refused: int = 0  # specs that were refused in words
    admitted: int = 0  # requests to a door of the class that it let in
    slowest: float = 0.0

    def report(self, count: int, seed: int, seconds: float) -> dict[str, Any]:
        return {"count": count, "seed": seed, "seconds": round(seconds, 1), "kinds": dict(self.kinds), "statuses": dict(sorted(self.statuses.items())),
                "specs_refused_in_words": self.refused, "let_in_by_a_door_of_the_class": self.admitted,
                "slowest_answer_seconds": round(self.slowest, 2), "wrong": self.wrong[:20],
                "wrong_count": len(self.wrong)}


def specs(drawn: random.Random, count: int, found: Found) -> None:
    """A spec, a look or a question, as JSON text or as a value: it is one, or a LabError says why not."""
    valid = [RunSpec.parse({"model": model, "task": "toy", "method": method}).to_dict() for model, method in
             (("seed-bert", "lora"), ("seed-llama", "prompt_tuning"), ("seed-llama", {"name": "stack", "parts": ["lora", "prompt_tuning"]}),
              ("seed-bert", "houlsby"))]
    config = {"model": {"config": {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128,
                                   "vocab_size": 100}, "class": "LlamaForCausalLM"}, "method": "lora"}
    readers = (RunSpec.parse, lambda given: RunSpec.from_json(json.dumps(given)), lambda given: Look.from_json(json.dumps(given)),
               lambda given: Question.from_json(json.dumps(given)))
    for _ in range(count):
        reader = drawn.choice((0, 0, 0, 1, 1, 2, 3))
        base = drawn.choice((*valid, config)) if reader < 2 else {"run": "a" * 24, "lens": "drift", "text": "x", "knobs": {}}
        given = material.altered(drawn, base)
        if drawn.random() < 0.3 and isinstance(given, dict):
            given["method"] = {"name": drawn.choice(list(catalogue.entries("methods"))), "rank": material.value(drawn), "targets": material.value(drawn)}
        found.kinds["spec"] += 1
        try:
            readers[reader](given)
        except LabError as error:
            found.refused += 1
            if not str(error) or len(str(error)) > 5000 or any(each in str(error) for each in TELLING):
                found.wrong.append(f"spec: the words are not for people: {str(error)[:300]!r}")
        except Exception as error:
            found.wrong.append(f"spec: {type(error).__name__}: {error} for {json.dumps(given)[:500]}"[:900])


class Page:
    """A page process of its own, with one kept connection that is made again where it was closed."""

    def __init__(self, folder: Path) -> None:
        self.data, self.notes, self.log = folder / "data", folder / "notes.jsonl", folder / "page.log"
        places = {name: str(folder / name) for name in ("home", "cache", "tmp")}
        for place in (*places.values(), self.data):
            Path(place).mkdir()
        environment = {**os.environ, "HOME": places["home"], "LAB_CACHE": places["cache"], "TMPDIR": places["tmp"], "PYTHONPATH": str(ROOT)}
        self._log = self.log.open("w")
        self.process = subprocess.Popen([sys.executable, "-m", "tests.load._page", str(self.data), str(self.notes)], cwd=ROOT, env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log)
        line = next((line for line in self.process.stdout if line.startswith("AT ")), "")
        if not line:
            raise RuntimeError(f"the page did not start: {self.log.read_text()[-2000:]}")
        self.host = urlsplit(line.split()[1]).netloc
        self.connection = HTTPConnection(self.host, timeout=SLOW_SECONDS)

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Status and answer; 0 where the server closed the connection."""
        try:
            self.connection.request(method, "/" + path, body, headers or {})
            answer = self.connection.getresponse()
            content = answer.read(2_000_000)
            if not answer.isclosed():
                self.connection.close()
            return answer.status, content
        except (HTTPException, OSError):
            self.connection.close()
            self.connection = HTTPConnection(self.host, timeout=SLOW_SECONDS)
            return 0, b""
        except (ValueError, UnicodeError):  # the client itself refuses to send such a thing
            self.connection.close()
            return -1, b""

    def questions(self) -> list[tuple[int, str]]:
        """(component, function) of everything that a tab can ask."""
        config = json.loads(self.ask("GET", "config")[1])
        return [(each["id"], name) for each in config["components"] for name in each["props"].get("server_fns") or ()]

    def last_words(self) -> str:
        """Where and what the newest exception of the page was."""
        time.sleep(0.05)
        lines = self.log.read_text(errors="replace").splitlines()
        places = [line.strip() for line in lines if line.startswith('  File "') and str(ROOT / "lab") in line]
        return " · ".join((*places[-1:], *lines[-1:]))[-400:].replace(str(ROOT), "")

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait(30)
        self._log.close()


def requests(drawn: random.Random, count: int, found: Found, page: Page) -> None:
    questions, private, token = page.questions(), victim(page), admitted(page)
    found.kinds["questions that tabs can ask"] = len(questions)
    runs = (private, "a" * 24, "recorded:x", *material.TEXTS[:6])
    for number in range(count):
        kind = drawn.choice(("question", "question", "question", "queue", "upload", "route", "class", "path", "path"))
        method, path, body, headers = request(drawn, kind, questions, runs) if kind != "class" else door(drawn, runs, token)
        found.kinds[kind] += 1
        began = time.monotonic()
        status, content = page.ask(method, path, body, headers)
        found.slowest = max(found.slowest, time.monotonic() - began)
        found.statuses[status] += 1
        found.admitted += kind == "class" and status == 200 and b'"error"' not in content
        if trouble := wrong(status, content, page, path == "class/queue" and token.encode() in (body or b"")):
            found.wrong.append(f"{trouble}: {method} /{path[:200]} {body[:1500] if body else b''!r} → {status} {content[:300]!r}")
        if status == 0 and page.process.poll() is not None:
            found.wrong.append(f"the page is gone after {number} requests: {page.log.read_text()[-1000:]}")
            return


def request(drawn: random.Random, kind: str, questions: list[tuple[int, str]], runs: tuple[str, ...]) -> Request:
    owner = drawn.choice((MEMBER, "p" * 24, "", drawn.choice(material.TEXTS)))
    headers, spec = material.headers(drawn), {"model": "seed-bert", "task": "toy", "method": {"name": "lora", "rank": 4}, "steps": 3}
    asked = {"owner": owner, "run": drawn.choice(runs), "runs": [drawn.choice(runs)] * 2, "mark": "", "spec": json.dumps(spec), "draft": spec, "method": "lora",
             "model": "seed-bert", "task": "toy", "text": "a text", "title": "x", "since": 0, "key": "lora", "lens": "drift", "values": spec, "arms": [],
             "seeds": [0]}
    match kind:
        case "question":
            component, name = material.chosen(drawn, questions)
            said = {"data": material.altered(drawn, asked) if drawn.random() < 0.8 else asked, "fn_name": name, "component_id": component, "session_hash": "s"}
            content = material.body(drawn, said) if drawn.random() < 0.5 else json.dumps(said).encode("utf-8", "replace")
            return "POST", "gradio_api/component_server", content, headers
        case "queue":
            said = {"data": [material.value(drawn)], "fn_index": drawn.choice((0, 1, -1, 10**9)), "session_hash": "s", "event_data": None, "trigger_id": 1}
            return "POST", drawn.choice(("gradio_api/queue/join", "gradio_api/cancel", "gradio_api/reset")), material.body(drawn, said), headers
        case "upload":
            said = {"owner": owner, "name": drawn.choice(("x.csv", "x.jsonl", "x.tsv", *material.TEXTS[:12])), "title": drawn.choice(material.TEXTS),
                    "header": drawn.choice((True, False, None)), "key": drawn.choice(material.TEXTS),
                    "choice": material.value(drawn) if drawn.random() < 0.4 else {}}
            line = json.dumps(said).encode("utf-8", "replace") if drawn.random() < 0.9 else material.body(drawn, said)
            return "POST", f"own-data/{drawn.choice(('look', 'keep', 'list', 'remove'))}", line + b"\n" + material.table(drawn), headers
        case "route":
            path = drawn.choice(("own-data/keep", "hub/push", "hub/about", "gradio_api/upload", "gradio_api/run/predict"))
            return "POST", path, material.body(drawn, asked), headers
    return drawn.choice(material.METHODS), material.path(drawn), material.body(drawn, {}) if drawn.random() < 0.3 else None, headers


def door(drawn: random.Random, runs: tuple[str, ...], token: str) -> Request:
    """A question to the class or to its desk, of somebody who knows how they are asked: sound in a third of all cases, else with other parts or broken."""
    name, owner = drawn.choice(material.DOORS), drawn.choice((MEMBER, MEMBER, "p" * 24, drawn.choice(material.TEXTS)))
    kind = drawn.choice(("progress", "prediction", "observation", "quiz", "answer", "test", drawn.choice(material.TEXTS)))
    value = drawn.choice(({"step": 1, "ended": False}, 1, [1] * 10, material.value(drawn)))
    records = [{"kind": kind, "name": drawn.choice(("", "a", "count")), "value": value}]
    said = {"owner": owner, "code": CODE if owner == MEMBER else drawn.choice((CODE, "wrong")), "agreed": True,  # too many wrong ones, and nobody gets in
            "name": drawn.choice(("Ann", "Bob", drawn.choice(material.TEXTS))), "word": drawn.choice(material.TEXTS),
            "lesson": drawn.choice(("05-lora", "test", drawn.choice(material.TEXTS))), "records": records,
            "secret": drawn.choice((SECRET, drawn.choice(material.TEXTS))), "token": token if name != "out" else "t" * 43, "run": drawn.choice(runs),
            "task": drawn.choice(("toy", "movies", drawn.choice(material.TEXTS))),
            "what": drawn.choice(("progress", "predictions", "observations", "quiz", "runs", drawn.choice(material.TEXTS)))}
    kind = drawn.randrange(3)
    content = json.dumps(said if kind == 0 else material.altered(drawn, said)).encode("utf-8", "replace") if kind < 2 else material.body(drawn, said)
    return "POST", f"class/{name}", content, material.headers(drawn)


def wrong(status: int, content: bytes, page: Page, desk: bool = False) -> str:
    """`desk`: it was its queue that was asked, by who has opened it and sees which runs wait, with their titles; a key of anybody is not to be seen there."""
    text = content.decode("utf-8", "replace")
    if status == 500:
        return f"the lab made a mistake ({page.last_words()})"
    if any(each in text for each in (*TELLING, str(page.data), str(ROOT))):
        return "the answer tells of the machine"
    if CODE in text or SECRET in text:
        return "the answer tells a secret"
    return "a visitor's run was told to another" if VICTIM in text or (TITLE in text and not desk) else ""


def admitted(page: Page) -> str:
    """Somebody joins the class, and somebody opens its desk: the token of the desk."""
    told = {}
    for name, said in (("join", {"owner": MEMBER, "code": CODE, "name": "Olga", "agreed": True}), ("enter", {"secret": SECRET})):
        status, content = page.ask("POST", f"class/{name}", json.dumps(said).encode(), {"Content-Type": "application/json"})
        told |= json.loads(content)
        if status != 200 or "error" in told:
            raise RuntimeError(f"class/{name} lets nobody in: {status} {told}")
    return str(told["token"])


def victim(page: Page) -> str:
    """Somebody else's run, with a title that nobody else may read in a list. Who knows its id may look at it, so that is left out of what is asked for."""
    from lab.store import Store

    with Store(page.data) as store:
        store.submit(RunSpec.parse({"model": "seed-bert", "task": "toy", "method": "lora"}), VICTIM, title=TITLE)
    return "f" * 24


def fuzz(count: int, seed: int = 0) -> tuple[Found, float]:
    drawn, found, began = random.Random(seed), Found(), time.monotonic()
    specs(drawn, count // 3, found)
    with tempfile.TemporaryDirectory() as folder:
        page = Page(Path(folder))
        try:
            requests(drawn, count - count // 3, found, page)
            if page.process.poll() is None and page.ask("GET", "config")[0] != 200:
                found.wrong.append("the page does not answer any more")
        finally:
            page.end()
        found.wrong += [f"outside of the data folder: {line}" for line in page.notes.read_text().splitlines()]
        told = page.log.read_text(errors="replace")
        found.wrong += [f"the log tells the {what}" for what, secret in (("class code", CODE), ("desk's secret", SECRET)) if secret in told]
        found.wrong += [f"the home folder was written to: {path}" for path in (Path(folder) / "home").rglob("*") if path.is_file()]
    return found, time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("count", type=int, nargs="?", default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found, seconds = fuzz(options.count, options.seed)
    print(json.dumps(found.report(options.count, options.seed, seconds), indent=1, ensure_ascii=True))
    return bool(found.wrong)


if __name__ == "__main__":
    sys.exit(main())
