"""The training loop: a spec goes in, a stream of events comes out. Everything a run does, in the order it does it."""
from __future__ import annotations

import platform
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from lab.contracts import LabError
from lab.engine import diagnosis, forgetting, optimizers, saving
from lab.engine.again import again
from lab.engine.alone import alone
from lab.engine.beyond import transfer
from lab.engine.chance import drawn_from, generator
from lab.engine.fast.compiled import as_written
from lab.engine.job import Job, attached, prepare
from lab.engine.measure import measured_step
from lab.engine.reload import taken_up
from lab.engine.scoring import Answers, majority
from lab.engine.texts import epochs
from lab.engine.traces import Traces
from lab.engine.workshop import Workshop
from lab.engine.written import Written
from lab.events import Cancelled, Event, Finished, Observed, Started, Stepped, fold
from lab.spec import RunSpec

EVENT_SECONDS = 0.5  # a Stepped event at most this often: the page cannot show more, and the run is not slowed down
MEASURED_STEP = 3  # optimizer states exist by then, so it is the steady state
SAMPLES = 6
KEPT_TEXTS, KEPT_LETTERS = 100, 300  # written answers that are kept whole, and how long one may be: 3 to 10 KB a run
Seen = Answers | Written


class Stopped(Exception):
    """Somebody asked the run to stop."""


def train(
    spec: RunSpec, workshop: Workshop, *, out: Path | None = None, cancelled: Callable[[], bool] = lambda: False, looked_at: int | None = None,
) -> Iterator[Event]:
    """Run a spec. The last event is Finished, Failed or Cancelled; exceptions become Failed with what to change.

    `out` is the folder for the adapter, under `adapter/`. `cancelled` is asked before each step. `looked_at` is the number of validation items behind
    each look during training, where the usual few do not do.
    """
    progress = Progress()
    seen: list[Event] = []
    try:
        with workshop.compiler.making_way():
            for event in _run(spec, workshop, out, cancelled, progress, looked_at):
                seen.append(event)
                if isinstance(event, Finished) and out is not None:
                    saving.describe(out / "adapter", spec, fold(seen))
                yield event
    except Stopped:
        yield from progress.told()
        yield Cancelled(progress.step)
    except Exception as error:
        yield from progress.told()
        if isinstance(error, diagnosis.Damaged):
            workshop.forget()  # or each run after this one would fail as well
        yield diagnosis.diagnose(error, spec, progress.step)


