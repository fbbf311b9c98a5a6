"""Memory after many runs: `python -m tests.load.steady [100]` prints how much page and workers have grown; exit code 1 where that is more than 5 %.

Held against what they took after the first fifth: by then everything is loaded that runs need. A worker that has done its number of runs is replaced by a
fresh one, so the largest that was seen in the last fifth counts, and one that is still growing when it goes is seen.
"""
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from lab.spec import RunSpec
from lab.store import Store
from tests.ui._serving import ROOT, answers, free_port, wait_for

METHODS = ("lora", "prompt_tuning", "houlsby", "bitfit", "full")
MOST = 0.05
SECONDS = 120  # for one run


def measured(count: int) -> dict[str, Any]:
    sizes: list[dict[str, int]] = []
    with tempfile.TemporaryDirectory() as name:
        data, port = Path(name) / "data", free_port()
        environment = {**os.environ, "LAB_CACHE": str(Path(name) / "cache"), "LAB_COMPILE": "0"}
        lab = subprocess.Popen([sys.executable, "-m", "lab", "serve", "--port", str(port), "--data", str(data)], cwd=ROOT, env=environment,
                               stdout=subprocess.DEVNULL)
        try:
            wait_for(lambda: answers(f"http://127.0.0.1:{port}/"), 240, "the lab does not answer")
            wait_for(lambda: any((data / "workers").glob("*.ready")), 300, "no worker gets warm")
            with Store(data) as store:
                for place in range(count):
                    spec = RunSpec.parse({"model": "seed-bert", "task": "toy", "method": METHODS[place % len(METHODS)], "steps": 20, "batch": 8,
                                          "eval_items": 16, "eval_every": 0, "seed": place})
                    run = store.submit(spec, "someone")
                    wait_for(lambda run=run: store.run(run.id).ended, SECONDS, f"run {place} does not end")
                    assert store.run(run.id).state == "finished", store.run(run.id).reason
                    assert answers(f"http://127.0.0.1:{port}/?run={run.id}")
                    sizes.append(seen(lab.pid))
        finally:
            lab.terminate()
            lab.wait(60)
    part = max(1, count // 5)
    grown = {f"{name}_grown": round(max(each[name] for each in sizes[-part:]) / max(each[name] for each in sizes[:part]) - 1, 4) for name in sizes[0]}
    return {"runs": count, "page_bytes": sizes[-1]["page"], "worker_bytes": sizes[-1]["worker"], **grown}


def seen(pid: int) -> dict[str, int]:
    """Resident bytes of the page and of its largest worker."""
    page = psutil.Process(pid)
    workers = []
    for each in page.children():
        with suppress(psutil.NoSuchProcess):  # a worker that has done its number of runs and goes
            if "lab.runners.local" in each.cmdline():
                workers.append(each.memory_info().rss)
    return {"page": page.memory_info().rss, "worker": max(workers, default=0)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load.steady", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("count", type=int, nargs="?", default=100)
    began, found = time.monotonic(), measured(parser.parse_args().count)
    print(json.dumps({**found, "seconds": round(time.monotonic() - began, 1)}, indent=1))
    return int(max(found["page_grown"], found["worker_grown"]) > MOST)


if __name__ == "__main__":
    sys.exit(main())
