"""Arms as the page shows them: what each is, trains and needs, or what is wrong with it, and how it is drawn in every chart."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab import describe
from lab.compare import differences
from lab.contracts import LabError
from lab.spec import RunSpec
from lab.sweeping import rates_tried
from lab.ui import charts, controls
from lab.ui.bench import Bench
from lab.ui.charts import COLOURS
from lab.ui.compare.asked import arm_spec, base_spec
from lab.ui.wording import percent, plain, size, whole

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
FEW_DASHES = 3  # of one colour, before an arm that is not the first of its method takes a neighbouring one


def looks(specs: Sequence[RunSpec | None]) -> list[dict[str, str]]:
    """A colour, a line and a marker for each arm. The first arm of a method has the method's own colour and marker, as in every other chart; a second one
    has them too, with another line, and where lines run out a neighbouring colour; where all arms are of one method, each has a colour. No two arms have the
    same colour and line."""
    keys = [spec.method.key if spec else "" for spec in specs]
    first = [place for place, key in enumerate(keys) if key not in keys[:place]]
    ways: dict[int, tuple[str, str]] = {}
    for place in (*first, *(place for place in range(len(specs)) if place not in first)):  # a method's own colour is nobody's neighbour
        own = charts.colour(keys[place]) if keys[place] else charts.GREY
        near = COLOURS[COLOURS.index(own) + 1:] + COLOURS[:COLOURS.index(own)] if own in COLOURS else COLOURS
        few = [(own, dash) for dash in (DASHES if place in first else DASHES[:FEW_DASHES] if len(first) > 1 else DASHES[:1])]
        free = (way for way in (*few, *((colour, dash) for dash in DASHES for colour in (own, *near))) if way not in ways.values())
        ways[place] = next(free, few[0])
    return [{"colour": ways[place][0], "dash": ways[place][1], "symbol": charts.marker(key) if key else charts.MARKERS[0]} for place, key in enumerate(keys)]


def cards(bench: Bench, draft: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[RunSpec | None]]:
    """Each arm with its counts, or with what is wrong with it."""
    base = base_spec(draft)
    rows, specs = [], []
    for arm in draft["arms"]:
        name = str(arm.get("name", "")) if isinstance(arm, Mapping) else ""
        try:
            spec = arm_spec(draft, base, arm.get("change", {}) if isinstance(arm, Mapping) else None)
            rows.append({"name": name, **_card(bench, base, spec)})
            specs.append(spec)
        except LabError as error:
            rows.append({"name": name, "error": str(error), "field": str(error).partition(" ")[0], "notes": []})
            specs.append(None)
    return [row | look for row, look in zip(rows, looks(specs), strict=True)], specs


def _card(bench: Bench, base: RunSpec, spec: RunSpec) -> dict[str, Any]:
    counts = spec.counts
    things, notes = differences(base, spec)
    rates = rates_tried(spec, bench.sweeps)
    return {
        "title": spec.method.title, "method": spec.method.key, "settings": settings(base, spec), "trainable": whole(counts.trainable),
        "share": percent(counts.trainable / counts.total), "memory": size(spec.memory(bench.paces.dtype(spec))["peak_bytes"]), "changes": things,
        "notes": notes, "rates": f"its learning rate was chosen from {rates} that were tried" if rates else "",
    }


def settings(base: RunSpec, spec: RunSpec) -> str:
    """rank 8, alpha 16 · learning rate 0.001 · 200 steps, where the base has others"""
    known, own = {knob["name"]: knob for knob in describe.knobs(type(spec.method))}, spec.method.settings()
    needless = {name for name, (other, value) in controls.ONLY.items() if own.get(other) != value}
    knobs = [f"{key.replace('_', ' ')} {_said(value)}" for key, value in own.items() if key in known and key not in needless
             and (not known[key]["advanced"] or value != known[key]["default"])]
    run = [f"{controls.label(key).lower()} {plain(value) if isinstance(value, int | float) else value}" for key in RunSpec.model_fields
           if key not in ("model", "task", "method", "seed", "eval_every", "lr", "tested_on") and (value := getattr(spec, key)) != getattr(base, key)
           and key not in spec.method.fixed]
    model = [f"on {spec.base.title}"] if spec.model != base.model else []
    task = [f"learns {spec.goal.title.lower()}"] if spec.task != base.task else []
    rate = [f"learning rate {plain(spec.lr)}"] if spec.steps else []
    return " · ".join([*model, *task, *([", ".join(knobs)] if knobs else []), *rate, *run])


def _said(value: Any) -> str:
    return plain(value) if isinstance(value, int | float) else " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
