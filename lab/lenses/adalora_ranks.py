"""Where AdaLoRA left its ranks: how many directions each matrix kept of those it began with.

    h = W x + (alpha / r_0) B diag(E) A x;  the rank kept is the number of E that are not 0
"""
from collections.abc import Generator
from typing import Any

from lab.contracts import Support
from lab.lens import Probe, Progress, Specimen, Table
from lab.lenses import _parts
from lab.spec import RunSpec

MEASURES = {"rank": "directions kept", "share": "directions kept over those it began with",
            "largest": "largest |E|: how strong the strongest kept direction is"}


class AdaloraRanks(Probe):
    """The rank that each matrix was left with."""

    key = "adalora_ranks"
    title = "The ranks that were kept"
    about = ("How many directions of each matrix AdaLoRA kept when it had to save: more where the loss reacted to them. Another seed keeps others, "
             "so take differences between single matrices lightly and those between roles or depths that repeat seriously.")
    source = "AdaLoRA: Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning, Zhang et al. 2023, figure 3"

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        return Support(True) if _parts.trains(spec, "E", "A", "B") else Support(False, "it takes no ranks away; adalora does")

    @classmethod
    def cost(cls, spec: RunSpec) -> str:
        return "numbers that are there already: under a second"

    def look(self, specimen: Specimen) -> Generator[Progress, None, Any]:
        """{"measures": {name: what it is}, "cells": [{"layer", "role", "rank", "share", "largest"}], "details": {"layer.role": {"spectrum": [|E|, falling]}},
        "before": [] because all begin with "start", "start": the rank they began with, "budget": the mean rank that was wanted}."""
        from lab.lenses import _matrices

        method = next(part for part in _parts.parts_of(specimen.spec) if "E" in _parts.tensors_of(part, specimen.shape))
        linears, cells, details = specimen.shape.select(method.targets), [], {}
        for done, linear in enumerate(linears, start=1):
            layer = _matrices.found(specimen.module, linear.module)
            kept = layer.lora_E[layer.active_adapters[0]].detach().flatten().double().abs().sort(descending=True).values
            kept = kept[kept > 0]
            cells.append({"layer": linear.layer, "role": _parts.roles(specimen.shape)[linear.module], "rank": len(kept),
                          "share": round(len(kept) / method.start_rank, 4), "largest": _parts.short(kept[0]) if len(kept) else 0.0})
            details[_parts.cell_name(cells[-1])] = {"spectrum": [_parts.short(value) for value in kept[:64].tolist()]}
            yield done, len(linears)
        return {"measures": MEASURES, "cells": cells, "details": details, "before": [], "start": method.start_rank, "budget": method.rank}

    @classmethod
    def says(cls, value: Any) -> tuple[str, ...]:
        cells = value["cells"]
        mean, most, least = sum(cell["rank"] for cell in cells) / len(cells), _parts.largest(cells, "rank"), min(cells, key=lambda cell: cell["rank"])
        if most["rank"] == least["rank"]:
            return (f"Every matrix kept {most['rank']} of its {value['start']} directions: none was found to need more than another, or the run was "
                    "too short to take any away.",)
        return (f"Of {value['start']} directions each matrix kept {mean:.1f} on average (wanted: {value['budget']}): most in {_parts.place_name(most)} "
                f"({most['rank']}), fewest in {_parts.place_name(least)} ({least['rank']}).",
                "This is one run's choice, made from noisy gradients: look whether another seed chooses the same before believing a single matrix.")

    @classmethod
    def table(cls, value: Any) -> Table:
        return _parts.cells_table(value)


entry = AdaloraRanks
