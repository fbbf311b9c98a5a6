"""How fast runs go on this machine, from those that went, and so when each of the queue begins."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from lab.contracts import LabError
from lab.spec import RunSpec
from lab.store import Run, Store
from lab.ui.recent import Recent

REMEMBERED = 512  # past runs whose pace is kept
QUEUE_SECONDS = 1.0
LOOKED_AT = 40  # of the newest runs of a model


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


class Paces:
    """What many ask for at the same moment is worked out once."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._pasts: OrderedDict[str, Past] = OrderedDict()
        self._order: Recent[dict[str, int]] = Recent(QUEUE_SECONDS)
        self._queue: Recent[list[float | None]] = Recent(QUEUE_SECONDS)
        self._newest: dict[str, Recent[list[Run]]] = {}  # by model of the catalogue

    def of(self, spec: RunSpec) -> Pace | None:
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
        if spec.dtype != "auto":
            return spec.dtype
        for run in self._finished(spec):
            if run.settings["dtype"] == "auto":
                return self._past(run).dtype
        return "auto"

    def _finished(self, spec: RunSpec) -> list[Run]:
        """The newest finished runs of the same model, whoever made them; looked up once for all who ask, until another run ends."""
        def look() -> list[Run]:
            found = self.store.history(None, state="finished", search=str(spec.model), limit=LOOKED_AT)
            return [run for run in found if run.settings["model"] == spec.model]

        if not isinstance(spec.model, str):
            return look()
        return self._newest.setdefault(spec.model, Recent(QUEUE_SECONDS)).get(self.store.ends_mark(), look)

    def waits(self, waiting: Sequence[Run], workers: int) -> list[float | None]:
        """Seconds until each of the runs of the queue begins, as far as it is looked through; None from the first on whose time is not known."""
        running = self.store.history(None, state="running", limit=workers)
        known: dict[tuple[Any, ...], float | None] = {}  # a class waits with much the same runs
        for run in waiting[:LOOKED_AT]:
            if (alike := _alike(run)) not in known:
                known[alike] = self._left(run)
        times = [*map(self._left, running), *(known[_alike(run)] for run in waiting[:LOOKED_AT])]
        found: list[float | None] = []
        for place in range(len(waiting)):
            ahead = times[: len(running) + place]
            found.append(None if None in ahead or place >= LOOKED_AT else sum(ahead) / workers)
        return found

    def place(self, run: Run) -> int:
        """Of a run in the queue, 1 for the next; 0 for any other. Looked up once for all who wait, whenever the queue changes."""
        if run.state != "queued":
            return 0
        order = self._order.get(self.store.queue_mark(), lambda: {each: place for place, each in enumerate(self.store.order(), 1)})
        return order.get(run.id) or self.store.place(run.id)

    def wait(self, place: int, workers: int) -> float | None:
        """Seconds until the run at this place of the queue begins, by the pace of runs like those before it; None where one of them is not known. Worked
        out once a second, or when the queue changes: a class asks for it all at once."""
        as_it_is = workers, self.store.queue_mark()
        found = self._queue.get(as_it_is, lambda: self.waits(self.store.queue(limit=LOOKED_AT), workers), lambda found: len(found) >= min(place, LOOKED_AT))
        return found[place - 1] if place <= len(found) else None

    def _left(self, run: Run) -> float | None:
        """Seconds that a run has before it."""
        try:
            pace = self.of(run.spec)
        except LabError:
            return None
        done = self.store.step(run.id) if run.state == "running" else 0
        return pace.total(run.spec.steps - done) if pace else None

    def _past(self, run: Run) -> Past:
        if run.id not in self._pasts:
            while len(self._pasts) >= REMEMBERED:
                self._pasts.popitem(last=False)
            result = self.store.result(run.id)
            rest = max(0.0, result.seconds.get("total", 0.0) - result.seconds.get("training", 0.0))
            self._pasts[run.id] = Past(result.steps_per_second, rest, result.started.dtype if result.started else "auto")
        return self._pasts[run.id]


def _alike(run: Run) -> tuple[Any, ...]:
    """Runs for which this is the same take the same time."""
    settings = run.settings
    method = settings.get("method")
    name = method.get("name") if isinstance(method, Mapping) else ""
    return (run.kind, name, *(str(settings.get(key)) for key in ("model", "steps", "batch", "tokens", "eval_items")))
