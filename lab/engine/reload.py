"""A finished run taken up again: its base, its adapter from the run's folder, and the question as the run was asked it."""
from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lab.contracts import Base, Item, LabError
from lab.engine import bases
from lab.engine.chance import drawn_from
from lab.engine.job import attention, choose_device, choose_dtype, given, shown
from lab.engine.learner import Classifier, Head, Writer
from lab.engine.texts import Reader, collate
from lab.engine.workshop import Workshop
from lab.events import Preparing
from lab.spec import RunSpec


@dataclass
class Tuned:
    """The model of a run in eval mode, beside the untouched one."""

    spec: RunSpec
    pristine: bases.Pristine
    module: Any
    head: Head | None
    reader: Reader
    device: str

    def chances(self, text: str, base: bool = False) -> dict[str, float]:
        """Probability of each label, for a task with labels. Raises LabError where an untouched model has no head to answer with."""
        task, module = self.spec.goal, self.pristine.module if base else self.module
        if task.writes:
            raise LabError(f"{task.key} asks for a text and has no labels: let the model write")
        if self.head is None:
            learner: Any = Writer(module, self.reader.answers(), self.device)
        elif base:
            raise LabError("the untouched model has no trained head, so it has no answer of its own")
        else:
            learner = Classifier(module, self.head, given=given(self.spec, self.pristine.module))
        batch = collate(self._plain(base).encode([Item("asked", text)]), self.reader.tokenizer.pad_token_id, self.device)
        with torch.no_grad():
            found = learner.scores(batch)[0].softmax(0).tolist()
        return dict(zip(task.labels, found, strict=True))

    def streamed(self, text: str, base: bool = False, **how: Any) -> Iterator[str]:
        """A written answer, piece by piece; `how` are settings of decoding.Decoding."""
        from lab.engine import decoding

        task = self.spec.goal
        if not self.spec.shape.writes:
            raise LabError(f"{self.spec.base.title} gives features and writes no text: ask for its label")
        settings = decoding.Decoding(**{"longest": task.answer_tokens or 12, "stop": task.stop, **how})
        prompt = self._plain(base).encode([Item("asked", text)])[0].ids
        yield from decoding.streamed(self.pristine.module if base else self.module, self.reader.tokenizer, prompt, settings, self.device, self.spec.shape.kind)

    def _plain(self, base: bool) -> Reader:
        """The untouched model is asked without solved examples, in the task's usual wording."""
        reader = self.reader
        return Reader(reader.tokenizer, reader.kind, self.spec.goal, reader.tokens, reader.window) if base else reader


def reload(folder: Path, workshop: Workshop, **change: Any) -> Generator[Preparing, None, Tuned]:
    """From a folder that `train --out` filled; `change` are keys of the spec that are to be others than in the run, the number format for instance.
    Raises LabError for one that holds no finished run."""
    spec = finished_spec(folder)
    return (yield from taken_up(RunSpec.parse({**spec.to_dict(), **change}) if change else spec, folder, workshop))


def taken_up(spec: RunSpec, folder: Path, workshop: Workshop) -> Generator[Preparing, None, Tuned]:
    """The run of this spec with the adapter that lies in its folder."""
    if spec.shape.kind == "vision":
        raise LabError(f"{spec.base.title} reads images: it cannot be asked with a text")
    device = choose_device(spec.device)
    dtype = torch.float32 if spec.method.needs_float32() else choose_dtype(spec, device, workshop)
    pristine = yield from workshop.base(spec.base, dtype, attention(spec, device), device, spec.quantization)
    module = bases.fresh(pristine)
    twins = list(zip(module.parameters(), pristine.module.parameters(), strict=True))
    bases.unshare(module, pristine, everything=True)  # a loader may write into the weights
    module = _fresh(spec, module, pristine) if spec.mistake == "fresh_adapter" else spec.method.format.load(module, folder / "adapter")
    module.eval()
    bases.share(twins)
    return Tuned(spec, pristine, module, saved_head(spec, folder / "adapter" / "head.safetensors", device), reading(spec, pristine, folder), device)


def _fresh(spec: RunSpec, module: Any, pristine: bases.Pristine) -> Any:
    """Wrong on purpose: a new adapter is attached, and the saved one is not read. No error comes of it."""
    with drawn_from(spec.seed + 1, "adapter"):
        return spec.method.attach(Base(module, spec.shape, pristine.tokenizer, spec.goal.words, spec.steps, spec.seed + 1))


def reading(spec: RunSpec, pristine: bases.Pristine, folder: Path) -> Reader:
    """Texts as the run read them, with the solved examples that it showed."""
    shots = shown(spec, _shots(spec, folder / "adapter" / "shots.json"))
    return Reader(pristine.tokenizer, spec.shape.kind, spec.question, spec.tokens, spec.shape.positions - spec.method.virtual_tokens_used(), shots)


def finished_spec(folder: Path) -> RunSpec:
    """What was run there. Raises LabError where nothing was run to its end."""
    try:
        about = json.loads((folder / "adapter" / "lab.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise LabError(f"{folder} holds no finished run: give a folder that `python -m lab train SPEC.json --out FOLDER` has filled to the end") from None
    return RunSpec.parse(about["spec"])


def saved_head(spec: RunSpec, file: Path, device: str) -> Head | None:
    from safetensors.torch import load_file

    if not file.exists():
        return None
    head = Head(spec.shape.width, len(spec.goal.labels))
    head.linear.load_state_dict(load_file(file))
    return head.to(device).eval()


def _shots(spec: RunSpec, file: Path) -> tuple[Item, ...]:
    """The solved examples, as they were shown."""
    if not file.exists():
        return ()
    task = spec.goal
    plain = [Item(f"shot-{place}", shot["text"], answers=(shot["answer"].strip(),)) for place, shot in enumerate(json.loads(file.read_text(encoding="utf-8")))]
    return tuple(plain) if task.writes else tuple(replace(shot, label=task.words.index(f" {shot.answers[0]}")) for shot in plain)
