"""What the tabs share: the store, the recorded runs, the limits, and what is known of this machine's pace."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median
from typing import Any

from lab import catalogue
from lab.contracts import LabError
from lab.forecast.forecaster import Forecaster
from lab.recording import Recorded
from lab.spec import RunSpec
from lab.store import Run, Store
from lab.sweeping import Sweep
from lab.ui.desk import Desk

REMEMBERED = 512  # past runs whose pace is kept
LOOKED_AT = 40  # of the newest runs of a model


@dataclass(frozen=True)
class Limits:
    """How much one browser, and all together, may ask for at a time."""

    waiting: int = 4
    queue: int = 200
    steps: int = 5000


@dataclass(frozen=True)
class Past:
    """What a finished run tells of this machine."""

    steps_per_second: float
    rest: float  # seconds beside the training: the loading, and above all the scoring
    dtype: str


@dataclass(frozen=True)
class Pace:
    """How fast runs like this one went here, and where that comes from."""

    steps_per_second: float
    rest: float  # seconds beside the training, for as many test texts as this run has
    source: str

    def total(self, steps: int) -> float:
        return (steps / self.steps_per_second if steps else 0.0) + self.rest


@dataclass(frozen=True)
class Bench:
    """Handed to every tab by the composition; a tab keeps nothing of its own."""

    store: Store
    recorded: Sequence[Recorded] = ()
    limits: Limits = Limits()
    workers: Callable[[], Sequence[Any]] = tuple  # as the runner reports them: name, state …
    hashes: Callable[[RunSpec], tuple[str, str]] = lambda spec: ("", "")  # of the weights and data that lie here, "" where they do not
    sweeps: Mapping[tuple[str, str], Sweep] = field(default_factory=dict)  # (model, method) → the learning rates that were tried
    forecaster: Forecaster | None = None  # foretells memory with a process of its own, which is started when first needed
    pasts: OrderedDict[str, Past] = field(default_factory=OrderedDict)

    @cached_property
    def desk(self) -> Desk:
        """Where all tabs ask for a foretold step: one queue for one tracing process."""
        return Desk(self.forecaster)

    def submit(self, spec: RunSpec, owner: str) -> Run:
        """Queue a run. Raises LabError where a limit of this lab is reached."""
        if spec.steps > self.limits.steps:
            raise LabError(f"steps is {spec.steps:,}: this lab allows {self.limits.steps:,}")
        if self.store.waiting(owner) >= self.limits.waiting:
            raise LabError(f"{self.limits.waiting} of your runs are waiting or running: let one end, or stop one")
        if self.store.waiting() >= self.limits.queue:
            raise LabError("the lab's queue is full: try again in a minute")
        return self.store.submit(spec, owner)

    def made_before(self, spec: RunSpec) -> bool:
        """Whether a finished run of the same spec, weights and data is in the history, whoever made it."""
        return self.store.has_equal(spec, *self.hashes(spec))

    def again(self, spec: RunSpec, owner: str) -> Run:
        """That run's result as a run of this browser. Raises LabError where it is gone."""
        run = self.store.reuse(owner, spec, *self.hashes(spec))
        if run is None:
            raise LabError("that run has been deleted meanwhile: press Train to make it again")
        return run

    def mine(self, run_id: str, owner: str) -> Run:
        """A run that this browser may change. Raises LabError for anybody else's."""
        run = self.store.run(run_id)
        if not owner or run.owner != owner:
            raise LabError("only the browser that started this run can change it")
        return run

    def pace(self, spec: RunSpec) -> Pace | None:
        """Median of past runs of the same model and method; None where there are none."""
        alike = [run for run in self._finished(spec) if run.settings["method"]["name"] == spec.method.key]
        same = [run for run in alike if all(run.settings[key] == getattr(spec, key) for key in ("batch", "tokens"))]
        seen = [(self._past(run), run.settings["eval_items"]) for run in (same or alike)[:5]]
        seen = [(past, items) for past, items in seen if past.steps_per_second or not spec.steps]
        if not seen:
            return None
        runs = f"{len(seen)} past run" + "s" * (len(seen) > 1)
        return Pace(median(past.steps_per_second for past, _ in seen), median(past.rest / items for past, items in seen) * spec.eval_items,
                    f"as in {runs} here" if same else f"roughly, from {runs} with another batch or text length")

    def dtype(self, spec: RunSpec) -> str:
        """The number format this machine will calculate in, as the newest past run of the same model did; `auto` where that is not known."""
        if spec.dtype != "auto" or spec.method.trains_base:
            return spec.dtype if spec.dtype != "auto" else "float32"
        for run in self._finished(spec):
            kind = catalogue.entries("methods").get(run.settings["method"]["name"])
            if run.settings["dtype"] == "auto" and kind and not kind.trains_base:
                return self._past(run).dtype
        return "auto"

    def _finished(self, spec: RunSpec) -> list[Run]:
        """The newest finished runs of the same model, whoever made them."""
        found = self.store.history(None, state="finished", search=str(spec.model), limit=LOOKED_AT)
        return [run for run in found if run.settings["model"] == spec.model]

    def wait(self, place: int, workers: int) -> float | None:
        """Seconds until the run at this place of the queue begins, by the pace of runs like those before it; None where one of them is not known."""
        running = self.store.history(None, state="running", limit=workers)
        ahead = sorted(self.store.history(None, state="queued", limit=LOOKED_AT), key=lambda run: (-run.priority, run.number))[: place - 1]
        times = [self._left(run) for run in (*running, *ahead)]
        return None if None in times or place > LOOKED_AT else sum(times) / workers

    def _left(self, run: Run) -> float | None:
        """Seconds that a run has before it."""
        try:
            pace = self.pace(run.spec)
        except LabError:
            return None
        done = self.store.result(run.id).step if run.state == "running" else 0
        return pace.total(run.spec.steps - done) if pace else None

    def _past(self, run: Run) -> Past:
        if run.id not in self.pasts:
            while len(self.pasts) >= REMEMBERED:
                self.pasts.popitem(last=False)
            result = self.store.result(run.id)
            rest = max(0.0, result.seconds.get("total", 0.0) - result.seconds.get("training", 0.0))
            self.pasts[run.id] = Past(result.steps_per_second, rest, result.started.dtype if result.started else "auto")
        return self.pasts[run.id]
