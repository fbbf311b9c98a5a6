"""One run made ready: base, data, method and head in place. The loop trains it, the scores are taken from it."""
from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from lab import catalogue
from lab.contracts import Base, Item, LabError, Task
from lab.engine import bases, beginnings, fast, forgetting, precision, room
from lab.engine.chance import drawn_from, generator
from lab.engine.fast import frozen
from lab.engine.learner import Author, Classifier, Given, Head, Writer, features, images, pooled, texts
from lab.engine.scoring import MOST_AT_ONCE, Answers, answer, finished, nearest_mean
from lab.engine.texts import Batch, Encoded, Reader, collate, unaided
from lab.engine.workshop import Workshop
from lab.engine.written import Written, foreseen
from lab.events import Evaluated, Preparing
from lab.spec import RunSpec
from lab.supply import TaskData

SHORT = 128  # tokens up to which attention as plain products is faster on a CPU than torch's fused one
WORDED_TEXTS = 8  # the same, where each takes a written answer
WORDED = 60  # validation items that decide between hand-written prompts
MOST_LOOKED_AT = 100  # validation items behind each look during training; a fifth of the test items where that is less


@dataclass(frozen=True)
class Texts:
    """Encoded items of the three sets, as this run uses them."""

    train: list[Encoded]
    validation: list[Encoded]
    test: list[Encoded]
    asked: tuple[Item, ...]  # the items behind `test`
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
    learner: Classifier | Writer | Author
    beyond: Mapping[str, TaskData] = field(default_factory=dict)  # of the tasks it is tested on beside its own

    @property
    def module(self) -> Any:
        return self.learner.module

    def batch(self, rows: list[Encoded]) -> Batch:
        return collate(rows, self.pad, self.device)

    @property
    def pad(self) -> int:
        return 0 if self.reader.tokenizer is None else self.reader.tokenizer.pad_token_id

    def trained(self) -> list[torch.nn.Parameter]:
        """The method's trainable tensors; the head's are its own."""
        return [weight for weight in self.module.parameters() if weight.requires_grad]

    def groups(self) -> list[dict[str, Any]]:
        """What the optimizer is given: the method's tensors at the spec's learning rate, the head's at its own."""
        spec, head = self.spec, self.learner.head
        groups = spec.method.groups(self.module, spec.lr)
        if head is not None:
            groups.append({"params": list(head.parameters()), "lr": spec.method.head_rate(spec.lr)})
        return [group for group in groups if group["params"]]

    def tensors(self) -> list[torch.Tensor]:
        """All weights and buffers that a step stands on, the head's among them."""
        head = self.learner.head
        return [*bases.tensors(self.module), *(head.parameters() if head is not None else ())]

    def loss(self, batch: Batch) -> torch.Tensor:
        """Mean loss of a batch with what the method adds to it; shape ()."""
        with self.arithmetic():
            loss, penalty = self.learner.loss(batch), self.spec.method.penalty(self.module)
        return loss if penalty is None else loss + penalty

    def arithmetic(self) -> torch.autocast:
        """bfloat16 arithmetic where a method moves weights of the base, which are float32: small updates would be lost in 16 bits."""
        mixed = self.dtype != torch.float32 and self.spec.method.trains_base
        return torch.autocast(self.device, dtype=self.dtype, enabled=mixed)

    def asking(self) -> Generator[int, None, Answers | Written]:
        """What the model answers to the test items now."""
        if self.spec.goal.writes:
            return self._writing(self.module, self.texts.test, self.texts.asked)
        return self.choosing(self.texts.test)

    def look(self) -> Evaluated:
        """How well it does on a few validation items, quickly enough to be asked during training."""
        if self.spec.goal.writes:
            with self.arithmetic():
                seen = finished(foreseen(self.learner, self.texts.validation, self.pad, self.device))
        else:
            seen = self.answers(self.texts.validation)
        return seen.evaluated("tuned", "validation", 0, self.spec.goal.metric)

    def choosing(self, rows: list[Encoded]) -> Generator[int, None, Answers]:
        """One score per label for each row."""
        return self._scored(self.learner, rows)

    def answers(self, rows: list[Encoded]) -> Answers:
        return finished(self.choosing(rows))

    def _scored(self, learner: Classifier | Writer, rows: list[Encoded]) -> Generator[int, None, Answers]:
        """By the run's own learner, or one on the untouched base. What all rows begin with is read once where nothing of the method stands in front of it."""
        own = learner is self.learner
        scores, size = learner.scores, MOST_AT_ONCE
        whole = own and self.spec.method.virtual_tokens_used()
        if not whole and isinstance(learner, Writer) and beginnings.continues(learner.module) and (alike := beginnings.shared(rows)):
            beginning = beginnings.Beginning(learner.module, learner.answers, rows[0].ids[:alike], self.device)
            scores, size, rows = beginning.scores, min(size, beginning.at_once(rows)), beginning.rest(rows)

        def asked(batch: Batch) -> torch.Tensor:
            with self.arithmetic() if own else nullcontext():
                return scores(batch)

        return answer(asked, learner.module, rows, self.pad, self.device, size)

    def _writing(self, module: Any, rows: list[Encoded], items: tuple[Item, ...]) -> Generator[int, None, Written]:
        """A text for each row, the most probable token each time."""
        from lab.engine import decoding  # here, because transformers' generation takes a second to import, and most runs do not write

        task, began, training = self.spec.goal, time.perf_counter(), module.training
        module.eval()
        try:
            with self.arithmetic():
                found = yield from decoding.written(module, self.reader.tokenizer, [row.ids for row in rows],
                                                    decoding.Decoding(task.answer_tokens, task.stop), self.device, self.spec.shape.kind)
        finally:
            module.train(training)
        return Written(tuple(found), items, task, time.perf_counter() - began)

    def untouched(self) -> Generator[int, None, Answers | Written]:
        """What the base says without the method: one that writes is asked, the frozen features of the others are compared."""
        if self.spec.shape.writes:
            return (yield from self.prompted(self.spec.goal.prompt, self.texts.asked))
        module, reader = self.pristine.module, self._plain(self.spec.goal.prompt)
        train, test = reader.encode(self.data.splits.train[:512]), reader.encode(self.texts.asked)
        return nearest_mean(lambda batch: pooled(*features(module, given(self.spec, module), batch)), train, test, self.pad, self.device)

    def prompted(self, prompt: str, items: tuple[Item, ...]) -> Generator[int, None, Answers | Written]:
        """What the untouched language model answers to a prompt of a given wording."""
        reader, module = self._plain(prompt), self.pristine.module
        rows = reader.encode(items)
        if self.spec.goal.writes:
            return self._writing(module, rows, items)
        return self._scored(Writer(module, reader.answers(), self.device), rows)

    def general(self, module: Any) -> Generator[int, None, list[tuple[float, int]]]:
        """What a decoder makes of general English."""
        window = self.spec.shape.positions - self.spec.method.virtual_tokens_used()
        with self.arithmetic():
            return (yield from forgetting.losses(module, self.reader.tokenizer, self.device, window))

    def best_wording(self) -> Generator[int, None, tuple[str, dict[str, float]]]:
        """The hand-written prompt that scores best on validation items, and the score of each there."""
        task = self.spec.goal
        items = self.data.splits.validation[:WORDED_TEXTS if task.writes else WORDED]
        scores = {}
        for prompt in (task.prompt, *task.wordings):
            answers = yield from self.prompted(prompt, items)
            scores[prompt] = answers.evaluated("prompt", "validation", 0, task.metric).score
        return max(scores, key=lambda prompt: scores[prompt]), scores

    def from_note(self, note: dict[str, Any]) -> Answers | Written:
        """Answers to the test items that were kept in a note."""
        return Written.from_note(note, self.texts.asked, self.spec.goal) if self.spec.goal.writes else Answers.from_note(note)

    def _plain(self, prompt: str) -> Reader:
        """Reads without shots, in the given wording."""
        reader = self.reader
        return Reader(reader.tokenizer, reader.kind, replace(reader.task, prompt=prompt), reader.tokens, reader.window)


