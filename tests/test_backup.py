"""The data folder copied while it is written to, and brought back."""
from __future__ import annotations

import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from lab import backup
from lab.cli import main
from lab.contracts import LabError
from lab.events import Finished, Observed
from lab.spec import RunSpec
from lab.store import Store

SPEC = RunSpec.parse({"model": "seed-bert", "task": "toy", "method": "lora", "steps": 3})


def filled(data: Path) -> str:
    """A folder with one finished run and its adapter; its id."""
    with Store(data) as store:
        run = store.submit(SPEC, "ann", title="mine")
        store.claim("w")
        (store.folder(run.id) / "adapter").mkdir(parents=True)
        (store.folder(run.id) / "adapter" / "weights").write_bytes(b"w" * 1000)
        store.append(run.id, [Finished(3, {}, 0.0, 1000)])
    (data / "workers").mkdir()
    (data / "workers" / "1.log").write_text("not to be copied")
    (data / "uploads" / "x").mkdir(parents=True)
    (data / "uploads" / "x" / "rows.jsonl").write_text("{}")
    return run.id


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_copy_holds_everything_and_brings_it_back(tmp_path: Path) -> None:
    data, target, new = tmp_path / "data", tmp_path / "copy", tmp_path / "new"
    run = filled(data)
    first = backup.copy(data, target)
    assert names(target) == {"lab-backup", "lab.sqlite3", f"runs/{run}/adapter/weights", "uploads/x/rows.jsonl"} and first.copied == 3
    assert backup.copy(data, target) == backup.Copied(1, 2, 0), "what is equal stays: only the database is written again"
    assert backup.restore(target, new) and not backup.restore(target, new)
    with Store(new) as store:
        assert store.run(run).title == "mine" and store.run(run).state == "finished"
        assert (store.folder(run) / "adapter" / "weights").read_bytes() == b"w" * 1000 and not (new / "lab-backup").exists()
        store.submit(SPEC, "bob")  # and it can be written to


def test_what_is_deleted_goes_from_the_copy_too(tmp_path: Path) -> None:
    data, target = tmp_path / "data", tmp_path / "copy"
    run = filled(data)
    backup.copy(data, target)
    with Store(data) as store:
        store.delete(run)
    shutil.rmtree(data / "uploads")
    assert backup.copy(data, target).removed == 2 and names(target) == {"lab-backup", "lab.sqlite3"}
    assert run.encode() not in (target / "lab.sqlite3").read_bytes() or not sqlite3.connect(target / "lab.sqlite3").execute("SELECT 1 FROM runs").fetchall()


def test_a_copy_made_while_runs_go_on_is_whole(tmp_path: Path) -> None:
    data, stop = tmp_path / "data", threading.Event()
    filled(data)

    def write() -> None:
        with Store(data) as store:
            run = store.submit(SPEC, "ann")
            store.claim("w")
            while not stop.is_set():
                store.append(run.id, [Observed(0, "x", "y" * 200), Observed(0, "z", "y" * 200)])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            backup.copy(data, tmp_path / f"copy{number}")
    finally:
        stop.set()
        writer.join()
    for number in range(5):
        copied = sqlite3.connect(tmp_path / f"copy{number}" / "lab.sqlite3")
        assert copied.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copied.execute("SELECT count(*) % 2 FROM events WHERE line LIKE '%observed%'").fetchone() == (0,), "whole transactions only"
        copied.close()


def test_nothing_else_is_overwritten(tmp_path: Path) -> None:
    data, mine = tmp_path / "data", tmp_path / "mine"
    filled(data)
    mine.mkdir()
    (mine / "thesis.txt").write_text("x")
    for target, words in ((mine, "holds something else"), (mine / "thesis.txt", "holds something else"), (data / "copy", "within each other"),
                          (tmp_path, "holds something else")):
        with pytest.raises(LabError, match=words):
            backup.copy(data, target)
    with pytest.raises(LabError, match=r"has no lab\.sqlite3"):
        backup.copy(mine, tmp_path / "copy")
    assert names(mine) == {"thesis.txt"} and not backup.restore(mine, tmp_path / "new") and not (tmp_path / "new").exists()


def test_the_command_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_DATA", "")
    filled(tmp_path / "data")
    assert main(["backup", str(tmp_path / "copy"), "--data", str(tmp_path / "data")]) == 0
    assert "3 files copied, 0 were there, 0 removed" in capsys.readouterr().out
    assert main(["backup", str(tmp_path / "copy"), "--data", str(tmp_path / "nothing")]) == 2
