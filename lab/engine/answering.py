"""A question to a finished run, as a stream of events like any other job: first the tuned model answers, then the base, then the base with a prompt."""
from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lab import catalogue
from lab.contracts import Item, LabError
from lab.engine import diagnosis
from lab.engine.job import given
from lab.engine.learner import Classifier, Head, Writer, features, pooled
from lab.engine.reload import Tuned
from lab.engine.scoring import class_means, cosines
from lab.engine.shelf import Shelf
from lab.engine.texts import Batch, Reader, collate, unaided
from lab.events import Cancelled, Event, Finished, Observed, Preparing
from lab.serving import ANSWER, PIECE, TOKENS, Gathering, Mixture, Question, Who, askable, prompts, shows_examples

SHOWN_TOKENS = 600
KNOWN_TEXTS = 512  # training texts behind the class means of an untouched encoder, as in its score


class Stopped(Exception):
    """Whoever asked does not want to know any more."""


@dataclass(frozen=True)
class Speaker:
    """Somebody who is asked: a model, and how a text is put to it."""

    who: Who
    tuned: Tuned  # what all speakers of a question have in common
    module: Any
    reader: Reader
    head: Head | None = None

    def batch(self, text: str) -> Batch:
        return collate(self.reader.encode([Item("asked", text)]), self.reader.tokenizer.pad_token_id, self.tuned.device)

    def logits(self, batch: Batch) -> torch.Tensor:
        """(labels,) in float32."""
        if self.head is None:
            learner: Any = Writer(self.module, self.reader.answers(), self.tuned.device)
        else:
            learner = Classifier(self.module, self.head, given=given(self.tuned.spec, self.module))
        with torch.no_grad():
            return learner.scores(batch)[0].float().cpu()

    def once(self, batch: Batch) -> torch.Tensor | None:
        """What is worth timing of an answer: (labels,) logits; of an encoder's base, which has no head, the features alone, and nothing is returned."""
        if self.who == "base" and self.tuned.head is not None:
            with torch.no_grad():
                features(self.module, given(self.tuned.spec, self.module), batch)
            return None
        return self.logits(batch)

    def pieces(self, batch: Batch, longest: int) -> Generator[str, None, None]:
        """A written answer as it comes."""
        from lab.engine import decoding  # transformers' generation takes a second to import

        task, tuned = self.tuned.spec.goal, self.tuned
        how = decoding.Decoding(longest or task.answer_tokens, task.stop)
        yield from decoding.streamed(self.module, self.reader.tokenizer, batch.ids[0].tolist(), how, tuned.device, tuned.spec.shape.kind)


def answer(question: Question | Gathering | Mixture, folder: Path, shelf: Shelf, cancelled: Callable[[], bool] = lambda: False) -> Iterator[Event]:
    """Answer with the run in `folder`, or with several that lie beside it. The last event is Finished, Failed or Cancelled."""
    if isinstance(question, Question):
        return _told(_one(question, folder, shelf, cancelled), shelf)
    return several(question, [folder.parent / run for run in question.runs], shelf, cancelled)


def several(question: Gathering | Mixture, folders: list[Path], shelf: Shelf, cancelled: Callable[[], bool] = lambda: False) -> Iterator[Event]:
    """Answer with the runs in these folders."""
    return _told(_several(question, folders, shelf, cancelled), shelf)


def _told(work: Iterator[Event], shelf: Shelf) -> Iterator[Event]:
    """With its end."""
    began = time.perf_counter()
    try:
        yield from work
        yield Finished(0, {"total": round(time.perf_counter() - began, 4)}, 0.0)
    except Stopped:
        yield Cancelled(0)
    except Exception as error:
        if diagnosis.out_of_memory(error):
            shelf.clear()
        yield diagnosis.diagnose_question(error)


def _one(question: Question, folder: Path, shelf: Shelf, cancelled: Callable[[], bool]) -> Iterator[Event]:
    from lab.engine.timing import latencies

    tuned = yield from shelf.opened(question, folder)
    fits = askable(tuned.spec)
    if not fits.ok:
        raise LabError(fits.reason)
    if question.calls:
        yield from latencies(question, folder, shelf, cancelled)
    else:
        yield Observed(0, TOKENS, read(tuned, question.text))
        yield from _answers(tuned, question, shelf, cancelled)


def _several(question: Gathering | Mixture, folders: list[Path], shelf: Shelf, cancelled: Callable[[], bool]) -> Iterator[Event]:
    from lab.engine.gathering import gather
    from lab.engine.mixing import mix

    if isinstance(question, Mixture):
        yield from mix(question, folders, shelf, cancelled)
    else:
        yield from gather(question, folders, shelf, cancelled)


def speaking(tuned: Tuned) -> Speaker:
    return Speaker("tuned", tuned, tuned.module, tuned.reader, tuned.head)


def untouched(tuned: Tuned) -> Speaker:
    """The base with the task's own prompt and nothing else. An encoder's has no head: it can be measured, and says nothing."""
    return Speaker("base", tuned, tuned.pristine.module, plain(tuned))


def plain(tuned: Tuned, wording: str = "", shots: tuple[Item, ...] = ()) -> Reader:
    """Reads as the run did, but for the wording, and the solved examples in front."""
    reader, spec = tuned.reader, tuned.spec
    task = replace(spec.goal, prompt=wording) if wording else spec.goal
    return Reader(reader.tokenizer, reader.kind, task, reader.tokens, spec.shape.positions, (lambda text: shots) if shots else unaided)


