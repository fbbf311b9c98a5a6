"""Verdicts in plain words."""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import exp, floor, log10
from typing import Any

from lab.compare.paired import ALPHA, FEWEST, MOST_MORE, Gap, OnItems
from lab.contracts import listing
from lab.metrics import METRICS

LOWER = ("perplexity", "loss", "training loss")  # scores that are no metric of a task, and better the lower they are
DIGITS = {"training loss": 3, "loss": 3}
MOST_DIGITS = 6
SEVERAL = re.compile(r"^\d|[,;:]|\band\b|\w{2,}[^\W_sui]s\b", re.IGNORECASE)  # a number, a mark of lists, or a word that looks like a plural
BARE = re.compile(r"^[\d.,]+(e[-−+]?\d+)?$", re.IGNORECASE)  # a name that says a number and not of what


def named(name: str) -> str:
    """A name as it stands in a sentence: in quotes where it would read as a list, or as several things. So each name is one thing, and verbs agree with it."""
    return f"“{name}”" if SEVERAL.search(name) and not name.startswith("“") else name


def listed(names: Sequence[str]) -> str:
    """“LoRA”, “all 5,992 texts” and “full”: in quotes all of them where one has to be."""
    return listing(list(called(names).values()))


def called(names: Sequence[str], knob: str = "") -> dict[str, str]:
    """Names as they stand in the sentences of one report: all in quotes where one has to be. Bare numbers are told with the `knob` in which arms differ."""
    words = {name: f"{knob} {name}" if knob and BARE.match(name) else name for name in names}
    quoted = any(SEVERAL.search(word) for word in words.values())
    return {name: f"“{word}”" if quoted and not word.startswith("“") else word for name, word in words.items()}


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


def verdict(a: str, b: str, gap: Gap, metric: str, more: int | None, corrected: str = "", *, ahead: str = "beats", sign: int = 0,
            factor: str | None = None) -> str:
    """`corrected` says for what else the interval was widened. `ahead` and `sign` are an outcome's own where it is no score; `factor` where a
    logarithm is compared, so that a difference is told in times: of what, or "" where that is clear."""
    a, b = named(a), named(b)
    leads = gap.difference * (sign or better(metric)) >= 0
    first, second = (a, b) if leads else (b, a)
    low, high = sorted(bound if gap.difference >= 0 else -bound for bound in (gap.low, gap.high))  # a lead, whoever has it
    if factor is not None:
        amount, interval = f"a factor of {_times(abs(gap.difference))}{factor}", f"({_times(low)} to {_times(high)}{corrected})"
    else:
        amount, interval = f"{_amount(abs(gap.difference), metric)} {_unit(metric)}", f"({_amount(low, metric)} to {_amount(high, metric)}{corrected})"
    over = f"over {gap.seeds} seeds"
    grain = " The differences vary less from seed to seed than rounding to whole items makes them; their spread is taken as that." if gap.rounded else ""
    if gap.told:
        return f"{first} {ahead} {second} by {amount} {interval}, {over}.{grain}"
    lead = f"{first} is ahead of {second} by {amount} {interval}" if gap.difference else f"{a} and {b} have the same mean {interval}"
    wanted = f"about {_seeds(more)} would be needed" if more else f"even {MOST_MORE} more seeds would not tell a gap so small from such a spread"
    return f"Cannot tell: {lead}, {over}; {wanted}.{grain}"


def number(value: float, metric: str) -> str:
    return f"{value:.{METRICS[metric].digits if metric in METRICS else 3}f}"


def same(a: str, b: str, values: Sequence[str], what: str = "score") -> str:
    """`values` are those of either, as they are written."""
    each = ", ".join(values[:5]) + (", …" if len(values) > 5 else "")
    return (f"Cannot tell: {named(a)} and {named(b)} have the same {what} in each of {len(values)} seeds ({each}). More seeds will not tell them apart if that "
            "goes on.")


def unfit(a: str, b: str, why: str) -> str:
    return f"Cannot tell: {named(a)} and {named(b)} are not held against each other, since {why}."