class Progress:
    """Where the loop is, and the losses not yet told."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.step = 0
        self.tokens = 0
        self.compiled = 0  # steps
        self.first_step = 0.0
        self.training = 0.0
        self.lr = 0.0
        self.untold: list[list[float]] = []

    def told(self) -> Iterator[Stepped]:
        """The losses since the last event, as one event."""
        if self.untold:
            losses, self.untold = self.untold, []
            yield Stepped(self.step, losses[-1][1], self.lr, round(self.training, 4), losses, self.tokens)


class Scored:
    """Tells how far a scoring is, and stops between two batches when that was asked for."""

    def __init__(self, cancelled: Callable[[], bool], progress: Progress) -> None:
        self.cancelled, self.progress = cancelled, progress
        self.told_at = 0.0

    def told(self, who: str, asking: Generator[int, None, Any], items: int) -> Generator[Event, None, Any]:
        while True:
            if self.cancelled():
                raise Stopped
            try:
                done = next(asking)
            except StopIteration as end:
                return end.value
            if time.perf_counter() - self.told_at >= EVENT_SECONDS:
                self.told_at = time.perf_counter()
                yield Observed(self.progress.step, "scoring", {"who": who, "done": done, "items": items})


def _run(
    spec: RunSpec, workshop: Workshop, out: Path | None, cancelled: Callable[[], bool], progress: Progress, looked_at: int | None,
) -> Iterator[Event]:
    if cancelled():
        raise Stopped
    job = yield from prepare(spec, workshop, looked_at)
    yield _started(job)
    metric = spec.goal.metric
    if spec.shape.kind != "vision":
        yield Observed(0, "read", _read(job))
    if spec.asked.prompt != spec.question.prompt:
        yield Observed(0, "template", {"learned": spec.question.prompt, "asked": spec.asked.prompt})
    if not spec.goal.writes:
        yield majority(job.texts.test, metric)
    known = workshop.notes_of(spec.goal).get("untouched", _base_key(job))  # from an earlier run, so that the first step need not wait for it
    if known:
        yield from _told_base(job, known)
    yield from _steps(job, cancelled, progress)
    adapter_bytes = 0
    if out is not None:
        adapter_bytes = saving.save(out / "adapter", spec, job.module, job.learner.head, job.texts.shots)
    scored = Scored(cancelled, progress)
    tuned = yield from scored.told("tuned", job.asking(), len(job.texts.test))
    yield tuned.evaluated("tuned", "test", progress.step, metric)
    if job.beyond:
        yield Observed(progress.step, "transfer", (yield from transfer(job, scored.told)))
    if not known:
        known = workshop.notes_of(spec.goal).put("untouched", _base_key(job), (yield from _ask_base(job, scored)))
        yield from _told_base(job, known)
    before = yield from _before_training(job, job.from_note(known["base"]), tuned, scored)
    yield before.evaluated("untrained", "test", 0, metric)
    if "general" in known:
        after = yield from scored.told("general", job.general(job.module), forgetting.PARAGRAPHS)
        yield Observed(progress.step, "general_text", forgetting.forgotten(known["general"], after))
    yield Observed(progress.step, "answers", {"untrained": before.letters(), "tuned": tuned.letters(), **_texts(tuned)})
    yield Observed(progress.step, "samples", _samples(job, before, tuned))
    if out is not None and spec.shape.kind != "vision":
        yield from _taken_up(job, out, before, tuned, progress.step, scored)
    if not workshop.check(job.pristine):
        raise LabError("the base model was changed by this run; it is read again for the next one, and this result must not be trusted")
    seconds = {"first_step": progress.first_step, "training": progress.training, "total": time.perf_counter() - progress.began}
    yield Finished(progress.step, {name: round(value, 4) for name, value in seconds.items()},
                   progress.step / progress.training if progress.training else 0.0, adapter_bytes,
                   round(progress.compiled / progress.step, 4) if progress.step else 0.0)


def _steps(job: Job, cancelled: Callable[[], bool], progress: Progress) -> Iterator[Event]:
    """The loop itself."""
    spec, learner = job.spec, job.learner
    if not spec.steps:
        return
    batches = epochs(job.texts.train, spec.batch, generator(spec.seed, "order"))
    _show(job)
    groups = job.groups()
    if not groups:
        return
    optimizer = spec.method.optimizer(job.module, groups, spec.weight_decay) or optimizers.make(spec.optimizer, groups, spec.weight_decay, job.device)
    peaks = [group["lr"] for group in groups]
    weights = [weight for group in groups for weight in group["params"]]
    traces = Traces(job)
    job.module.train()
    started_at, far_for, last_event = 0.0, 0, 0.0
    with drawn_from(spec.seed, "dropout"):
        while progress.step < spec.steps:
            if cancelled():
                raise Stopped
            began, step = time.perf_counter(), progress.step + 1
            batch = job.batch(next(batches))
            rise = optimizers.factor(step, spec.steps, spec.warmup)
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * rise

            def update(step: int = step) -> None:
                if spec.clip:
                    torch.nn.utils.clip_grad_norm_(weights, spec.clip)
                optimizer.step()
                spec.method.after_step(job.module, step)
                optimizer.zero_grad(set_to_none=True)

            spec.method.before_step(job.module, step)
            job.workshop.compiler.look()
            looked = 0.0
            if step == min(MEASURED_STEP, spec.steps):
                yield from traces.look(step - 1, gradients=False)
                began = time.perf_counter()
                with as_written(learner.codes):
                    loss, bytes_found = measured_step(job.tensors(), weights, optimizer, partial(job.loss, batch), update)
                yield Observed(step, "memory", bytes_found | batch.sizes())
            else:
                loss = job.loss(batch)
                loss.backward()
                looked = time.perf_counter()
                yield from traces.look(step - 1, gradients=True)
                looked -= time.perf_counter()
                update()

            progress.step, progress.lr = step, spec.lr * rise
            progress.compiled += bool(learner.codes) and all(code.compiled for code in learner.codes)
            value = float(loss.detach())
            progress.untold.append([step, value])
            progress.tokens += int(batch.mask.sum())
            progress.training += time.perf_counter() - began + looked
            if step == 1:
                started_at, progress.first_step = value, time.perf_counter() - progress.began
            far_for = diagnosis.check_loss(value, step, started_at, far_for)
            if step in (1, spec.steps) or progress.training - last_event >= EVENT_SECONDS:
                last_event = progress.training
                yield from progress.told()
            if spec.eval_every and step % spec.eval_every == 0:
                yield replace(job.look(), step=step)
            traces.paced(progress.training / step)
    yield from traces.look(spec.steps, gradients=False)


def _show(job: Job) -> None:
    """Let the method look at losses of training batches, in an order of their own, so that the run's order does not depend on how many it asks for."""
    batches = epochs(job.texts.train, job.spec.batch, generator(job.spec.seed, "shown"))

    def losses() -> Iterator[torch.Tensor]:
        for rows in batches:
            with job.arithmetic():
                yield job.learner.loss(job.batch(rows))

    job.spec.method.look(job.module, losses())
    job.module.zero_grad(set_to_none=True)


