"""The figures of a result. Which they are follows from what the arms vary and what was measured, so a sweep of one's own draws what a ready one draws."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.compare import Comparison
from lab.compare.outcomes import Outcome, kinds
from lab.compare.report import known_outcomes
from lab.compare.varied import formats, methods, strands, swept
from lab.reporting.front import cost_of, spreads
from lab.reporting.measures import Measure
from lab.ui.compare import crossed, levels
from lab.ui.compare import swept as line
from lab.ui.compare import tradeoffs as trade
from lab.ui.compare.front import scatter

Looks = Mapping[str, Mapping[str, str]]
OF = {"last_loss": "scores", "forgetting": "learned", "elsewhere": "transfer", "drop": "groups", "gap": "gap", "vote": "votes"}  # what shows an outcome


def figures(comparison: Comparison, report: Mapping[str, Any], looks: Looks, chosen: Sequence[Measure], evidence: trade.Evidence,
            both: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """[{"key", "title", "figure"}], the one that answers the question first; those that nothing was measured for are left out. `both` crosses this
    comparison with another one, where there is one to be crossed with."""
    by_key = {each.key: each for each in chosen}
    sweep = swept(comparison)
    joined = strands(comparison)
    found: list[tuple[str, str, dict[str, Any] | None]] = [
        ("crossed", "Methods × kinds of task", both),
        ("transfer", "Tested on other tasks", crossed.figure(report) if comparison.base_spec.tested_on else None),
        *_of_prompts(comparison, report, looks, by_key),
        *(_of_formats(report, looks, by_key, joined) if formats(comparison) else []),
        ("swept", f"By {sweep.word}" if sweep else "", line.figure(sweep, comparison, report, looks) if sweep else None),
        ("halves", "Lower and upper layers", levels.halves(comparison, report, looks)),
        ("scores", report["metric"].capitalize() if not comparison.scored else "Scores", levels.dots(report, looks)),
        ("gap", "Training against test", levels.gap(report, looks) if comparison.train or comparison.measure == "gap" else None),
        ("groups", "Kinds of items", levels.groups(report, looks)),
        ("forgetting", "Forgetting", levels.forgetting(report, looks)),
        ("learned", "Learned against forgotten", scatter(report["arms"], looks, by_key["forgetting"], by_key["score"], joined)),
        ("votes", "Vote of the seeds", levels.votes(report, looks)),
    ]
    if methods(comparison):
        found += [("tradeoffs", "Trade-offs", trade.radar(report, looks, evidence)), ("bars", "Trade-offs as bars", trade.bars(report, looks, evidence))]
    about = comparison.measure
    if about != "score" and about not in OF:
        found.insert(0, (f"by {about}", *_alone(known_outcomes(comparison, report)[about], report, looks)))
    first = _first(comparison, report)
    found.sort(key=lambda each: each[0] != first)
    return [{"key": key, "title": title, "figure": figure} for key, title, figure in found if figure is not None]


def _first(comparison: Comparison, report: Mapping[str, Any]) -> str:
    """The figure of what the comparison is about; of a score, that of what its arms vary, which stands first anyway."""
    about = comparison.measure
    if about != "score":
        return OF.get(about, f"by {about}")
    if comparison.train:
        return "gap"
    apart = kinds([run for arm in report["arms"] for run in arm["runs"]], report["test_metric"])
    return "groups" if apart and set(apart) != levels.SEEN and swept(comparison) is None else ""  # a task of several kinds is there for them


def of_outcome(outcome: Outcome, about: str, report: Mapping[str, Any], looks: Looks, found: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """A figure for an outcome that is read beside what the comparison is about, where none of those `found` shows it."""
    key = shows(outcome.key, about, found)
    if key or outcome.key in ("score", "vote"):
        return None
    if outcome.key == "gap":
        title, figure = "Training against test", levels.gap(report, looks)
    else:
        title, figure = _alone(outcome, report, looks)
    return {"key": f"by {outcome.key}", "title": title, "figure": figure} if figure is not None else None


def shows(outcome: str, about: str, found: Sequence[Mapping[str, Any]]) -> str:
    """The key of the figure that shows an outcome; nothing where there is none."""
    keys = [each["key"] for each in found]
    if outcome == about:
        return keys[0] if keys else ""
    wanted = "scores" if outcome == "score" and about != "last_loss" else OF.get(outcome, f"by {outcome}")
    if outcome.startswith("kind:"):
        wanted = "groups"
    return wanted if wanted in keys and not (outcome == "last_loss" != about) else ""


def _alone(outcome: Outcome, report: Mapping[str, Any], looks: Looks) -> tuple[str, dict[str, Any] | None]:
    return outcome.title[:1].upper() + outcome.title[1:], levels.measured(report, looks, outcome)


def _of_formats(report: Mapping[str, Any], looks: Looks, by_key: Mapping[str, Measure],
                joined: Sequence[Sequence[str]]) -> list[tuple[str, str, dict[str, Any] | None]]:
    """Against the bytes that tell most arms apart; where most of them have the same bytes, against what else they cost."""
    x = max((by_key[key] for key in ("weights_bytes", "peak_bytes")), key=lambda measure: spreads(measure, report["arms"]))
    if 2 * spreads(x, report["arms"]) < len(report["arms"]):
        x = cost_of(report["arms"], list(by_key.values())) or x
    title = f"Quality against {'bytes' if x.key == 'weights_bytes' else x.title}"
    return [("formats", title, scatter(report["arms"], looks, x, by_key["score"], joined))]


def _of_prompts(comparison: Comparison, report: Mapping[str, Any], looks: Looks, by_key: Mapping[str, Measure]) -> list[tuple[str, str, dict[str, Any] | None]]:
    """Of examples in a prompt: the same ones in every arm; against training, what each answer costs to read."""
    keys = {spec.method.key for spec in comparison.specs.values()}
    if keys == {"in_context"}:
        return [("sets", "Draw by draw", levels.sets(report))]
    if "in_context" in keys:
        return [("tokens", "Quality against tokens read", scatter(report["arms"], looks, by_key["answer_tokens"], by_key["score"]))]
    return []
