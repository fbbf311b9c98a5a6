"""The measures of an arm in one list: what each is called, how it is written, and which end of it is better. Intervals are over seeds."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from lab.compare import says, steady
from lab.ui.wording import figures, percent, scored, seconds, size, whole

LEVEL = 0.95


@dataclass(frozen=True)
class Measure:
    """`of` reads it from an arm's row in the report; `run` from each of its runs, where it is measured there."""

    key: str
    title: str
    help: str
    of: Callable[[Mapping[str, Any]], float | None]
    said: Callable[[float], str]
    run: str = ""
    better: int = -1  # 1 where more is better
    logarithmic: bool = False
    timed: bool = False  # of a machine: two machines' are not held against each other
    column: bool = True  # stands in the table, where some arm has it; else it can only be drawn
    always: bool = True  # stands there whether an arm has it or not


def _of(key: str) -> Callable[[Mapping[str, Any]], float | None]:
    return lambda arm: arm.get(key)


def _drawn_from(arm: Mapping[str, Any]) -> float | None:
    return next((run["train_items"] for run in arm["runs"] if run.get("train_items")), None)


def measures(metric: str, higher: bool, tested: str = "") -> tuple[Measure, ...]:
    """Of a comparison that is scored by `metric`; `tested` is the metric of its test, where verdicts are about something else."""
    headline = not tested or tested == metric
    return (
        Measure("score", metric, f"mean over the seeds {'on test items' if headline else 'of the last steps'}, ± half of its 95 % interval over seeds",
                _of("mean"), lambda value: scored(value, metric), run="score", better=1 if higher else -1),
        *(() if headline else (Measure("test_score", tested, "mean over the seeds on test items", _of("test_score"), lambda value: scored(value, tested),
                                       run="test_score", better=says.better(tested)),)),
        Measure("trainable", "trained", "numbers that are trained, head included", _of("trainable"), whole, logarithmic=True),
        Measure("share", "share", "of all numbers of the model", _of("share"), percent, logarithmic=True),
        Measure("peak_bytes", "memory", "of one training step at its peak, measured; the median of the seeds", _of("peak_bytes"), size, run="peak_bytes"),
        Measure("step_seconds", "a step", "time of one training step, the median of the seeds", _of("step_seconds"), seconds, run="step_seconds", timed=True),
        Measure("train_seconds", "training", "time of all steps, the median of the seeds", _of("train_seconds"), seconds, run="train_seconds", timed=True),
        Measure("answer_seconds", "an answer", "time of one test text, many in a batch, with what was trained beside the base's weights; – where nothing "
                "is trained in the lowest blocks: what they give for a text is kept, so a known text is not read anew",
                _of("answer_seconds"), seconds, run="answer_seconds", timed=True, always=False),
        Measure("alone_times", "one text", "time of one test text alone, with what was trained beside the base's weights, over that of the untouched base, "
                "which was asked in turn: what else the machine did hits both; the median of five calls, without the lab's faster blocks; of a written answer "
                "to its first token",
                _of("alone_times"), lambda value: f"× {value:.2f}", run="alone_times", timed=True, always=False),
        Measure("merged_times", "merged", "the same with what was trained written into the base's weights, where the method allows that",
                _of("merged_times"), lambda value: f"× {value:.2f}", run="merged_times", timed=True, always=False),
        Measure("alone_seconds", "one text, seconds", "time of one test text alone, with what was trained beside the base's weights", _of("alone_seconds"),
                seconds, run="alone_seconds", timed=True, always=False, column=False),
        Measure("merged_seconds", "merged, seconds", "the same with what was trained written into the base's weights", _of("merged_seconds"), seconds,
                run="merged_seconds", timed=True, always=False, column=False),
        Measure("adapter_bytes", "adapter", "size of the file that is saved", _of("adapter_bytes"), size, run="adapter_bytes", logarithmic=True),
        Measure("forgetting", "forgetting", "perplexity of general English after training, as a multiple of that before; 1 is nothing forgotten; "
                "the geometric mean of the seeds",
                _of("forgetting"), lambda value: f"× {value:.2f}", run="forgetting", logarithmic=True, always=False),
        *((Measure("last_loss", "training loss", "mean of the last ten steps, each batch before it was learned from; the mean over the seeds",
                   _of("last_loss"), lambda value: figures(value, 3), run="last_loss", always=False, column=False),) if headline else ()),
        Measure("answer_tokens", "tokens read", "before each answer, virtual tokens and solved examples included", _of("answer_tokens"),
                lambda value: f"{value:.0f}", run="answer_tokens", always=False, column=False),
        Measure("train_items", "texts to learn from", "how many labelled texts or images training drew from", _drawn_from, whole, run="train_items",
                logarithmic=True, always=False, column=False),
        Measure("weights_bytes", "weights", "bytes of all weights in memory, measured in a step", _of("weights_bytes"), size, run="weights_bytes",
                always=False, column=False),
        Measure("rates", "rates tried", "how many learning rates the default was chosen from on this model; – where it was not, or is not used", _of("rates"),
                lambda value: f"{value:.0f}", better=1),
    )


def shaken(measure: Measure, arm: Mapping[str, Any]) -> bool:
    """Whether this is a time that cannot be told from the machine's load."""
    return measure.key in arm.get("loaded", ())


def told(measure: Measure, arm: Mapping[str, Any]) -> str:
    """An arm's value as a table writes it: a score with its interval over seeds, a time with a mark where it may be the machine's load."""
    value = measure.of(arm)
    if value is None:
        return "–"
    if measure.key != "score":
        return f"{steady.MARK if shaken(measure, arm) else ''}{measure.said(value)}"
    half = half_width([score for score in arm["scores"] if score is not None])
    return f"{measure.said(value)} ± {measure.said(half)}" if half is not None else f"{measure.said(value)} (1 seed)"


def columns(chosen: Sequence[Measure], arms: Sequence[Mapping[str, Any]]) -> list[Measure]:
    """Those that stand in a table of these arms."""
    return [each for each in chosen if each.column and (each.always or any(each.of(arm) is not None for arm in arms))]


def half_width(scores: list[float]) -> float | None:
    """Half of the 95 % interval of the mean over seeds, by Student's t; None for one seed. It is about one arm: whether two differ is told by pairs."""
    if len(scores) < 2:
        return None
    from scipy import special

    return float(special.stdtrit(len(scores) - 1, 0.5 + LEVEL / 2)) * stdev(scores) / sqrt(len(scores))


def spread(measure: Measure, arm: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """(value, below, above): the interval over seeds of a score, from the lowest to the highest seed of all else."""
    value = measure.of(arm)
    if value is None:
        return None
    each = [run[measure.run] for run in arm["runs"] if run.get(measure.run) is not None] if measure.run else []
    if measure.key == "score":
        half = half_width(each) or 0.0
        return fmean(each), half, half
    return (value, max(0.0, value - min(each)), max(0.0, max(each) - value)) if each else (value, 0.0, 0.0)
