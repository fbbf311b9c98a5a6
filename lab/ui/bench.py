"""What the tabs share: the store, the recorded runs, the limits, and what is known of this machine's pace."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from lab.contracts import LabError
from lab.recording import Recorded
from lab.spec import RunSpec
from lab.store import Run, Store

REMEMBERED = 512  # paces of past runs
LOOKED_AT = 40  # of the newest runs of a model


@dataclass(frozen=True)
class Limits:
    """How much one browser, and all together, may ask for at a time."""

    waiting: int = 4
    queue: int = 200
    steps: int = 5000


@dataclass(frozen=True)
class Bench:
    """Handed to every tab by the composition; a tab keeps nothing of its own."""

    store: Store
    recorded: Sequence[Recorded] = ()
    limits: Limits = Limits()
    workers: Callable[[], Sequence[Any]] = tuple  # as the runner reports them: name, state …
    hashes: Callable[[RunSpec], tuple[str, str]] = lambda spec: ("", "")  # of the weights and data that lie here, "" where they do not
    paces: OrderedDict[str, float] = field(default_factory=OrderedDict)

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

    def pace(self, spec: RunSpec) -> tuple[float, str] | None:
        """Steps a second of past runs of the same model and method, and where that comes from; None where there are none."""
        alike = [run for run in self.store.history(None, state="finished", search=str(spec.model), limit=LOOKED_AT) if _alike(run.settings, spec)]
        same = [run for run in alike if all(run.settings[key] == getattr(spec, key) for key in ("batch", "tokens"))]
        rates = [rate for run in (same or alike)[:5] if (rate := self._rate(run))]
        if not rates:
            return None
        runs = f"{len(rates)} past run" + "s" * (len(rates) > 1)
        return median(rates), f"as in {runs} here" if same else f"roughly, from {runs} with another batch or text length"

    def wait(self, place: int, workers: int) -> float | None:
        """Seconds until the run at this place of the queue begins, by the pace of runs like those before it; None where one of them is not known."""
        running = self.store.history(None, state="running", limit=workers)
        ahead = sorted(self.store.history(None, state="queued", limit=LOOKED_AT), key=lambda run: (-run.priority, run.number))[: place - 1]
        times = [self._left(run) for run in (*running, *ahead)]
        return None if None in times or place > LOOKED_AT else sum(times) / workers

    def _left(self, run: Run) -> float | None:
        """Seconds of training that a run has before it."""
        try:
            pace = self.pace(run.spec)
        except LabError:
            return None
        done = self.store.result(run.id).step if run.state == "running" else 0
        return (run.spec.steps - done) / pace[0] if pace else None

    def _rate(self, run: Run) -> float:
        if run.id not in self.paces:
            while len(self.paces) >= REMEMBERED:
                self.paces.popitem(last=False)
            self.paces[run.id] = self.store.result(run.id).steps_per_second
        return self.paces[run.id]


def _alike(settings: dict[str, Any], spec: RunSpec) -> bool:
    return settings["model"] == spec.model and settings["method"]["name"] == spec.method.key
