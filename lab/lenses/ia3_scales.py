"""The factors of IA3: which channels were turned up, and which down.

    k = l_k ⊙ (W_k x);  every l starts at 1
"""
from collections.abc import Generator
from typing import Any

from lab.contracts import Support
from lab.lens import Probe, Progress, Specimen, Table
from lab.lenses import _parts
from lab.spec import RunSpec

MEASURES = {
    "mean": "mean factor: below 1 the layer was turned down as a whole", "spread": "root of the mean squared distance of the factors from 1",
    "low": "smallest factor", "high": "largest factor", "moved": "share of the factors further than 0.1 from 1",
    "negative": "factors below 0: the channel turned over",
}


class Ia3Scales(Probe):
    """The learned factors of each layer, around the 1 they started from."""

    key = "ia3_scales"
    title = "Channels turned up and down"
    about = ("The factor that each channel of keys, values and the feed-forward middle is multiplied with after training; 1 leaves it as it was. How far a "
             "factor is from 1 says nothing about how much the channel carries: a loud channel at 1.1 can matter more than a silent one at 2.")
    source = "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning, Liu et al. 2022, section 3.3"

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        return Support(True) if _parts.trains(spec, "l") else Support(False, "it has no factors for channels; ia3 has")

    @classmethod
    def cost(cls, spec: RunSpec) -> str:
        return "numbers that are there already: under a second"

    def look(self, specimen: Specimen) -> Generator[Progress, None, Any]:
        """{"measures": {name: what it is}, "cells": [{"layer", "role", "mean", "spread", "low", "high", "moved", "negative"}],
        "details": {"layer.role": {"histogram": {"edges", "counts"}, with the same room on both sides of 1}}, "before": [] because all start at 1}."""
        from lab.lenses import _matrices

        linears = _parts.changed_matrices(specimen.spec)
        cells, details = [], {}
        for done, linear in enumerate(linears, start=1):
            layer = _matrices.found(specimen.module, linear.module)
            if hasattr(layer, "ia3_l"):
                factors = layer.ia3_l[layer.active_adapters[0]].detach().flatten().double()
                cells.append({"layer": linear.layer, "role": _parts.roles(specimen.shape)[linear.module], **_told(factors)})
                details[_parts.cell_name(cells[-1])] = {"histogram": _matrices.around(factors, 1.0)}
            yield done, len(linears)
        return {"measures": MEASURES, "cells": cells, "details": details, "before": []}

    @classmethod
    def says(cls, value: Any) -> tuple[str, ...]:
        top = _parts.largest(value["cells"], "spread")
        if top is None:
            return ()
        turned = sum(cell["negative"] for cell in value["cells"])
        return (f"The factors lie furthest from 1 in {_parts.place_name(top)}: between {top['low']:.3g} and {top['high']:.3g}, {top['moved']:.0%} of them "
                f"more than 0.1 away." + (f" {turned:,} channels of the model were turned over." if turned else ""),
                "A factor's distance from 1 is not its effect: that depends on how much its channel carries.")

    @classmethod
    def table(cls, value: Any) -> Table:
        return _parts.cells_table(value)


def _told(factors: Any) -> dict[str, float]:
    far = (factors - 1).abs()
    return {"mean": _parts.short(factors.mean()), "spread": _parts.short(far.square().mean().sqrt()), "low": _parts.short(factors.min()),
            "high": _parts.short(factors.max()), "moved": _parts.short((far > 0.1).double().mean()), "negative": int((factors < 0).sum())}


entry = Ia3Scales
