"""One method looked at closely: the course of its step, what each block keeps, why it is so, and what the run costs in energy."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from lab.accounting.energy import GRIDS, energy, estimated_seconds
from lab.accounting.points import PARTS
from lab.accounting.why import differs, rules, why
from lab.contracts import Shape, listing, shorten
from lab.forecast.order import Order
from lab.ui import charts
from lab.ui.memory.menus import LARGEST, bytes_said
from lab.ui.memory.rows import on
from lab.ui.memory.trains import trains
from lab.ui.wording import about, figures, percent, whole

PHASES = {"forward": "forward", "forward_end": "", "backward": "backward", "optimizer": "optimizer"}
MOMENTS = {"forward_peak": "during the forward pass", "forward_end": "at the end of the forward pass", "backward_peak": "during the backward pass",
           "optimizer_peak": "when the optimizer moves the weights"}
LARGEST_STEPS = 10_000_000
MODULES = 14  # rows of the map
NARROWEST = 0.12  # of the timeline's width, for a phase: its name has to fit on a phone
SIGNATURES = ("default", "int", "dim", "dim_int", "dim_IntList", "out", "self", "ScalarList", "values_stable")
WHOLE = ("model", "base_model", "base_model.model")  # what the model's own forward keeps, outside of every module in it


def detail(order: Order, found: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    shape = order.spec.shape
    return {
        "title": order.spec.method.title, "traced": found["traced"], "moment": moment(found), "moments": moments(found),
        "timeline": timeline(found) if found["timeline"] else None, "map": activations(found["layers"], shape) if found["layers"] else None,
        "trains": trains(order.spec), "why": explained(order, found), "energy": consumed(order, found, asked), "assumptions": found["assumptions"],
    }


def moment(found: Mapping[str, Any]) -> str:
    if not found["traced"]:
        return "Only weights, gradients and optimizer states are known here: this step cannot be traced, so the peak is a lower bound."
    at = f", in {placed(found['peak_at'])}" if found["peak_at"] else ""
    return f"The peak, {bytes_said(found['peak_bytes'])}, comes {MOMENTS[found['peak_moment']]}{at}."


def moments(found: Mapping[str, Any]) -> dict[str, Any]:
    """The highest point of each phase, part by part, as a table."""
    rows = [[MOMENTS[each["name"]], *(bytes_said(each["parts"][part]) for part in PARTS), bytes_said(each["bytes"])] for each in found["moments"]]
    return {"columns": ["moment", *PARTS, "together"], "rows": rows}


# ── the course of the step ────────────────────────────────────────────────────────────────────────────────────────────


def timeline(found: Mapping[str, Any]) -> dict[str, Any]:
    """Memory against the order of operations, coloured by part; hover names the module."""
    points = found["timeline"]
    unit, worth = next((unit, worth) for unit, worth in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("KB", 1e3)) if found["peak_bytes"] >= worth or unit == "KB")
    x = spread(points)
    areas = [{"x": x, "y": [round(point[part] / worth, 4) for point in points], "name": part, "mode": "lines", "stackgroup": "parts", "hoverinfo": "skip",
              "line": {"width": 0, "color": charts.PARTS[part]}, "fillcolor": charts.PARTS[part], "yaxis": "y2"} for part in PARTS]
    total = {"x": x, "y": [round(point["bytes"] / worth, 4) for point in points], "name": "together", "mode": "lines", "line": {"width": 1, "color": "#545d68"},
             "yaxis": "y2", "customdata": [[_where(point), _split(point)] for point in points],
             "hovertemplate": f"<b>%{{y:.3g}} {unit}</b> %{{customdata[0]}}<br>%{{customdata[1]}}<extra></extra>"}
    starts = _starts(points)
    at = max(range(len(points)), key=lambda place: points[place]["bytes"])
    peak = {"x": [x[at]], "y": [round(points[at]["bytes"] / worth, 4)], "mode": "markers", "hoverinfo": "skip", "yaxis": "y2", "cliponaxis": False,
            "marker": {"size": 9, "color": "#D55E00", "line": {"width": 2}}}
    ends = [*[x[begin] for begin, _ in starts[1:]], x[-1]]
    top = found["peak_bytes"] / worth
    return {
        "data": [*areas, total, peak],
        "layout": {"hoverdistance": -1,
                   "xaxis": {"range": [0, x[-1]], "anchor": "y2", "tickmode": "array", "ticks": "", "showgrid": False,
                             "tickvals": [(x[begin] + end) / 2 for (begin, _), end in zip(starts, ends, strict=True)],
                             "ticktext": [phase for _, phase in starts]},
                   "yaxis2": {"range": [0, 1.08 * top], "nticks": 5, "title": {"text": unit}},
                   "shapes": [{"type": "line", "x0": x[begin], "x1": x[begin], "yref": "paper", "y0": 0, "y1": 1, "line": {"dash": "dot", "width": 1}}
                              for begin, _ in starts[1:]]},
        "labels": [], "caption": "From left to right the operations of one step in their order, not in seconds; the dot is the peak.",
        "alt": _alt(found), "table": _table(points),
    }


def spread(points: Sequence[Mapping[str, Any]]) -> list[float]:
    """Where each point stands: one after another, but no phase so narrow that its name has no room."""
    starts = [0, *(begin for begin, _ in _starts(points)[1:]), len(points)]
    x: list[float] = []
    for begin, end in pairwise(starts):
        step = max(1.0, NARROWEST * len(points) / max(1, end - begin))
        x += [(x[-1] if x else -step) + step * (place + 1) for place in range(end - begin)]
    return [round(each, 3) for each in x]


def _starts(points: Sequence[Mapping[str, Any]]) -> list[tuple[int, str]]:
    """Where each named phase begins."""
    found: list[tuple[int, str]] = []
    for place, point in enumerate(points):
        phase = PHASES[point["phase"]]
        if phase and (not found or found[-1][1] != phase):
            found.append((place, phase))
    return found


def _where(point: Mapping[str, Any]) -> str:
    phase = {"forward_end": "end of forward"}.get(point["phase"], point["phase"])
    name = placed(point["module"]) if point["module"] else ""
    block = f"block {point['block'] + 1}" if point["block"] >= 0 and name.startswith("the operation") else ""
    return ", ".join(part for part in (phase, block, name) if part)


def placed(name: str) -> str:
    """A module by its path; an operation outside all modules by its own name, without the signature that torch adds."""
    path, _, last = name.rpartition(".")
    if path and not last[:1].isupper() and last not in SIGNATURES:
        return name
    return f"the operation {(path or last).strip('_')}"


def _split(point: Mapping[str, Any]) -> str:
    return ", ".join(f"{part} {bytes_said(point[part])}" for part in PARTS if point[part] > 0.002 * point["bytes"])


def _alt(found: Mapping[str, Any]) -> str:
    seen = "; ".join(f"{MOMENTS[each['name']]} {bytes_said(each['bytes'])}" for each in found["moments"])
    return f"Chart of memory over one training step. {seen}."


def _table(points: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """About forty points; the highest is among them."""
    every = max(1, len(points) // 40)
    peak = max(points, key=lambda point: point["bytes"])
    shown = [point for place, point in enumerate(points) if place % every == 0 or point is peak]
    return {"columns": ["in", *PARTS, "together"], "rows": [[_where(point), *(bytes_said(point[part]) for part in PARTS), bytes_said(point["bytes"])]
                                                            for point in shown]}


# ── what each block keeps ─────────────────────────────────────────────────────────────────────────────────────────────


def _plain(name: str) -> str:
    """peft calls the one adapter of a layer `default`; what no module inside it makes is the block's own."""
    return "the block itself" if name == "block" else name.removesuffix(".default")


