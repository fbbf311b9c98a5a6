"""Where the numbers of a comparison come from: which runs were recorded, when and on what, which were made here, and which are gone."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lab.compare import steady
from lab.compare.report import SHORT, TIMES
from lab.compare.says import listed, named
from lab.contracts import listing
from lab.ui.compare.parts import Part

HERE = "this lab"


def machine(made: Mapping[str, Any] | None) -> str:
    """Whose times a run's are: this lab's, or those of the machine where it was recorded."""
    if made is None:
        return HERE
    does = "".join(f", {each}" for each in (made.get("instructions") or ())[:1])  # the first is what its arithmetic is fastest with
    threads = f" and {made['threads']} thread{'s' * (made['threads'] > 1)}" if made.get("threads") not in (None, made.get("cores")) else ""
    return (f"{made.get('machine', 'a machine')} with {made.get('system', 'an unknown system')}, {made.get('cores', '?')} cores{threads} "
            f"({made.get('cpu') or 'unknown CPU'}{does})")


def marked(report: dict[str, Any], ended: Mapping[str, Part]) -> bool:
    """Says of each run and arm where it was made, in place, and whether times stand apart. Of an arm with runs of both, only those made here are timed."""
    timed = {}
    for arm in report["arms"]:
        for run in arm["runs"]:
            part = ended.get(run["fingerprint"])
            run["origin"] = "" if part is None else "recorded" if part.recorded else "here"
        where = {run["fingerprint"]: machine(ended[run["fingerprint"]].made) for run in arm["runs"] if run["fingerprint"] in ended}
        places = list(dict.fromkeys(where.values()))
        kept = HERE if HERE in places else places[0] if places else HERE
        timed[arm["name"]] = [run for run in arm["runs"] if where.get(run["fingerprint"]) == kept]
        if len(places) > 1:
            arm.update({key: _middle(run[key] for run in timed[arm["name"]]) for key in (*TIMES, "base_seconds")})
        arm["elsewhere"] = "" if kept == HERE else kept
    steady.mark(report["arms"], timed)
    report["load"] = steady.said(report["arms"])
    return len({arm["elsewhere"] for arm in report["arms"] if arm["step_seconds"] or arm["answer_seconds"]}) > 1


def _middle(values: Iterable[float | None]) -> float | None:
    known = sorted(value for value in values if value is not None)
    return known[(len(known) - 1) // 2] if known else None


def sources(found: Sequence[Part], apart: bool) -> dict[str, Any]:
    """{"says", "recorded", "apart", "columns", "rows"}: a row for all runs of one origin."""
    ended = list({part.spec.fingerprint: part for part in found if part.ended}.values())
    recorded = [part for part in ended if part.recorded]
    rows: dict[tuple[str, ...], int] = {}
    for part in ended:
        origin = _origin(part)
        rows[origin] = rows.get(origin, 0) + 1
    return {
        "says": _says(len(recorded), ended, recorded), "recorded": len(recorded) if len(recorded) < len(ended) else -1 if recorded else 0,
        "apart": _apart(found) if apart else "",
        "columns": ["runs", "made", "machine", "arithmetic", "versions", "weights", "data"], "rows": [[str(count), *origin] for origin, count in rows.items()],
    }


def _apart(found: Sequence[Part]) -> str:
    """Which times may be held against each other, and which not. An arm with runs made here is timed by those alone."""
    where: dict[str, list[str]] = {}
    for arm in dict.fromkeys(part.arm for part in found):
        places = [machine(part.made) for part in found if part.arm == arm and part.ended]
        if places and HERE not in places:
            where.setdefault(places[0], []).append(arm)
    alike = [f"{listed(arms)} with each other" for arms in where.values() if len(arms) > 1]
    may = f"Compare the times of {', and those of '.join(alike)}" if alike else "Compare none of them with another arm's"
    return f"Times marked “elsewhere” were measured on {listing(list(where))}. {may}; not with times of another machine or of this one."


def _others(recorded: Sequence[Part]) -> list[str]:
    return list(dict.fromkeys(machine(part.made) for part in recorded))


def _says(recorded: int, ended: Sequence[Part], parts: Sequence[Part]) -> str:
    """Nothing where all was made here."""
    if not recorded:
        return ""
    of = len(ended)
    dates = sorted({str(part.made.get("date", "")) for part in parts if part.made} - {""})
    when = f" on {dates[0]}" if len(dates) == 1 else f" between {dates[0]} and {dates[-1]}" if dates else ""
    which = f"All {of} runs were" if recorded == of else f"{recorded} of {of} runs {'was' if recorded == 1 else 'were'}"
    rest = " Nothing was trained here for this result." if recorded == of else f" The others were made in this lab{_formats(ended)}."
    return f"{which} recorded{when} on {listing(_others(parts))}.{rest}"


def _formats(ended: Sequence[Part]) -> str:
    """Whether runs of both origins compute in the same number format."""
    there, here = (sorted({part.result.started.dtype for part in ended if part.recorded == side and part.result.started}) for side in (True, False))
    if there == here:
        return f", in the same number format ({listing(here)})"
    return f", in another number format ({listing(here)}; the recorded ones in {listing(there)}): scores may differ a little by that, times and bytes by more"


def _origin(part: Part) -> tuple[str, ...]:
    made, started = part.made, part.result.started
    how = f"recorded {made.get('date', '')}, {made.get('command', '')}".rstrip(", ") if made is not None else "in this lab"
    if started is None:
        return (how, machine(made), "", "", "", "")
    return (how, machine(made), f"{started.dtype} on {started.device}, {started.threads} thread{'s' * (started.threads > 1)}",
            ", ".join(f"{name} {version}" for name, version in started.versions.items()), started.weights_sha256[:SHORT], started.data_sha256[:SHORT])


# ── runs that were there ──────────────────────────────────────────────────────────────────────────────────────────────


def had(found: Sequence[Part]) -> list[list[Any]]:
    """The arms and seeds that have ended, for the page to bring back next time."""
    return [[part.arm, part.seed] for part in found if part.ended]


def gone(found: Sequence[Part], before: Any) -> list[str]:
    """What was there when the page looked last, and has been deleted since: said, and never left out in silence."""
    seen = {(row[0], row[1]) for row in before if isinstance(row, list) and len(row) == 2 and isinstance(row[0], str)} if isinstance(before, list) else set()
    lost: dict[str, list[str]] = {}
    for part in found:
        if (part.arm, part.seed) in seen and part.state in ("missing", "known"):
            lost.setdefault(part.arm, []).append(str(part.seed))
    return [f"{named(arm)}, seed{'s' * (len(seeds) > 1)} {listing(seeds)}: the run was deleted, so it is not counted" for arm, seeds in lost.items()]
