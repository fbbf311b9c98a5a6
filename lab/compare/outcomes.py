"""What a comparison can be about: each outcome with how it is read from a run, which end of it is better, and the words of its verdicts.

A verdict is made from differences, seed by seed. What is naturally told in times (perplexity, seconds, bytes) is compared by its logarithm.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import fmean
from typing import Any

from lab.compare import says
from lab.compare.comparison import TRAINING_LOSS, Comparison
from lab.metrics import METRICS

FEWEST_ARMS = 2  # with a value, for an outcome to be offered
KIND = "kind:"  # before the name of a kind of test items
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """`of` reads a run's value, as it is compared. `factor` where that is a logarithm, so that a gap is told in times: of what, or "" where `ahead` says it."""

    key: str
    title: str  # in a menu
    ahead: str  # stands between the better arm and the worse one
    of: Callable[[Row, Row], float | None]  # (run, its arm)
    metric: str = ""  # in whose digits and unit an amount is told
    better: int = -1
    factor: str | None = None
    unit: str = ""  # of the number whose logarithm it is
    grain: float = 0.0  # the smallest step it can have
    timed: bool = False  # of a machine: two machines' are not held against each other
    bytes: bool = False  # hangs on the number format, as times do
    note: str = ""  # what its verdicts do not say

    def said(self, value: float) -> str:
        if self.factor is None:
            return says.number(value, self.metric)
        number = exp(value)
        return f"{number / 1e6:,.1f} MB" if self.unit == "MB" else f"{number:.3g} s" if self.unit == "s" else f"× {number:.2f}"

    def shown(self, value: float) -> float:
        """The number as an axis has it: no logarithm, and in `units`."""
        return value if self.factor is None else exp(value) / (1e6 if self.unit == "MB" else 1)

    @property
    def units(self) -> str:
        return {"MB": ", MB", "s": ", seconds"}.get(self.unit, " (× base)" if self.factor is not None else "")

    def values(self, arm: Row) -> list[float | None]:
        return [self.of(run, arm) for run in arm["runs"]]


def outcomes(comparison: Comparison, arms: Sequence[Row], metric: str, tested: str) -> dict[str, Outcome]:
    """All that there are for these arms, whether anything was measured or not; `tested` is the metric of their test."""
    items = max((run["items"] for arm in arms for run in arm["runs"]), default=0)
    rows = [run for arm in arms for run in arm["runs"]]
    found = [
        Outcome("score", tested, "beats", _key("score") if comparison.scored else _key("test_score"), tested, says.better(tested),
                grain=says.grain(tested, items)),
        Outcome("last_loss", TRAINING_LOSS, "beats" if metric == TRAINING_LOSS else "fits its training texts better than", _key("last_loss"), TRAINING_LOSS,
                note="A low loss on training texts may be learned by heart."),
        Outcome("forgetting", "forgetting", "forgets less than", _log("forgetting"), factor=" in perplexity",
                note="A method that learns less mostly forgets less: hold this against the score."),
        Outcome("gap", "gap between training and test", "has a smaller gap between training and test than", _gap, "loss",
                note="A model that has learned little has a small gap as well."),
        Outcome("elsewhere", f"{tested} on the other tasks", "carries over better than", _elsewhere, tested, says.better(tested),
                grain=says.grain(tested, items) / sqrt(max(1, len(comparison.base_spec.tested_on) - 1))),
        Outcome("drop", "drop on kinds never trained", "loses less on kinds never trained than", _drop(tested), tested,
                grain=sqrt(2) * _grain_of(f"{tested} (seen)", tested, rows), note="Who scores low on the kinds that were trained has little to lose."),
        *(Outcome(f"{KIND}{kind}", f"{tested}, {kind}", f"beats ({kind})", _kind(f"{tested} ({kind})"), tested, says.better(tested),
                  grain=_grain_of(f"{tested} ({kind})", tested, rows)) for kind in kinds(rows, tested)),
        Outcome("step_seconds", "time of a step", "is faster a step than", _log("step_seconds"), factor="", unit="s", timed=True, note=ONE_MACHINE),
        Outcome("answer_seconds", "time of an answer", "answers faster than", _log("answer_seconds"), factor="", unit="s", timed=True, note=ONE_MACHINE),
        Outcome("alone_times", "time of one text", "answers one text faster than", _log("alone_times"), factor="", timed=True, note=ONE_MACHINE),
        Outcome("merged_times", "time of one text, merged", "answers one text faster, once merged, than", _log("merged_times"), factor="", timed=True,
                note=ONE_MACHINE),
        Outcome("peak_bytes", "memory of a step", "takes less memory than", _log("peak_bytes"), factor="", unit="MB", bytes=True),
    ]
    return {each.key: each for each in found if not (each.key == "elsewhere" and comparison.mixed)}


