"""An adapter and its card: what the card says, that its lines load the adapter, and how both go to a person's own account on a real HTTP server."""
from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from itsdangerous import TimestampSigner
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.testclient import TestClient

from lab import catalogue
from lab.contracts import LabError, Unavailable
from lab.events import RunResult, fold
from lab.owndata import columns, making, reading
from lab.owndata.shelf import Shelf
from lab.pushing import push
from lab.spec import RunSpec
from lab.store import Store
from lab.ui import hub
from lab.ui.bench import Bench
from tests._hub_server import ROOT, Account, writing

MINE = "m" * 24
SECRET = hashlib.sha256(b"secret-v4").hexdigest()  # of the session, as gradio makes it
PROGRAM = """
import sys
from pathlib import Path
from lab.contracts import LabError
from lab.pushing import push
try:
    print("PUSHED", push(Path(sys.argv[1]), sys.argv[2], sys.stdin.readline().strip(), sys.argv[3]).repository)
except LabError as error:
    print("REFUSED", error)
"""


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from lab.engine import Workshop

    return Workshop(tmp_path_factory.mktemp("cache"), offline=True)


def ran(workshop: Any, out: Path, **spec: Any) -> tuple[RunResult, str]:
    from lab.engine import train

    result = fold(train(RunSpec.parse(spec), workshop, out=out))
    assert result.state == "finished", result.reason
    return result, (out / "adapter" / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def trained(workshop: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that trained something."""
    folder = tmp_path_factory.mktemp("run")
    ran(workshop, folder, model="seed-bert", task="toy", method="lora", steps=3, eval_items=60)
    return folder / "adapter"


@pytest.fixture
def account() -> Iterator[tuple[Account, str]]:
    with writing() as found:
        yield found


# ── the card ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", ["seed-bert", "seed-llama", "seed-t5"])
def test_the_six_lines_load_what_was_trained(workshop: Any, tmp_path: Path, model: str) -> None:
    import torch

    _, card = ran(workshop, tmp_path, model=model, task="toy", method="lora", steps=3, eval_items=20)
    blocks = [block.split("```")[0] for block in card.split("```python\n")[1:]]
    assert len(blocks) == 2 and blocks[1].strip().count("\n") < 6
    base = str(workshop.supply.cache / "models" / catalogue.file_name(model))
    names: dict[str, Any] = {}
    program = blocks[1].replace("'the folder of the base model'", repr(base)).replace('"."', repr(str(tmp_path / "adapter")))
    exec(compile(program, "card", "exec"), names)
    whole: dict[str, Any] = {}
    exec(compile(blocks[0], "card", "exec"), whole)
    text, there = "the film was very good", {"folder": str(tmp_path / "adapter"), "base": base}
    expected = whole["classify"]([text], **there)
    with torch.no_grad():
        if model == "seed-bert":
            from transformers import AutoTokenizer

            batch = AutoTokenizer.from_pretrained(base)([text], return_tensors="pt")
            hidden = names["model"](input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state.mean(1)
            found = hidden @ names["head"]["weight"].T + names["head"]["bias"]
        else:
            task = catalogue.find("tasks", "toy")
            batch = names["tokenizer"](task.ask(text), return_tensors="pt")
            start = {"decoder_input_ids": torch.tensor([[names["model"].config.decoder_start_token_id]])} if model == "seed-t5" else {}
            words = [names["tokenizer"](word, add_special_tokens=False)["input_ids"][0] for word in task.words]
            found = names["model"](**batch, **start).logits[0, -1, words].unsqueeze(0)
    assert torch.allclose(found, expected, atol=1e-5)


def test_the_card_is_made_from_the_run(workshop: Any, tmp_path: Path) -> None:
    result, card = ran(workshop, tmp_path, model="seed-bert", task="toy", method="lora", steps=3, eval_items=60)
    head = yaml.safe_load(card.split("---\n")[1])
    assert head == {"library_name": "peft", "license": "cc0-1.0", "tags": ["peft-lab", "lora"]}
    for seen in result.scores.values():
        assert f"{seen.score:.3f} ± {seen.standard_error:.3f} | {seen.items:,} |" in card
    assert f"{result.started.counts['trainable']:,} of {result.started.counts['total']:,}" in card and "3 steps on one seed" in card
    assert "| base model: Seeded BERT" in card and "| data: Toy sentences | CC0-1.0 |" in card and result.started.weights_sha256[:16] in card


def test_a_score_that_is_none_is_said_to_be_none(workshop: Any, tmp_path: Path) -> None:
    _, card = ran(workshop, tmp_path, model="seed-llama", task="toy", method="lora", steps=1, lr=1e-9, eval_items=40)
    assert "cannot be told from that of the untouched model" in card


def test_a_card_of_own_data_claims_no_licence_and_holds_no_text(workshop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_DATA", str(tmp_path))
    content = b"text,label\n" + b"".join(b"a secret on thing %d,%s\n" % (number, b"x" if number % 2 else b"y") for number in range(60))
    table = reading.read(content)
    kept = Shelf().keep(making.made(table, columns.Choice.parse({}, table)), "Secrets", MINE)
    _, card = ran(workshop, tmp_path / "run", model="seed-bert", task=kept.key, method="lora", steps=2)
    assert "license" not in yaml.safe_load(card.split("---\n")[1]) and "the uploader's own" in card and "not published" in card
    assert not any(b"a secret on" in path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())
    _, shown = ran(workshop, tmp_path / "shots", model="seed-llama", task=kept.key, method={"name": "in_context", "shots": 2}, eval_items=4, tokens=32)
    assert "`shots.json` holds the solved examples" in shown and b"a secret on" in (tmp_path / "shots" / "adapter" / "shots.json").read_bytes()


# ── to the Hub ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_everything_arrives_in_a_private_repository(trained: Path, account: tuple[Account, str]) -> None:
    """In a program of its own: the client's setting, by which large files go as git-lfs, is read when it is imported."""
    own, address = account
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(trained), "lora-toy", address], input=own.token, cwd=ROOT, text=True, capture_output=True,
                          timeout=120, env={**os.environ, "HF_HUB_DISABLE_XET": "1"})
    assert "PUSHED student/lora-toy" in done.stdout, done.stdout + done.stderr
    assert own.repositories == {"student/lora-toy": {path.name: path.read_bytes() for path in trained.iterdir()}} and not own.public
    assert own.token not in done.stdout + done.stderr
    assert all(token in (f"Bearer {own.token}", "") for _, _, token in own.asked)


