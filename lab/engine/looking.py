"""A probe of a finished run, as a stream of events like any other job: what it sees is an `Observed` event before the end."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lab.contracts import LabError
from lab.engine import diagnosis
from lab.engine.specimen import reopened
from lab.engine.workshop import Workshop
from lab.events import Cancelled, Event, Finished, Observed
from lab.lens import Look

EVENT_SECONDS = 0.5
PROGRESS = "progress"  # the name under which a look tells how far it is


def look(asked: Look, folder: Path, workshop: Workshop, cancelled: Callable[[], bool] = lambda: False) -> Iterator[Event]:
    """Look at the run in `folder`. The last event is Finished, Failed or Cancelled."""
    began, told_at = time.perf_counter(), 0.0
    try:
        probe = asked.probe
        with workshop.compiler.making_way():
            specimen = yield from reopened(folder, workshop)
            spec = specimen.spec
            fits = probe.applies(spec)
            if not fits.ok:
                raise LabError(f"{probe.title}: {fits.reason}")
            looking = probe.look(specimen)
            while True:
                if cancelled():
                    yield Cancelled(spec.steps)
                    return
                try:
                    done, of = next(looking)
                except StopIteration as end:
                    yield Observed(spec.steps, probe.key, end.value)
                    break
                if time.perf_counter() - told_at >= EVENT_SECONDS:
                    told_at = time.perf_counter()
                    yield Observed(spec.steps, PROGRESS, {"done": done, "of": of})
            if not workshop.check(specimen.job.pristine):
                raise LabError("the base model was changed by this look; it is read again for the next one, and this result must not be trusted")
            yield Finished(spec.steps, {"total": round(time.perf_counter() - began, 4)}, 0.0)
    except Exception as error:
        yield diagnosis.diagnose_look(error)
