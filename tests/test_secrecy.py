"""Secrets stay out of what is printed and logged."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.secrecy import INSTEAD, redacted, secrets

ROOT = Path(__file__).parents[1]
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJpcCI6IjEuMi4zLjQifQ.s1gnature-x"
PROGRAM = """
import logging, sys, traceback
from lab import secrecy
secrecy.guard()
secrecy.guard()
logging.basicConfig()
print("token", sys.argv[1], "and the class code swordfish-42")
logging.getLogger("httpx").warning("GET https://hub/x?token=%s authorization: Bearer %s", sys.argv[2], "abcdefghijklmnop")
try:
    raise RuntimeError("no entry for " + sys.argv[1])
except RuntimeError:
    traceback.print_exc()
print("an ordinary line", file=sys.stderr)
raise SystemExit(sys.stdout.isatty())
"""


@pytest.mark.parametrize("text", ["hf_AbCdEfGhIjKlMnOpQrStUvWx", JWT, "Authorization: Bearer abc.def-ghi_jkl/mno=", "bearer 0123456789abcdef"])
def test_tokens_are_known_by_their_form(text: str) -> None:
    assert text.split()[-1] not in redacted(f"before {text} after") and INSTEAD in redacted(text) and redacted(f"before {text} after").endswith("after")


@pytest.mark.parametrize("text", ["half_trained", "lora rank 8, lr 1e-3", "run 0123456789abcdef01234567 ended", "hf_hub", "eyJ", "a bearer of news"])
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


def test_values_under_a_secret_s_name_are_found() -> None:
    environment = {"HF_TOKEN": "hf_x1234567", "OAUTH_CLIENT_SECRET": "s3cret-value", "LAB_CLASS_CODE": "swordfish", "PATH": "/usr/bin", "DB_PASSWORD": "short",
                   "HF_TOKEN_PATH": "/some/where", "MY_API_KEY": "s3cret-value-longer"}
    assert secrets(environment) == ("s3cret-value-longer", "s3cret-value", "hf_x1234567", "swordfish")
    assert redacted("s3cret-value-longer, s3cret-value", secrets(environment)) == f"{INSTEAD}, {INSTEAD}"


def test_neither_prints_nor_logs_nor_tracebacks_of_a_process_have_them() -> None:
    token = "hf_" + "a" * 30
    done = subprocess.run([sys.executable, "-c", PROGRAM, token, JWT], cwd=ROOT, text=True, capture_output=True, timeout=60, check=False,
                          env={**os.environ, "LAB_CLASS_CODE": "swordfish-42"})
    told = done.stdout + done.stderr
    assert done.returncode == 0 and all(secret not in told for secret in (token, JWT, "swordfish", "abcdefghijklmnop"))
    assert "an ordinary line" in done.stderr and "RuntimeError: no entry for [secret]" in done.stderr and told.count(INSTEAD) == 5
