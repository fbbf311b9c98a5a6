"""What happens in a run: frozen events, one JSON line each, and the fold that turns a stream of them into a result.

    Preparing* → Started → (Stepped | Evaluated | Observed)* → Finished | Failed | Cancelled

A run whose machine was lost may begin anew: Restarted stands for "what came before does not count".

The fold is the only way a result is made: a live run, a past run and a recorded run are shown by the same code.
"""
from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any, ClassVar

from lab.contracts import LabError

SCHEMA = 1
LAST_STEPS = 10  # behind the loss on training texts: one batch alone is noise


@dataclass(frozen=True)
class Preparing:
    """Weights or data are being fetched or converted; `total_bytes` is 0 where it is not known."""

    name: ClassVar[str] = "preparing"
    what: str
    done_bytes: int = 0
    total_bytes: int = 0


@dataclass(frozen=True)
class Started:
    """Everything that fixes a run: the spec, hashes of weights and data, versions, counts and the machine's choices."""

    name: ClassVar[str] = "started"
    spec: dict[str, Any]
    fingerprint: str
    weights_sha256: str
    data_sha256: str
    versions: dict[str, str]
    counts: dict[str, Any]
    device: str
    dtype: str
    threads: int
    items: dict[str, int]  # texts in train, validation and test as used
    predicted: dict[str, Any] = field(default_factory=dict)  # memory of a step, estimated before the run
    time: str = ""  # UTC, ISO 8601


@dataclass(frozen=True)
class Stepped:
    """The loop reached `step`. `losses` holds [step, loss] of every step since the last such event, this one included."""

    name: ClassVar[str] = "stepped"
    step: int
    loss: float
    lr: float
    seconds: float  # since the first step began
    losses: list[list[float]] = field(default_factory=list)
    tokens: int = 0  # real tokens seen so far, padding and virtual tokens left out


@dataclass(frozen=True)
class Evaluated:
    """A score with its standard error. `who` is majority, base, prompt, untrained, tuned, or reloaded where that is another model; `split` is validation
    or test."""

    name: ClassVar[str] = "evaluated"
    step: int
    who: str
    split: str
    metric: str
    score: float
    standard_error: float
    items: int
    loss: float | None = None
    seconds: float = 0.0
    more: dict[str, list[float]] = field(default_factory=dict)  # further metrics of the same answers: {name: [score, standard error]}


@dataclass(frozen=True)
class Observed:
    """What a lens saw at a step; `samples` (answers) and `memory` (bytes of one step) are the engine's own lenses."""

    name: ClassVar[str] = "observed"
    step: int
    lens: str
    value: Any


@dataclass(frozen=True)
class Restarted:
    """The machine that ran it was lost, and the run begins anew on another: what was told before this event no longer counts."""

    name: ClassVar[str] = "restarted"
    attempt: int  # 2 for the second start
    reason: str


@dataclass(frozen=True)
class Finished:
    name: ClassVar[str] = "finished"
    step: int
    seconds: dict[str, float]  # first_step, training, total
    steps_per_second: float
    adapter_bytes: int = 0
    compiled: float | None = None  # share of the steps whose blocks all ran as compiled code; None where that was not noted


@dataclass(frozen=True)
class Failed:
    """Why a run ended early, in a student's words, and what to change; `detail` is for whoever hosts the lab."""

    name: ClassVar[str] = "failed"
    reason: str
    advice: str = ""
    knob: str = ""
    step: int = 0
    detail: str = ""


@dataclass(frozen=True)
class Cancelled:
    name: ClassVar[str] = "cancelled"
    step: int
    reason: str = "stopped by request"


Event = Preparing | Started | Stepped | Evaluated | Observed | Restarted | Finished | Failed | Cancelled
KINDS = {kind.name: kind for kind in (Preparing, Started, Stepped, Evaluated, Observed, Restarted, Finished, Failed, Cancelled)}
ENDS = (Finished, Failed, Cancelled)


def to_json(event: Event) -> str:
    """One line; not-a-number is written as null, since JSON has no such number."""
    return json.dumps({"event": event.name, **finite(asdict(event))}, ensure_ascii=False, separators=(",", ":"))


def from_json(line: str) -> Event:
    record = json.loads(line)
    kind = KINDS.get(record.pop("event", None))
    if kind is None:
        raise LabError(f"not an event of the lab: {line[:80]}")
    known = kind.__dataclass_fields__
    return kind(**{key: value for key, value in record.items() if key in known})


