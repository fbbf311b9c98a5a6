"""A run's batches as plain values, in the very order in which its loop would take them: the data file of an exported script."""
from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from itertools import islice
from typing import Any

from lab.contracts import Item
from lab.engine import bases
from lab.engine.chance import generator
from lab.engine.job import shuffled
from lab.engine.texts import Encoded, Reader, epochs
from lab.engine.workshop import Workshop
from lab.events import Preparing
from lab.spec import RunSpec
from lab.supply import ModelFiles


def fed(spec: RunSpec, workshop: Workshop) -> Generator[Preparing, None, tuple[ModelFiles, Iterator[dict[str, Any]]]]:
    """The base's folder, and a value for each step: {"texts", "labels"}, of a model that writes {"texts", "answers"}, of images {"pixels", "labels"}."""
    files, data = (yield from workshop.supply.model(spec.base)), (yield from workshop.data(spec.goal))
    tokenizer = bases.tokenizer_in(files.folder) if spec.shape.kind != "vision" else None
    reader = Reader(tokenizer, spec.shape.kind, spec.goal, spec.tokens, spec.shape.positions - spec.method.virtual_tokens_used())
    items = data.splits.train[:spec.train_items]
    return files, _batches(spec, reader, items, reader.encode(items, spec.goal.writes))


def _batches(spec: RunSpec, reader: Reader, items: Sequence[Item], rows: list[Encoded]) -> Iterator[dict[str, Any]]:
    answers = {row.answer: spec.goal.answer(item) for row, item in zip(rows, items, strict=True)} if spec.goal.writes else {}
    if spec.shuffle_labels:
        rows = shuffled(rows, len(spec.goal.labels), generator(spec.seed, "labels"), reader)
    whose = {id(row): item for row, item in zip(rows, items, strict=True)}
    for batch in islice(epochs(rows, spec.batch, generator(spec.seed, "order")), spec.steps):
        asked = [whose[id(row)] for row in batch]
        if spec.shape.kind == "vision":
            yield {"pixels": [item.pixels for item in asked], "labels": [row.label for row in batch]}
        elif spec.shape.writes:
            said = [answers[row.answer] if spec.goal.writes else spec.goal.words[row.label] for row in batch]
            yield {"texts": [_fitting(reader, item.text) for item in asked], "answers": said}
        else:
            yield {"texts": [item.text for item in asked], "labels": [row.label for row in batch]}


def _fitting(reader: Reader, text: str) -> str:
    """The text itself where it fits into the prompt."""
    return text if len(reader.tokenizer(reader.task.ask(text))["input_ids"]) <= reader.tokens else reader.shortened(text)
