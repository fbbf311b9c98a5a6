"""What became of each matrix's rows: their lengths and their directions, apart from each other.

    m_i = |row i|;  change of length |m_i' - m_i| / m_i,  change of direction 1 - cos(row i', row i), means over the rows; one row for each output
"""
from collections.abc import Generator
from typing import Any

from lab.contracts import Support
from lab.lens import Probe, Progress, Specimen, Table
from lab.lenses import _parts
from lab.spec import RunSpec

MEASURES = {
    "magnitude": "mean over rows of |length after - length before| / length before",
    "direction": "mean over rows of 1 - cosine of the row after with the row before",
    "degrees": "the angle that 1 - direction is the cosine of",
}


class DoraMagnitudes(Probe):
    """Lengths and directions of the rows of each changed matrix, as DoRA parts them."""

    key = "dora_magnitudes"
    title = "Length and direction"
    about = ("How far each matrix's rows changed in length and how far in direction: DoRA trains the two apart, other methods move both together. Compare two "
             "runs that learned equally much; a longer training moves both further, whatever the method.")
    source = "DoRA: Weight-Decomposed Low-Rank Adaptation, Liu et al. 2024, section 3.2, figure 2 (there of full fine-tuning, LoRA and DoRA)"

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        return Support(True) if _parts.changed_matrices(spec) else Support(False, f"{_parts.NO_MATRIX}, so no row has another length or direction")

    @classmethod
    def cost(cls, spec: RunSpec) -> str:
        return f"{len(_parts.changed_matrices(spec))} matrices are compared row by row: a few seconds, no forward pass"

    def look(self, specimen: Specimen) -> Generator[Progress, None, Any]:
        """{"measures": {name: what it is}, "cells": [{"layer", "role", "magnitude", "direction", "degrees"}],
        "details": {"layer.role": {"histogram": {"edges", "counts"} of length after / length before, around 1}}, "before": [],
        "correlation": {role: of magnitude and direction over the layers, None for under 4}, "trained": whether lengths are trained by themselves}."""
        from lab.lenses import _matrices

        spec, cells, details = specimen.spec, [], {}
        linears = _parts.changed_matrices(spec)
        for done, linear in enumerate(linears, start=1):
            before = _matrices.own(specimen.base.get_submodule(linear.module))[0]
            after = _matrices.effective(_matrices.found(specimen.module, linear.module))[0]
            cell, ratios = _parted(before, after)
            cells.append({"layer": linear.layer, "role": _parts.roles(spec.shape)[linear.module], **cell})
            details[_parts.cell_name(cells[-1])] = {"histogram": _matrices.around(ratios, 1.0)}
            yield done, len(linears)
        names = dict.fromkeys(cell["role"] for cell in cells)
        together = {role: _correlation([cell for cell in cells if cell["role"] == role]) for role in names}
        return {"measures": MEASURES, "cells": cells, "details": details, "before": [], "correlation": together, "trained": _parts.trains(spec, "m")}

    @classmethod
    def says(cls, value: Any) -> tuple[str, ...]:
        top = _parts.largest(value["cells"], "magnitude")
        if top is None:
            return ()
        said = ("Here the lengths are numbers of their own, which train beside the directions." if value["trained"] else
                "Here no length is trained by itself: lengths follow from how the whole matrix moved.")
        known = [found for found in value["correlation"].values() if found is not None]
        rather = f" Over the layers the two go together with a correlation of {sum(known) / len(known):.2f} (mean over the roles)." if known else ""
        return (f"Rows changed most in length in {_parts.place_name(top)}: by {top['magnitude']:.2%} on average, and in direction by {top['degrees']:.2g}°. "
                f"{said}",
                f"A row of many numbers turns far before its length moves: small lengths and large angles are usual for small random changes too.{rather}")

    @classmethod
    def table(cls, value: Any) -> Table:
        return _parts.cells_table(value)


def _parted(before: Any, after: Any) -> tuple[dict[str, float], Any]:
    """The cell, and each row's length after over its length before."""
    from math import acos, degrees

    from lab.lenses import _matrices

    lengths = before.norm(dim=1)
    real = lengths > 0  # a row of zeros has no direction
    before, after, lengths = before[real], after[real], lengths[real]
    ratios, turned = after.norm(dim=1) / lengths, float((1 - _matrices.cosines(after, before)).clamp(min=0).mean())
    cell = {"magnitude": _parts.short((ratios - 1).abs().mean()), "direction": _parts.short(turned), "degrees": _parts.short(degrees(acos(1 - min(turned, 2))))}
    return cell, ratios


def _correlation(cells: list[dict[str, Any]]) -> float | None:
    from statistics import StatisticsError, correlation

    try:
        return round(correlation([cell["magnitude"] for cell in cells], [cell["direction"] for cell in cells]), 4) if len(cells) >= 4 else None
    except StatisticsError:  # all alike
        return None


entry = DoraMagnitudes