def _before_training(job: Job, base: Seen, tuned: Seen, scored: Scored) -> Generator[Event, None, Seen]:
    """The same seed attached again and asked before any step: what the training itself has changed.

    Nothing is asked twice: a method that starts as the base answers as the base does, with a new head as every such method does with this seed,
    and what was never trained answers as it does now.
    """
    spec = job.spec
    if not spec.steps:
        return tuned
    if spec.method.starts_as_base() and spec.shape.writes:
        return base

    def asking() -> Generator[Event, None, Seen]:
        learner, job.learner = job.learner, attached(spec, job.pristine, job.reader, job.device, job.workshop.kept(job.pristine, job.dtype))
        try:
            return (yield from scored.told("untrained", job.asking(), len(job.texts.test)))
        finally:
            job.learner = learner

    if spec.method.starts_as_base():
        return (yield from job.workshop.start((_base_key(job), job.dtype, spec.seed), asking))
    return (yield from asking())


def _taken_up(job: Job, out: Path, before: Seen, tuned: Seen, step: int, scored: Scored) -> Iterator[Event]:
    """The saved run as whoever loads it finds it: how long an answer takes, and whether it is the answer that was trained."""
    loaded = yield from taken_up(job.spec, out, job.workshop)
    yield Observed(step, "one_text", alone(job, loaded))
    if job.spec.steps and isinstance(before, Answers) and isinstance(tuned, Answers):
        found, score = yield from scored.told("reloaded", again(job, loaded, before, tuned, step), len(job.texts.test))
        if score is not None:
            yield score
        yield Observed(step, "reloaded", found)


def _base_key(job: Job) -> str:
    spec, pristine = job.spec, job.pristine
    task = spec.goal
    asked = (task.prompt, task.wordings, task.words, spec.tokens, spec.eval_items)
    if task.writes:
        asked += (task.answer_tokens, task.stop, [item.id for item in job.texts.asked] if task.recalls else ())
    elif spec.shape.kind == "decoder":
        asked += ("general text",)  # which notes of older labs do not have
    how = (pristine.dtype, pristine.module.config._attn_implementation, spec.quantization, job.device, torch.__version__, platform.machine())
    return f"{pristine.sha256} {job.data.sha256} {asked} {how}"


