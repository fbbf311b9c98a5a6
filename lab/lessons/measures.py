"""What can be asked of a run, of an arm of a comparison, and of a measurement: each quantity by its name, with its unit and its standard error."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import floor, log10
from typing import Any

from lab.accounting.amounts import size
from lab.contracts import LabError
from lab.events import LAST_STEPS, RunResult

EXACT = ("count", "bytes", "share")  # equal runs have equal ones, whatever their seed


@dataclass(frozen=True)
class Measure:
    """`read` gives the value of a finished run and its standard error over items, or None where the run has no such thing."""

    key: str
    about: str
    unit: str  # count, bytes, share, seconds, points, loss, ratio
    read: Callable[[RunResult], tuple[float, float] | None]

    @property
    def exact(self) -> bool:
        return self.unit in EXACT


def _count(name: str) -> Callable[[RunResult], tuple[float, float] | None]:
    return lambda run: (run.started.counts[name], 0.0) if run.started else None


def _score(who: str) -> Callable[[RunResult], tuple[float, float] | None]:
    return lambda run: (run.scores[who].score, run.scores[who].standard_error) if who in run.scores else None


def _memory(part: str, of_peak: bool = False) -> Callable[[RunResult], tuple[float, float] | None]:
    def read(run: RunResult) -> tuple[float, float] | None:
        seen = run.seen("memory")
        if not seen:
            return None
        value = seen["peak_bytes"] if part == "peak" else seen["parts"][part]
        return (value / seen["peak_bytes"] if of_peak else value), 0.0

    return read


def _state_bytes(run: RunResult) -> tuple[float, float] | None:
    """At the peak, where of full fine-tuning all three are there; 32-bit weights and Adam: 4 + 4 + 8."""
    seen = run.seen("memory")
    kept = ("weights", "gradients", "optimizer")
    return (sum(seen["parts"].get(part, 0) for part in kept) / run.started.counts["total"], 0.0) if seen and run.started else None


def _gain(run: RunResult) -> tuple[float, float] | None:
    before = run.scores.get("base") or run.scores.get("untrained")
    after = run.scores.get("tuned")
    return (after.score - before.score, (after.standard_error ** 2 + before.standard_error ** 2) ** 0.5) if before and after else None


def _step(run: RunResult) -> tuple[float, float] | None:
    return (1 / run.steps_per_second, 0.0) if run.steps_per_second else None


def _first_loss(run: RunResult) -> tuple[float, float] | None:
    return (run.losses[0][1], 0.0) if run.losses and run.losses[0][1] is not None else None


def _forgetting(run: RunResult) -> tuple[float, float] | None:
    general = run.seen("general_text")
    return (general["ratio"], general.get("standard_error") or 0.0) if general and general.get("ratio") is not None else None


def _elsewhere(run: RunResult) -> tuple[float, float] | None:
    """The mean over the tests of the other tasks."""
    seen = list((run.seen("transfer") or {}).values())
    return (sum(each["score"] for each in seen) / len(seen), sum(each["standard_error"] ** 2 for each in seen) ** 0.5 / len(seen)) if seen else None


def _fall(run: RunResult) -> tuple[float, float] | None:
    """Over items; the tasks have none in common."""
    own, other = _score("tuned")(run), _elsewhere(run)
    return (own[0] - other[0], (own[1] ** 2 + other[1] ** 2) ** 0.5) if own and other else None


def _drop(run: RunResult) -> tuple[float, float] | None:
    """Over items; the two groups have none in common."""
    seen, unseen = (_group(name)(run) for name in ("seen", "unseen"))
    return (seen[0] - unseen[0], (seen[1] ** 2 + unseen[1] ** 2) ** 0.5) if seen and unseen else None


def _group(name: str) -> Callable[[RunResult], tuple[float, float] | None]:
    """The run's first metric on the items of one group."""
    return lambda run: next(((float(value[0]), float(value[1])) for key, value in _others(run).items() if key.endswith(f"({name})")), None)


def _others(run: RunResult) -> Mapping[str, list[float]]:
    return run.scores["tuned"].more if "tuned" in run.scores else {}


def _gap(run: RunResult) -> tuple[float, float] | None:
    """The loss on training texts is that of the last batches, each taken before it was learned from."""
    tuned, last = run.scores.get("tuned"), run.last_loss
    return (tuned.loss - last, 0.0) if tuned and tuned.loss is not None and last is not None else None