def finite(value: Any) -> Any:
    """A value as JSON has it: None in place of each number that is none, however deep."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Mapping):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return value


@dataclass(frozen=True)
class RunResult:
    """What is known of a run after some of its events. `to_dict` is result.json."""

    state: str = "queued"  # queued, preparing, running, finished, failed, cancelled
    reason: str = ""
    advice: str = ""
    knob: str = ""
    step: int = 0
    preparing: Preparing | None = None
    started: Started | None = None
    losses: tuple[tuple[int, float | None], ...] = ()
    lr: float = 0.0
    tokens: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    steps_per_second: float = 0.0
    scores: Mapping[str, Evaluated] = field(default_factory=dict)  # who → last score on test items
    evaluations: tuple[Evaluated, ...] = ()
    observed: tuple[Observed, ...] = ()
    adapter_bytes: int = 0
    compiled: float | None = None

    @property
    def last_loss(self) -> float | None:
        """On the last training texts, each batch taken before it was learned from."""
        known = [loss for _, loss in self.losses[-LAST_STEPS:] if finite(loss) is not None]
        return fmean(known) if known else None

    def seen(self, lens: str) -> Any:
        """The last value a lens reported, or None."""
        return next((seen.value for seen in reversed(self.observed) if seen.lens == lens), None)

    def to_dict(self) -> dict[str, Any]:
        started = self.started
        return finite({
            "schema": SCHEMA,
            "state": self.state,
            "reason": self.reason,
            "advice": self.advice,
            "knob": self.knob,
            "step": self.step,
            "spec": started.spec if started else None,
            "fingerprint": started.fingerprint if started else None,
            "weights_sha256": started.weights_sha256 if started else None,
            "data_sha256": started.data_sha256 if started else None,
            "versions": started.versions if started else {},
            "device": started.device if started else None,
            "dtype": started.dtype if started else None,
            "threads": started.threads if started else None,
            "items": started.items if started else {},
            "started": started.time if started else None,
            "counts": started.counts if started else {},
            "scores": {who: _score(seen) for who, seen in self.scores.items()},
            "losses": [list(pair) for pair in self.losses],
            "evaluations": [asdict(seen) for seen in self.evaluations],
            "memory": {"measured": self.seen("memory"), "predicted": started.predicted if started else None},
            "seconds": dict(self.seconds),
            "steps_per_second": self.steps_per_second,
            "tokens": self.tokens,
            "samples": self.seen("samples") or [],
            "observed": [asdict(seen) for seen in self.observed if seen.lens not in ("samples", "memory", "scoring")],
            "adapter_bytes": self.adapter_bytes,
            "compiled": self.compiled,
        })


def _score(seen: Evaluated) -> dict[str, Any]:
    return {"metric": seen.metric, "score": seen.score, "standard_error": seen.standard_error, "items": seen.items,
            **({"more": seen.more} if seen.more else {})}


def fold(events: Iterable[Event]) -> RunResult:
    """The result of a run so far, from its events alone, in time linear in their number."""
    known: dict[str, Any] = {}
    losses: list[tuple[int, float | None]] = []
    evaluations: list[Evaluated] = []
    observed: list[Observed] = []
    scores: dict[str, Evaluated] = {}
    for event in events:
        match event:
            case Preparing():
                known |= {"state": "preparing", "preparing": event}
            case Started():
                known |= {"state": "running", "started": event}
            case Stepped():
                losses += [(int(step), loss) for step, loss in event.losses] or [(event.step, event.loss)]
                known |= {"state": "running", "step": event.step, "lr": event.lr, "tokens": event.tokens,
                          "seconds": {"training": event.seconds},
                          "steps_per_second": event.step / event.seconds if event.seconds else 0.0}
            case Evaluated():
                evaluations.append(event)
                if event.split == "test":
                    scores[event.who] = event
            case Observed():
                observed.append(event)
            case Restarted():
                for told in (losses, evaluations, observed, scores):
                    told.clear()
                known = {"state": "preparing", "preparing": Preparing(f"start {event.attempt}: {event.reason}")}
            case Finished():
                known |= {"state": "finished", "step": event.step, "seconds": event.seconds,
                          "steps_per_second": event.steps_per_second, "adapter_bytes": event.adapter_bytes, "compiled": event.compiled}
            case Failed():
                known |= {"state": "failed", "reason": event.reason, "advice": event.advice, "knob": event.knob,
                          "step": max(event.step, known.get("step", 0))}
            case Cancelled():
                known |= {"state": "cancelled", "reason": event.reason, "step": max(event.step, known.get("step", 0))}
    return RunResult(**known, losses=tuple(losses), evaluations=tuple(evaluations), observed=tuple(observed), scores=scores)
