"""Ways to add arms: the usual suspects, one method, one knob over several values, a copy. Each arm comes under a name of its own."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.classroom.offer import ALL, Offer
from lab.compare import Arm, copied, swept, usual_suspects
from lab.compare.comparison import ARMS
from lab.contracts import LabError
from lab.spec import RunSpec
from lab.ui.compare.asked import arm_spec, base_spec


def suspects(draft: Mapping[str, Any], offer: Offer = ALL) -> list[dict[str, Any]]:
    """Those of the usual ones that are offered and not there yet."""
    base = base_spec(draft)
    there = {spec.method.key for arm in draft["arms"] if (spec := _fine(draft, base, arm)) is not None}
    usual = [arm for arm in usual_suspects(str(base.model), base.task) if offer.has("methods", arm.change["method"])]
    return _fresh(draft, [arm for arm in usual if arm.change["method"] not in there])


def one(draft: Mapping[str, Any], method: str) -> list[dict[str, Any]]:
    base = base_spec(draft)
    spec = arm_spec(draft, base, {"method": method})
    return _fresh(draft, [Arm(name=spec.method.title, change={"method": method})])


def sweep(draft: Mapping[str, Any], method: str, knob: str, values: Sequence[Any]) -> list[dict[str, Any]]:
    """An arm for each value. Raises LabError for a value out of bounds, so that nothing is added by half."""
    base = base_spec(draft)
    if not values:
        raise LabError("values is empty: give at least one, for instance 1, 4, 16")
    own = arm_spec(draft, base, {"method": method} if method != base.method.key else {})
    made = []
    for arm in swept(own, knob, values):
        change = {"method": {"name": method, **arm.change["method"]}} if "method" in arm.change else {"method": method, **arm.change}
        arm_spec(draft, base, change)
        made.append(Arm(name=f"{own.method.title}, {arm.name}"[:60], change=change))
    return _fresh(draft, made)


def copy(draft: Mapping[str, Any], place: Any) -> list[dict[str, Any]]:
    arms = draft["arms"]
    if not isinstance(place, int) or not 0 <= place < len(arms):
        raise LabError("this arm is not there any more: load the page again")
    _room(draft, 1)
    return [copied(Arm.model_validate(dict(arms[place])), [each.get("name") for each in arms]).model_dump()]


def _fresh(draft: Mapping[str, Any], arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """Each under a name that no other has."""
    _room(draft, len(arms))
    names = [str(each.get("name")) for each in draft["arms"]]
    found = []
    for arm in arms:
        named = copied(arm, names) if arm.name in names else arm
        names.append(named.name)
        found.append(named.model_dump())
    return found


def _room(draft: Mapping[str, Any], more: int) -> None:
    if len(draft["arms"]) + more > ARMS:
        raise LabError(f"there would be {len(draft['arms']) + more} arms: at most {ARMS} can be compared, remove some first")


def _fine(draft: Mapping[str, Any], base: RunSpec, arm: Any) -> RunSpec | None:
    try:
        return arm_spec(draft, base, arm.get("change", {}))
    except (LabError, AttributeError):
        return None
