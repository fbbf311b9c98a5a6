"""The load tests in short: a class of students, faults, and many runs in a row; tests/load has them at full length."""
from __future__ import annotations

import subprocess
import sys

import pytest

from tests.load import faults, steady

pytestmark = [pytest.mark.slow, pytest.mark.alone]


def test_a_class_is_answered_and_no_run_is_lost() -> None:
    """In a program of its own, which needs an event loop to itself."""
    done = subprocess.run([sys.executable, "-m", "tests.load.students", "--students", "30", "--seconds", "25"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_faults_cost_no_run() -> None:
    found = faults.tried(12, seed=1)
    assert not found["wrong_count"], found


def test_memory_does_not_grow_with_runs() -> None:
    found = steady.measured(15)
    assert found["page_grown"] < 0.1 and found["worker_grown"] < 0.1, found