@pytest.mark.parametrize(("token", "trouble", "said"), [
    ("hf_wrong", 0, "sign in again"), ("hf_student", 403, "sign in again"), ("hf_student", 429, "no more from this account"), ("hf_student", 507, "error 507"),
])
def test_what_the_hub_refuses_is_said_without_the_token(trained: Path, account: tuple[Account, str], token: str, trouble: int, said: str) -> None:
    own, address = account
    own.trouble = trouble
    with pytest.raises(LabError) as refused:
        push(trained, "lora-toy", token, address)
    assert said in str(refused.value) and "hf_" not in str(refused.value) and refused.value.__suppress_context__ and not own.repositories


def test_nothing_is_put_into_a_public_repository(trained: Path, account: tuple[Account, str]) -> None:
    own, address = account
    own.repositories["student/lora-toy"] = {"mine.txt": b"x"}
    own.public.add("student/lora-toy")
    with pytest.raises(LabError, match="is there already and public"):
        push(trained, "lora-toy", own.token, address)
    assert own.repositories == {"student/lora-toy": {"mine.txt": b"x"}}


def test_a_hub_that_is_not_there_is_unavailable(trained: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        push(trained, "lora-toy", "hf_student", "http://127.0.0.1:9")


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a--b", "a..b", "-a", "a.git", "x" * 81, "a b", "ä", "a\nb"])
def test_a_name_that_is_none_asks_nobody(trained: Path, account: tuple[Account, str], name: str) -> None:
    with pytest.raises(LabError, match="name is"):
        push(trained, name, "hf_student", account[1])
    assert account[0].asked == []


def test_a_run_without_a_card_is_not_sent(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="only a finished run"):
        push(tmp_path, "x", "hf_student", "http://127.0.0.1:9")


# ── from the page ─────────────────────────────────────────────────────────────────────────────────────────────────────


SPACE = {"SPACE_ID": "class/lab", "SYSTEM": "spaces", "OAUTH_CLIENT_ID": "x", "OAUTH_CLIENT_SECRET": "secret",
         "OAUTH_SCOPES": "openid profile contribute-repos", "OPENID_PROVIDER_URL": "http://127.0.0.1:9"}
ON_A_SPACE = """
import json, os, sys, urllib.request
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
from pathlib import Path
from lab.store import Store
from lab.ui import page
from lab.ui.bench import Bench
with Store(Path(sys.argv[1])) as store:
    bench = Bench(store)
    blocks = page.build(bench).queue()
    _, address, _ = blocks.launch(server_name="127.0.0.1", prevent_thread_lock=True, **page.launching(bench, Path("assets")))
    about = json.load(urllib.request.urlopen(urllib.request.Request(address + "hub/about", data=b"{}")))
    shown = [each["props"]["elem_id"] for each in blocks.config["components"] if each["props"].get("elem_id") == "sign-in"]
    print("SHOWN", json.dumps([about, shown]), flush=True)
    os._exit(0)
"""


def signed_in(info: dict[str, Any]) -> dict[str, str]:
    """The visitor's cookie after a sign-in, signed as gradio has it signed."""
    kept = base64.b64encode(json.dumps({"oauth_info": info}).encode())
    return {"session": TimestampSigner(SECRET).sign(kept).decode()}


@pytest.mark.slow
def test_a_space_with_a_sign_in_shows_its_button(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", ON_A_SPACE, str(tmp_path)], cwd=ROOT, text=True, capture_output=True, timeout=120, env={**os.environ, **SPACE})
    assert 'SHOWN [{"name": ""}, ["sign-in"]]' in done.stdout, done.stdout + done.stderr


def test_without_a_way_to_sign_in_nothing_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.setenv("OAUTH_CLIENT_ID", "x")
    with Store(tmp_path) as store:
        assert not hub.offered() and hub.routes(Bench(store)) == []


def test_a_signed_in_owner_sends_a_run_and_the_token_stays_nowhere(workshop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                                   account: tuple[Account, str]) -> None:
    import huggingface_hub.constants

    own, address = account
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)  # the client's own switch, which the environment sets at its import
    monkeypatch.setenv("SPACE_ID", "class/lab")
    monkeypatch.setenv("OAUTH_CLIENT_ID", "x")
    signed = {"access_token": own.token, "expires_at": time.time() + 60, "userinfo": {"preferred_username": own.name}}
    with Store(tmp_path) as store:
        spec = RunSpec.parse({"model": "seed-llama", "task": "toy", "method": {"name": "in_context", "shots": 2}, "eval_items": 4})
        run = store.submit(spec, MINE)
        ran(workshop, store.folder(run.id), **spec.to_dict())
        app = Starlette(routes=hub.routes(Bench(store), address), middleware=[Middleware(SessionMiddleware, secret_key=SECRET, https_only=True)])

        def ask(question: str, info: dict[str, Any] = signed, **said: Any) -> Any:
            visitor = TestClient(app, base_url="https://lab", cookies=signed_in(info))
            return visitor.post(f"/hub/{question}", content=json.dumps(said)).json()

        assert ask("about") == {"name": "student"} and ask("about", {**signed, "expires_at": time.time() - 1}) == {"name": ""}
        name = hub.usual_name(run.settings, run.id)
        assert name == f"in-context-seed-llama-toy-{run.id[:6]}"
        assert "not signed in" in ask("push", {}, run=run.id, owner=MINE, name=name)["error"]
        assert "only the browser that started" in ask("push", run=run.id, owner="y" * 24, name=name)["error"] and not own.repositories
        assert ask("push", run=run.id, owner=MINE, name=name)["repository"] == f"student/{name}"
        folder = store.folder(run.id) / "adapter"
        assert own.repositories[f"student/{name}"] == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert not any(own.token.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
