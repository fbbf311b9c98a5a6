"""A hosted lab as a program: it refuses a wrong configuration, says how it is, logs in lines, and keeps what waits over a restart."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from _serving import ROOT, answers, free_port, wait_for

from lab.spec import RunSpec
from lab.store import Store

TOY = {"model": "seed-bert", "task": "toy", "method": "lora", "steps": 20, "eval_items": 20, "eval_every": 0}


def started(data: Path, port: int, config: Path, *, log: Path) -> subprocess.Popen[str]:
    with log.open("a") as errors:
        return subprocess.Popen([sys.executable, "-m", "lab", "serve", "--port", str(port), "--data", str(data), "--config", str(config)], cwd=ROOT, text=True,
                                env={**os.environ, "LAB_CACHE": str(data / "cache")}, stdout=subprocess.DEVNULL, stderr=errors)


def fetched(url: str) -> tuple[int, str]:
    try:
        with urlopen(url, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.slow
def test_a_wrong_configuration_is_refused_before_anything_starts(tmp_path: Path) -> None:
    config = tmp_path / "class.yaml"
    config.write_text("limits:\n  runing: 2\n")
    done = subprocess.run([sys.executable, "-m", "lab", "serve", "--data", str(tmp_path / "data"), "--config", str(config)], cwd=ROOT, text=True,
                          capture_output=True, timeout=120, check=False)
    assert done.returncode == 2 and 'class.yaml, limits, line 2, runing: unknown key "runing"' in done.stderr and not (tmp_path / "data").exists()


@pytest.mark.slow
def test_health_metrics_log_and_a_restart_without_loss(tmp_path: Path) -> None:
    data, config, log, port = tmp_path / "data", tmp_path / "class.yaml", tmp_path / "log", free_port()
    config.write_text("title: Spring\nclass_code: spring26\ninstructor_secret: correct horse battery\nshutdown_seconds: 120\n")
    url = f"http://127.0.0.1:{port}/"
    process = started(data, port, config, log=log)
    try:
        wait_for(lambda: answers(url), 240, "the lab does not answer")
        wait_for(lambda: any((data / "workers").glob("*.ready")), 300, "no worker gets warm")
        code, text = fetched(url + "gradio_api/lab/healthz")
        assert code == 200 and json.loads(text)["ok"] and json.loads(text)["workers"]["idle"] >= 1
        code, text = fetched(url + "gradio_api/lab/metrics")
        assert code == 200 and "\nlab_queue_waiting 0\n" in text and "# TYPE lab_disk_free_bytes gauge" in text
        assert fetched(url + "class/queue")[0] == 405, "the desk is asked, not fetched"
        with Store(data) as store:
            runs = [store.submit(RunSpec.parse({**TOY, "steps": steps}), "ann").id for steps in (2000, 20, 21)]
            wait_for(lambda: store.run(runs[0]).state == "running", 60, "no run begins")
            process.send_signal(signal.SIGTERM)
            assert process.wait(150) == 0
            assert store.run(runs[0]).state == "finished", "a run that goes on may finish"
            waiting = [run for run in runs[1:] if store.run(run).state == "queued"]
            assert waiting and {store.run(run).state for run in runs} <= {"finished", "queued"}
            process = started(data, port, config, log=log)
            wait_for(lambda: all(store.run(run).state == "finished" for run in runs), 300, "what waited is not run after the restart")
    finally:
        process.kill()
        process.wait(30)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"lab started", "worker started", "lab stops", "waiting for runs to finish"} <= {line["event"] for line in lines}
    assert all({"time", "level", "event", "from"} <= set(line) for line in lines)
    assert "correct horse" not in log.read_text() and "spring26" not in log.read_text()
