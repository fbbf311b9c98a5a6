"""Arms as the page shows them: what each is, trains and needs, or what is wrong with it, and how it is drawn in every chart."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab import describe
from lab.compare import differences
from lab.contracts import LabError
from lab.spec import RunSpec
from lab.sweeping import rates_tried
from lab.ui import controls
from lab.ui.bench import Bench
from lab.ui.compare.asked import arm_spec, base_spec
from lab.ui.looks import looks
from lab.ui.wording import percent, plain, size, whole


def cards(bench: Bench, draft: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[RunSpec | None]]:
    """Each arm with its counts, or with what is wrong with it."""
    base = base_spec(draft)
    rows, specs = [], []
    for arm in draft["arms"]:
        name = str(arm.get("name", "")) if isinstance(arm, Mapping) else ""
        try:
            spec = arm_spec(draft, base, arm.get("change", {}) if isinstance(arm, Mapping) else None)
            rows.append({"name": name})
            specs.append(spec)
        except LabError as error:
            rows.append({"name": name, "error": str(error), "field": str(error).partition(" ")[0], "notes": []})
            specs.append(None)
    rows = [row | _card(bench, base, spec) if spec else row for row, spec in zip(rows, specs, strict=True)]
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
