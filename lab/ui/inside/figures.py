"""Figures of probes as plain Plotly values with the same numbers as a table; what a lens has no figure for is shown as its table."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lab.lenses.swap_test import sure
from lab.ui.charts import BLUE, GREY, TRAINABLE
from lab.ui.wording import figures

SCALE = [[0, "#00224e"], [0.25, "#434e6c"], [0.5, "#7d7c78"], [0.75, "#bcae6c"], [1, "#fee838"]]  # Cividis: the same order for every kind of colour vision
APART = 60  # cells in a row that have a gap between them; more would be gaps only
NAMES = {"none": ("No prompt at all", "the same model, its texts alone"), "prompt": ("The trained vectors", "what was learned"),
         "nearest": ("Their nearest words", "each vector replaced by its nearest token"), "before": ("The vectors before training", "where it started"),
         "random": ("Random words", "as many tokens, drawn blindly"), "written": ("A hand-written prompt", "words a person would write"),
         "labels": ("The label words", "the answers themselves, repeated")}
ORDER = ("prompt", "nearest", "none", "before", "random", "labels", "written")


def swap(value: Mapping[str, Any]) -> dict[str, Any]:
    """Rows of scores with their errors, the trained prompt first, each with the share of the gain that it keeps, where there surely is a gain."""
    rows, shares = [], value.get("kept", {}) if sure(value["gain"]) else {}
    for who in sorted(value["scores"], key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER)):
        seen, (name, told) = value["scores"][who], NAMES.get(who, (who, ""))
        kept = shares.get(who)
        keeps = "" if kept is None else f": keeps {'−' if kept < 0 else ''}{abs(100 * kept):.0f}\u202f% of the gain"
        rows.append({"who": "tuned" if who == "prompt" else who, "name": name, "about": told + keeps,
                     "score": seen["score"], "error": seen["standard_error"], "text": f"{seen['score']:.3f} ± {seen['standard_error']:.3f}",
                     "exact": f"{seen['score']} on {seen['items']:,} items, loss {seen['loss']}"})
    return {"rows": rows}


def cliff(value: Mapping[str, Any]) -> dict[str, Any]:
    """Loss on the straight line from the nearest words (a = 0) to the trained vectors (a = 1)."""
    walk, half, none = value["walk"], value.get("half"), value.get("none") or {}
    lines = [*([_across(none["loss"])] if none else []), *([_upwards(half)] if half is not None else [])]
    parts = [f"dashed: the loss without any prompt, {figures(none['loss'], 3)}"] if none else []
    parts += [f"dotted: half of the gain is lost at a = {figures(half)}"] if half is not None else []
    return {
        "data": [{"x": [at["a"] for at in walk], "y": [at["loss"] for at in walk], "mode": "lines+markers", "line": {"color": TRAINABLE, "width": 2.5},
                  "customdata": [at["score"] for at in walk], "hovertemplate": "a = %{x:.2f}: loss %{y:.3f}, score %{customdata:.3f}<extra></extra>"}],
        "layout": {"xaxis": _axis("a: 0 words, 1 vectors"), "yaxis": _axis("loss"), "shapes": lines},
        "caption": f"{'; '.join(parts)}." if parts else "",
        "alt": f"Chart. Loss {figures(walk[0]['loss'], 3)} at the nearest words, {figures(walk[-1]['loss'], 3)} at the trained vectors.",
        "table": {"columns": ["a", "loss", "score"], "rows": [[f"{at['a']:.2f}", f"{at['loss']:.4f}", f"{at['score']:.4f}"] for at in walk]},
    }


def knock_out(value: Mapping[str, Any]) -> dict[str, Any]:
    """How much the loss rises when one vector at a time becomes the mean embedding, beside what shuffling all of them does."""
    seen, mixed, loss = value["positions"], value.get("shuffled"), value["loss"]
    band = [{"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": mixed["low"] - loss, "y1": mixed["high"] - loss, "layer": "below",
             "fillcolor": GREY, "opacity": 0.25, "line": {"width": 0}}, _across(mixed["mean"] - loss)] if mixed else []
    most = max(seen, key=lambda each: each["rise"])
    return {
        "data": [{"type": "bar", "x": [each["position"] + 1 for each in seen], "y": [each["rise"] for each in seen], "marker": {"color": TRAINABLE},
                  "hovertemplate": "vector %{x}: the loss rises by %{y:.4f}<extra></extra>"}],
        "layout": {"xaxis": _axis("virtual token"), "yaxis": _axis("rise of the loss"), "bargap": 0.25, "shapes": band},
        "caption": f"Grey band: the loss when all vectors change places, {figures(mixed['mean'] - loss, 2)} higher on average." if mixed else "",
        "alt": f"Chart. Vector {most['position'] + 1} matters most: without it the loss rises by {figures(most['rise'])}.",
        "table": {"columns": ["virtual token", "loss without it", "rise"],
                  "rows": [[f"{each['position'] + 1}", f"{each['loss']:.4f}", f"{each['rise']:.4f}"] for each in seen]},
    }


def label_words(value: Mapping[str, Any]) -> dict[str, Any]:
    """Reciprocal rank of each label word among the neighbours of each vector."""
    words = [_seen(word) for word in value["words"]]
    return _heat(value["heat"], words, [f"{place + 1}" for place in range(len(value["heat"]))], "virtual token", "", "1 / rank",
                 "1 / rank among all words: 1 where the label word is the nearest of all, 0.01 where it is the hundredth.")


def attention(value: Mapping[str, Any]) -> dict[str, Any]:
    """The share of its attention that the answer's position gives to each virtual token, layer by layer."""
    layers, many = value["layers"], max(len(each["mass"]) for each in value["layers"])
    columns = [f"{place + 1}" for place in range(many)]
    drawn = _heat([each["mass"] for each in layers], columns, [f"{each['layer']}" for each in layers], "layer", "virtual token", "share",
                  "Where attention goes is not where influence comes from: a vector can matter through its value, not its share.")
    drawn["table"] = {"columns": ["layer", "on the words", *(f"token {name}" for name in columns)],
                      "rows": [[f"{each['layer']}", f"{each['words']:.3f}", *(f"{share:.3f}" for share in each["mass"])] for each in layers]}
    return drawn