def _ask_base(job: Job, scored: Scored) -> Generator[Event, None, dict[str, Any]]:
    """The untouched model's answers; of a decoder also those to the best of the hand-written prompts, chosen on validation items."""
    items = job.texts.asked
    base = yield from scored.told("base", job.untouched(), len(items))
    note: dict[str, Any] = {"base": base.to_note()}
    if job.spec.shape.writes and job.spec.goal.wordings:
        best, scores = yield from scored.told("prompt", job.best_wording(), len(items))
        asked = base if best == job.spec.goal.prompt else (yield from scored.told("prompt", job.prompted(best, items), len(items)))
        note |= {"prompt": asked.to_note(), "wording": {"best": best, "validation": scores}}
    if job.spec.shape.kind == "decoder":  # whatever it is trained for: only that foretells the next word of any text
        note["general"] = yield from scored.told("general", job.general(job.pristine.module), forgetting.PARAGRAPHS)
    return note


def _told_base(job: Job, note: dict[str, Any]) -> Iterator[Event]:
    for who in ("base", "prompt"):
        if who in note:
            yield job.from_note(note[who]).evaluated(who, "test", 0, job.spec.goal.metric)
    if "wording" in note:
        yield Observed(0, "wording", note["wording"])


def _texts(tuned: Seen) -> dict[str, list[str]]:
    """What was written to the first test items: of two answers that are both not right, letters cannot say whether they are the same."""
    return {"texts": [text[:KEPT_LETTERS] for text in tuned.texts[:KEPT_TEXTS]]} if isinstance(tuned, Written) else {}


def _samples(job: Job, before: Seen, tuned: Seen) -> list[dict[str, Any]]:
    """The first test items, exactly as the model reads them (`read`), with the answer before and after, and its probability where there is one."""
    task = job.spec.goal
    return [
        {"text": item.text, "read": job.reader.shown(row), "label": item.answers[0] if task.writes else task.labels[item.label],
         **({"pixels": item.pixels} if item.pixels else {}),
         "before": before.shown(place, task.labels), "after": tuned.shown(place, task.labels)}
        for place, (item, row) in enumerate(islice(zip(job.texts.asked, job.texts.test, strict=True), SAMPLES))
    ]


def _read(job: Job) -> dict[str, float]:
    """How many tokens are read before each answer: virtual ones and solved examples are paid for every time."""
    virtual, lengths = job.spec.method.virtual_tokens_used(), [len(row.ids) for row in job.texts.test]
    return {"tokens_per_answer": round(sum(lengths) / len(lengths) + virtual, 1), "longest": max(lengths) + virtual}


def _started(job: Job) -> Started:
    spec, counts, dtype = job.spec, job.spec.counts, str(job.dtype).removeprefix("torch.")
    libraries = ("torch", "transformers", "peft", *(("bitsandbytes",) if spec.quantization else ()))
    parts = {"module": sum(weight.numel() for weight in job.trained()), "counted": counts.method}
    if parts["module"] != parts["counted"]:
        raise LabError(f"{spec.method.key} trains {parts['module']:,} parameters here and counts {parts['counted']:,}: one of the two is wrong")
    return Started(
        spec=spec.to_dict(), fingerprint=spec.fingerprint, weights_sha256=job.pristine.sha256, data_sha256=job.data.sha256,
        versions={name: version(name) for name in libraries} | {"python": platform.python_version()},
        counts=counts.to_dict(), device=job.device, dtype=dtype, threads=torch.get_num_threads(),
        items={"train": len(job.texts.train), "validation": len(job.texts.validation), "test": len(job.texts.test)},
        predicted=spec.memory(dtype),
        time=datetime.now(UTC).isoformat(timespec="seconds"))