ONE_MACHINE = "Times are of one machine, whose load differs from hour to hour more than from seed to seed: another one may tell another story."
VOTE = Outcome("vote", "vote of the seeds", "beats", lambda run, arm: None, better=1)


def measured(known: Mapping[str, Outcome], arms: Sequence[Row]) -> list[str]:
    """Keys of the outcomes that at least two arms have."""
    return [key for key, each in known.items() if sum(any(value is not None for value in each.values(arm)) for arm in arms) >= FEWEST_ARMS]


def unfit(outcome: Outcome, a: Row, b: Row) -> str:
    """Why two arms' costs cannot be held against each other; nothing where they can."""
    if outcome.timed and a.get("elsewhere", "") != b.get("elsewhere", ""):
        return "they were timed on different machines"
    shaken = [arm["name"] for arm in (a, b) if outcome.key in arm.get("loaded", ())]
    if shaken:
        return f"the time of {' and of '.join(map(says.named, shaken))} cannot be told from what else the machine was doing"
    formats = [sorted({run["dtype"] for run in arm["runs"] if run["dtype"]}) for arm in (a, b)]
    if (outcome.timed or outcome.bytes) and formats[0] != formats[1] and "auto" in (a["spec"]["dtype"], b["spec"]["dtype"]):
        return (f"they compute in different number formats ({says.named(a['name'])} {' and '.join(formats[0])}, {says.named(b['name'])} "
                f"{' and '.join(formats[1])})")
    return ""


def kind_of(key: str, metric: str) -> str:
    """`backwards` of `exact match (backwards)`; nothing where it is another metric, or the whole."""
    return key[len(metric) + 2:-1] if key.startswith(f"{metric} (") and key.endswith(")") else ""


def kinds(rows: Sequence[Row], metric: str) -> list[str]:
    return list(dict.fromkeys(name for run in rows for key in run["more"] if (name := kind_of(key, metric))))


# ── how each is read ──────────────────────────────────────────────────────────────────────────────────────────────────


def _key(key: str) -> Callable[[Row, Row], float | None]:
    return lambda run, arm: run[key]


def _log(key: str) -> Callable[[Row, Row], float | None]:
    return lambda run, arm: log(run[key]) if run.get(key) and run[key] > 0 else None


def _gap(run: Row, arm: Row) -> float | None:
    return run["test_loss"] - run["last_loss"] if run["test_loss"] is not None and run["last_loss"] is not None else None


def _elsewhere(run: Row, arm: Row) -> float | None:
    scores = [seen["score"] for key, seen in run["tests"].items() if key != arm["spec"]["task"]]
    return fmean(scores) if scores and None not in scores else None


def _kind(key: str) -> Callable[[Row, Row], float | None]:
    return lambda run, arm: run["more"][key][0] if key in run["more"] else None


def _drop(metric: str) -> Callable[[Row, Row], float | None]:
    """However the metric is turned, a positive one is for the worse."""
    seen, unseen = f"{metric} (seen)", f"{metric} (unseen)"
    return lambda run, arm: says.better(metric) * (run["more"][seen][0] - run["more"][unseen][0]) if {seen, unseen} <= set(run["more"]) else None


def _grain_of(key: str, metric: str, rows: Sequence[Row]) -> float:
    """Of a score on some of the items, of which only score and standard error were kept: sqrt(p (1 - p) / items) says how many there were."""
    if metric not in METRICS:
        return 0.0
    most = METRICS[metric].most
    seen = [(run["more"][key][0] / most, run["more"][key][1] / most) for run in rows if key in run["more"]]
    counts = [share * (1 - share) / error**2 for share, error in seen if 0 < share < 1 and error]
    return says.grain(metric, max(1, round(max(counts)))) if counts else says.grain(metric, max((run["items"] for run in rows), default=0))
