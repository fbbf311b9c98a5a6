"""A text for each of several runs, answered in one batch; and one such batch against one batch a run, timed in turn."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch

from lab.engine.answering import Stopped
from lab.engine.job import given
from lab.engine.learner import Classifier, Writer
from lab.engine.reload import Tuned
from lab.engine.sharing import Row, Shared
from lab.engine.shelf import Shelf
from lab.engine.texts import Encoded, collate
from lab.events import Event, Observed, Preparing
from lab.serving import PROGRESS, THROUGHPUT, TOGETHER, Gathering, Question

TEXTS_EACH = (1, 4, 16)  # of each run in a timed batch


def gather(asked: Gathering, folders: Sequence[Path], shelf: Shelf, cancelled: Callable[[], bool]) -> Iterator[Event]:
    """What one mixed batch answers, or how long such batches take."""
    shared = yield from shelf.shared(folders, asked.dtype)
    if asked.calls:
        yield from _throughput(asked, folders, shared, shelf, cancelled)
        return
    yield Preparing("answering all texts in one batch")
    yield Observed(0, TOGETHER, _answers(asked, shared))


def storage(shared: Shared) -> dict[str, Any]:
    """Bytes of the base as it stands in memory, and of each run's files."""
    return {"base": shared.base_bytes, "parts": [own.bytes for own in shared.runs]}


def _answers(asked: Gathering, shared: Shared) -> dict[str, Any]:
    rows, told = [], []
    for place, (run, text) in enumerate(zip(asked.runs, asked.texts, strict=True)):
        own = shared.runs[place]
        for who in (("tuned", "base") if asked.base and shared.writes else ("tuned",)):
            speaker = own if who == "tuned" else own.untouched()
            rows.append(Row(speaker.read([text])[0], speaker))
            told.append({"run": run, "who": who, "tokens": len(rows[-1].ids), "virtual": own.spec.method.virtual_tokens_used() if who == "tuned" else 0})
    began = time.perf_counter()
    for place, found in _found(shared, rows).items():
        told[place] |= found
    return {"rows": told, "seconds": round(time.perf_counter() - began, 4), "positions": shared.laid(rows).mask.shape[1], "storage": storage(shared)}


def _found(shared: Shared, rows: Sequence[Row]) -> dict[int, dict[str, Any]]:
    """Labels come from one pass, written answers from one batch that goes on word by word."""
    labelled = [place for place, row in enumerate(rows) if not row.own.spec.goal.writes]
    found: dict[int, dict[str, Any]] = {}
    if labelled:
        for place, scores in zip(labelled, shared.scores([rows[place] for place in labelled]), strict=True):
            found[place] = {"labels": list(rows[place].own.spec.goal.labels), "chances": scores.softmax(0).tolist()}
    written = [place for place in range(len(rows)) if place not in found]
    if written:
        from lab.engine.sharing_words import write  # transformers' generation takes a second to import

        for place, text in zip(written, write(shared, [rows[place] for place in written]), strict=True):
            found[place] = {"text": text}
    return found


@dataclass
class Timed:
    """One batch for all runs, or one a run: its calls so far."""

    call: Callable[[], list[torch.Tensor]]
    seconds: list[float] = field(default_factory=list)

    def once(self) -> list[torch.Tensor]:
        began = time.perf_counter()
        found = self.call()
        self.seconds.append(time.perf_counter() - began)
        return found

    def told(self) -> dict[str, float]:
        low, _, high = quantiles(self.seconds, n=4, method="inclusive") if len(self.seconds) > 1 else self.seconds * 3
        return {"median": median(self.seconds), "low": low, "high": high}


def _throughput(asked: Gathering, folders: Sequence[Path], shared: Shared, shelf: Shelf, cancelled: Callable[[], bool]) -> Iterator[Event]:
    """From token ids to the scores of each text (of a writing model: to where its answer begins). Both kinds in turn, each first as often as the other, so
    that what else the machine does hits them alike; the first call of each is not counted."""
    single = []
    for run, folder in zip(asked.runs, folders, strict=True):
        single.append((yield from shelf.opened(Question(run=run, text="x", dtype=asked.dtype), folder)))
    ids = []
    for own in shared.runs:
        data = yield from shelf.workshop.data(own.spec.goal)
        items = data.splits.test
        ids.append(own.read([items[place % len(items)].text for place in range(TEXTS_EACH[-1])]))
    sizes, far, done, of = [], 0.0, 0, len(TEXTS_EACH) * (asked.calls + 1)
    for each in TEXTS_EACH:
        mixed = Timed(lambda each=each: _mixed(shared, ids, each))
        apart = Timed(lambda each=each: _apart(single, ids, each))
        for turn in range(asked.calls + 1):
            if cancelled():
                raise Stopped
            found = {id(timed): timed.once() for timed in ((mixed, apart) if turn % 2 else (apart, mixed))}
            if not turn:
                far = max(far, *(_far(a, b) for a, b in zip(found[id(mixed)], found[id(apart)], strict=True)))
                mixed.seconds.clear()
                apart.seconds.clear()
            done += 1
            yield Observed(0, PROGRESS, {"done": done, "of": of})
        sizes.append({"each": each, "texts": each * len(ids), "mixed": mixed.told(), "apart": apart.told()} | _padding(shared, ids, each))
    yield Observed(0, THROUGHPUT, {"sizes": sizes, "far": far, "calls": asked.calls, "threads": torch.get_num_threads(), "storage": storage(shared),
                                   "dtype": str(shared.pristine.dtype).removeprefix("torch.")})


def _mixed(shared: Shared, ids: Sequence[Sequence[tuple[int, ...]]], each: int) -> list[torch.Tensor]:
    return shared.scores([Row(row, own) for own, rows in zip(shared.runs, ids, strict=True) for row in rows[:each]])


@torch.no_grad()
def _apart(single: Sequence[Tuned], ids: Sequence[Sequence[tuple[int, ...]]], each: int) -> list[torch.Tensor]:
    """As each run is asked alone, its texts in one batch."""
    found: list[torch.Tensor] = []
    for tuned, rows in zip(single, ids, strict=True):
        batch = collate([Encoded(row, 0) for row in rows[:each]], tuned.reader.tokenizer.pad_token_id, tuned.device)
        if tuned.head is not None:
            found += Classifier(tuned.module, tuned.head, given=given(tuned.spec, tuned.module)).scores(batch).float()
        else:
            answers = tuned.reader.answers() if tuned.spec.goal.words else (0,)  # of a text only where it begins is timed
            found += Writer(tuned.module, answers, tuned.device).scores(batch).float()
    return found


def _far(mixed: torch.Tensor, apart: torch.Tensor) -> float:
    """Of the largest logit. A language model's are told up to a constant, so the means are taken away."""
    if len(mixed) < 2:
        return 0.0
    return float(((mixed - mixed.mean()) - (apart - apart.mean())).abs().max() / apart.abs().max())


def _padding(shared: Shared, ids: Sequence[Sequence[tuple[int, ...]]], each: int) -> Mapping[str, int]:
    """How long the rows of the one batch are, and how much of it is text."""
    laid = shared.laid([Row(row, own) for own, rows in zip(shared.runs, ids, strict=True) for row in rows[:each]])
    return {"positions": laid.mask.numel(), "filled": int(laid.mask.sum())}
