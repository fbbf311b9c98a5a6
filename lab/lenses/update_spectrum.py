"""What was added to each matrix: how long it is, how many directions it has, and whether these were in the matrix before.

    dW = W_after - W_before;  |dW| / |W| (Frobenius);  singular values of dW
"""
from collections.abc import Generator
from typing import Any

from lab.contracts import Support, knob
from lab.lens import Probe, Progress, Specimen, Table
from lab.lenses import _parts
from lab.spec import RunSpec

KEPT = 64  # singular values told of each matrix
MEASURES = {
    "relative": "|dW| / |W|: length of the change over length of the base's matrix (Frobenius norms)",
    "norm": "|dW|: length of the change",
    "rank90": "effective rank: the fewest directions that hold 90 % of the change's energy (squared singular values)",
    "rank": "directions in the change at all: singular values above a millionth of the largest",
    "alignment": "share of the change's energy in the strongest directions of the base's matrix, 0 to 1, mean of its outputs' and its inputs' side",
    "over_chance": "that share over the share of a change in random directions: 1 is chance",
    "intruders": "strongest directions of the changed matrix whose cosine with every direction of the base's matrix is below the threshold",
}


class UpdateSpectrum(Probe):
    """The change of each matrix of the blocks, taken apart into its directions."""

    key = "update_spectrum"
    title = "The change of each matrix"
    about = ("How much each matrix was changed, in how many directions, and whether these directions were strong in it before. A small change in the "
             "right direction can have a large effect, and LoRA's rank is a limit that was set, not something that was found.")
    source = "LoRA, Hu et al. 2021, section 7; intruder dimensions: LoRA vs Full Fine-tuning, Shuttleworth et al. 2024"

    strongest: int = knob(10, "directions of each matrix that count as its strongest, k", low=1, high=64)
    threshold: float = knob(0.5, "a direction is an intruder where its cosine with every direction of the base stays below this", low=0.05, high=0.95)

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        if _parts.changed_matrices(spec):
            return Support(True)
        return Support(False, f"{_parts.NO_MATRIX}; it is for full fine-tuning, LoRA and its relatives, and others that change matrices")

    @classmethod
    def cost(cls, spec: RunSpec) -> str:
        linears = _parts.changed_matrices(spec)
        work = sum(min(linear.inputs, linear.outputs) ** 2 * max(linear.inputs, linear.outputs) for linear in linears)
        return f"{len(linears)} matrices are taken apart: about {max(1, round(work / 2.5e9))} s on two cores, no forward pass"

    def look(self, specimen: Specimen) -> Generator[Progress, None, Any]:
        """{"measures": {name: what it is}, "cells": [{"layer", "role", one number for each measure (alignment, over_chance: None where nothing changed)}],
        "details": {"layer.role": {"spectrum": [up to 64 singular values of dW, falling], "limit": the rank it could have}},
        "before": the cells before training where the method does not start as the base, else [], "strongest": k, "threshold"}."""
        spec, found = specimen.spec, {}
        linears = _parts.changed_matrices(spec)
        models = {"cells": specimen.module} | ({} if spec.method.starts_as_base() else {"before": specimen.before})
        for place, (name, module) in enumerate(models.items()):
            found[name] = []
            for done, linear in enumerate(linears):
                found[name].append(self._measured(specimen, linear, module))
                yield place * len(linears) + done + 1, len(models) * len(linears)
        cells = {name: [cell for cell, _ in pairs] for name, pairs in found.items()}
        details = {_parts.cell_name(cell): about for cell, about in found["cells"]}
        return {"measures": MEASURES, **cells, "details": details, "before": cells.get("before", []), "strongest": self.strongest, "threshold": self.threshold}

    def _measured(self, specimen: Specimen, linear: Any, module: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        import torch

        from lab.lenses import _matrices, _spectra

        before = _matrices.own(specimen.base.get_submodule(linear.module))[0]
        after = _matrices.effective(_matrices.found(module, linear.module))[0]
        change = after - before
        parts, length = _spectra.of_change(change), float(torch.linalg.norm(change))
        cell = {"layer": linear.layer, "role": _parts.roles(specimen.shape)[linear.module], "relative": _parts.short(length / torch.linalg.norm(before)),
                "norm": _parts.short(length), "rank90": _spectra.effective_rank(parts.values), "rank": len(parts.values)}
        about = {"spectrum": [_parts.short(value) for value in parts.values[:KEPT].tolist()], "limit": min(change.shape)}
        return cell | self._compared(before, after, change, parts), about

    def _compared(self, before: Any, after: Any, change: Any, parts: Any) -> dict[str, Any]:
        """The change beside the base's own directions."""
        import torch

        from lab.lenses import _spectra

        if not len(parts.values):
            return {"alignment": None, "over_chance": None, "intruders": 0}
        base, count = _spectra.directions(before), min(self.strongest, *before.shape)
        near = torch.cat([base.right[:, :2 * count].to(parts.right), parts.right[:, :count]], 1)
        share, chance = _spectra.aligned(change, base, count)
        tuned = _spectra.strongest(after, count, near)
        return {"alignment": _parts.short(share), "over_chance": _parts.short(share / chance), "intruders": _spectra.intruders(tuned, base, self.threshold)}

    @classmethod
    def says(cls, value: Any) -> tuple[str, ...]:
        cells = value["cells"]
        top = _parts.largest(cells, "relative")
        if top is None or not top["relative"]:
            return ("No matrix differs from the base's.",)
        return (_said_of_size(top, cells), _said_of_rank(value), _said_of_intruders(value))

    @classmethod
    def table(cls, value: Any) -> Table:
        return _parts.cells_table(value)


def _said_of_size(top: Any, cells: Any) -> str:
    return (f"The change is longest, against the matrix it changes, in {_parts.place_name(top)}: {top['relative']:.2%} of its length (median over "
            f"{len(cells)} matrices {_parts.middle(cells, 'relative'):.2%}). A small share does not mean a small effect: that depends on what flows through.")


def _said_of_rank(value: Any) -> str:
    cells, limits = value["cells"], [about["limit"] for about in value["details"].values()]
    most, half = max(cell["rank"] for cell in cells), _parts.middle(cells, "rank90")
    if most < min(limits):
        return (f"Half of the matrices keep 90 % of their change in {half:g} directions or fewer; no change has more than {most} at all. Where the method "
                "sets that limit, as LoRA's rank does, a low rank is no finding.")
    return (f"Half of the matrices keep 90 % of their change in {half:g} directions or fewer, of up to {max(limits)} that they could have used: "
            "the lower, the more a low rank would have been enough.")


def _said_of_intruders(value: Any) -> str:
    found, of = sum(cell["intruders"] for cell in value["cells"]), value["strongest"] * len(value["cells"])
    return (f"{found:,} of the {of:,} strongest directions of the changed matrices are new: like none of the base's, with a cosine below "
            f"{value['threshold']:g}. Shuttleworth et al. tie such intruders to forgetting; where the line is drawn is a choice.")


entry = UpdateSpectrum
