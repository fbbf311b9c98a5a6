"""The README is executed: its tree, its commands and its examples."""
from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab import catalogue
from lab.lessons import read as read_lesson

ROOT = Path(__file__).parent.parent
# what the page is asked for: the method's card, its form, its drawing and its script
IN_THE_PAGE = """
from lab import export
from lab.spec import RunSpec
from lab.ui import anatomy, controls, family

card = next(card for card in family.everything()["methods"] if card["key"] == "value_tuning")
assert card["strengths"] and card["weaknesses"] and card["equation"] == ["W_v = W_v0 + delta"]
assert family.on("seed-bert-wide")["value_tuning"]["number"] == 64 * 64 + 64
spec = RunSpec.parse({"model": "seed-bert-wide", "method": "value_tuning"})
assert controls.form("seed-bert-wide", "value_tuning")["title"] == card["title"]
assert "4,160" in str(anatomy.draw(spec.shape, spec.method)) and ".value.weight" in export.script(spec).text
"""
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return [text for name, text in re.findall(r"^```(\w*)\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE) if name == language]


def test_every_name_of_the_tree_exists_and_nothing_is_left_out() -> None:
    tree = next(block for block in blocks("") if "app.py   " in block)
    top, inside = set(), set()
    for line in tree.splitlines():
        name = line.split()[0].rstrip("/") if line.strip() else ""
        if line.startswith("  "):
            inside.add(name)
        elif name:
            top.add(name)
    assert all((ROOT / name).exists() for name in top), top
    real = {path.name for path in (ROOT / "lab").iterdir() if not path.name.startswith("_")}
    assert inside == real


def test_every_method_and_task_is_named_where_it_belongs() -> None:
    rows = {line.split("|")[1].strip(): set(re.findall(r"`(\w+)`", line)) for line in README.splitlines() if line.startswith("|") and line.count("|") == 3}
    methods = catalogue.entries("methods")
    families = {"selective methods": "selective", "additive": "additive", "reparameterised": "reparameterised", "nothing trained": "none"}
    for row, family in families.items():
        assert rows[row] == {key for key, kind in methods.items() if kind.family == family}, row
    tasks = catalogue.entries("tasks")
    assert rows["tasks with labels"] == {key for key, task in tasks.items() if not task.writes}
    assert rows["tasks that ask for a text"] == {key for key, task in tasks.items() if task.writes}


def test_the_two_commands_are_there() -> None:
    commands = blocks("sh")
    assert len(commands) == 2 and commands[0].strip().endswith("app.py") and commands[1].strip().endswith("-m tests")
    for command in commands:
        for name in re.findall(r"-r (\S+)", command):
            assert (ROOT / name).exists()


def test_pictures_exist() -> None:
    for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README):
        assert (ROOT / name).stat().st_size > 10_000


def test_the_example_spec_is_one() -> None:
    from lab.spec import RunSpec

    for block in blocks("json"):
        RunSpec.from_json(block)


@pytest.mark.slow
def test_a_method_a_model_a_task_and_a_lens_are_one_file_each(tmp_path: Path) -> None:
    """The README's own files, dropped into a copy of the lab, and trained from the command line."""
    shutil.copytree(ROOT / "lab", tmp_path / "lab", ignore=shutil.ignore_patterns("__pycache__"))
    names = re.findall(r"`(lab/\w+/\w+\.py)`", README)
    examples = blocks("python")
    assert len(examples) == 4 and [Path(name).parts[1] for name in names[-4:]] == ["methods", "models", "tasks", "lenses"]
    for name, code in zip(names[-4:], examples, strict=True):
        (tmp_path / name).write_text(code)
    spec = {"model": "seed-bert-wide", "task": "weather", "method": "value_tuning", "lr": 3e-3, "steps": 60, "eval_items": 30}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    done = subprocess.run([sys.executable, "-m", "lab", "train", "spec.json", "--json"], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "LAB_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["counts"]["by_role"] == {"value": 64 * 64 + 64}
    assert result["scores"]["tuned"]["score"] > result["scores"]["untrained"]["score"]
    lengths = [seen["value"] for seen in result["observed"] if seen["lens"] == "trained_length"]
    assert len(lengths) > 3 and lengths[0] != lengths[-1]
    done = subprocess.run([sys.executable, "-c", IN_THE_PAGE], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_example_lesson_is_one(tmp_path: Path) -> None:
    (text,) = blocks("markdown")
    (tmp_path / "40-half.md").write_text(text)
    lesson = read_lesson(tmp_path / "40-half.md", ROOT / "assets" / "comparisons")
    assert lesson.runs["eight"].counts.method == lesson.matter.claims["doubled"].than == 2 * 36_864
