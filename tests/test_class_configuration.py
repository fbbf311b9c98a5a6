"""The configuration of a host: one file and variables of the same names, refused by file and key where they are wrong, and told in the README."""
from __future__ import annotations

import re
from pathlib import Path

import pytest

from lab.classroom import Settings, read
from lab.classroom.configuration import places, variable
from lab.contracts import LabError

ROOT = Path(__file__).parent.parent
SECRET = "correct horse battery"


def written(folder: Path, text: str) -> Path:
    path = folder / "class.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_nothing_said_is_the_lab_as_it_was(tmp_path: Path) -> None:
    assert read(None, {}) == read(written(tmp_path, "# nothing yet\n"), {}) == Settings()
    assert Settings().shows("train") and not Settings().shows("class"), "a Class tab is for a class or for who teaches"


def test_a_file_and_variables_of_the_same_names(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    path = written(tmp_path, "title: Spring\nmodels: [seed-bert]\nlessons: own\nlimits:\n  running: 2\n  rank: 16\nclass_code: abcd\n"
                             f"instructor_secret: {SECRET}\n")
    found = read(path, {"LAB_LIMITS_RUNNING": "3", "LAB_MODELS": "seed-llama, seed-bert", "LAB_MEMBERS_ONLY": "yes", "LAB_LIMITS_RANK": "",
                        "LAB_RETENTION_RUNS_DAYS": "1.5", "LAB_DATA": "elsewhere"})
    assert (found.title, found.models, found.lessons) == ("Spring", ["seed-llama", "seed-bert"], tmp_path / "own")
    assert (found.limits.running, found.limits.rank, found.members_only, found.retention.runs_days) == (3, None, True, 1.5)
    assert found.shows("class") and SECRET not in repr(found) and "abcd" not in repr(found)


@pytest.mark.parametrize(("text", "words"), [
    ("titel: x\n", r'class.yaml, line 1, titel: unknown key "titel": there are title, models'),
    ("limits:\n  runing: 2\n", r'class.yaml, limits, line 2, runing: unknown key "runing": there are running, waiting'),
    ("limits:\n  running: two\n", r'class.yaml, limits, line 2, running: running is "two": must be a whole number, 1 to 1,000'),
    ("limits:\n  running: 0\n", "running is 0: must be 1 to 1,000"),
    ("limits:\n  tokens: 4\n", "tokens is 4: must be 8 to 4,096"),
    ("limits:\n  batch: 257\n", "batch is 257: must be 1 to 256"),
    ("limits:\n  eval_items: few\n", r'class.yaml, limits, line 2, eval_items: eval_items is "few": must be a whole number, 2 to 100,000'),
    ("limits: 3\n", "limits is 3: write keys and values below it"),
    ("models: [seed-bert, gpt5]\n", r'models: unknown model "gpt5": there are .*seed-bert'),
    ("tabs: [lern]\n", r'tabs.0 is "lern": must be one of learn, train'),
    ("members_only: 1\n", "members_only is"),
    ("members_only: true\n", "members_only.* must be false where there is no class_code"),
    ("shared_task: none\n", r'unknown task "none": there are'),
    ("title: a\ntitle: b\n", "line 2: .*stands here twice"),
    ("a: b: c\n", "line 1: the file is not YAML"),
    ("lessons: nowhere\n", "there is no such folder"),
    ("limits:\n  address_waiting: 0\n", "address_waiting is 0: must be 1 to 10,000"),
    ("models: []\n", "models is"),
])
def test_what_is_wrong_is_said_with_file_and_key(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=words):
        read(written(tmp_path, text), {})


@pytest.mark.parametrize(("environ", "words"), [
    ({"LAB_LIMITS_RUNING": "2"}, "unknown variable LAB_LIMITS_RUNING: there are LAB_LIMITS_RUNNING"),
    ({"LAB_LIMITS_RUNNING": "two"}, "LAB_LIMITS_RUNNING is two: must be a whole number"),
    ({"LAB_LIMITS_RUNNING": "0"}, "LAB_LIMITS_RUNNING: running is 0: must be 1 to 1,000"),
    ({"LAB_MEMBERS_ONLY": "perhaps"}, "LAB_MEMBERS_ONLY is perhaps: must be true or false"),
    ({"LAB_TASKS": "toy,none"}, 'LAB_TASKS: tasks: unknown task "none"'),
])
def test_variables_are_read_as_strictly(environ: dict[str, str], words: str) -> None:
    with pytest.raises(LabError, match=words):
        read(None, environ)


@pytest.mark.parametrize("text", ["instructor_secret: 1234567890123\n", "instructor_secret: hunter2\n", "class_code: abc\n", "class_code: [hunter2]\n"])
def test_no_error_shows_a_secret(text: str, tmp_path: Path) -> None:
    with pytest.raises(LabError) as raised:
        read(written(tmp_path, text), {})
    assert not any(secret in str(raised.value) for secret in ("1234567890123", "hunter2", "abc:")) and text.partition(":")[0] in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"cannot read the configuration .*--config"):
        read(tmp_path / "none.yaml", {})


def test_what_is_limited_by_an_address_can_be_left_open(tmp_path: Path) -> None:
    assert (Settings().limits.address_waiting, Settings().limits.address_per_hour) == (120, 1000)
    open_ = read(written(tmp_path, "limits: {address_waiting: null, tokens: 64}\n"), {"LAB_LIMITS_ADDRESS_PER_HOUR": "none", "LAB_LIMITS_BATCH": "8"}).limits
    assert (open_.address_waiting, open_.address_per_hour, open_.tokens, open_.batch) == (None, None, 64, 8)


def test_the_readme_has_every_key_with_its_variable() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = {key: (about, usual) for key, about, usual in re.findall(r"^\| `([a-z_.]+)` \| (.+?) \| (.+?) \|$", readme, flags=re.MULTILINE)}
    for place, field in places():
        about, usual = rows[".".join(place)]
        assert about == field.description, f"README, Host a class: {'.'.join(place)}"
        if place[0] == "limits":
            assert usual == ("no limit" if field.default is None else f"{field.default:,}"), f"README, Host a class: {'.'.join(place)}"
        assert variable(place) == "LAB_" + "_".join(place).upper()