def prefix_norms(value: Mapping[str, Any]) -> dict[str, Any]:
    """How long the trained keys and values are against those the model makes of words, layer by layer."""
    traces = [_lengths(role, [cell for cell in value["cells"] if cell["role"] == role], colour) for role, colour in (("key", BLUE), ("value", TRAINABLE))]
    return {
        "data": traces,
        "layout": {"xaxis": _axis("layer"), "yaxis": {**_axis("trained / of words"), "rangemode": "tozero"}, "shapes": [_across(1)]},
        "caption": "Dashed: as long as those that the model makes of words.",
        "alt": "Chart. Length of the trained keys and values against those of words, by layer.",
        "table": {"columns": ["layer", "role", "trained", "of words"],
                  "rows": [[f"{cell['layer']}", cell["role"], figures(cell["norm"], 3), figures(cell["base_norm"], 3)] for cell in value["cells"]]},
    }


def _lengths(role: str, cells: Sequence[Mapping[str, Any]], colour: str) -> dict[str, Any]:
    """A line over the layers, with its name at its end."""
    ratios = [cell["norm"] / cell["base_norm"] if cell["base_norm"] else None for cell in cells]
    return {"x": [cell["layer"] for cell in cells], "y": ratios, "mode": "lines+markers+text", "line": {"color": colour, "width": 2.5},
            "text": [*("" for _ in cells[:-1]), f"{role}s"], "textposition": "top center",
            "hovertemplate": f"layer %{{x}}: trained {role}s are %{{y:.2f}} times as long as those of words<extra></extra>"}


def _heat(cells: Sequence[Sequence[float]], columns: Sequence[str], rows: Sequence[str], row_title: str, column_title: str, what: str,
          caption: str) -> dict[str, Any]:
    flat = [(cell, row, column) for row, line in enumerate(cells) for column, cell in enumerate(line)]
    most = max(flat, default=(0.0, 0, 0))
    where = f"{column_title or 'word'} {columns[most[2]]}, {row_title} {rows[most[1]]}" if flat else "nowhere"
    return {
        "data": [{"type": "heatmap", "z": cells, "x": columns, "y": rows, "colorscale": SCALE, "zmin": 0,
                  "xgap": int(len(columns) < APART), "ygap": int(len(rows) < APART),
                  "colorbar": {"thickness": 10, "outlinewidth": 0, "title": {"text": what, "side": "right"}, "nticks": 5},
                  "hovertemplate": f"{row_title} %{{y}}, {column_title} %{{x}}: %{{z:.3f}}<extra></extra>"}],
        "layout": {"xaxis": {"type": "category", "title": {"text": column_title, "standoff": 6}, "nticks": 12},
                   "yaxis": {"type": "category", "title": {"text": row_title}, "autorange": "reversed", "nticks": 12}},
        "caption": caption, "alt": f"Heat map. The largest {what}, {figures(most[0])}, is at {where}.",
        "table": {"columns": [row_title, *columns], "rows": [[name, *(f"{cell:.3f}" for cell in line)] for name, line in zip(rows, cells, strict=True)]},
    }


def _axis(title: str) -> dict[str, Any]:
    return {"title": {"text": title, "standoff": 6}, "nticks": 8}


def _upwards(place: float) -> dict[str, Any]:
    return {"type": "line", "xref": "x", "x0": place, "x1": place, "yref": "paper", "y0": 0, "y1": 1, "line": {"dash": "dot", "width": 2}}


def _across(height: float) -> dict[str, Any]:
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": height, "y1": height, "layer": "below", "line": {"dash": "dash", "width": 1}}


def _seen(word: str) -> str:
    """A token with its leading space to be seen; signs that the figure library would read as markup are left out."""
    return word.replace(" ", "␣").translate(str.maketrans("", "", "<>&"))


FIGURES: Mapping[str, Callable[[Any], dict[str, Any] | None]] = {
    "swap_test": swap, "cliff_walk": cliff, "knock_out": knock_out, "label_words": label_words, "attention_mass": attention, "prefix_norms": prefix_norms,
}
