"""The words nearest to a prompt, in a lesson: what they are worth, a line for each vector, and all of them for whoever wants to look."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.lenses.prompt_neighbours import entry as Neighbours
from lab.ui.inside.figures import swap
from lab.ui.wording import cell, figures

MEASURES = {"centred": "cosine, the mean taken away", "cosine": "cosine", "l2": "distance", "dot": "dot product",
            "centred, before training": "cosine, the mean taken away, before training"}
SMALL = 0.001  # a p below it is said to be below it
NO_CHANCE = "–: how often chance brings a vector as near (z and p) is worked out after training and for the first measure alone."


def summary(value: Mapping[str, Any]) -> dict[str, Any]:
    """{"says", "scores": of the swap test with their errors, "vectors": the nearest word before and after, "table": the nearest five by every measure}"""
    test = value["swap"]
    return {"says": list(Neighbours.says(value)), "scores": swap(test)["rows"] if test else [], "items": test["scores"]["prompt"]["items"] if test else 0,
            "vectors": {"columns": ["vector", "nearest word before training", "after", f"first word still among the nearest {value['top']}", "p of chance"],
                        "rows": [_vector(each) for each in value["positions"]]},
            "table": {"columns": ["vector", "measured by", "place", "word", "value", "z", "p"], "note": NO_CHANCE,
                      "rows": [[cell(each) for each in (position + 1, MEASURES.get(metric, metric), place, word, nearness, z, p)]
                               for position, metric, place, _, word, nearness, z, p in Neighbours.table(value).rows]}}


def _vector(seen: Mapping[str, Any]) -> list[str]:
    before, after = (line[0]["text"] if line else "–" for line in (seen["init"], seen["neighbours"]["centred"]))
    return [str(seen["position"] + 1), before, after, "yes" if seen["kept"] else "no", _chance(seen["p"])]


def _chance(p: float) -> str:
    return f"below {SMALL}" if p < SMALL else figures(p)
