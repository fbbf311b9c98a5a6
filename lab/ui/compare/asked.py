"""What the page sends of a comparison: it may be half made, so each arm is looked at for itself, and what is wrong is said where it is."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any
from urllib.parse import quote

from lab.classroom.offer import check_limits, completed
from lab.compare import Comparison, base_of
from lab.compare.comparison import ARMS, changed
from lab.compare.report import look_of
from lab.contracts import LabError
from lab.spec import LARGEST_SPEC_BYTES, RunSpec
from lab.ui.bench import Bench

SEEDS = [0, 1, 2]
FIELDS = tuple(Comparison.model_fields)
MOST_PAIRS, MOST_LOOKS = ARMS * (ARMS - 1) // 2, 50  # of what a page may have kept
FEWEST_ARMS = 2


def blank(bench: Bench) -> dict[str, Any]:
    """What stands there first: a base, and nothing to compare yet."""
    return {"base": dict(bench.first), "arms": [], "seeds": list(SEEDS)}


def draft_of(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The comparison as far as it is made; what is no comparison at all raises LabError."""
    sent = asked.get("draft")
    if not isinstance(sent, Mapping) or not isinstance(sent.get("base"), Mapping) or not isinstance(sent.get("arms"), list):
        raise LabError("the page sent no comparison: load it again")
    found = {key: sent[key] for key in FIELDS if key in sent}
    if len(found["arms"]) > ARMS:
        raise LabError(f"there are {len(found['arms'])} arms: at most {ARMS} can be compared at a time")
    if len(json.dumps(found, default=str).encode()) > LARGEST_SPEC_BYTES:
        raise LabError(f"this comparison has too much text: all its settings together have at most {LARGEST_SPEC_BYTES:,} characters")
    return found | {"seeds": sent.get("seeds", list(SEEDS))}


def comparison_of(bench: Bench, draft: Mapping[str, Any]) -> Comparison:
    """The whole. Raises LabError for anything that cannot be compared, or that this lab does not allow: limits are for what would have to be run."""
    comparison = Comparison.parse(draft)
    recorded = all(_recorded(bench, spec) for spec in comparison.runs.values())
    if not recorded:
        comparison = Comparison.parse({**draft, "base": completed(draft["base"], bench.limits)})
    for name, spec in comparison.specs.items():
        try:
            bench.offer.check(spec)
            if not recorded:
                check_limits(spec, bench.limits)
        except LabError as error:
            raise LabError(f'arm "{name}": {error}') from None
    return comparison


def _recorded(bench: Bench, spec: RunSpec) -> bool:
    return bool(bench.ready and bench.ready.of(spec)) or any(each.spec.fingerprint == spec.fingerprint for each in bench.recorded)


def base_spec(draft: Mapping[str, Any]) -> RunSpec:
    """Raises LabError for a base that cannot be run."""
    spec = RunSpec.parse({key: value for key, value in draft["base"].items() if key != "seed"})
    spec.base, spec.goal  # noqa: B018  both raise for what cannot be run
    return spec


def arm_spec(draft: Mapping[str, Any], base: RunSpec, change: Any) -> RunSpec:
    """One arm, whatever the others are like. Raises LabError in words about it."""
    if not isinstance(change, Mapping):
        raise LabError("this arm says nothing that can be changed: remove it, and add it anew")
    return RunSpec.parse(changed(draft["base"], base, change))


def without(comparison: Comparison, names: Sequence[str]) -> Comparison | None:
    """The comparison without the arms that were stopped; None where fewer than two are left."""
    left = [arm for arm in comparison.arms if arm.name not in names]
    if len(left) == len(comparison.arms):
        return comparison
    return Comparison.parse({**comparison.to_dict(), "arms": [arm.model_dump() for arm in left]}) if len(left) >= FEWEST_ARMS else None


def pairs(comparison: Comparison) -> list[str]:
    """A key for each pair of arms, whatever they are called, whatever their seeds and whoever stands beside them: a verdict is about a pair, so that is what
    looks are counted by."""
    arms = sorted({hashlib.sha256(json.dumps([comparison.measure, {**spec.to_dict(), "seed": None}], sort_keys=True).encode()).hexdigest()[:10]
                   for spec in comparison.specs.values()})
    return [f"{a}-{b}" for a, b in combinations(arms, 2)]


def looked(asked: Mapping[str, Any], comparison: Comparison) -> list[list[int]]:
    """The seeds behind each earlier look at the verdicts, as the page has kept them by pair: of the pair for which this look is the latest, so that no arm
    that goes or comes makes it an early one again."""
    seen = asked.get("looked")
    kept = seen if isinstance(seen, Mapping) else {}
    each = [_rows(kept.get(pair)) for pair in pairs(comparison)[:MOST_PAIRS]]
    return max(each, key=lambda rows: (look_of(comparison, rows)[0], len(rows)), default=[])


def _rows(kept: Any) -> list[list[int]]:
    rows = kept if isinstance(kept, list) else []
    return [[seed for seed in row if isinstance(seed, int)] for row in rows[:MOST_LOOKS] if isinstance(row, list)]


def query(draft: Mapping[str, Any]) -> str:
    """The value of `compare=` in an address: compact JSON."""
    return quote(json.dumps(draft, ensure_ascii=False, separators=(",", ":")), safe="")


def read(text: str) -> dict[str, Any]:
    """From the value as the browser has unescaped it. Raises LabError for what is no comparison."""
    return Comparison.from_json(text).to_dict()


def beside(spec: RunSpec, other: str, title: str) -> dict[str, Any]:
    """A finished run against another method, from the run's own seed on."""
    arms = [{"name": spec.method.title, "change": {}}, {"name": title, "change": {"method": other}}]
    return Comparison.parse({"base": base_of(spec), "arms": arms, "seeds": [spec.seed + more for more in range(len(SEEDS))]}).to_dict()