def prepare(spec: RunSpec, workshop: Workshop, looked_at: int | None = None, plainly: bool = False) -> Generator[Preparing, None, Job]:
    """Everything before the first step; what was used recently is still warm and takes no time. `looked_at` is the number of validation items behind
    each look, where the usual few do not do. `plainly`: no block is replaced by a faster one."""
    device = choose_device(spec.device)
    room.check(spec, device)
    data = yield from workshop.data(spec.goal)
    beyond = {}
    for key in spec.beyond:  # before the training, which would be lost where one of them cannot be had
        beyond[key] = yield from workshop.data(catalogue.find("tasks", key))
    dtype = choose_dtype(spec, device, workshop)
    weights_dtype = torch.float32 if spec.method.needs_float32() else dtype
    pristine = yield from workshop.base(spec.base, weights_dtype, attention(spec, device), device, spec.quantization)
    reader, encoded = _read(spec, workshop, pristine, data, looked_at or max(20, min(MOST_LOOKED_AT, spec.eval_items // 5)))
    kept = None if plainly else workshop.kept(pristine, dtype)
    job = Job(spec, workshop, device, dtype, pristine, data, reader, encoded, attached(spec, pristine, reader, device, kept), beyond)
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


def attached(spec: RunSpec, pristine: bases.Pristine, reader: Reader, device: str, kept: frozen.Kept | None) -> Classifier | Writer | Author:
    """A fresh copy of the base with the method on it, and the head beside it; the same for the same seed. Where nothing is to be `kept`, its blocks stay
    as their library wrote them, for who looks inside."""
    module = bases.fresh(pristine)
    if spec.method.needs_float32():
        bases.unshare(module, pristine, everything=True)
    with drawn_from(spec.seed, "adapter"):
        module = spec.method.attach(Base(module, spec.shape, reader.tokenizer, spec.goal.words, spec.steps, spec.seed))
    wanted = torch.bfloat16 if spec.adapter_dtype == "bfloat16" else torch.float32
    bases.widen(module, wanted, device)
    bases.unshare(module, pristine)
    codes = []
    if spec.checkpointing:
        module.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        module.enable_input_require_grads()
    elif device == "cpu" and kept is not None:
        codes = fast.speed_up(module, spec.shape)
        frozen.keep(module, spec.shape, kept)
    with drawn_from(spec.seed, "head"):
        head = None if spec.shape.writes else Head(spec.shape.width, len(spec.goal.labels)).to(device)
    return as_learner(spec, module, head, reader, device, codes)


def as_learner(spec: RunSpec, module: Any, head: Head | None, reader: Reader, device: str, codes: Sequence[Any] = ()) -> Classifier | Writer | Author:
    """The module as the loop and the scores see it."""
    if spec.goal.writes:
        return Author(module, codes)
    if head is None:
        return Writer(module, reader.answers(), device, codes)
    return Classifier(module, head, codes, given(spec, module))


def given(spec: RunSpec, module: Any) -> Given:
    return images(spec.goal.inks, module.config) if spec.shape.kind == "vision" else texts


def _read(spec: RunSpec, workshop: Workshop, pristine: bases.Pristine, data: TaskData, looked_at: int) -> tuple[Reader, Texts]:
    task, splits = spec.goal, data.splits
    train = splits.train[:spec.train_items]
    shots = spec.method.shots_shown(train, spec.seed)
    window = spec.shape.positions - spec.method.virtual_tokens_used()
    reader = Reader(pristine.tokenizer, spec.shape.kind, spec.question, spec.tokens, window, shown(spec, shots))
    asking = reader if spec.asked.prompt == spec.question.prompt else Reader(pristine.tokenizer, spec.shape.kind, spec.asked, spec.tokens, window, reader.shots)
    validation, test = (_recalled(task, items, train) for items in (splits.validation, splits.test))
    asked = {"train": train if spec.steps else (), "validation": validation[:looked_at], "test": test[:spec.eval_items]}
    rows = {}
    for split, items in asked.items():
        answered, by = task.writes and split != "test", asking if split == "test" else reader
        how = spec.method.model_dump_json() if shots else ""  # which of the examples stand before which text
        key = (pristine.sha256, data.sha256, spec.tokens, split, len(items), shots, how, answered, by.task.prompt)
        rows[split] = workshop.encoded(key, by, items, answered)
    if spec.shuffle_labels and rows["train"]:
        rows["train"] = shuffled(rows["train"], len(task.labels), generator(spec.seed, "labels"), reader)
    return reader, Texts(**rows, asked=asked["test"], shots=shots)


def shown(spec: RunSpec, shots: tuple[Item, ...]) -> Callable[[str], tuple[Item, ...]]:
    """The solved examples in front of a text, where the method shows any."""
    choosing = spec.method.choosing()
    if not shots or choosing is None:
        return (lambda text: shots) if shots else unaided
    places = choosing([shot.text for shot in shots], [shot.label for shot in shots])
    return lambda text: tuple(shots[place] for place in places(text))


def _recalled(task: Task, items: tuple[Item, ...], train: tuple[Item, ...]) -> tuple[Item, ...]:
    """Of a task that asks for what was trained on: the items about that; of any other all."""
    if not task.recalls:
        return items
    known = {item.document for item in train}
    return tuple(item for item in items if item.document in known)


def shuffled(rows: list[Encoded], labels: int, drawn: torch.Generator, reader: Reader) -> list[Encoded]:
    """Labels drawn at random; written answers go to other prompts."""
    if not labels:
        order = torch.randperm(len(rows), generator=drawn).tolist()
        return [reader.answered(row, rows[other].answer) for row, other in zip(rows, order, strict=True)]
    given = torch.randint(labels, (len(rows),), generator=drawn).tolist()
    return [replace(row, label=label) for row, label in zip(rows, given, strict=True)]


def attention(spec: RunSpec, device: str) -> str:
    if spec.attention != "auto":
        return spec.attention
    return "eager" if device == "cpu" and spec.longest + spec.method.virtual_tokens_used() <= SHORT else "sdpa"


def choose_device(wanted: str) -> str:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise LabError("device is cuda: this machine has no GPU that torch can use; choose auto or cpu")
    return "cuda" if wanted == "cuda" or (wanted == "auto" and torch.cuda.is_available()) else "cpu"


def choose_dtype(spec: RunSpec, device: str, workshop: Workshop) -> torch.dtype:
    if spec.dtype == "auto" and workshop.comparable:
        return torch.float32
    return precision.choose(spec.dtype, spec.shape, spec.batch * min(spec.tokens, 48), device, workshop.notes)