def vote(name: str, members: int, gap: Gap, metric: str, more: int | None, corrected: str = "") -> str:
    """The gap is over test items: the seeds are inside the vote."""
    name = named(name)
    amount = f"{_amount(abs(gap.difference), metric)} {_unit(metric)} ({_amount(min(gap.low, gap.high), metric)} to {_amount(gap.high, metric)}{corrected})"
    over = f"over {gap.seeds:,} test items"
    if gap.told:
        return f"{name}: the vote of {members} seeds {'beats' if gap.difference > 0 else 'falls behind'} their mean by {amount}, {over}."
    side = "ahead of" if gap.difference > 0 else "behind"
    lead = f"the vote of {members} seeds is {side} their mean by {amount}" if gap.difference else f"the vote of {members} seeds scores what they do on average"
    wanted = f"; about {more:,} more items would be needed" if more else ""
    return f"Cannot tell: {name}, {lead}, {over}{wanted}."


def untouched(level: float, metric: str, lost: bool, trained: bool) -> str:
    """Where no arm is ahead of the model as it was: `lost` where each is behind it by more than luck."""
    score = number(level, metric)
    why = " Too few steps or unfit learning rates are the usual causes." if trained else ""
    if lost:
        return f"Every arm does worse than the untouched model, {score}: each by more than seeds would explain.{why}"
    return f"No arm does better than the untouched model, {score}: the mean of none is above it.{why}"


def fixed(a: str, b: str) -> str:
    return f"Cannot tell: nothing in {named(a)} or {named(b)} depends on the seed, so all seeds are one and the same run. What can be told is in their items."


def few(paired: int, planned: int, failed: Sequence[str], what: str = "a score") -> str:
    why = f" {' '.join(failed)}" if failed else ""
    return f"Cannot tell: {paired} of {planned} seeds {'has' if paired == 1 else 'have'} {what} in both, and at least {FEWEST} are needed.{why}"


def early(done: int, planned: int) -> str:
    return f"Not judged yet: {done} of {planned} seeds are in. Verdicts wait for all of them, since looking early and often finds differences that are none."


def with_warning(pair: Mapping[str, Any]) -> str:
    """A pair's verdict, and behind it why its gap shows no cause where the arms differ in more than one thing."""
    return f"{pair['says']} {pair['warning']}." if pair["warning"] else pair["says"]


def corrected(pairs: int, looks: int, word: str = "pairs") -> str:
    """`, widened for 6 pairs and 2 looks`; nothing where there is one of each."""
    wide = [f"{count} {each}" for count, each in ((pairs, word), (looks, "looks")) if count > 1]
    return f", widened for {' and '.join(wide)}" if wide else ""


def on_items(a: str, b: str, seed: int, found: OnItems, right: str, corrected_p: float, tests: int) -> str:
    """`right` is what a run has an item: right, or word for word. `corrected_p` is Holm's over all `tests` of this kind."""
    a, b, p = named(a), named(b), f"{_p(found.p)}{f', {_p(corrected_p)} with Holm over all {tests} such tests here' if tests > 1 else ''}"
    told = "on items of this kind these two runs differ" if corrected_p <= ALPHA else "these two runs cannot be told apart"
    return (f"Seed {seed}: of {found.items:,} items {a} alone has {found.only_a:,} {right} and {b} alone {found.only_b:,} ({found.test}, {p}): {told}. "
            "This is about these runs on new items, not about the methods.")


def _p(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.001 else "p below 0.001"


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
    if metric not in METRICS and 0 < abs(value) < 10.0**-digits:
        digits = min(MOST_DIGITS, -floor(log10(abs(value))))
    shown = f"{100 * value:.1f}" if most(metric) == 1 and metric in METRICS else f"{value:.{digits}f}"
    return shown.replace("-", "−")


def _times(value: float) -> str:
    """1.004, 1.25, 18: as many digits as say something."""
    times = exp(value)
    return f"{times:.{3 if 0.9 < times < 1.1 else 2 if times < 10 else 0}f}"


def _unit(metric: str) -> str:
    return "points" if most(metric) == 1 and metric in METRICS else metric


def _seeds(count: int) -> str:
    return f"{count} more seed{'' if count == 1 else 's'}"
