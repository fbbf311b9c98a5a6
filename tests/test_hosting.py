"""The lab as a Space: the tree that is built for each hardware, its card, and how it goes to a Hub."""
from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lab import catalogue, hosting
from lab.cli import main
from lab.contracts import LabError
from tests._hub_server import Account, writing

ROOT = Path(__file__).parents[1]
HARDWARE = list(hosting.HARDWARE)


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A built folder for each hardware."""
    made = {}
    for hardware in HARDWARE:
        made[hardware] = tmp_path_factory.mktemp("space") / hardware
        hosting.build(ROOT, hardware, made[hardware])
    return made


@pytest.fixture
def account() -> Iterator[tuple[Account, str]]:
    with writing() as found:
        yield found


def head(tree: Path) -> dict[str, object]:
    return yaml.safe_load((tree / "README.md").read_text(encoding="utf-8").split("---\n")[1])


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "lab", "space", *arguments], cwd=ROOT, text=True, capture_output=True, timeout=120, check=False,
                          env={**os.environ, **environment})


@pytest.mark.parametrize("hardware", HARDWARE)
def test_the_tree_is_what_the_lab_runs_on_and_nothing_else(trees: dict[str, Path], hardware: str) -> None:
    found = {str(path.relative_to(trees[hardware])) for path in trees[hardware].rglob("*") if path.is_file()}
    parts = ("app.py", "lab", "assets", "lessons", "LICENSE", "README.md", "requirements.txt")
    listed = subprocess.run(["git", "ls-files", "--", *parts], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    listed = listed or [str(path.relative_to(ROOT)) for part in parts for path in (ROOT / part, *(ROOT / part).rglob("*")) if "__pycache__" not in path.parts]
    missing = {name for name in listed if name not in found and (ROOT / name).is_file()}
    assert not missing, missing
    assert not [name for name in found if name.startswith(("tests", ".", "Dockerfile", "pyproject", "requirements-dev")) or "__pycache__" in name]


@pytest.mark.parametrize("hardware", HARDWARE)
def test_the_card_is_a_gradio_space_s(trees: dict[str, Path], hardware: str) -> None:
    card, tree = head(trees[hardware]), trees[hardware]
    assert card["sdk"] == "gradio" and card["app_file"] == "app.py" and (tree / "app.py").is_file()
    asked = re.search(r"^gradio>=(\d+)\.(\d+)", (tree / "requirements.txt").read_text(), re.MULTILINE)
    assert asked and str(card["sdk_version"]).startswith(f"{asked[1]}.{asked[2]}.")
    assert len(card["short_description"]) <= 60 and card["colorFrom"] in ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
    assert card["hf_oauth"] is True and card["hf_oauth_scopes"] == ["contribute-repos"]
    assert card["models"] == sorted(model.hub for model in catalogue.entries("models").values() if model.hub)
    assert isinstance(card["python_version"], str) and card["license"] == "apache-2.0"


def test_each_hardware_has_its_python_and_torch(trees: dict[str, Path]) -> None:
    def torch(hardware: str) -> str:
        (line,) = re.findall(r"^torch(\S+)", (trees[hardware] / "requirements.txt").read_text(), re.MULTILINE)
        return line

    ours = (ROOT / "requirements.txt").read_text()
    assert (trees["cpu"] / "requirements.txt").read_text() == (trees["gpu"] / "requirements.txt").read_text() == ours
    assert torch("zero-gpu") == ">=2.8,<2.12" and torch("cpu") == ">=2.8,<2.14"
    zero = (trees["zero-gpu"] / "requirements.txt").read_text().splitlines()
    assert [line.split()[0] for line in zero if line.startswith("spaces")] == ["spaces>=0.51,<1"]
    assert {line.split()[0] for line in ours.splitlines()[1:] if not line.startswith("torch")} < {line.split()[0] for line in zero}
    assert {hardware: (head(tree)["python_version"], head(tree)["suggested_hardware"]) for hardware, tree in trees.items()} == {
        "cpu": ("3.11", "cpu-basic"), "zero-gpu": ("3.12.12", "zero-a10g"), "gpu": ("3.11", "l4x1")}


def test_the_built_lab_works_from_its_own_folder(trees: dict[str, Path]) -> None:
    done = subprocess.run([sys.executable, "-m", "lab", "models", "--json"], cwd=trees["cpu"], text=True, capture_output=True, timeout=60, check=False)
    assert {each["key"] for each in json.loads(done.stdout)} == set(catalogue.entries("models")), done.stderr
    for path in trees["cpu"].rglob("__pycache__"):
        assert path.is_dir()  # made by the line above, not by the build


def test_what_cannot_be_built_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    for arguments, words in ((("build", "--out", str(tmp_path / "full")), "must be a folder that is empty"),
                             (("build", "--hardware", "tpu", "--out", str(tmp_path / "new")), 'unknown hardware "tpu": there is cpu, zero-gpu, gpu'),
                             (("build",), "takes its folder as --out"), (("push",), "takes a folder and a name"),
                             (("build", "--out", str(ROOT / "lab" / "new")), "must lie outside")):
        assert main(["space", *arguments]) == 2 and words in capsys.readouterr().err, arguments
    assert (tmp_path / "full" / "mine.txt").read_text() == "x" and not (tmp_path / "new").exists()
    with pytest.raises(LabError, match="names torch 0 times"):
        hosting.requirements("gradio>=6\n", hosting.HARDWARE["zero-gpu"])


@pytest.mark.slow
def test_a_push_makes_the_space_hold_exactly_the_tree(trees: dict[str, Path], account: tuple[Account, str]) -> None:
    own, address = account
    environment = {"HF_TOKEN": own.token, "HF_HUB_DISABLE_XET": "1"}
    done = command("push", str(trees["zero-gpu"]), "peft-lab", "--endpoint", address, "--json", **environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["repository"] == "student/peft-lab" and not own.public, "a new Space is private"
    kept = own.repositories["spaces/student/peft-lab"]
    tree = {str(path.relative_to(trees["zero-gpu"])): path.read_bytes() for path in trees["zero-gpu"].rglob("*") if path.is_file()}
    assert kept == tree
    kept["old.py"] = b"from an earlier lab"
    done = command("push", str(trees["zero-gpu"]), "student/peft-lab", "--endpoint", address, **environment)
    assert done.returncode == 0 and own.repositories == {"spaces/student/peft-lab": tree}
    assert own.token not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("environment", "words"), [({"HF_TOKEN": "hf_wrong"}, "sign in again"), ({"HF_TOKEN": "", "HF_TOKEN_PATH": "nowhere"}, "no token")])
def test_a_push_without_a_right_says_so(trees: dict[str, Path], account: tuple[Account, str], environment: dict[str, str], words: str) -> None:
    done = command("push", str(trees["cpu"]), "peft-lab", "--endpoint", account[1], **environment)
    assert done.returncode == 2 and words in done.stderr and "hf_wrong" not in done.stderr and not account[0].repositories


@pytest.mark.slow
def test_a_folder_that_is_no_space_is_not_pushed(tmp_path: Path, account: tuple[Account, str]) -> None:
    done = command("push", str(tmp_path), "peft-lab", "--endpoint", account[1], HF_TOKEN=account[0].token)
    assert done.returncode == 2 and "has no README.md and no app.py" in done.stderr and not account[0].asked
