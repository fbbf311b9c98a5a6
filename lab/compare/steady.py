"""Whether an arm's times are its own: the same work takes as long with every seed, and where it did not, the machine was busy with something else."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SPREAD = 1.25  # the slowest seed's time over the fastest one's, from which on a time cannot be told from the machine's load
OVER = f"{100 * (SPREAD - 1):.0f} %"
MARK = "~"  # before such a time, wherever it stands
TIMES = {  # of an arm, in words; those over the base's are shares of what the untouched base took in the same turn
    "step_seconds": "a step", "train_seconds": "training", "total_seconds": "the whole run", "answer_seconds": "an answer", "alone_seconds": "one text",
    "merged_seconds": "one text, merged", "alone_times": "one text over the base's", "merged_times": "one text, merged, over the base's",
}
UNSAID = ("total_seconds", "alone_seconds", "merged_seconds")  # stand in no table, or there over the base's


def shaken(values: Iterable[float | None]) -> bool:
    """One time alone shows nothing."""
    known = [value for value in values if value]
    return len(known) > 1 and max(known) > SPREAD * min(known)


def loaded(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The times of an arm, by their keys, that its runs do not agree on."""
    return [key for key in TIMES if shaken(run[key] for run in runs)]


def said(arms: Sequence[Mapping[str, Any]]) -> str:
    """What the mark means and where it stands; nothing where all times are steady."""
    found = [(arm["name"], [TIMES[key] for key in arm.get("loaded", ()) if key not in UNSAID]) for arm in arms]
    listed = "; ".join(f"{name}: {', '.join(words)}" for name, words in found if words)
    return (f"{MARK} marks a time on which the seeds of an arm differ by more than {OVER} ({listed}). The same work takes as long with every "
            "seed, so it cannot be told from what else the machine was doing: it is drawn hollow, and counts in no front and no trade-off.") if listed else ""
