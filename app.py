"""The lab put together: store, runner and page. The only file that knows folders and ports; torch is never loaded here.

`python app.py` is the same as `python -m lab serve`.
"""
from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
TICK_SECONDS = 600.0  # between looks for what has had its time, and between copies of the data folder
DAY_SECONDS = 86_400.0
MOST_SPARES = 2  # workers that are kept warm in reserve
SWITCH_SECONDS = 0.0005  # after which a thread that works lets the one go on that answers all visitors; five thousandths otherwise
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1",  # nothing is sent anywhere
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": "100000",  # halves the cost of an event
}


def serve(host: str | None, port: int | None, data: Path, runner: str, address: str | None = None, config: Path | None = None,
          workers: int | None = None) -> int:
    """Open the page, start the workers beside it, and end them together on Ctrl-C or SIGTERM: runs that go on may finish for some seconds, after a second
    one they may not."""
    os.environ.update(QUIET)  # read when gradio is imported
    os.environ["LAB_DATA"] = str(data.resolve())  # where uploaded sets lie, for this process and those that it starts
    from lab import backup, logs, secrecy
    from lab.classroom import read
    from lab.contracts import LabError
    from lab.store import Store
    from lab.ui import page
    from lab.ui.bench import Bench

    settings = read(config, os.environ)
    kept = os.environ.get("LAB_BACKUP")
    _check_variables(data, kept)
    secrecy.guard()
    sys.setswitchinterval(SWITCH_SECONDS)
    largest = settings.budgets.disk_mb and settings.budgets.disk_mb * 1_000_000
    stopped, at_once = threading.Event(), threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda number, frame: (at_once if stopped.is_set() else stopped).set())
    log = logging.getLogger("lab")
    with ExitStack() as ends:
        ends.callback(logging.getLogger().removeHandler, logs.configure())
        if kept and backup.restore(Path(kept), data):
            log.info("data folder brought back", extra={"folder": kept})
        ends.callback(_copy, data, kept)
        store = ends.enter_context(Store(data, largest_bytes=largest))
        pool = _runner(runner, data, address, workers, largest_bytes=largest, running=settings.limits.running, seconds=settings.limits.seconds)
        forecaster = _forecaster()
        ends.callback(forecaster.close)
        bench = Bench(store, _recorded(), workers=pool.workers, submitted=pool.submitted, hashes=_hashes(), data=_data(), sweeps=_sweeps(),
                      forecaster=forecaster, ready=_ready(data), lessons=_lessons(settings), museum=_museum(), bank=_bank(), glossary=_glossary(),
                      assets=ROOT / "assets", limits=settings.limits, settings=settings, measures="measure" in getattr(pool, "kinds", ()),
                      follows=runner != "zerogpu")  # there a run belongs to a visitor's request
        blocks = page.build(bench).queue(default_concurrency_limit=None, api_open=False, max_size=1000)
        pool.start()
        ends.callback(lambda: pool.stop(settings.shutdown_seconds, at_once.is_set))
        try:
            _, url, _ = blocks.launch(server_name=host, server_port=port, prevent_thread_lock=True, **page.launching(bench, ROOT / "assets"))
        except OSError:
            raise LabError(f"port {port or '7860 and those after it'} cannot be used on {host or 'this machine'}: choose another with --port") from None
        ends.callback(blocks.close, verbose=False)
        print(f"{settings.title} is at {url} (Ctrl-C ends it)", flush=True)
        if bench.follows:
            threading.Thread(target=bench.following.watch, args=(stopped,), name="following", daemon=True).start()
        log.info("lab started", extra={"address": url, "config": config.name if config else "", "waiting": store.waiting()})
        _sweep(store, settings)
        while not stopped.wait(TICK_SECONDS):
            _sweep(store, settings)
            _copy(data, kept)
        log.info("lab stops", extra={"waiting": store.waiting()})
    return 0


def _check_variables(data: Path, kept: str | None) -> None:
    """What a variable says wrongly is told at the start, and not when it is first needed. Raises LabError."""
    from lab import backup
    from lab.contracts import LabError
    from lab.owndata.shelf import keep_days
    from lab.supply import default_cache
    from lab.ui import rates

    rates.allowed_per_minute(), rates.proxies(), keep_days()
    if kept:
        backup.check(data, Path(kept))
    try:
        default_cache().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(f"the cache {default_cache()} cannot be made ({error.strerror}): set LAB_CACHE to a folder that can be written to") from None