def activations(layers: Sequence[Mapping[str, Any]], shape: Shape) -> dict[str, Any]:
    """Blocks across, modules down: {"blocks", "rows": [{"name", "each", "all", "cells": 0…1}], "outside", "total"}."""
    blocks = [row for row in layers if row["layer"] is not None]
    outside = next((row for row in layers if row["layer"] is None), {"bytes": 0, "modules": {}})
    names = list(dict.fromkeys(name for row in blocks for name in row["modules"]))
    sums = {name: sum(row["modules"].get(name, 0) for row in blocks) for name in names}
    shown = sorted(sorted(names, key=lambda name: -sums[name])[:MODULES], key=names.index)
    most = max((value for row in blocks for value in row["modules"].values()), default=1) or 1
    rows = [{"name": _plain(name), "each": bytes_said(max(row["modules"].get(name, 0) for row in blocks)), "all": bytes_said(sums[name]),
             "cells": [round(row["modules"].get(name, 0) / most, 3) for row in blocks],
             "texts": [bytes_said(row["modules"].get(name, 0)) for row in blocks]} for name in shown if sums[name]]
    left = sum(sums.values()) - sum(sums[name] for name in shown)
    kept, total = sum(row["bytes"] for row in blocks), sum(row["bytes"] for row in layers)
    around: dict[str, float] = {}
    for name, value in outside["modules"].items():
        name = ("logits and loss" if shape.writes else "what makes an answer of the features") if name in WHOLE else _plain(name)
        around[name] = around.get(name, 0) + value
    largest = sorted(around.items(), key=lambda item: -item[1])[:3]
    return {"blocks": len(blocks), "rows": rows, "left": bytes_said(left) if left else "", "total": bytes_said(total), "inside": bytes_said(kept),
            "outside": [{"name": name, "text": bytes_said(size)} for name, size in largest if size], "outside_total": bytes_said(outside["bytes"]),
            "about": _kept(shown, sums, kept, total, shape)}


