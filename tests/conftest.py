"""What several test files share: the cache of real weights and data, and a way to run a supply generator to its end."""
from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from lab.supply import default_cache


@pytest.fixture(scope="session")
def cache() -> Path:
    """Real weights and data, fetched once and kept: LAB_CACHE, or the user's own cache folder."""
    return default_cache()


@pytest.fixture(scope="session")
def finish() -> Callable[[Generator[Any, None, Any]], tuple[list[Any], Any]]:
    """Runs a generator: (what it yielded, what it returned)."""

    def run(generator: Generator[Any, None, Any]) -> tuple[list[Any], Any]:
        seen = []
        while True:
            try:
                seen.append(next(generator))
            except StopIteration as end:
                return seen, end.value

    return run
