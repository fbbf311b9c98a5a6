"""The lab put together: store, runner and page. The only file that knows folders and ports; torch is never loaded here.

`python app.py` is the same as `python -m lab serve`.
"""
from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1",  # nothing is sent anywhere
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": "100000",  # halves the cost of an event
}


def serve(host: str | None, port: int | None, data: Path, runner: str) -> int:
    """Open the page, start the workers beside it, and end them together on Ctrl-C or SIGTERM."""
    os.environ.update(QUIET)  # read when gradio is imported
    from lab.contracts import LabError
    from lab.store import Store
    from lab.ui import page
    from lab.ui.bench import Bench

    stopped = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda number, frame: stopped.set())
    with ExitStack() as ends:
        store = ends.enter_context(Store(data))
        pool = _runner(runner, data)
        forecaster = _forecaster()
        ends.callback(forecaster.close)
        bench = Bench(store, _recorded(), workers=pool.workers, hashes=_hashes(), sweeps=_sweeps(), forecaster=forecaster)
        blocks = page.build(bench).queue(default_concurrency_limit=None, api_open=False)
        pool.start()
        ends.callback(pool.stop)
        try:
            _, address, _ = blocks.launch(server_name=host, server_port=port, prevent_thread_lock=True, **page.launching(bench, ROOT / "assets"))
        except OSError:
            raise LabError(f"port {port or '7860 and those after it'} cannot be used on {host or 'this machine'}: choose another with --port") from None
        ends.callback(blocks.close, verbose=False)
        print(f"The PEFT Lab is at {address} (Ctrl-C ends it)", flush=True)
        stopped.wait()
    return 0


def _recorded() -> tuple[Any, ...]:
    from lab.recording import shelf

    return shelf(ROOT / "assets" / "recorded")


def _sweeps() -> Any:
    from lab.sweeping import sweeps

    return sweeps(ROOT / "assets" / "sweeps")


def _hashes() -> Any:
    """What the manifests of the cache say of a spec's weights and data; nothing is fetched and no torch is loaded."""
    from lab.supply import Supply, default_cache

    supply = Supply(default_cache())
    return lambda spec: (supply.known_sha256(spec.base) or "", supply.known_data_sha256(spec.goal) or "")


def _forecaster() -> Any:
    """Foretells the memory of steps. Its process is started by the first who looks at such a forecast."""
    from lab.forecast.forecaster import Forecaster
    from lab.supply import default_cache

    return Forecaster(default_cache() / "forecast")


def _runner(name: str, data: Path) -> Any:
    from lab.contracts import LabError
    from lab.supply import default_cache

    if name != "local":
        raise LabError(f'unknown runner "{name}": there is local')
    from lab.runners.local import LocalRunner

    return LocalRunner(data, default_cache())


if __name__ == "__main__":
    from lab.cli import main

    sys.exit(main(["serve", *sys.argv[1:]]))
