"""How long one text takes alone, at the end of a run: asked of the untouched base, of what was trained beside it, and of both merged, in turn."""
from __future__ import annotations

import time
from contextlib import suppress
from statistics import median
from typing import Any

from lab.contracts import LabError
from lab.engine.answering import Speaker, speaking, untouched
from lab.engine.job import Job
from lab.engine.reload import Tuned
from lab.engine.shelf import merged
from lab.engine.texts import Batch
from lab.serving import forms

CALLS = 5  # of each form, behind one that makes things warm


def alone(job: Job, tuned: Tuned) -> dict[str, Any]:
    """{"base", "tuned", "merged": seconds, the median of the calls, or None where there is nothing to merge; "tokens" of the text, "calls"}.

    The saved adapter is loaded as anybody would load it, without the lab's faster blocks. The text is the first of the test items. A written answer is
    timed to its first token: how many follow is not the same for all, and would be timed as well.
    """
    speakers = {"base": untouched(tuned), "tuned": speaking(tuned)}
    if forms(job.spec)["merged"].ok:
        with suppress(LabError):  # no such form after all: then none is timed
            speakers["merged"] = speaking(merged(tuned))
    text, found = job.texts.asked[0].text, {name: [] for name in speakers}
    for _ in range(CALLS + 1):
        for name, speaker in speakers.items():
            began = time.perf_counter()
            _answered(speaker, speaker.batch(text), job.spec.goal.writes)  # reading it into tokens is part of answering
            found[name].append(time.perf_counter() - began)
    middle = {name: round(median(seconds[1:]), 6) for name, seconds in found.items()}
    return {"base": middle["base"], "tuned": middle["tuned"], "merged": middle.get("merged"), "calls": CALLS,
            "tokens": len(speakers["base"].batch(text).ids[0])}


def _answered(speaker: Speaker, batch: Batch, writes: bool) -> None:
    if writes:
        "".join(speaker.pieces(batch, 1))
    else:
        speaker.once(batch)
