"""What a lens saw in one run, or in two on the same scale, as plain values that the page draws: a map of layers and roles, a curve, or a table alone.

The form goes by the value's keys, not by the lens: a new lens whose value has such keys is drawn without a line here.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from lab import catalogue
from lab.contracts import FUSED, LabError
from lab.lens import Lens
from lab.ui.formula import ROLE_WORDS
from lab.ui.inside import curves
from lab.ui.inside.curves import Sight, said
from lab.ui.inside.seen import looked, sighted
from lab.ui.inside.subject import Subject, Subjects
from lab.ui.picture import RECORDED, sentence, title
from lab.ui.view import answered

CENTRES = {("ia3_scales", name): 1.0 for name in ("mean", "low", "high")}  # where a measure says that nothing has changed, and that is not 0
TITLES = {"relative": "relative change", "norm": "length", "rank90": "effective rank", "over_chance": "alignment over chance"}
NEAR_ZERO = 0.5  # of the largest: where the smallest is below this, a scale begins at 0
OFFERED = 30  # runs to hold against
READ = 100  # newest runs of a browser that are looked through for them
BEGUN = ("running", "finished", "failed", "cancelled")


def questions(subjects: Subjects) -> list[Callable[[Any], dict[str, Any]]]:
    """`heat` is the picture, `closely` one cell of it, `beside` the runs that it can be held against."""

    @answered
    def heat(asked: Any) -> dict[str, Any]:
        return pictured(str(asked.get("lens")), sights(subjects, asked))

    @answered
    def closely(asked: Any) -> dict[str, Any]:
        layer = asked.get("layer")
        return detail(sights(subjects, asked), layer if isinstance(layer, int) else None, str(asked.get("role")))

    @answered
    def beside(asked: Any) -> dict[str, Any]:
        return {"runs": others(subjects, asked)}

    return [heat, closely, beside]


# ── which runs ────────────────────────────────────────────────────────────────────────────────────────────────────────


def sights(subjects: Subjects, asked: Mapping[str, Any]) -> list[Sight]:
    """What the lens saw in `run`, and in `other` if one is named. Raises LabError where it has not looked yet."""
    lens = catalogue.find("lenses", str(asked.get("lens")))
    runs = [asked.get("run") or "", *([asked["other"]] if asked.get("other") else [])]
    found = [_sight(subjects, subjects.read(str(run), str(asked.get("owner", ""))), lens) for run in runs]
    return [replace(sight, name=f"{letter} {sight.name}") for letter, sight in zip("AB", found, strict=True)] if len(found) == 2 else found


def _sight(subjects: Subjects, subject: Subject, lens: type[Lens]) -> Sight:
    value = sighted(lens, subject, subjects)[1]
    if value is None:
        raise LabError(f"{lens.title}: nobody has looked at {_said(subject)} yet; open that run and look through this lens there")
    return Sight(title(subject.settings).partition(" · ")[0], subject.settings["method"]["name"], value, lens.kind)


def others(subjects: Subjects, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Runs of the same model, of this browser and recorded ones, in which the lens has something to see; `ready` where it has looked, and how a look
    that is on its way stands."""
    owner, bench = str(asked.get("owner", "")), subjects.bench
    shown, lens = subjects.read(str(asked.get("run")), owner), catalogue.find("lenses", str(asked.get("lens")))
    mine = bench.store.history(owner or "nobody", limit=READ, search=shown.settings["model"])
    keys = [*(run.id for run in mine if run.settings["model"] == shown.settings["model"] and run.state in BEGUN),
            *(RECORDED + each.key for each in bench.recorded if each.spec.model == shown.settings["model"])]
    offered = [subjects.open(key) for key in keys[:OFFERED] if key != shown.key]
    return [{"run": each.key, "name": _said(each), "ready": sighted(lens, each, subjects)[1] is not None, "look": looked(lens, each, subjects, owner)}
            for each in offered if each.spec and lens.applies(each.spec).ok]


def _said(subject: Subject) -> str:
    return f"{subject.title or sentence(subject.settings)}{', recorded' if subject.label else ''}"


# ── what is drawn ─────────────────────────────────────────────────────────────────────────────────────────────────────


def pictured(key: str, found: Sequence[Sight]) -> dict[str, Any]:
    """{"kind": "grid" | "curves" | "none", …}"""
    value = found[0].value
    keys = value.keys() if isinstance(value, Mapping) else ()
    if "cells" in keys:
        return grid(key, found)
    figures = curves.figures(found)
    return {"kind": "curves", "figures": figures} if figures else {"kind": "none"}


@dataclass(frozen=True)
class Scale:
    """From 0 (pale) to 1 (strong); from -1 where it runs to both sides of a centre."""

    low: float
    high: float
    centre: float | None = None

    def amount(self, value: float) -> float:
        if self.centre is not None:
            return round((value - self.centre) / ((self.high - self.centre) or 1.0), 3)
        return round((value - self.low) / ((self.high - self.low) or 1.0), 3)


