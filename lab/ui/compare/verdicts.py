"""The report's verdicts in the order in which they are read: what can be told first, then what cannot, and what more seeds would change."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.compare import paired
from lab.compare.comparison import RUNS, SEEDS
from lab.compare.outcomes import Outcome

MOST_MORE = 20  # seeds that are offered at a time
Pairs = Sequence[Mapping[str, Any]]


def verdicts(report: Mapping[str, Any], done: int, planned: int, pairs: Pairs | None = None, outcome: str = "") -> dict[str, Any]:
    """{"over", "lead", "told", "open", "rest", "untouched"}: a sentence on the whole, those with a winner, those without, what stands above the latter where
    they are folded, and that no arm is ahead of the untouched model where none is. While runs are missing there is only the lead. `pairs` are those of
    another `outcome` than the comparison is about."""
    pairs = report["pairs"] if pairs is None else pairs
    if report["state"] != "finished":
        early = (f"No verdict yet: {done} of {planned} runs are in. Verdicts wait for all of them, since looking early and often finds differences that are "
                 "none.")
        return {"over": False, "told": [], "open": [], "rest": "", "lead": early, "untouched": ""}
    about = outcome or report["measure"]
    told = [_pair(pair) for pair in sorted(pairs, key=lambda pair: pair["p"] or 0.0) if pair["verdict"] != "cannot_tell"]
    rest = [_pair(pair) for pair in pairs if pair["verdict"] == "cannot_tell"]
    votes = about == "vote"
    return {"over": True, "told": told, "open": rest, "lead": _lead(len(told), len(pairs), votes), "rest": _rest(len(rest), bool(told), votes),
            "untouched": report.get("untouched", "") if about == "score" else ""}


def _lead(told: int, pairs: int, votes: bool) -> str:
    """Nothing where there is one pair: its own sentence says it all."""
    if pairs == 1:
        return ""
    if votes:
        return f"{told or 'None'} of {'' if told else 'the '}{pairs} votes can be told from the mean of their seeds."
    return f"{told} of {pairs} pairs can be told apart." if told else f"None of the {pairs} pairs can be told apart."


def _rest(open_: int, told: bool, votes: bool) -> str:
    """Above what cannot be told, where it is folded."""
    if votes:
        return f"{open_} {'vote' if open_ == 1 else 'votes'} that cannot be told from the mean of their seeds"
    return f"{open_} {'pair' if open_ == 1 else 'pairs'} that cannot be told apart" if told else "Pair by pair, with the seeds each would take"


def _pair(pair: Mapping[str, Any]) -> dict[str, Any]:
    p = "" if pair["p"] is None else f"p = {pair['p']:.3f}" if pair["p"] >= 0.001 else "p below 0.001"
    return {"says": pair["says"], "warning": pair["warning"], "p": p}


def winners(report: Mapping[str, Any]) -> list[str]:
    """An arm that beats every other one that has a value: only that is set in bold, in the column of what the comparison is about."""
    beaten = {(pair["a"], pair["b"]) if pair["verdict"] == "a_better" else (pair["b"], pair["a"])
              for pair in report["pairs"] if pair["verdict"] != "cannot_tell"}
    judged = list(dict.fromkeys(name for pair in report["pairs"] if pair["differences"] for name in (pair["a"], pair["b"])))
    return [name for name in judged if len(judged) > 1 and all((name, other) in beaten for other in judged if other != name)]


def aside(outcome: Outcome, about: str, others: int, spent: float) -> str:
    """What it means to read a comparison by something else than it is about; `others` is how many outcomes there are beside it."""
    if outcome.key == about:
        return outcome.note
    more = (f"This comparison was not planned to be read by {outcome.title}. Each of its {others + 1} outcomes is a question of its own, with a chance of "
            f"{spent:.1%} that something is told of it that is none; of all of them together that is up to {min(1.0, (others + 1) * spent):.0%}. So say how "
            "many you have read.")
    return f"{outcome.note} {more}".strip()


def more(report: Mapping[str, Any], pairs: Pairs | None = None, outcome: str = "") -> dict[str, Any] | None:
    """The offer to add seeds after this look, and what that does to the verdicts; with a count of 0 why none is made. None before there are verdicts, and
    where everything is told. Seeds are offered where at least one pair would be told by as many as can be added."""
    pairs = report["pairs"] if pairs is None else pairs
    open_ = [pair for pair in pairs if pair["verdict"] == "cannot_tell"]
    if report["state"] != "finished" or not open_:
        return None
    there = len(report["seeds"])
    room = min(MOST_MORE, SEEDS - there, RUNS // len(report["arms"]) - there)
    wanted = sorted(pair["more_seeds"] for pair in open_ if pair["more_seeds"])
    if not wanted or wanted[0] > room:
        return {"count": 0, "says": _why_none(report, wanted, room, outcome or report["measure"])}
    looks = report["looks"]
    after = looks["look"] + 1
    return {"count": wanted[0], "says": _price(wanted[0], after, looks["planned"], looks["strictness"])}


def _why_none(report: Mapping[str, Any], wanted: Sequence[int], room: int, outcome: str) -> str:
    if wanted:
        whole = len(report["seeds"]) + wanted[0]
        way = f" A new comparison with {whole} seeds might tell it." if wanted[0] <= SEEDS - len(report["seeds"]) else ""
        return f"The pair nearest to a verdict would need about {wanted[0]} more seeds, and at most {max(0, room)} can be added here.{way}"
    if any(run["state"] == "failed" for arm in report["arms"] for run in arm["runs"]):
        return "No seeds are offered: what failed would have to be run first."
    if outcome == "vote":
        return "No seeds are offered: they are inside the votes, so more test items would tell more, not more seeds."
    return f"No seeds are offered: if they go on as they did, not even {paired.MOST_MORE} more would tell any of these pairs apart."


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