def _kept(names: Sequence[str], sums: Mapping[str, float], kept: float, total: float, shape: Shape) -> str:
    if not total:
        return "Nothing is kept for the backward pass: nothing in the model trains."
    if not kept:
        return f"No block keeps anything; the {bytes_said(total)} lie outside the blocks."
    inside = f"{bytes_said(total)} are kept for the backward pass, {percent(kept / total)} of it in {shape.layers} blocks"
    top = [name for name in sorted(names, key=lambda name: -sums[name])[:2] if sums[name]]
    if len(top) < 2:
        return f"{inside}."
    part = percent(sum(sums[name] for name in top) / kept)
    return f"{inside}; {listing([_plain(name) for name in top])} keep {part} of that."


# ── why, and what it costs ────────────────────────────────────────────────────────────────────────────────────────────


def explained(order: Order, found: Mapping[str, Any]) -> dict[str, Any]:
    spec = order.spec
    positions = spec.shape.positions if spec.shape.kind == "vision" else order.tokens + spec.method.virtual_tokens_used()
    told = why(found, spec.method, spec.shape, batch=spec.batch, positions=positions, optimizer=spec.optimizer, trainable=spec.counts.trainable,
               dtype=spec.dtype, checkpointing=spec.checkpointing)
    texts, places = ("images", "patches") if spec.shape.kind == "vision" else ("texts", "tokens")
    yours = told["numbers"]["per token, text and width"] if found["layers"] else None
    found_rules = rules(spec.method, spec.shape, spec.checkpointing, spec.adapter_dtype)
    mine = next((rule for rule in found_rules if rule["yours"]), None)
    off = mine is not None and yours is not None and abs(yours - mine["bytes"]) >= 0.5
    reasons = differs(spec.method, spec.shape, dtype=spec.dtype, adapter_dtype=spec.adapter_dtype, attention=spec.attention) if off else []
    return {"largest": told["largest"], "heading": f"Why {LARGEST[told['largest']]} are the largest part", "share": percent(told["share"]),
            "sentences": told["sentences"],
            "rules": [{**rule, "mark": ("" if not rule["yours"] else "row of the rule (GPT-2, BERT)" if off else "this step")} for rule in found_rules],
            "differs": f"{yours:g} and not {mine['bytes']}, because {listing(reasons)}." if reasons else "", "yours": f"{yours:g}" if yours is not None else "",
            "bits": "" if spec.dtype == "bfloat16" else ", in 32 bits",
            "sum": f"{bytes_said(told['numbers']['a block keeps'])} ÷ ({spec.batch} {texts} × {positions} {places} × width {spec.shape.width:,})"}


def consumed(order: Order, found: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """An estimate for a run of so many steps; every factor is shown."""
    steps, grid = asked.get("steps", 1000), asked.get("grid", GRIDS[0][0])
    if not isinstance(steps, int) or isinstance(steps, bool) or not 1 <= steps <= LARGEST_STEPS:
        return {"error": f"Steps is {shorten(steps)}: must be 1 to {LARGEST_STEPS:,}."}
    if not isinstance(grid, int | float) or isinstance(grid, bool) or not 0 <= grid <= 2:
        return {"error": f"The grid's CO2 is {shorten(grid)}: must be 0 to 2 kg a kilowatt hour."}
    spec = order.spec
    tokens = spec.batch * (spec.shape.positions if spec.shape.kind == "vision" else order.tokens + spec.method.virtual_tokens_used())
    seconds = estimated_seconds(spec.counts, spec.method.trains_base, tokens, steps, order.device, spec.checkpointing)
    spent = energy(seconds, order.device, grid)
    as_if = [f"As if it fitted on {on(order.device)}: it does not."] if found["fits"] == "too_large" else []
    return {"time": about(seconds), "energy": _in_thousands(1000 * spent["kilowatt_hours"], "Wh"), "carbon": _in_thousands(1000 * spent["kilograms"], "g"),
            "tokens": whole(tokens * steps), "assumptions": [*as_if, *spent["assumptions"]], "steps": steps, "grid": grid}


def _in_thousands(amount: float, unit: str) -> str:
    return f"{figures(amount / 1000)} k{unit}" if amount >= 1000 else f"{figures(amount)} {unit}"
