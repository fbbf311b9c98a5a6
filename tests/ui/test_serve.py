"""`python -m lab serve` as a program: it starts without torch, refuses what cannot work in words, and ends with its workers."""
from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from _serving import ROOT, answers, free_port, wait_for


def started(data: Path, port: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "lab", "serve", "--port", str(port), "--data", str(data)], cwd=ROOT, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc to see what a process has loaded")
def test_page_and_workers_begin_and_end_together(tmp_path: Path) -> None:
    port = free_port()
    process = started(tmp_path, port)
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/"), 60, "the lab does not answer")
        wait_for(lambda: any((tmp_path / "workers").glob("*.ready")), 300, "no worker gets warm")
        workers = psutil.Process(process.pid).children(recursive=True)
        assert "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text(), "the page process has loaded torch"
        refused = subprocess.run([sys.executable, "-m", "lab", "serve", "--port", str(free_port()), "--data", str(tmp_path)], cwd=ROOT, text=True,
                                 capture_output=True, timeout=60, check=False)
        assert refused.returncode == 2 and "another lab serves" in refused.stderr
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert workers and not alive


@pytest.mark.slow
def test_a_port_in_use_is_told_in_words(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = started(tmp_path, taken.getsockname()[1])
        _, complaint = process.communicate(timeout=60)
    assert process.returncode == 2 and "choose another with --port" in complaint


@pytest.mark.slow
def test_an_unknown_runner_is_told_in_words(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "app.py", "--data", str(tmp_path), "--runner", "cloud"], cwd=ROOT, text=True,
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == 2 and 'unknown runner "cloud": there are local, zerogpu and ray' in done.stderr