MEASURES: Mapping[str, Measure] = {each.key: each for each in (
    Measure("trainable", "trainable parameters", "count", _count("trainable")),
    Measure("method", "trainable parameters of the method, without the head", "count", _count("method")),
    Measure("head", "trainable parameters of the head", "count", _count("head")),
    Measure("total", "all parameters", "count", _count("total")),
    Measure("share", "share of the parameters that is trained", "share", _count("share")),
    Measure("score", "score on the test items after training", "points", _score("tuned")),
    Measure("base", "score of the untouched base model", "points", _score("base")),
    Measure("majority", "score of always giving the commonest label", "points", _score("majority")),
    Measure("gain", "score after training less the score before", "points", _gain),
    Measure("seen", "score on kinds of items that were trained on", "points", _group("seen")),
    Measure("unseen", "score on kinds of items that were never trained on", "points", _group("unseen")),
    Measure("drop", "score on kinds that were trained on less that on kinds that were not", "points", _drop),
    *(Measure(name.replace(" ", "_"), f"share of new facts that are recalled {how}", "points", _group(name))
      for name, how in (("as told", "in the wording that was learned"), ("reworded", "in other words"), ("backwards", "asked the other way round"),
                        ("as a question", "as the answer to a question"))),
    Measure("true_facts", "share of true facts of the same kind that are still known", "points", _group("true facts")),
    Measure("elsewhere", "mean score on the other tasks that it was tested on", "points", _elsewhere),
    Measure("fall", "score on its own task less the mean score on the other tasks that it was tested on", "points", _fall),
    Measure("gap", "loss on test items less that on the last training texts", "loss", _gap),
    Measure("peak_bytes", "memory of a training step at its peak", "bytes", _memory("peak")),
    *(Measure(f"{part}_bytes", f"{part} in memory at the peak of a step", "bytes", _memory(part))
      for part in ("weights", "gradients", "optimizer", "activations", "temporary")),
    *(Measure(f"{part}_of_peak", f"share of the peak memory that is {part}", "share", _memory(part, of_peak=True))
      for part in ("weights", "gradients", "optimizer", "activations", "temporary")),
    Measure("state_bytes", "weights, gradients and optimizer states at the peak, for each number of the model", "bytes", _state_bytes),
    Measure("adapter_bytes", "size of what is saved", "bytes", lambda run: (run.adapter_bytes, 0.0) if run.adapter_bytes else None),
    Measure("step_seconds", "time of a training step", "seconds", _step),
    Measure("train_seconds", "time of the training", "seconds", lambda run: (run.seconds["training"], 0.0) if "training" in run.seconds else None),
    Measure("first_loss", "loss of the first step", "loss", _first_loss),
    Measure("last_loss", f"mean training loss of the last {LAST_STEPS} steps", "loss", lambda run: None if run.last_loss is None else (run.last_loss, 0.0)),
    Measure("forgetting", "perplexity on unrelated text after training, as a multiple of before", "ratio", _forgetting),
)}


def find(key: Any) -> Measure:
    """Raises LabError that lists what there is."""
    if key not in MEASURES:
        raise LabError(f'unknown measure "{key}": there are {", ".join(MEASURES)}')
    return MEASURES[key]


# ── in words ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def said(value: float, unit: str) -> str:
    """A number for people: 393,216, 71.6 MB, 0.33 %, 1.4 s, −0.012."""
    words = _said(value, unit).replace("-", "−")
    return words.removeprefix("−") if not words.strip("−0.") else words


def _said(value: float, unit: str) -> str:
    match unit:
        case "count":
            return f"{value:,.0f}"
        case "bytes":
            return size(value)
        case "share":
            return f"{_three(100 * value)} %"
        case "seconds":
            return f"{_three(value)} s" if abs(value) >= 1 else f"{_three(1000 * value)} ms"
        case "times" | "ratio":
            return f"{_three(value)} times"
        case _:
            return _three(value) if 0 < abs(value) < 0.0005 else f"{value:.3f}"


def span(low: float, high: float, unit: str) -> str:
    """An interval of differences: both ends with as many decimals, and without "times", which a difference of two multiples is not."""
    widest = max(abs(low), abs(high))
    if unit in ("count", "bytes", "share", "seconds") or not widest:
        return f"{said(low, unit)} to {said(high, unit)}"
    decimals = min(8, max(2 if unit in ("times", "ratio") else 3, 1 - floor(log10(widest))))
    while decimals < 8 and low != high and f"{low:.{decimals}f}" == f"{high:.{decimals}f}":
        decimals += 1
    return " to ".join(f"{value:.{decimals}f}".replace("-", "−") for value in (low, high))


def limit(value: float, unit: str) -> str:
    """A number that somebody set, with all its digits where it is a score, a loss or the like."""
    return said(value, unit) if unit in ("count", "bytes", "share", "seconds", "times", "ratio") else _typed(value).replace("-", "−")


def _three(value: float) -> str:
    """Three digits that count, and never a power of ten."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else _typed(rounded)


def _typed(value: float) -> str:
    return f"{value:.10f}".rstrip("0").rstrip(".")