def scale(values: Sequence[float], centre: float | None = None) -> Scale:
    """Around a centre both sides reach equally far; else it begins at 0, unless all values lie far from it."""
    if centre is None and min(values) < 0 < max(values):
        centre = 0.0
    if centre is not None:
        reach = max(abs(value - centre) for value in values)
        return Scale(centre - reach, centre + reach, centre)
    low, high = min(values), max(values)
    return Scale(0.0 if 0 <= low <= NEAR_ZERO * high else low, high)


def grid(key: str, found: Sequence[Sight]) -> dict[str, Any]:
    """Blocks across, roles down, a map for each run; one scale a measure for everything that is shown of it, before training too."""
    cells = [cell for sight in found for cell in (*sight.value["cells"], *(sight.value.get("before") or ()))]
    layers = sorted({cell["layer"] for cell in cells if cell["layer"] is not None})
    columns = [*([None] if any(cell["layer"] is None for cell in cells) else []), *layers]
    rows = list(dict.fromkeys(cell["role"] for cell in cells))
    about = measures(found[0].value)
    scales = {name: scale(values, CENTRES.get((key, name))) for name in about if (values := [cell[name] for cell in cells if _number(cell.get(name))])}
    return {
        "kind": "grid", "details": any(sight.value.get("details") for sight in found),
        "columns": [{"layer": layer, "name": "outside" if layer is None else f"{layer + 1}"} for layer in columns],
        "rows": [{"role": role, "name": role_said(role), "part": parts_said(role)} for role in rows],
        "measures": [{"name": name, "title": measure_said(name), "about": about[name], **_legend(scales[name])} for name in about if name in scales],
        "maps": [{"name": sight.name, "now": _places(sight.value["cells"], scales, columns, rows),
                  "before": _places(sight.value["before"], scales, columns, rows) if sight.value.get("before") else None} for sight in found],
    }


def measures(value: Mapping[str, Any]) -> dict[str, str]:
    """{name: what it is}; where a lens does not say, every number of its cells is one."""
    named = dict.fromkeys(name for cell in value["cells"] for name, number in cell.items() if name not in ("layer", "role") and _number(number))
    return dict(value.get("measures") or {name: name.replace("_", " ") for name in named})


def measure_said(name: str) -> str:
    return TITLES.get(name, name.replace("_", " "))


def role_said(role: str) -> str:
    """`query`, and `query bias`, `norm 2 gain` or `cross value` where a lens tells more of them apart than a method does."""
    return ROLE_WORDS.get(role) or " ".join(ROLE_WORDS.get(word, word).replace("norms", "norm") for word in role.replace(" ", "  ").split("  "))


def parts_said(role: str) -> str:
    """The names by which the drawing of the block finds it."""
    words = [word for word in role.split() if word in ROLE_WORDS or word == "bias"]
    return " ".join(name for word in words for name in ((*FUSED, word) if word == "qkv" else (word,))) or role.replace("_", " ")


def _legend(known: Scale) -> dict[str, Any]:
    middle = known.centre if known.centre is not None else (known.low + known.high) / 2
    return {"both": known.centre is not None, "low": said(known.low), "middle": said(middle), "high": said(known.high)}


def _places(cells: Sequence[Mapping[str, Any]], scales: Mapping[str, Scale], columns: Sequence[int | None], rows: Sequence[str]) -> list[dict[str, Any]]:
    """Where each cell stands, and for each measure how strong its colour is and its number in words."""
    return [{"column": columns.index(cell["layer"]), "row": rows.index(cell["role"]),
             "seen": {name: [known.amount(cell[name]), said(cell[name])] for name, known in scales.items() if _number(cell.get(name))}} for cell in cells]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value - value == 0


# ── one cell ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def detail(found: Sequence[Sight], layer: int | None, role: str) -> dict[str, Any]:
    """All measures of a cell, before training too where that is known, and the figures that belong to it. Raises LabError for a cell that is none."""
    cells = [_cell(sight.value["cells"], layer, role) for sight in found]
    if not any(cells):
        raise LabError(f"there is no {role} in block {layer}: choose one of the cells")
    befores = [_cell(sight.value.get("before") or (), layer, role) for sight in found]
    about = measures(found[0].value)
    facts = [{"name": measure_said(name), "about": words, "values": [_fact(cell, name) for cell in cells],
              "before": [_fact(cell, name) for cell in befores] if any(befores) else []} for name, words in about.items()]
    close = [(sight, _close(sight.value.get("details") or {}, layer, role)) for sight in found]
    return {"title": f"{role_said(role)}, {'outside the blocks' if layer is None else f'block {layer + 1}'}", "runs": [sight.name for sight in found],
            "facts": [fact for fact in facts if any(chain(fact["values"], fact["before"]))], "figures": curves.close_figures([(s, d) for s, d in close if d])}


def _cell(cells: Sequence[Mapping[str, Any]], layer: int | None, role: str) -> Mapping[str, Any]:
    return next((cell for cell in cells if (cell["layer"], cell["role"]) == (layer, role)), {})


def _fact(cell: Mapping[str, Any], name: str) -> str:
    return said(cell[name]) if _number(cell.get(name)) else ""


def _close(details: Mapping[str, Any], layer: int | None, role: str) -> Mapping[str, Any]:
    names = (f"{layer}.{role}",) if layer is not None else (f"None.{role}", f"null.{role}", f"outside.{role}", role)
    return next((details[name] for name in names if name in details), {})
