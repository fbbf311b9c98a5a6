"""Own data from the command line: added, listed, trained on, removed; what is wrong is said with exit code 2."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.cli import main

ROWS = "text,label\n" + "".join(f"the film number {number} was {'good' if number % 3 else 'bad'},{'pos' if number % 3 else 'neg'}\n" for number in range(60))


@pytest.fixture
def said(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command in this process on a data folder of its own; gives the exit code and what was printed."""
    monkeypatch.setenv("LAB_DATA", "elsewhere")  # put back afterwards: a command names its folder to the programs that it starts

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "--data", str(tmp_path / "data")])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def file(folder: Path, content: str | bytes, name: str = "films.csv") -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def test_a_file_is_added_listed_trained_on_and_removed(said: Any, tmp_path: Path) -> None:
    code, out, _ = said("data", "add", file(tmp_path, ROWS), "--text", "text", "--label", "label", "--json")
    added = json.loads(out)
    assert code == 0 and added["splits"] == {"train": 36, "validation": 9, "test": 15} and added["title"] == "films" and added["labels"] == ["neg", "pos"]
    assert [row["key"] for row in json.loads(said("data", "list", "--json")[1])["sets"]] == [added["key"]]
    assert "films: 60 texts" in said("data", "list")[1]
    spec = file(tmp_path, json.dumps({"model": "seed-bert", "task": added["key"], "method": "lora", "steps": 2}), "spec.json")
    assert json.loads(said("count", spec, "--json")[1])["head"] == 66
    code, out, err = said("train", spec, "--json", "--out", str(tmp_path / "run"))
    assert code == 0, err
    result = json.loads(out)
    assert result["state"] == "finished" and result["spec"]["task"] == added["key"]
    assert said("data", "remove", added["key"])[0] == 0 and said("data", "list")[1].strip() == "none"
    code, _, err = said("train", spec)
    assert code == 2 and "removed by its owner" in err


def test_columns_labels_and_splits_can_be_said(said: Any, tmp_path: Path) -> None:
    rows = "a;b;which\n" + "".join(f"text {number};{number % 4};{'train' if number % 3 else 'test'}\n" for number in range(120))
    names = [part for name in ("0=low", "1=low", "2=high", "3=") for part in ("--name", name)]
    code, out, _ = said("data", "add", file(tmp_path, rows), "--text", "a", "--label", "b", "--split", "which", *names, "--title", "Mine", "--json")
    added = json.loads(out)
    assert code == 0 and added["labels"] == ["high", "low"] and added["title"] == "Mine" and added["splits"]["test"] == 30
    code, out, _ = said("data", "add", file(tmp_path, "question\tanswer\n" + "".join(f"what is {n} and {n}?\t{2 * n}\n" for n in range(30)), "sums.tsv"),
                        "--answer", "answer")
    assert code == 0 and out.startswith("own-") and "18 train" in out


@pytest.mark.parametrize(("arguments", "content", "words"), [
    (["--text", "nope"], ROWS, 'text is column "nope"'), (["--name", "pos"], ROWS, "LABEL=NAME"), ([], "text\na\n", "only one column"), ([], "", "empty"),
    ([], 'text,label\n"a,b\n', "never closed"), ([], "text,label\n" + "a,b\n" * 1_300_000, "at most 5 MB"), (["--label", "text"], ROWS, "60 different values"),
])
def test_bad_input_is_said_and_nothing_is_kept(said: Any, tmp_path: Path, arguments: list[str], content: str, words: str) -> None:
    code, out, err = said("data", "add", file(tmp_path, content), *arguments)
    assert code == 2 and words in err and not out
    assert not (tmp_path / "data" / "uploads").exists()


def test_what_is_missing_is_said(said: Any, tmp_path: Path) -> None:
    for arguments, words in ((("add",), "needs a file"), (("remove",), "needs a key"), (("add", str(tmp_path / "none.csv")), "cannot read"),
                             (("remove", "own-" + "0" * 24), "there is no set"), (("remove", "movies"), "unknown set")):
        code, _, err = said("data", *arguments)
        assert code == 2 and words in err, arguments
