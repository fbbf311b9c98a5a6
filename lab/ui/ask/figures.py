"""Figures of runs that share a base: bytes, texts a second, and how well a mix does in each domain."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.ui.charts import BLUE, FROZEN, GREY, TRAINABLE, VERMILLION, spread
from lab.ui.wording import size


def storage(base: int, parts: Sequence[int]) -> dict[str, Any]:
    """One base with its parts, above as many whole copies."""
    names, n = [f"one base and {len(parts)} parts", f"{len(parts)} whole copies"], len(parts)
    unit, worth = ("MB", 1e6) if n * base >= 1e6 else ("KB", 1e3)
    whole = {"type": "bar", "orientation": "h", "marker": {"color": FROZEN, "line": {"width": 1}}, "hovertemplate": "%{text}<extra></extra>",
             "textposition": "inside", "insidetextanchor": "middle", "textfont": {"color": "#fff"}}
    bars = [{**whole, "y": [names[1]], "x": [base / worth], "text": [size(base)], "name": f"copy {number + 1}"} for number in range(n)]
    bars.insert(0, {**whole, "y": [names[0]], "x": [base / worth], "text": [size(base)], "name": "base"})
    bars.append({**whole, "y": [names[0]], "x": [sum(parts) / worth], "text": [f"+ {size(sum(parts))}"], "name": "trained parts", "textposition": "outside",
                 "marker": {"color": TRAINABLE, "line": {"width": 0}}, "textfont": {}, "cliponaxis": False})
    return {"data": bars, "layout": {"barmode": "stack", "xaxis": {"title": {"text": unit, "standoff": 4}, "nticks": 5, "rangemode": "tozero"},
                                     "yaxis": {"autorange": "reversed", "ticksuffix": " "}, "bargap": 0.35},
            "caption": "grey: weights of the base; in colour: what was trained.",
            "alt": f"{names[0]}: {size(base + sum(parts))}; {names[1]}: {size(n * base)}.",
            "table": {"columns": ["what", "bytes"], "rows": [["the base", f"{base:,}"], *([f"part {at}", f"{part:,}"] for at, part in enumerate(parts, 1)),
                                                             [names[0], f"{base + sum(parts):,}"], [names[1], f"{n * base:,}"]]}}


def throughput(sizes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Texts a second against how many texts of each run there are, both ways; the middle half of the calls as bars."""
    ways = (("mixed", "one batch for all", BLUE, "circle"), ("apart", "one batch a run", GREY, "square"))
    x, traces, labels, rows = [f"{each['each']}" for each in sizes], [], [], []
    for key, name, colour, symbol in ways:
        middle = [each["texts"] / each[key]["median"] for each in sizes]
        fast, slow = [each["texts"] / each[key]["low"] for each in sizes], [each["texts"] / each[key]["high"] for each in sizes]
        traces.append({"x": x, "y": middle, "name": name, "mode": "lines+markers", "xaxis": "x", "yaxis": "y2", "line": {"color": colour, "width": 2.5},
                       "marker": {"size": 10, "symbol": symbol, "color": colour}, "hovertemplate": f"{name}: %{{y:.1f}} texts a second<extra></extra>",
                       "error_y": {"type": "data", "symmetric": False, "array": [high - mid for high, mid in zip(fast, middle, strict=True)],
                                   "arrayminus": [mid - low for low, mid in zip(slow, middle, strict=True)], "width": 5, "thickness": 1.5, "color": colour}})
        labels.append({"name": name, "value": f"{middle[-1]:.0f}", "y": middle[-1], "colour": colour, "own": False})
        rows += [[name, at, f"{mid:.1f}", f"{low:.1f} – {high:.1f}"] for at, mid, low, high in zip(x, middle, slow, fast, strict=True)]
    top = 1.08 * max(each["texts"] / each[key]["low"] for each in sizes for key, *_ in ways)
    return {"data": traces, "layout": {"xaxis": {"type": "category", "title": {"text": "texts of each run in a batch", "standoff": 4}, "anchor": "y2"},
                                       "yaxis2": {"title": {"text": "texts a second"}, "range": [0, top], "nticks": 5}},
            "labels": spread(labels, 0.09 * top, top), "caption": "bars are the middle half of the calls.",
            "alt": "Texts a second. " + "; ".join(f"{name}, {at} of each run: {mid}" for name, at, mid, _ in rows) + ".",
            "table": {"columns": ["how", "texts of each run", "texts a second", "middle half"], "rows": rows}}


def mix(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], seen: Mapping[str, Any]) -> dict[str, Any]:
    """Accuracy in each domain, model beside model: experts grey, the best of them blue, the mix in the accent."""
    traces, lowest, apart = [], 1.0, 0.6 / max(1, len(rows) - 1)
    for place, (row, found) in enumerate(zip(rows, seen["rows"], strict=True)):
        cells = [*found["cells"], found["all"]]
        accent = row["mix"]
        traces.append({"x": [column - 0.3 + apart * place for column in range(len(columns))], "y": [cell["accuracy"] for cell in cells],
                       "name": row["name"], "mode": "markers", "cliponaxis": False, "text": list(columns),
                       "marker": {"size": 13 if accent else 9, "symbol": "diamond" if accent else "circle" if row["who"].startswith("run") else "square-open",
                                  "color": VERMILLION if accent else BLUE if row["best"] else GREY, "opacity": 1 if accent or row["best"] else 0.75},
                       "error_y": {"type": "data", "array": [cell["error"] for cell in cells], "width": 4 if accent else 0, "thickness": 1.5,
                                   "color": VERMILLION if accent else BLUE if row["best"] else GREY},
                       "hovertemplate": f"{row['name']}<br>%{{text}}: %{{y:.3f}}<extra></extra>"})
        lowest = min(lowest, *(cell["accuracy"] - cell["error"] for cell in cells))
    names = {row["who"]: row["name"] for row in rows}
    said = "; ".join(f"{names[row['who']]} {row['all']['accuracy']:.3f}" for row in seen["rows"])
    axis = {"tickvals": list(range(len(columns))), "ticktext": list(columns), "range": [-0.5, len(columns) - 0.5], "showgrid": False}
    return {"data": traces, "layout": {"xaxis": axis, "yaxis": {"range": [max(0.0, int(lowest * 20) / 20 - 0.02), 1], "nticks": 6,
                                                                "title": {"text": "accuracy"}}},
            "caption": "in the order of the table; diamond: the mix; blue: the best single expert on validation items; bars are one standard error.",
            "alt": f"Accuracy over all domains: {said}.",
            "table": {"columns": ["model", *columns], "rows": [[row["name"], *(cell["said"] for cell in row["cells"])] for row in rows]}}
