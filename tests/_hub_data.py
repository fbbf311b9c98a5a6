"""Small Parquet files with the columns and label names of the real data sets, for the tests of tasks that need the Hub."""
from __future__ import annotations

import io
import json
import string
from collections.abc import Callable, Iterable
from typing import Any

from lab import catalogue
from lab.contracts import Task
from tests._hub_server import Repository

LABELS = {
    "sst2": ("label", ("negative", "positive")), "rotten_tomatoes": ("label", ("neg", "pos")),
    "ag_news": ("label", ("World", "Sports", "Business", "Sci/Tech")), "trec": ("coarse_label", ("ABBR", "ENTY", "DESC", "HUM", "LOC", "NUM")),
}
ROWS = {
    "sst2": {"train": 300, "validation": 872}, "rotten_tomatoes": {"train": 300, "validation": 100, "test": 100},
    "ag_news": {"train": 4000, "test": 200}, "trec": {"train": 1800, "test": 120}, "dialogsum": {"train": 90, "validation": 30, "test": 90},
}
PATHS = {
    "sst2": "data/{}-00000-of-00001.parquet", "ag_news": "data/{}-00000-of-00001.parquet", "rotten_tomatoes": "{}.parquet",
    "trec": "default/{}/0000.parquet", "dialogsum": "default/{}/0000.parquet",
}
TASKS: list[Task] = [task for task in catalogue.entries("tasks").values() if task.hub]


def repository(task: Task, change: Callable[[dict[str, Any]], dict[str, Any]] = lambda row: row, **settings: Any) -> Repository:
    """The data set of a task, with files that must not be taken beside it."""
    files = {PATHS[task.key].format(split): parquet(map(change, rows(task.key, split, count)), task.key) for split, count in ROWS[task.key].items()}
    others = {"README.md": b"about", "script.py": b"raise SystemExit", "data.csv": b"a,b", "data/extra.parquet.bin": b"pickled"}
    return Repository({**files, **others}, task.hub.revision, **settings)


def rows(key: str, split: str, count: int) -> list[dict[str, Any]]:
    """A text of the test set stands in the others as well, one is empty, and two differ in their signs only."""
    if key == "dialogsum":
        return [{"id": f"{split}_{row}", "dialogue": f"#Person1#: Hello {split} {row // 3 if split == 'test' else row}!\n#Person2#:  Goodbye. \r\n",
                 "summary": f"They  greet, version {row}.", "topic": "greeting"} for row in range(count)]
    label, names = LABELS[key]
    text = "sentence" if key == "sst2" else "text"
    texts = [f"{split} text number {row} of {key} " for row in range(count)]
    texts[7:11] = ["the same words", "The same -- words!", "", f"signs of {split}"]
    found = [{text: words, label: row % len(names)} for row, words in enumerate(texts)]
    found[8][label] = found[7][label]
    return [{"idx": number, **row} if key == "sst2" else {**row, "fine_label": 0} if key == "trec" else row for number, row in enumerate(found)]


def parquet(found: Iterable[dict[str, Any]], key: str) -> bytes:
    from datasets import ClassLabel, Dataset, disable_progress_bars

    disable_progress_bars()
    made = Dataset.from_list(list(found))
    label, names = LABELS.get(key, ("", ()))
    if label in made.column_names:
        made = made.cast_column(label, ClassLabel(names=list(names)))
    file = io.BytesIO()
    made.to_parquet(file)
    return file.getvalue()


def sentence_pieces() -> dict[str, bytes]:
    """T5's kind of tokenizer, as FLAN-T5 has it on the Hub: tokenizer.json, beside the file that it was made of and that nothing here can read."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
    from tokenizers.models import Unigram

    pieces = ["<pad>", "</s>", "<unk>", "▁", "▁good", "▁film", *string.ascii_lowercase]
    made = Tokenizer(Unigram([(piece, 0.0 if piece.startswith("<") else -2.0 if len(piece) > 1 else -9.0) for piece in pieces], unk_id=2))
    made.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    made.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    made.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    settings = {"tokenizer_class": "T5Tokenizer", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "extra_ids": 0}
    return {"tokenizer.json": made.to_str().encode(), "tokenizer_config.json": json.dumps(settings).encode(), "spiece.model": b"sentence pieces"}
