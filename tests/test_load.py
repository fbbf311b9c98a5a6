"""The load tests in short: a class of students, faults, and many runs in a row; tests/load has them at full length."""
from __future__ import annotations

import subprocess
import sys

import pytest

from tests._patience import within
from tests.load import faults, steady

pytestmark = [pytest.mark.slow, pytest.mark.alone]


def test_a_class_is_answered_and_no_run_is_lost() -> None:
    """In a program of its own, which needs an event loop to itself."""
    done = subprocess.run([sys.executable, "-m", "tests.load.students", "--students", "30", "--seconds", "25"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_faults_cost_no_run() -> None:
    """Every kind once; after each the queue goes on as soon as it has to at full length."""
    kinds = list(dict.fromkeys(faults.KINDS))
    found = faults.tried(len(kinds), seed=1, order=kinds)
    assert set(found["kinds"]) == set(kinds) and not found["wrong_count"], found
    assert not faults.late(found, within(faults.GOES_ON_SECONDS)), found


def test_a_queue_that_stands_still_is_seen() -> None:
    found = {"seconds_until_the_queue_goes_on": {"asleep": [1.0, 5.1], "disk full": [0.2, 4.9], "page killed": [30.0, 40.0]}}
    assert faults.late(found) == {"asleep": 5.1} and not faults.late(found, 6.0)


def test_memory_does_not_grow_with_runs() -> None:
    """At the bar of the whole, with half of its runs: a fifth of them has each method twice, so what a method loads is not taken for growth. That a worker
    which has done its number is replaced is seen at full length only."""
    found = steady.measured(50)
    assert found["page_grown"] <= steady.MOST and found["worker_grown"] <= steady.MOST, found
