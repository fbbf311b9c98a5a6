"""Several workers on one GPU, by arithmetic: no GPU is here."""
from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.accounting.devices import CONTEXT_BYTES
from lab.events import Cancelled, Event, Finished, Preparing
from lab.runners import _machine, _packing
from lab.runners._packing import Share, needed_bytes
from lab.runners.local import LocalRunner
from lab.spec import RunSpec

GB = 10**9


@pytest.fixture
def share(tmp_path: Path) -> Share:
    for worker in ("a", "b", "c"):
        (tmp_path / f"{worker}.ready").touch()
    return Share(tmp_path, "0", 16 * GB)


def test_runs_go_side_by_side_as_long_as_they_fit(share: Share) -> None:
    assert share.reserve("a", 6 * GB) and share.reserve("b", 6 * GB) and not share.reserve("c", 6 * GB)
    share.release("a")
    assert share.reserve("c", 6 * GB)
    share.release("nobody")


def test_what_fits_no_gpu_goes_alone_to_be_told_so(share: Share) -> None:
    assert share.reserve("a", 1 * GB) and not share.reserve("b", 99 * GB)
    share.release("a")
    assert share.reserve("b", 99 * GB) and not share.reserve("a", 1)


def test_who_has_died_holds_nothing(share: Share) -> None:
    assert share.reserve("a", 16 * GB) and not share.reserve("b", GB)
    (share.folder / "a.ready").unlink()
    assert share.reserve("b", GB)
    (share.folder / "gpu-0.json").write_text("{")
    assert share.reserve("c", 15 * GB), "a torn file is an empty one"


def work() -> Iterator[Event]:
    yield Finished(1, {}, 0.0)


def test_a_run_waits_in_words_and_goes_on_when_there_is_room(share: Share) -> None:
    share.reserve("a", 12 * GB)
    threading.Timer(0.6, share.release, ("a",)).start()
    events = list(share.beside_others("b", 6 * GB, work, lambda: False))
    assert [type(event) for event in events] == [Preparing, Finished] and events[0].what == _packing.WAITING
    assert share.reserve("c", 16 * GB), "and gives its room back"


def test_a_waiting_run_can_be_stopped_and_a_broken_one_gives_its_room_back(share: Share) -> None:
    share.reserve("a", 12 * GB)
    assert [type(event) for event in share.beside_others("b", 6 * GB, work, lambda: True)] == [Cancelled]
    share.release("a")
    with pytest.raises(ZeroDivisionError):
        list(share.beside_others("b", 6 * GB, lambda: iter([1 / 0]), lambda: False))
    assert share.reserve("c", 16 * GB)


def test_what_a_run_needs_is_its_predicted_step_and_cuda_s_own() -> None:
    small, large = RunSpec.parse({"model": "smollm2-135m", "method": "lora"}), RunSpec.parse({"model": "smollm2-135m", "method": "full"})
    assert CONTEXT_BYTES + 135_000_000 * 2 < needed_bytes(small) < needed_bytes(large) and needed_bytes(large) > 135_000_000 * 16


def driver(folder: Path, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_the_driver_is_asked_for_gpus_and_their_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in of NVIDIA's program, found as the real one would be."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    driver(tmp_path, 'case "$1" in -L) echo "GPU 0: NVIDIA L4 (UUID: GPU-1)"; echo "GPU 1: NVIDIA L4 (UUID: GPU-2)";; *) echo 23034;; esac')
    if not list(Path("/proc/driver/nvidia/gpus").glob("*")):
        assert _machine.gpus() == ("0", "1")
    assert _packing.gpu_bytes("0") == 23034 * 2**20
    one_each, packed = LocalRunner(tmp_path, tmp_path), LocalRunner(tmp_path, tmp_path, 4)
    if one_each.gpus == ("0", "1"):
        assert one_each.size == 2, "one run a GPU"
    driver(tmp_path, "exit 9")
    assert _packing.gpu_bytes("0") == 0
    assert packed.size == 4 and LocalRunner(tmp_path, tmp_path, on_gpus=False).gpus == ()


def test_workers_are_spread_over_gpus_and_share_only_where_they_must(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.runners.local import Slot

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    driver(tmp_path, "echo 16000")
    alone, packed = LocalRunner(tmp_path, tmp_path), LocalRunner(tmp_path, tmp_path, 4)
    assert [alone._environment(Slot(number))["CUDA_VISIBLE_DEVICES"] for number in (1, 2)] == ["3", "5"]
    assert [alone._shared_gpu(Slot(number)) for number in (1, 2)] == [("", 0)] * 2
    assert [packed._shared_gpu(Slot(number))[0] for number in (1, 2, 3, 4, 0)] == ["3", "5", "3", "5", ""]
    assert packed._shared_gpu(Slot(1))[1] == 16000 * 2**20
    assert LocalRunner(tmp_path, tmp_path, on_gpus=False)._environment(Slot(1))["CUDA_VISIBLE_DEVICES"] == ""
    driver(tmp_path, "exit 1")
    assert packed._shared_gpu(Slot(1)) == ("", 0), "a driver that does not answer leaves it to the engine's own check"