def _sweep(store: Any, settings: Any) -> None:
    """Remove what has had its time. Trouble with a disk is said and tried again an hour later: the lab goes on."""
    from lab.contracts import LabError
    from lab.owndata.shelf import Shelf

    log, now = logging.getLogger("lab.sweep"), time.time()
    before = {"runs_before": settings.retention.runs_days, "adapters_before": settings.retention.adapters_days}
    try:
        Shelf().sweep()
        runs, adapters = store.expire(**{name: now - days * DAY_SECONDS for name, days in before.items() if days is not None})
        if runs or adapters:
            log.info("removed what had its time", extra={"runs": runs, "adapters": adapters})
    except LabError as error:
        log.error(str(error))


def _copy(data: Path, kept: str | None) -> None:
    from lab import backup
    from lab.contracts import LabError

    try:
        if kept:
            backup.copy(data, Path(kept))
    except LabError as error:
        logging.getLogger("lab.backup").error(str(error))


def _recorded() -> tuple[Any, ...]:
    from lab.recording import shelf

    return shelf(ROOT / "assets" / "recorded")


def _sweeps() -> Any:
    from lab.sweeping import sweeps

    return sweeps(ROOT / "assets" / "sweeps")


def _ready(data: Path) -> Any:
    """Those that come with the lab, and those of whoever hosts it."""
    from lab.comparing import Shelf

    return Shelf(ROOT / "assets" / "comparisons", data / "comparisons")


def _lessons(settings: Any) -> Any:
    """Those that come with the lab, and those of the host's own folder."""
    from lab.lessons import lessons

    return lessons([ROOT / "lessons", *([settings.lessons] if settings.lessons else [])], ROOT / "assets" / "comparisons")


def _museum() -> Any:
    from lab.museum import exhibits

    return exhibits(ROOT / "assets" / "museum")


def _bank() -> Any:
    from lab.lessons.bank import read

    return read(ROOT / "lessons" / "bank.yaml")


def _glossary() -> Any:
    from lab.lessons.glossary import read

    return read(ROOT / "lessons" / "glossary.md")


def _hashes() -> Any:
    """What the manifests of the cache say of a spec's weights and data; nothing is fetched and no torch is loaded."""
    from lab.supply import Supply, default_cache

    supply = Supply(default_cache())
    return lambda spec: (supply.known_sha256(spec.base) or "", supply.known_data_sha256(spec.goal) or "")


def _data() -> Any:
    """Reads the items of tasks whose files lie in the cache; nothing is fetched."""
    from lab.supply import Supply, default_cache

    return Supply(default_cache(), offline=True).data


def _forecaster() -> Any:
    """Foretells the memory of steps. Its process is started by the first who looks at such a forecast."""
    from lab.forecast.forecaster import Forecaster
    from lab.supply import default_cache

    return Forecaster(default_cache() / "forecast")


def _spares() -> int:
    from lab.contracts import LabError

    asked = os.environ.get("LAB_SPARE", str(MOST_SPARES))
    if asked not in {str(number) for number in range(MOST_SPARES + 1)}:
        raise LabError(f"LAB_SPARE is {asked}: must be a number from 0 to {MOST_SPARES}")
    return int(asked)


def _runner(name: str, data: Path, address: str | None, workers: int | None, **limits: Any) -> Any:
    from lab.contracts import LabError
    from lab.supply import default_cache

    if address and name != "ray":
        raise LabError(f"address is {address}: only a ray runner has one; add --runner ray")
    if name == "local":
        from lab.runners.local import LocalRunner

        return LocalRunner(data, default_cache(), workers, spares=_spares(), **limits)
    if name == "zerogpu":
        from lab.runners.zerogpu import ZeroGpuRunner

        return ZeroGpuRunner(data, default_cache(), at_once=workers, **limits)
    if name == "ray":
        try:
            from lab.runners.ray import RayRunner
        except ImportError:
            raise LabError('the ray runner needs Ray: pip install "ray>=2.40,<3"') from None
        if workers:
            raise LabError(f"workers is {workers}: a cluster has as many as it has room for; leave --workers out")
        return RayRunner(data, address, **limits)
    raise LabError(f'unknown runner "{name}": there are local, zerogpu and ray')


if __name__ == "__main__":
    from lab.cli import main

    sys.exit(main(["serve", *sys.argv[1:]]))
