"""Whether an arm's times are its own, or the machine's: there are two controls in every comparison.

The same work takes as long with every seed. And every run times the untouched base on one text, which is the same work in all arms.

Nor is a step's time the method's own where some arms ran as compiled code and others as written: which of them had code ready hangs on what ran before.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lab.compare.says import listed

SPREAD = 1.25  # the slowest over the fastest of a control, from which on a time cannot be told from the machine's load
OVER = f"{100 * (SPREAD - 1):.0f} %"
FEW = 0.1  # of a run's steps
MARK = "~"  # before such a time, wherever it stands
TIMES = {  # of an arm, in words; those over the base's are shares of what the untouched base took in the same turn
    "step_seconds": "a step", "train_seconds": "training", "total_seconds": "the whole run", "answer_seconds": "an answer", "alone_seconds": "one text",
    "merged_seconds": "one text, merged", "alone_times": "one text over the base's", "merged_times": "one text, merged, over the base's",
}
OVER_BASE = ("alone_times", "merged_times")  # a busy machine hits both sides of them
TRAINING = ("step_seconds", "train_seconds", "total_seconds")  # are shorter in compiled code
UNSAID = ("total_seconds", "alone_seconds", "merged_seconds")  # stand in no table, or there over the base's


def shaken(values: Iterable[float | None]) -> bool:
    """One time alone shows nothing."""
    known = [value for value in values if value]
    return len(known) > 1 and max(known) > SPREAD * min(known)


def mark(arms: Sequence[dict[str, Any]], timed: Mapping[str, Sequence[Mapping[str, Any]]] | None = None) -> None:
    """Puts into each arm its times, by their keys, that cannot be told from the machine's load; `timed` are the runs that its times are of, if not all."""
    runs = {arm["name"]: arm["runs"] if timed is None else timed[arm["name"]] for arm in arms}
    busy, other = _busier(arms), _otherwise(arms, runs)
    for arm in arms:
        name = arm["name"]
        arm["uneven"] = name in other
        arm["loaded"] = [key for key in TIMES if shaken(run[key] for run in runs[name])
                         or (arm.get(key) and ((name in busy and key not in OVER_BASE) or (name in other and key in TRAINING)))]


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


def _otherwise(arms: Sequence[Mapping[str, Any]], runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> set[str]:
    """Arms that ran as compiled code where most others of their machine ran as written, or the other way; all, where neither way is the usual one."""
    ways = {arm["name"]: {_way(run.get("compiled")) for run in runs[arm["name"]]} - {""} for arm in arms}
    found: set[str] = set()
    for place in {arm.get("elsewhere", "") for arm in arms}:
        here = [arm["name"] for arm in arms if arm.get("elsewhere", "") == place and ways[arm["name"]]]
        usual = Counter(way for name in here for way in ways[name]).most_common(2)
        if len(usual) > 1:
            found |= {name for name in here if usual[0][1] == usual[1][1] or ways[name] != {usual[0][0]}}
    return found


def _way(share: float | None) -> str:
    return "" if share is None else "as written" if share < FEW else "compiled" if share > 1 - FEW else "partly compiled"


def said(arms: Sequence[Mapping[str, Any]]) -> str:
    """What the mark means; nothing where all times are steady."""
    if not any(set(arm["loaded"]) - set(UNSAID) for arm in arms):
        return ""
    uneven = [arm["name"] for arm in arms if arm["uneven"]]
    busy = any(set(arm["loaded"]) - set(TRAINING if arm["uneven"] else ()) - set(UNSAID) for arm in arms)
    causes = [*([f"the same work took over {OVER} longer at one moment than at another"] if busy else []),
              *([f"some arms trained as compiled code and others did not ({listed(uneven)})"] if uneven else [])]
    return (f"{MARK} marks a time that may be the machine's and not the method's: {', and '.join(causes)}. It is drawn hollow, and counts in no front and no "
            "trade-off.")
