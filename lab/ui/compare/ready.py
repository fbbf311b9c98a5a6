"""Ready questions as a list: each with what it would take and how much of it is recorded, in groups that follow from what its arms vary."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.compare import Comparison
from lab.compare.varied import GROUPS, group
from lab.contracts import LabError, listing
from lab.ui.bench import Bench
from lab.ui.compare.cost import distinct, left, pace
from lab.ui.compare.parts import Part, Results, parts
from lab.ui.wording import about


def listed(results: Results, owner: str) -> list[dict[str, Any]]:
    """[{"name", "rows"}] in the order of GROUPS; nothing where the lab came without questions."""
    bench = results.bench
    rows = {key: _row(results, key, asked, owner) for key, asked in (bench.ready.questions if bench.ready else {}).items()
            if all(map(bench.offer.fits, asked.specs.values()))}
    order = sorted(rows.values(), key=lambda row: row["done"] < row["of"])  # answered ones first
    return [{"name": name, "rows": found} for name in GROUPS if (found := [row for row in order if row["group"] == name])]


def opened(bench: Bench, key: str) -> dict[str, Any]:
    """A question as a comparison. Raises LabError for one that there is not."""
    known: Mapping[str, Comparison] = bench.ready.questions if bench.ready else {}
    if key not in known:
        raise LabError(f'unknown question "{key[:60]}": there are {", ".join(known) or "none"}')
    return known[key].to_dict()


def _row(results: Results, key: str, asked: Comparison, owner: str) -> dict[str, Any]:
    found = distinct(parts(results, asked, owner))
    recorded, done = sum(part.recorded for part in found), sum(part.state == "finished" for part in found)
    base, arms = asked.base_spec, len(asked.arms)
    models = list(dict.fromkeys(spec.base.title.partition(" (")[0] for spec in asked.specs.values()))
    return {
        "key": key, "title": asked.title, "group": group(asked), "arms": "; ".join(asked.specs),
        "about": f"{listing(models)} · {base.goal.title.lower()} · {arms} arms × {len(asked.seeds)} seeds{_hub(asked)}",
        "recorded": recorded, "done": done, "of": len(found), "state": _state(recorded, done, len(found)), "cost": _cost(results.bench, found),
    }


def _hub(asked: Comparison) -> str:
    """What cannot be run on a machine without a way to the Hub."""
    return " · needs the Hub" if any(spec.base.needs_hub for spec in asked.specs.values()) else ""


def _state(recorded: int, done: int, of: int) -> str:
    """Where its runs stand, in a word or two."""
    if recorded == of:
        return "recorded"
    if done == of:
        return "done"
    return f"{done} of {of} there" if done else "to run"


def _cost(bench: Bench, found: list[Part]) -> str:
    """What it would still take: about 5 min; or how many trainings, where their pace is not known."""
    waiting = [part for part in found if part.state not in ("finished", "known")]
    paces = {arm: pace(bench, spec) for arm, spec in {part.arm: part.spec for part in waiting}.items()}
    if not waiting:
        return ""
    runs = f"{len(waiting)} training{'s' * (len(waiting) > 1)}"
    if None in paces.values():
        return f"{runs}, time not known yet"
    return f"{runs}, {about(sum(left(paces[part.arm], part) for part in waiting) / max(1, len(bench.workers())))}"