def read(tuned: Tuned, text: str) -> dict[str, Any]:
    """The tokens as the tuned model reads them, and where its virtual ones stand."""
    spec, reader = tuned.spec, tuned.reader
    ids = reader.encode([Item("asked", text)])[0].ids
    shots = len(reader.shots(text))
    whole = reader.tokenizer(text if spec.shape.kind == "encoder" else reader.task.ask(text, reader.shots(text)))["input_ids"]
    return {"virtual": spec.method.virtual_tokens_used(), "position": getattr(spec.method, "position", "front"), "shots": shots, "total": len(ids),
            "cut": len(whole) - len(ids) if len(whole) > len(ids) else 0, "longest": reader.tokens, "tokens": pieces_of(reader.tokenizer, ids[:SHOWN_TOKENS])}


def pieces_of(tokenizer: Any, ids: tuple[int, ...]) -> list[str]:
    """The text of each token. Sentence pieces lose their leading space in decoding, so it is read from their name."""
    names, texts = tokenizer.convert_ids_to_tokens(list(ids)), tokenizer.batch_decode([[token] for token in ids])
    return [" " + text.lstrip(" ") if (name or "").startswith("▁") else text for name, text in zip(names, texts, strict=True)]


def _answers(tuned: Tuned, question: Question, shelf: Shelf, cancelled: Callable[[], bool]) -> Iterator[Event]:
    yield from _said(speaking(tuned), question, cancelled)
    if not prompts(tuned.spec).ok:
        yield from _nearest(tuned, question, shelf)
        return
    yield from _said(untouched(tuned), question, cancelled)
    if question.shots or question.wording:
        try:
            yield from _prompted(tuned, question, shelf, cancelled)
        except LabError as error:  # too many examples for the window, for instance: the others have answered
            reason = str(error).partition(": ")[2].replace("use fewer shots", "use fewer examples or a shorter wording") or str(error)
            yield Observed(0, ANSWER, {"who": "prompted", "kind": "refused", "reason": reason})


def _prompted(tuned: Tuned, question: Question, shelf: Shelf, cancelled: Callable[[], bool]) -> Iterator[Event]:
    shots: tuple[Item, ...] = ()
    if question.shots and shows_examples(tuned.spec):
        shots = yield from _examples(tuned, question, shelf)
    yield from _said(Speaker("prompted", tuned, tuned.pristine.module, plain(tuned, question.wording, shots)), question, cancelled)


def _said(speaker: Speaker, question: Question, cancelled: Callable[[], bool]) -> Iterator[Event]:
    """One speaker's answer: a label with the share of each, or a text piece by piece and then as a whole."""
    if cancelled():
        raise Stopped
    spec, began = speaker.tuned.spec, time.perf_counter()
    batch = speaker.batch(question.text)
    virtual = spec.method.virtual_tokens_used() if speaker.who == "tuned" else 0
    told = {"who": speaker.who, "tokens": batch.ids.shape[1] + virtual}
    if not spec.goal.writes:
        logits = speaker.logits(batch)
        yield Observed(0, ANSWER, {**told, "kind": "labels", "labels": list(spec.goal.labels), "logits": logits.tolist(),
                                   "chances": logits.softmax(0).tolist(), "seconds": round(time.perf_counter() - began, 4)})
        return
    text = ""
    with closing(speaker.pieces(batch, question.longest)) as pieces:
        for piece in pieces:
            text += piece
            yield Observed(0, PIECE, {"who": speaker.who, "text": piece})
            if cancelled():
                raise Stopped
    yield Observed(0, ANSWER, {**told, "kind": "text", "text": text, "seconds": round(time.perf_counter() - began, 4)})


def _examples(tuned: Tuned, question: Question, shelf: Shelf) -> Generator[Preparing, None, tuple[Item, ...]]:
    """Solved training items, each label as often, drawn with the run's seed."""
    spec = tuned.spec
    data = yield from shelf.workshop.data(spec.goal)
    method = catalogue.find("methods", "in_context")(shots=question.shots)
    return method.shots_shown(data.splits.train[:spec.train_items], spec.seed)


def _nearest(tuned: Tuned, question: Question, shelf: Shelf) -> Iterator[Event]:
    """What an untouched encoder already tells apart: the label whose training texts the text lies nearest to on average, as in the run's score."""
    spec, pristine, began = tuned.spec, tuned.pristine, time.perf_counter()
    data = yield from shelf.workshop.data(spec.goal)
    speaker = untouched(tuned)
    notes, key = shelf.workshop.notes_of(spec.goal), f"{pristine.sha256} {pristine.dtype} {pristine.quantization} {data.sha256} {spec.tokens}"

    def seen(batch: Batch) -> torch.Tensor:
        with torch.no_grad():
            return pooled(*features(pristine.module, given(spec, pristine.module), batch))

    found = notes.get("class means", key)
    if found is None:
        yield Preparing("reading training texts with the untouched base, once for all questions")
        rows = speaker.reader.encode(data.splits.train[:KNOWN_TEXTS])
        middle, means = class_means(seen, rows, speaker.reader.tokenizer.pad_token_id, tuned.device)
        found = notes.put("class means", key, {"middle": middle.tolist(), "means": means.tolist()})
    batch = speaker.batch(question.text)
    near = cosines(seen(batch).float().cpu(), torch.tensor(found["middle"]), torch.tensor(found["means"]))[0]
    yield Observed(0, ANSWER, {"who": "base", "kind": "nearest", "labels": list(spec.goal.labels), "logits": near.tolist(), "tokens": batch.ids.shape[1],
                               "seconds": round(time.perf_counter() - began, 4)})
