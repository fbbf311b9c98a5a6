"""How far the base's own numbers moved: weights, biases, norms, rows of the word table, and what the model then says of other texts.

    |d| / |w| for each tensor that moved (Frobenius norms);  KL(base || trained) of the next word on general English
"""
from collections.abc import Generator
from typing import Any

from lab.contracts import Support, knob
from lab.lens import Probe, Progress, Specimen, Table
from lab.lenses import _parts
from lab.spec import RunSpec

MEASURES = {
    "relative": "|d| / |w|: length of the move over length of what was there; None where nothing was there",
    "norm": "|d|: length of the move", "largest": "the furthest that one number moved", "moved": "share of the numbers that moved at all",
}


class Drift(Probe):
    """What moved of the base itself, tensor by tensor."""

    key = "drift"
    title = "How far the base's own numbers moved"
    about = ("How far each tensor of the base moved against its own size, which words moved most where words are trained, and how much else the model now says "
             "about texts of no task. Adam moves every number about equally far in a step, so small numbers seem to drift most.")
    source = "BitFit, Ben Zaken et al. 2022, section 4.1 (change of each bias)"

    paragraphs: int = knob(8, "paragraphs of general English that a model which writes is asked about, before and after; 0 for none", low=0, high=60)

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        if moving(spec):
            return Support(True)
        return Support(False, "it moves no number of the base: it trains numbers of its own, or nothing; look at update_spectrum or representations")

    @classmethod
    def cost(cls, spec: RunSpec) -> str:
        read = " and two forward passes over 8 paragraphs of general English" if spec.shape.writes else ""
        return f"a comparison of {len(moving(spec))} tensors{read}: a few seconds"

    def look(self, specimen: Specimen) -> Generator[Progress, None, Any]:
        """{"measures": {name: what it is}, "cells": [{"layer" (None outside the blocks), "role", "relative", "norm", "largest", "moved"}],
        "details": {"layer.role": {"histogram": {"edges", "counts"} of d}}, "before": [] because all start at the base,
        "words": [{"id", "text", "relative", "cosine"}: the 20 rows of the word table that moved furthest; [] where none did],
        "general": {"kl": nats a token, "tokens", "paragraphs"}, None of a model that does not write}."""
        from lab.lenses import _drift

        spec, cells, details = specimen.spec, [], {}
        asked = moving(spec)
        for done, (name, layer, role) in enumerate(asked, start=1):
            before, after = _drift.pair(specimen, name)
            cell, histogram = _drift.told(before, after)
            cells.append({"layer": layer, "role": role, **cell})
            details[_parts.cell_name(cells[-1])] = {"histogram": histogram}
            yield done, len(asked) + 1
        words = _drift.words(specimen) if f"{spec.shape.embedding}.weight" in {name for name, _, _ in asked} else []
        general = _drift.general(specimen, self.paragraphs) if spec.shape.kind == "decoder" and self.paragraphs else None
        yield len(asked) + 1, len(asked) + 1
        return {"measures": MEASURES, "cells": cells, "details": details, "before": [], "words": words, "general": general}

    @classmethod
    def says(cls, value: Any) -> tuple[str, ...]:
        return tuple(line for line in (_said_of_tensors(value["cells"]), _said_of_words(value["words"]), _said_of_texts(value["general"])) if line)

    @classmethod
    def table(cls, value: Any) -> Table:
        return _parts.cells_table(value)


def moving(spec: RunSpec) -> list[tuple[str, int | None, str]]:
    """(name, layer, role) of the base's tensors that the method moves: those that it trains by the base's own names, matrices that it adds to for good,
    biases that it adds, rows of words."""
    shape, names = spec.shape, set()
    for part in _parts.parts_of(spec):
        trained = _parts.tensors_of(part, shape)
        names |= trained
        if (part.family == "selective" or part.trains_base) and getattr(part, "targets", ()):
            names |= {f"{linear.module}.weight" for linear in shape.select(part.targets)}
        if "Δb" in trained:
            names |= {f"{linear.module}.bias" for linear in shape.select(part.targets)}
        if "E[t]" in trained:
            names.add(f"{shape.embedding}.weight")
    added = [(f"{linear.module}.bias", linear.layer, f"{role} bias") for linear in shape.linears if not linear.bias
             for role in [_parts.roles(shape)[linear.module]]]
    return [tensor for tensor in (*_parts.base_tensors(shape), *added) if tensor[0] in names]


def _said_of_tensors(cells: Any) -> str:
    top = _parts.largest(cells, "relative")
    if top is None:
        longest = _parts.largest(cells, "norm")
        return f"The longest of the added numbers stand at {_parts.place_name(longest)}: {longest['norm']:.3g}; before there were none." if longest else ""
    return (f"Against its own size {_parts.place_name(top)} moved furthest: by {top['relative']:.2%} (median {_parts.middle(cells, 'relative'):.2%}). What "
            "began small seems to move most, and a far move need not be what the answers hang on.")


def _said_of_words(words: Any) -> str:
    if not words:
        return ""
    return f"Of the words, {words[0]['text']!r} (token {words[0]['id']}) moved furthest: by {words[0]['relative']:.1%} of its length."


def _said_of_texts(general: Any) -> str:
    if general is None:
        return ""
    return (f"On {general['paragraphs']} paragraphs of general English its next words differ from the base's by {general['kl']:.3g} nats a token (KL "
            "divergence, 0 for none). A difference is not yet a loss: the page's forgetting tells whether it guesses them worse.")


entry = Drift
