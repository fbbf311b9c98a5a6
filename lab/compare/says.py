"""Verdicts in plain words."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.compare.paired import ALPHA, FEWEST, MOST_MORE, Gap, OnItems
from lab.metrics import METRICS

LOWER = ("perplexity", "loss", "training loss")  # scores that are no metric of a task, and better the lower they are
DIGITS = {"training loss": 3}


def better(metric: str) -> int:
    """1 where higher is better, -1 where lower is."""
    known = METRICS.get(metric)
    return 1 if (known.higher_is_better if known else metric not in LOWER) else -1


def most(metric: str) -> float:
    """The scale of a metric, 1 or 100."""
    return METRICS[metric].most if metric in METRICS else 1.0


def grain(metric: str, items: int) -> float:
    """The smallest step of a score: one item of all where items are right or wrong, the last digit shown of other metrics."""
    known = METRICS.get(metric)
    if known is None or not items:
        return 0.0
    return known.most / items if metric in ("accuracy", "exact match") else 10.0 ** -known.digits


def verdict(a: str, b: str, gap: Gap, metric: str, more: int | None, corrected: str = "") -> str:
    """`corrected` says for what else the interval was widened."""
    ahead = gap.difference * better(metric) >= 0
    first, second = (a, b) if ahead else (b, a)
    amount = f"{_amount(abs(gap.difference), metric)} {_unit(metric)}"
    low, high = sorted(bound if gap.difference >= 0 else -bound for bound in (gap.low, gap.high))  # a lead, whoever has it
    interval = f"({_amount(low, metric)} to {_amount(high, metric)}{corrected})"
    over = f"over {gap.seeds} seeds"
    grain = " The differences vary less from seed to seed than rounding to whole items makes them; their spread is taken as that." if gap.rounded else ""
    if gap.told:
        return f"{first} beats {second} by {amount} {interval}, {over}.{grain}"
    lead = f"{first} is ahead of {second} by {amount} {interval}" if gap.difference else f"{a} and {b} have the same mean {interval}"
    wanted = f"about {_seeds(more)} would be needed" if more else f"even {MOST_MORE} more seeds would not tell a gap so small from such a spread"
    return f"Cannot tell: {lead}, {over}; {wanted}.{grain}"


def same(a: str, b: str, scores: Sequence[float], metric: str) -> str:
    digits = METRICS[metric].digits if metric in METRICS else 3
    listed = ", ".join(f"{score:.{digits}f}" for score in scores[:5]) + (", …" if len(scores) > 5 else "")
    return f"Cannot tell: {a} and {b} have the same score in each of {len(scores)} seeds ({listed}). More seeds will not tell them apart if that goes on."


def fixed(a: str, b: str) -> str:
    return f"Cannot tell: nothing in {a} or {b} depends on the seed, so all seeds are one and the same run. What can be told is in their items."


def few(paired: int, planned: int, failed: Sequence[str]) -> str:
    why = f" {' '.join(failed)}" if failed else ""
    return f"Cannot tell: {paired} of {planned} seeds {'has' if paired == 1 else 'have'} a score in both, and at least {FEWEST} are needed.{why}"


def early(done: int, planned: int) -> str:
    return f"Not judged yet: {done} of {planned} seeds are in. Verdicts wait for all of them, since looking early and often finds differences that are none."


def with_warning(pair: Mapping[str, Any]) -> str:
    """A pair's verdict, and behind it why its gap shows no cause where the arms differ in more than one thing."""
    return f"{pair['says']} {pair['warning']}." if pair["warning"] else pair["says"]


def corrected(pairs: int, looks: int) -> str:
    """`, widened for 6 pairs and 2 looks`; nothing where there is one of each."""
    wide = [f"{count} {word}" for count, word in ((pairs, "pairs"), (looks, "looks")) if count > 1]
    return f", widened for {' and '.join(wide)}" if wide else ""


def on_items(a: str, b: str, seed: int, found: OnItems, right: str) -> str:
    """`right` is what a run has an item: right, or word for word."""
    p = f"p = {found.p:.3f}" if found.p >= 0.001 else "p below 0.001"
    told = "on items of this kind these two runs differ" if found.p <= ALPHA else "these two runs cannot be told apart"
    return (f"Seed {seed}: of {found.items:,} items {a} alone has {found.only_a:,} {right} and {b} alone {found.only_b:,} ({found.test}, {p}): {told}. "
            "This is about these runs on new items, not about the methods.")


def looked(look: int, planned: int, alpha: float, spent: float) -> str:
    """What a look does to the verdicts; nothing where one was planned and it is the first."""
    if look == planned == 1:
        return ""
    if look <= planned:
        return f"Look {look} of {planned} that were planned: each is judged at {alpha:.2%}, so that all of them together stay below 5 %."
    return (f"Look {look}, where {planned} {'was' if planned == 1 else 'were'} planned: seeds were added after the verdicts had been read, so this one "
            f"is judged at {alpha:.2%}. The chance of any false verdict over all looks is up to {spent:.1%}; planning them with `looks` keeps it at 5 %.")


def _amount(value: float, metric: str) -> str:
    digits = METRICS[metric].digits if metric in METRICS else DIGITS.get(metric, 2)
    shown = f"{100 * value:.1f}" if most(metric) == 1 and metric in METRICS else f"{value:.{digits}f}"
    return shown.replace("-", "−")


def _unit(metric: str) -> str:
    return "points" if most(metric) == 1 and metric in METRICS else metric


def _seeds(count: int) -> str:
    return f"{count} more seed{'' if count == 1 else 's'}"
