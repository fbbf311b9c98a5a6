"""What several test files share: the cache of real weights and data, and a way to run a supply generator to its end."""
from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from lab.runners import _machine
from lab.supply import default_cache
from lab.waiting import spin_briefly
from tests.__main__ import BROWSER, QUICK, SHARED

REAL = {"cache", "real_workshop"}  # fixtures of the real pretrained weights and data
FIRST = ("test_page.py", "test_real_prompts.py", "test_goals.py", "test_every_method.py",
         "test_runners.py", "test_serve.py", "test_supply.py", "test_cli.py", "test_readme.py")
QUICK_CASES = 1  # of one test, in the quick part
ALL_SLOW = re.compile(r"^pytestmark = \[?pytest\.mark\.(slow|browser)\b", re.MULTILINE)

sys.dont_write_bytecode = False  # reading all tests takes half as long where they are kept compiled
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # in what tests start, too
spin_briefly(os.environ)
os.environ.setdefault("LAB_COMPILE", "0")  # workers that tests start: their compiler would take a core from what is tested
os.environ.setdefault("LAB_SPARE", "0")  # for the same reason
if "PYTEST_XDIST_WORKER" in os.environ:  # the cores have work already
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Processes for whole passes that share the machine, one a core; whatever else is asked for runs in one: it wants all cores, or is timed."""
    named = config.args_source is pytest.Config.ArgsSource.ARGS and config.args != ["tests/ui"]
    whole = not named and not config.option.keyword
    return _machine.cores() if whole and config.option.markexpr in (QUICK, SHARED, BROWSER) else 0


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The quick part does not read files that have nothing for it: each of its processes would import them first."""
    if config.option.markexpr == QUICK and collection_path.match("test_*.py") and ALL_SLOW.search(collection_path.read_text(encoding="utf-8")):
        return True
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what uses real models, and of a test with many cases all but a spread as slow. Files that wait or take long go first, beside some that
    compute, and no long one is left for the end."""
    cases: dict[tuple[Any, str], list[pytest.Item]] = {}
    for item in items:
        if not item.get_closest_marker("slow"):
            cases.setdefault((item.path, item.name.partition("[")[0]), []).append(item)
    for same in cases.values():
        quick = {place * len(same) // QUICK_CASES for place in range(QUICK_CASES)} if len(same) > QUICK_CASES else range(len(same))
        for place, item in enumerate(same):
            if place not in quick:
                item.add_marker("slow")
    for item in items:
        if item.get_closest_marker("slow") and REAL & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real)
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test is a failure: it means that something the tests need was not installed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and reporter and reporter.stats.get("skipped") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


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


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The engine's warm things, for seeded models: nothing is fetched."""
    from lab.engine import Workshop

    return Workshop(tmp_path_factory.mktemp("cache"), offline=True)


@pytest.fixture(scope="session")
def kept_workshop() -> Any:
    """The same with what is fetched once and kept: for seeded models on tasks that are not made here."""
    from lab.engine import Workshop

    return Workshop(default_cache())


@pytest.fixture(scope="session")
def real_workshop(kept_workshop: Any) -> Any:
    """The same for the real pretrained models: tests that ask for it are marked `real`."""
    return kept_workshop


@pytest.fixture(scope="session")
def run() -> Callable[..., Any]:
    """Trains a spec given as a dict and returns its result; a failure shows its traceback."""
    from lab.engine import train
    from lab.events import Failed, fold
    from lab.spec import RunSpec

    def trained(workshop: Any, out: Path | None = None, **spec: Any) -> Any:
        events = list(train(RunSpec.parse(spec), workshop, out=out))
        assert not isinstance(events[-1], Failed), events[-1].detail
        return fold(events)

    return trained
