"""One run made ready: base, data, method and head in place. The loop trains it, the scores are taken from it."""
from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from lab import catalogue
from lab.contracts import Base, Item, LabError
from lab.engine import bases, fast, precision, room
from lab.engine.chance import drawn_from, generator
from lab.engine.fast import frozen
from lab.engine.learner import Classifier, Head, Writer, pooled
from lab.engine.scoring import Answers, answer, finished, nearest_mean
from lab.engine.texts import Batch, Encoded, Reader, collate
from lab.engine.workshop import Workshop
from lab.events import Preparing
from lab.spec import RunSpec
from lab.supply import TaskData

SHORT = 128  # tokens up to which attention as plain products is faster on a CPU than torch's fused one
WORDED = 60  # validation items that decide between hand-written prompts
MOST_LOOKED_AT = 100  # validation items behind each look during training; a fifth of the test items where that is less


@dataclass(frozen=True)
class Texts:
    """Encoded items of the three sets, as this run uses them."""

    train: list[Encoded]
    validation: list[Encoded]
    test: list[Encoded]
    shots: tuple[Item, ...]


@dataclass
class Job:
    """Everything of a run that outlives a step."""

    spec: RunSpec
    workshop: Workshop
    device: str
    dtype: torch.dtype  # of the arithmetic
    pristine: bases.Pristine
    data: TaskData
    reader: Reader
    texts: Texts
    learner: Classifier | Writer

    @property
    def module(self) -> Any:
        return self.learner.module

    def batch(self, rows: list[Encoded]) -> Batch:
        return collate(rows, self.reader.tokenizer.pad_token_id, self.device)

    def trained(self) -> list[torch.nn.Parameter]:
        """The method's trainable tensors; the head's are its own."""
        return [weight for weight in self.module.parameters() if weight.requires_grad]

    def arithmetic(self) -> torch.autocast:
        """bfloat16 arithmetic on float32 weights where a method moves the base itself: small updates would be lost in 16 bits."""
        mixed = self.dtype != torch.float32 and self.spec.method.trains_base
        return torch.autocast(self.device, dtype=self.dtype, enabled=mixed)

    def asking(self, rows: list[Encoded]) -> Generator[int, None, Answers]:
        """Ask the model as it is now; yields how many rows have been asked."""
        def scores(batch: Batch) -> torch.Tensor:
            with self.arithmetic():
                return self.learner.scores(batch)

        return answer(scores, self.module, rows, self.reader.tokenizer.pad_token_id, self.device)

    def answers(self, rows: list[Encoded]) -> Answers:
        return finished(self.asking(rows))

    def untouched(self) -> Generator[int, None, Answers]:
        """What the base says without the method: a decoder is asked, an encoder's frozen features are compared."""
        items, module = self.data.splits, self.pristine.module
        if self.spec.shape.kind == "decoder":
            return (yield from self.prompted(self.spec.goal.prompt, items.test[:self.spec.eval_items]))
        reader = self._plain(self.spec.goal.prompt)
        train, test = reader.encode(items.train[:512]), reader.encode(items.test[:self.spec.eval_items])

        def features(batch: Batch) -> torch.Tensor:
            return pooled(module(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state, batch.mask)

        return nearest_mean(features, train, test, self.reader.tokenizer.pad_token_id, self.device)

    def prompted(self, prompt: str, items: tuple[Item, ...]) -> Generator[int, None, Answers]:
        """What the untouched decoder answers to a prompt of a given wording."""
        reader, module = self._plain(prompt), self.pristine.module
        writer = Writer(module, reader.answers(), self.device)
        return answer(writer.scores, module, reader.encode(items), self.reader.tokenizer.pad_token_id, self.device)

    def best_wording(self) -> Generator[int, None, tuple[str, dict[str, float]]]:
        """The hand-written prompt that scores best on validation items, and the score of each there."""
        task, items = self.spec.goal, self.data.splits.validation[:WORDED]
        scores = {}
        for prompt in (task.prompt, *task.wordings):
            answers = yield from self.prompted(prompt, items)
            scores[prompt] = answers.evaluated("prompt", "validation", 0, task.metric).score
        return max(scores, key=lambda prompt: scores[prompt]), scores

    def _plain(self, prompt: str) -> Reader:
        """Reads without shots, in the given wording."""
        reader = self.reader
        return Reader(reader.tokenizer, reader.kind, replace(reader.task, prompt=prompt), reader.tokens, reader.window)


def prepare(spec: RunSpec, workshop: Workshop) -> Generator[Preparing, None, Job]:
    """Everything before the first step; what was used recently is still warm and takes no time."""
    device = _device(spec.device)
    room.check(spec, device)
    data = yield from workshop.data(spec.goal)
    dtype = _dtype(spec, device, workshop)
    weights_dtype = torch.float32 if spec.method.trains_base else dtype
    pristine = yield from workshop.base(spec.base, weights_dtype, _attention(spec, device), device, spec.quantization)
    reader, texts = _read(spec, workshop, pristine, data)
    job = Job(spec, workshop, device, dtype, pristine, data, reader, texts, attached(spec, pristine, reader, device, workshop.kept(pristine, dtype)))
    workshop.compiler.use(job.learner.codes)
    return job


def ahead(workshop: Workshop) -> Iterator[str]:
    """Make ready, one model a call and while nobody waits, what is asked for first; yields the model's key. Nothing is fetched for it."""
    for key, model in catalogue.entries("models").items():
        spec = RunSpec.parse({"model": key, "method": "lora"})
        supply = workshop.supply
        if not model.seeded and supply.known_sha256(model) and supply.known_data_sha256(spec.goal):
            for _ in prepare(spec, workshop):
                pass
            yield key


def attached(spec: RunSpec, pristine: bases.Pristine, reader: Reader, device: str, kept: frozen.Kept) -> Classifier | Writer:
    """A fresh copy of the base with the method on it, and the head beside it; the same for the same seed."""
    module = bases.fresh(pristine)
    if spec.method.trains_base:
        bases.unshare(module, pristine, everything=True)
    with drawn_from(spec.seed, "adapter"):
        module = spec.method.attach(Base(module, spec.shape, reader.tokenizer, spec.goal.words, spec.steps))
    wanted = torch.bfloat16 if spec.adapter_dtype == "bfloat16" else torch.float32
    for weight in module.parameters():
        if weight.requires_grad:
            weight.data = weight.data.to(device, wanted)
    bases.unshare(module, pristine)
    codes = []
    if spec.checkpointing:
        module.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        module.enable_input_require_grads()
    elif device == "cpu":
        codes = fast.speed_up(module, spec.shape)
        frozen.keep(module, spec.shape, kept)
    if spec.shape.kind == "decoder":
        return Writer(module, reader.answers(), device, codes)
    with drawn_from(spec.seed, "head"):
        head = Head(spec.shape.width, len(spec.goal.labels))
    return Classifier(module, head.to(device), codes)


def _read(spec: RunSpec, workshop: Workshop, pristine: bases.Pristine, data: TaskData) -> tuple[Reader, Texts]:
    task, splits = spec.goal, data.splits
    shots = spec.method.shots_shown(splits.train, spec.seed)
    reader = Reader(pristine.tokenizer, spec.shape.kind, task, spec.tokens, spec.shape.positions - spec.method.virtual_tokens_used(), shots)
    looked_at = max(20, min(MOST_LOOKED_AT, spec.eval_items // 5))
    asked = {"train": splits.train[:spec.train_items] if spec.steps else (), "validation": splits.validation[:looked_at],
             "test": splits.test[:spec.eval_items]}
    rows = {split: workshop.encoded((pristine.sha256, data.sha256, spec.tokens, split, len(items), shots), reader, items) for split, items in asked.items()}
    if spec.shuffle_labels and rows["train"]:
        drawn = torch.randint(len(task.labels), (len(rows["train"]),), generator=generator(spec.seed, "labels")).tolist()
        rows["train"] = [replace(row, label=label) for row, label in zip(rows["train"], drawn, strict=True)]
    return reader, Texts(**rows, shots=shots)


def _attention(spec: RunSpec, device: str) -> str:
    if spec.attention != "auto":
        return spec.attention
    return "eager" if device == "cpu" and spec.tokens + spec.method.virtual_tokens_used() <= SHORT else "sdpa"


def _device(wanted: str) -> str:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise LabError("device is cuda: this machine has no GPU that torch can use; choose auto or cpu")
    return "cuda" if wanted == "cuda" or (wanted == "auto" and torch.cuda.is_available()) else "cpu"


def _dtype(spec: RunSpec, device: str, workshop: Workshop) -> torch.dtype:
    if spec.dtype == "auto" and spec.method.trains_base:
        return torch.float32
    return precision.choose(spec.dtype, spec.shape, spec.batch * min(spec.tokens, 48), device, workshop.notes)
