"""What a lens promises: a way to look inside what a method learned. Three kinds, because they cost differently and answer differently.

    Trace       recorded while a run trains, at a few of its steps: the film
    Probe       computed from a finished run, by a worker: the examination
    Experiment  several runs planned from one, and what they show together: the trial

No torch at the top here or in a lens: the page imports both, to know what can be looked at and how to ask for it.
"""
from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from lab import catalogue
from lab.contracts import LabError, Shape, Support, explain, shorten
from lab.events import RunResult
from lab.spec import RunSpec

Progress = tuple[int, int]  # how much is done, of how much
LONGEST_LOOK = 8_000  # characters of a look's JSON


@dataclass(frozen=True)
class Scored:
    """What a model made of a run's evaluation items. `logits` is (items, labels), None for tasks with written answers, whose score is token accuracy."""

    score: float
    standard_error: float
    loss: float
    items: int
    logits: Any = None

    def to_dict(self) -> dict[str, float]:
        return {"score": round(self.score, 4), "standard_error": round(self.standard_error, 4), "loss": round(self.loss, 4), "items": self.items}


@dataclass(frozen=True)
class Table:
    """What a figure is drawn from, to be read or downloaded."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Seen:
    """What a trace saw after so many updates."""

    step: int
    value: Any


class Specimen(ABC):
    """A run laid open for a lens: while it trains, or finished and taken up again. Torch modules, so lenses touch it inside functions only."""

    spec: RunSpec
    module: Any  # what is trained or was, with the method on it
    base: Any  # the untouched model; nothing may write to it
    head: Any  # the new head of an encoder, None of a model that writes
    tokenizer: Any

    @property
    def shape(self) -> Shape:
        return self.spec.shape

    @property
    @abstractmethod
    def before(self) -> Any:
        """The method attached again with the run's seed, as it was before the first step. Made once; nothing may write to it."""

    @abstractmethod
    def scored(self, module: Any = None, items: int | None = None) -> Generator[int, None, Scored]:
        """Ask `module` (else the trained one) the first `items` test items (else all); yields how many have been asked."""

    @abstractmethod
    def texts(self, items: int, split: Literal["train", "validation", "test"] = "test") -> list[Any]:
        """The first items as the model reads them: each has `ids` and `label`. Fewer where there are fewer."""

    @abstractmethod
    def batches(self, rows: Sequence[Any], size: int = 32) -> Iterator[Any]:
        """These rows as padded batches in their order: each has `ids` and `mask`, both (batch, tokens), and `labels`."""

    @abstractmethod
    def run(self, module: Any, batch: Any, **arguments: Any) -> Any:
        """The model's own output for a batch, without gradient and in eval mode: `output_hidden_states=True` and the like in `arguments`."""

    @abstractmethod
    def noted(self, topic: str, make: Callable[[], Any]) -> Any:
        """What depends on the base model alone, as JSON values: made once, kept on disk, found again by every later run."""


class Lens(BaseModel, ABC):
    """A way to look inside. Its fields are its knobs, as a method's are."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, ignored_types=(cached_property,))

    key: ClassVar[str]
    title: ClassVar[str]
    about: ClassVar[str]  # what it shows and what that is worth, in two sentences for a student
    source: ClassVar[str] = ""  # paper and section the measure is from
    kind: ClassVar[str]

    @classmethod
    @abstractmethod
    def applies(cls, spec: RunSpec) -> Support:
        """Whether there is something to see in such a run, or why not."""

    @classmethod
    def says(cls, value: Any) -> tuple[str, ...]:
        """One or two plain sentences made of the numbers, with the caveat that belongs to them. `value` is what `look` returned; of a trace a list of
        `Seen`, of an experiment what `shown` returned."""
        return ()

    @classmethod
    @abstractmethod
    def table(cls, value: Any) -> Table:
        """The numbers behind its figure."""


class Trace(Lens):
    """Recorded at step 0, at log-spaced steps and at the end, as `Observed` events; the engine leaves looks out that would cost over 5 % of the run.

    It must not move any random generator but its own: a run with and without traces gives the same curve.
    """

    kind = "trace"

    def begin(self, specimen: Specimen) -> Any:
        """What all looks of a run share, made before the first step."""
        return None

    @abstractmethod
    def look(self, specimen: Specimen, begun: Any, gradients: bool) -> Any:
        """What it sees after so many updates, as plain JSON values. With `gradients`, each trained weight's `.grad` holds the gradient of the batch
        that is learned from next."""


class Probe(Lens):
    """Computed from a finished run, in a worker."""

    kind = "probe"

    @classmethod
    def cost(cls, spec: RunSpec) -> str:
        """What it takes, said before it is asked for: forward passes, operations, or seconds on two cores."""
        return ""

    @abstractmethod
    def look(self, specimen: Specimen) -> Generator[Progress, None, Any]:
        """Yields how far it is, returns what it sees as plain JSON values."""


class Experiment(Lens):
    """Runs planned from one spec, and what they show together. Plain arithmetic over results: the page does both."""

    kind = "experiment"

    @abstractmethod
    def specs(self, spec: RunSpec) -> tuple[RunSpec, ...]:
        """The runs it takes; one that equals a run already there is not made again."""

    @abstractmethod
    def shown(self, spec: RunSpec, results: Sequence[RunResult | None]) -> Any:
        """What the results of `specs`, in that order, show; None for what has not ended, so that something can be seen before all have."""


class Look(BaseModel):
    """A probe of a run, as a job of the store: which run, through which lens, with which knobs."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, ignored_types=(cached_property,))

    run: str
    lens: str
    knobs: dict[str, Any] = {}

    @classmethod
    def parse(cls, data: Any) -> Look:
        """From the dict form. Raises LabError for what is no probe."""
        if not isinstance(data, Mapping):
            raise LabError(f"a look is an object with run and lens: this is {shorten(data)}")
        try:
            look = cls.model_validate(dict(data))
        except ValidationError as error:
            raise explain(error, cls) from None
        return look.model_copy(update={"knobs": look.probe.model_dump(mode="json")})

    @classmethod
    def from_json(cls, text: str) -> Look:
        if len(text) > LONGEST_LOOK:
            raise LabError(f"the look has {len(text):,} characters: at most {LONGEST_LOOK:,}")
        return cls.parse(json.loads(text))

    @cached_property
    def probe(self) -> Probe:
        """The lens with its knobs. Raises LabError for an unknown one, and for a knob out of bounds."""
        return made(self.lens, self.knobs, Probe)

    def to_json(self) -> str:
        return json.dumps(self.model_dump(mode="json"), ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @cached_property
    def fingerprint(self) -> str:
        """Equal looks at the same run have an equal fingerprint."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def made(key: str, knobs: Mapping[str, Any], kind: type[Lens] = Lens) -> Any:
    """A lens of a kind with its knobs. Raises LabError in the lab's words."""
    lens = catalogue.find("lenses", key)
    if not issubclass(lens, kind):
        raise LabError(f'lens is "{key}": it is a {lens.kind}, not a {kind.kind}; there are {", ".join(of_kind(kind))}')
    try:
        return lens.model_validate(dict(knobs))
    except ValidationError as error:
        raise explain(error, lens) from None


def of_kind(kind: type[Lens]) -> dict[str, type[Lens]]:
    return {key: lens for key, lens in catalogue.entries("lenses").items() if issubclass(lens, kind)}


def fitting(spec: RunSpec, kind: type[Lens] = Lens) -> dict[str, type[Lens]]:
    """Those that have something to show of such a run."""
    return {key: lens for key, lens in of_kind(kind).items() if lens.applies(spec).ok}
