"""The report's verdicts in the order in which they are read: what can be told first, then what cannot, and what more seeds would change."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.compare import paired
from lab.compare.comparison import SEEDS

USUAL_MORE, MOST_MORE = 3, 20  # seeds that are offered at a time


def verdicts(report: Mapping[str, Any], done: int, planned: int) -> dict[str, Any]:
    """{"over", "lead", "told", "open"}: a sentence on the whole, those with a winner, and those without. While runs are missing there is only the lead."""
    pairs = report["pairs"]
    if report["state"] != "finished":
        return {"over": False, "told": [], "open": [], "lead": f"No verdict yet: {done} of {planned} runs are in. Verdicts wait for all of them, since looking "
                                                               "early and often finds differences that are none."}
    told = [_pair(pair) for pair in sorted(pairs, key=lambda pair: pair["p"] or 0.0) if pair["verdict"] != "cannot_tell"]
    rest = [_pair(pair) for pair in pairs if pair["verdict"] == "cannot_tell"]
    return {"over": True, "told": told, "open": rest, "lead": _lead(len(told), len(pairs))}


def _lead(told: int, pairs: int) -> str:
    """Nothing where there is one pair: its own sentence says it all."""
    if pairs == 1:
        return ""
    return f"{told} of {pairs} pairs can be told apart." if told else f"None of the {pairs} pairs can be told apart."


def _pair(pair: Mapping[str, Any]) -> dict[str, Any]:
    p = "" if pair["p"] is None else f"p = {pair['p']:.3f}" if pair["p"] >= 0.001 else "p below 0.001"
    return {"says": pair["says"], "warning": pair["warning"], "p": p}


def winners(report: Mapping[str, Any]) -> list[str]:
    """An arm that beats every other one that has a score: only that is set in bold."""
    scored = [arm["name"] for arm in report["arms"] if arm["mean"] is not None]
    beaten = {(pair["a"], pair["b"]) if pair["verdict"] == "a_better" else (pair["b"], pair["a"])
              for pair in report["pairs"] if pair["verdict"] != "cannot_tell"}
    return [name for name in scored if len(scored) > 1 and all((name, other) in beaten for other in scored if other != name)]


def more(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """The offer to add seeds after this look, and what that does to the verdicts; None before there are any, and where everything is told."""
    wanted = [pair["more_seeds"] for pair in report["pairs"] if pair["verdict"] == "cannot_tell"]
    if report["state"] != "finished" or not wanted:
        return None
    known = [each for each in wanted if each]
    count = min(max(min(known), 1) if known else USUAL_MORE, MOST_MORE, SEEDS - len(report["seeds"]))
    if count < 1:
        return None
    looks = report["looks"]
    after = looks["look"] + 1
    return {"count": count, "says": _price(count, after, looks["planned"], looks["strictness"])}


def _price(count: int, after: int, planned: int, strictness: float) -> str:
    seeds = f"{count} more seed{'s' * (count > 1)}"
    if after <= planned:
        return f"{seeds} make look {after} of the {planned} that were planned: judged at {paired.alpha_of(after, planned):.2%}, as this one is."
    return (f"You have read the verdicts, so {seeds} make look {after} where {planned} {'was' if planned == 1 else 'were'} planned. It is judged at "
            f"{paired.alpha_of(after, planned):.2%} instead of {strictness:.2%}: some of what is told now may then no longer be, and the chance of any false "
            f"verdict over all looks is up to {paired.spent(after, planned):.1%}.")


def shared(report: Mapping[str, Any]) -> dict[str, Any]:
    """What all arms have in common, with its hash for each seed; or what they do not."""
    rows = [row for row in report["shared"] if row["arms"]]
    differ = list(dict.fromkeys(part for row in rows for part in row["differ"]))
    parts: Sequence[str] = list(rows[0]["parts"]) if rows and rows[0]["parts"] else []
    says = (f"The arms do not share {', '.join(differ)}: part of a gap may come from there." if differ else
            f"In each seed all arms share {', '.join(parts[:-1])} and {parts[-1]}." if parts else "")
    return {"says": says, "same": not differ, "columns": ["seed", "hash of all", *parts],
            "rows": [[str(row["seed"]), row["hash"] or "differs", *(row["parts"].get(part, "") for part in parts)] for row in rows]}
