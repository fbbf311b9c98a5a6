"""How wide each bottleneck adapter stands open: what it adds, against what it adds it to.

    g = |s U f(D x)| / |h|, at each real position of the evaluation items;  h: (…, width) what the layer gives
"""
from collections.abc import Generator
from typing import Any

from lab.contracts import Support, knob
from lab.lens import Probe, Progress, Specimen, Table
from lab.lenses import _parts
from lab.spec import RunSpec

MEASURES = {
    "gate": "median over real positions of |s U f(D x)| / |h|: what the adapter adds, over what the layer itself gives",
    "low": "a tenth of the positions lie below this", "high": "a tenth of the positions lie above this",
}


class Gates(Probe):
    """The size of what each adapter adds, for real texts."""

    key = "gates"
    title = "How much each adapter adds"
    about = ("How long the vector is that each bottleneck adapter adds, against the vector it is added to, over the words of test items. A long vector may "
             "still say little, because the norm behind it takes length away; a short one may tip the answer.")
    source = "Parameter-Efficient Transfer Learning for NLP, Houlsby et al. 2019, section 2.1"

    items: int = knob(64, "test items that are read", low=1, high=1000)

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        if _parts.bottlenecks(spec):
            return Support(True)
        return Support(False, "it has no bottleneck adapter; houlsby, pfeiffer and parallel have")

    @classmethod
    def cost(cls, spec: RunSpec) -> str:
        return "one forward pass over 64 items: a few seconds"

    def look(self, specimen: Specimen) -> Generator[Progress, None, Any]:
        """{"measures": {name: what it is}, "cells": [{"layer", "role", "gate", "low", "high"}], "details": {"layer.role": {"histogram": {"edges", "counts"}}},
        "before": [] because all start closed, "items": how many were read}."""
        from lab.lenses import _gates

        rows = specimen.texts(self.items)
        found = yield from _gates.measured(specimen, _parts.bottlenecks(specimen.spec), rows)
        cells, details = [], {}
        for linear, (cell, histogram) in found.items():
            cells.append({"layer": linear.layer, "role": _parts.roles(specimen.shape)[linear.module], **cell})
            details[_parts.cell_name(cells[-1])] = {"histogram": histogram}
        return {"measures": MEASURES, "cells": cells, "details": details, "before": [], "items": len(rows)}

    @classmethod
    def says(cls, value: Any) -> tuple[str, ...]:
        top = _parts.largest(value["cells"], "gate")
        if top is None:
            return ()
        return (f"The widest gate is that of {_parts.place_name(top)}: at half of the positions the adapter adds more than {top['gate']:.1%} of the length of "
                f"what is there (median over the adapters {_parts.middle(value['cells'], 'gate'):.1%}).",
                "Length is not importance: the lens layer_span asks what the answers lose without an adapter.")

    @classmethod
    def table(cls, value: Any) -> Table:
        return _parts.cells_table(value)


entry = Gates
