"""How long one answer takes in each form of a run, on this machine, one text at a time: calls in turn, so that what else the machine does hits all alike."""
from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch

from lab.contracts import LabError
from lab.engine.answering import Speaker, Stopped, speaking, untouched
from lab.engine.shelf import Shelf
from lab.events import Observed, Preparing
from lab.serving import LATENCY, PROGRESS, Question, forms


@dataclass
class Timed:
    """One form, its calls so far, and what it answered."""

    form: str
    speaker: Speaker
    seconds: list[float] = field(default_factory=list)
    logits: torch.Tensor | None = None
    text: str = ""

    def call(self, question: Question) -> None:
        """From the text to the whole answer: reading it into tokens is part of answering."""
        began = time.perf_counter()
        batch = self.speaker.batch(question.text)
        if self.speaker.tuned.spec.goal.writes:
            self.text = "".join(self.speaker.pieces(batch, question.longest))
        else:
            self.logits = self.speaker.once(batch)
        self.seconds.append(time.perf_counter() - began)

    def told(self, first: Timed) -> dict[str, Any]:
        """The middle of its calls, and the middle half of them. `far` is the largest difference to the logits of the run as trained, of its largest."""
        low, _, high = quantiles(self.seconds, n=4) if len(self.seconds) > 1 else self.seconds * 3
        found: dict[str, Any] = {"form": self.form, "calls": len(self.seconds), "median": median(self.seconds), "low": low, "high": high}
        if self.speaker.tuned.spec.goal.writes:
            found |= {"text": self.text, "written": len(self.speaker.reader.tokenizer(self.text, add_special_tokens=False)["input_ids"])}
        elif self.logits is not None:
            labels, chances = self.speaker.tuned.spec.goal.labels, self.logits.softmax(0)
            found |= {"label": labels[int(chances.argmax())], "chance": float(chances.max())}
            if first.logits is not None and self.speaker.who == "tuned":
                found["far"] = float((self.logits - first.logits).abs().max() / first.logits.abs().max())
        return found


def latencies(question: Question, folder: Path, shelf: Shelf, cancelled: Callable[[], bool]) -> Iterator[Any]:
    """Every form that this run can have here, and the untouched base. The first call of each is not counted: it makes things warm."""
    timed, missing = yield from _forms(question, folder, shelf)
    of = len(timed) * (question.calls + 1)
    for turn in range(question.calls + 1):
        for place, each in enumerate(timed):
            if cancelled():
                raise Stopped
            each.call(question)
            if not turn:
                each.seconds.clear()
            yield Observed(0, PROGRESS, {"done": turn * len(timed) + place + 1, "of": of})
    yield Observed(0, LATENCY, {"rows": [each.told(timed[1]) for each in timed], "missing": missing, "threads": torch.get_num_threads()})


def _forms(question: Question, folder: Path, shelf: Shelf) -> Generator[Preparing, None, tuple[list[Timed], dict[str, str]]]:
    """The base, the run as it was trained, its other forms; and why there are no others."""
    tuned = yield from shelf.opened(question, folder, "adapter")
    timed, missing = [Timed("base", untouched(tuned)), Timed("adapter", speaking(tuned))], {}
    for form, fits in forms(tuned.spec).items():
        if form == "adapter":
            continue
        try:
            if not fits.ok:
                raise LabError(fits.reason)
            timed.append(Timed(form, speaking((yield from shelf.opened(question, folder, form)))))
        except (LabError, ImportError) as error:
            missing[form] = str(error) if isinstance(error, LabError) else "bitsandbytes does not work on this machine"
    return timed, missing
