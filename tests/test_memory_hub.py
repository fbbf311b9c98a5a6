"""A model's config by its name on the Hub: from a small Hub on this machine, and what is said where there is none."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.contracts import LabError, Unavailable
from lab.supply.configs import config_of
from tests._hub_server import ROOT, Repository, serving
from tests._patience import within

LLAMA = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 24, "num_attention_heads": 4, "intermediate_size": 40, "vocab_size": 50}
PROGRAM = """
import json, sys
from lab.contracts import LabError
from lab.supply.configs import config_of
try:
    print(json.dumps(config_of(sys.argv[1])))
except LabError as error:
    print("REFUSED", error)
"""


def asked(name: str, address: str, home: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")}
    environment |= {"HF_ENDPOINT": address, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    return subprocess.run([sys.executable, "-c", PROGRAM, name], cwd=ROOT, env=environment, capture_output=True, text=True).stdout.strip()


@pytest.mark.slow
def test_a_config_comes_alone(tmp_path: Path) -> None:
    with serving() as (handler, address):
        handler.repositories["models/nobody/tiny"] = Repository({"config.json": json.dumps(LLAMA).encode(), "model.safetensors": b"x" * 1000})
        handler.repositories["models/nobody/odd"] = Repository({"config.json": b"{not json"})
        handler.repositories["models/nobody/none"] = Repository({"README.md": b"hello"})
        handler.repositories["models/nobody/huge"] = Repository({"config.json": b" " * 2_000_000})
        assert json.loads(asked("nobody/tiny", address, tmp_path)) == LLAMA
        assert [name for name, _ in handler.asked] == ["config.json"]
        for name, said in (("odd", "not JSON"), ("none", "no config.json"), ("huge", "2,000,000 bytes"), ("absent", "Paste the model's config.json")):
            answer = asked(f"nobody/{name}", address, tmp_path)
            assert answer.startswith("REFUSED") and said in answer
        assert [name for name, _ in handler.asked] == ["config.json", "config.json"], "what is too large is not fetched"


def test_without_the_hub_it_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    began = time.perf_counter()
    with pytest.raises(Unavailable, match="Paste the model"):
        config_of("meta-llama/Llama-3.2-3B")
    assert time.perf_counter() - began < within(0.1)


@pytest.mark.parametrize("name", ["llama", "", None, 7, "a/b/c", "../etc/passwd", "a/..", "https://example.org/a/b", "a b/c", "x" * 200 + "/y"])
def test_what_names_no_model_is_not_asked_for(name: object) -> None:
    with pytest.raises(LabError, match="owner/name"):
        config_of(name)
