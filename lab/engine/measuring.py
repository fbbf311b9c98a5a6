"""A measurement made here, as a stream of events like any other job: what was measured is an `Observed` event before the end."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from lab.engine import diagnosis
from lab.engine.workshop import Workshop
from lab.events import Cancelled, Event, Finished, Observed
from lab.measurement import MEASURED, PROGRESS, Measuring


def measure(asked: Measuring, workshop: Workshop, cancelled: Callable[[], bool] = lambda: False) -> Iterator[Event]:
    """The last event is Finished, Failed or Cancelled."""
    began, told = time.perf_counter(), None
    try:
        with workshop.compiler.making_way():
            going = asked.made.measure(workshop)
            while True:
                if cancelled():
                    going.close()  # lets go of what it trains, and of its folder
                    yield Cancelled(0)
                    return
                try:
                    progress = next(going)
                except StopIteration as end:
                    yield Observed(0, MEASURED, end.value)
                    break
                if progress != told and progress is not None:
                    told = progress
                    yield Observed(0, PROGRESS, {"done": progress[0], "of": progress[1]})
        yield Finished(0, {"total": round(time.perf_counter() - began, 4)}, 0.0)
    except Exception as error:
        yield diagnosis.diagnose_measurement(error)
    finally:
        workshop.check_all()  # some merge or fill what they have opened: a base that was touched is read again for the next run
