"""Whether an arm's times are its own, or the machine's: there are two controls in every comparison.

The same work takes as long with every seed. And every run times the untouched base on one text, which is the same work in all arms.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SPREAD = 1.25  # the slowest over the fastest of a control, from which on a time cannot be told from the machine's load
OVER = f"{100 * (SPREAD - 1):.0f} %"
MARK = "~"  # before such a time, wherever it stands
TIMES = {  # of an arm, in words; those over the base's are shares of what the untouched base took in the same turn
    "step_seconds": "a step", "train_seconds": "training", "total_seconds": "the whole run", "answer_seconds": "an answer", "alone_seconds": "one text",
    "merged_seconds": "one text, merged", "alone_times": "one text over the base's", "merged_times": "one text, merged, over the base's",
}
OVER_BASE = ("alone_times", "merged_times")  # a busy machine hits both sides of them
UNSAID = ("total_seconds", "alone_seconds", "merged_seconds")  # stand in no table, or there over the base's


def shaken(values: Iterable[float | None]) -> bool:
    """One time alone shows nothing."""
    known = [value for value in values if value]
    return len(known) > 1 and max(known) > SPREAD * min(known)


def mark(arms: Sequence[dict[str, Any]], timed: Mapping[str, Sequence[Mapping[str, Any]]] | None = None) -> None:
    """Puts into each arm its times, by their keys, that cannot be told from the machine's load; `timed` are the runs that its times are of, if not all."""
    busy = _busier(arms)
    for arm in arms:
        runs = arm["runs"] if timed is None else timed[arm["name"]]
        arm["loaded"] = [key for key in TIMES if shaken(run[key] for run in runs) or (arm["name"] in busy and arm[key] and key not in OVER_BASE)]


def _busier(arms: Sequence[Mapping[str, Any]]) -> set[str]:
    """Arms beside which the untouched base took longer than beside another one of the same machine: a machine is only ever made slower by load."""
    alike: dict[tuple[Any, ...], list[tuple[float, str]]] = {}
    for arm in arms:
        if arm.get("base_seconds"):
            spec = arm["spec"]
            dtype = next((run["dtype"] for run in arm["runs"] if run["dtype"]), None)
            same = (*(spec[key] for key in ("model", "quantization", "task", "tokens")), dtype, arm.get("elsewhere", ""))
            alike.setdefault(same, []).append((arm["base_seconds"], arm["name"]))
    return {name for group in alike.values() for seconds, name in group if seconds > SPREAD * min(group)[0]}


def said(arms: Sequence[Mapping[str, Any]]) -> str:
    """What the mark means and where it stands; nothing where all times are steady."""
    found = [(arm["name"], [TIMES[key] for key in arm["loaded"] if key not in UNSAID]) for arm in arms]
    listed = "; ".join(f"{name}: {', '.join(words)}" for name, words in found if words)
    return (f"{MARK} marks a time that cannot be told from what else the machine was doing ({listed}). The same work takes as long with every seed, and the "
            f"untouched base as long beside every arm; here one of them differs by more than {OVER}. Such a time is drawn hollow, and counts in no front "
            "and no trade-off.") if listed else ""
