"""What lenses record while a run trains: at step 0, at log-spaced steps and at the end, for at most 5 % of its time."""
from __future__ import annotations

import time
from collections.abc import Iterator

from lab.engine.job import Job
from lab.engine.specimen import Opened
from lab.events import Observed
from lab.lens import Trace, fitting

SHARE = 0.05  # of the time of the training, for all traces together
PER_DECADE = 4  # looks at 1, 2, 3, 6, 10, 18, 32, 56, 100 …


def looked_at(steps: int) -> tuple[int, ...]:
    """After how many updates to look; one that would fall just before the end is left out."""
    spaced = {round(10 ** (place / PER_DECADE)) for place in range(1 + 4 * PER_DECADE)}
    return (0, *sorted(step for step in spaced if step < steps * 0.9), steps)


class Traces:
    """Of one run. What all looks share is made at once, before the first step is timed."""

    def __init__(self, job: Job) -> None:
        self.specimen = Opened(job)
        self.due = set(looked_at(job.spec.steps))
        self.steps, self.spent, self.dearest, self.step_seconds = job.spec.steps, 0.0, 0.0, 0.0
        self.lenses = [(lens, lens.begin(self.specimen)) for lens in (kind() for kind in fitting(job.spec, Trace).values())]

    def paced(self, step_seconds: float) -> None:
        """How long a step takes: what a look may cost goes by that."""
        self.step_seconds = step_seconds

    def look(self, step: int, gradients: bool) -> Iterator[Observed]:
        """What the lenses see after `step` updates, if it is time for a look; the first and the last are never left out."""
        affordable = self.spent + 2 * self.dearest <= SHARE * self.step_seconds * self.steps  # once more for the end
        if not self.lenses or step not in self.due or (0 < step < self.steps and not affordable):
            return
        self.due.remove(step)
        began = time.perf_counter()
        training = self.specimen.module.training
        seen = [Observed(step, lens.key, lens.look(self.specimen, begun, gradients)) for lens, begun in self.lenses]
        self.specimen.module.train(training)
        self.spent, self.dearest = self.spent + time.perf_counter() - began, max(self.dearest, time.perf_counter() - began)
        yield from seen
