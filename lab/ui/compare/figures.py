"""The figures of a result. Which they are follows from what the arms vary and what was measured, so a sweep of one's own draws what a ready one draws."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.compare import Comparison
from lab.compare.varied import formats, methods, swept
from lab.reporting.measures import Measure
from lab.ui.compare import crossed, levels
from lab.ui.compare import swept as line
from lab.ui.compare import tradeoffs as trade
from lab.ui.compare.front import scatter

Looks = Mapping[str, Mapping[str, str]]


def figures(comparison: Comparison, report: Mapping[str, Any], looks: Looks, chosen: Sequence[Measure], evidence: trade.Evidence) -> list[dict[str, Any]]:
    """[{"key", "title", "figure"}], the one that answers the question first; those that nothing was measured for are left out."""
    by_key = {each.key: each for each in chosen}
    sweep = swept(comparison)
    found: list[tuple[str, str, dict[str, Any] | None]] = []
    if comparison.base_spec.tested_on:
        found.append(("transfer", "Tested on other tasks", crossed.figure(report)))
    if formats(comparison):
        found.append(("formats", "Quality against bytes", scatter(report["arms"], looks, by_key["weights_bytes"], by_key["score"])))
    if sweep is not None:
        found.append(("swept", f"By {sweep.word}", line.figure(sweep, comparison, report, looks)))
    if comparison.train and comparison.scored:
        found.insert(0, ("gap", "Training against test", levels.gap(report, looks)))
    found.append(("scores", report["metric"].capitalize() if not comparison.scored else "Scores", levels.dots(report, looks)))
    if comparison.train and not comparison.scored:
        found.append(("gap", "Training against test", levels.gap(report, looks)))
    found.append(("groups", "Kinds of items", levels.groups(report, looks)))
    found.append(("forgetting", "Forgetting", levels.forgetting(report, looks)))
    found.append(("learned", "Learned against forgotten", scatter(report["arms"], looks, by_key["forgetting"], by_key["score"])))
    found.append(("votes", "Vote of the seeds", levels.votes(report, looks)))
    if methods(comparison):
        found += [("tradeoffs", "Trade-offs", trade.radar(report, looks, evidence)), ("bars", "Trade-offs as bars", trade.bars(report, looks, evidence))]
    return [{"key": key, "title": title, "figure": figure} for key, title, figure in found if figure is not None]
