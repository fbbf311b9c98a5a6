"""Lengths of a prefix's keys and values in each block, beside those that the base itself has for words.

    mean over virtual tokens of |P_k| and |P_v|, all heads together
"""
from collections.abc import Generator
from typing import Any

from lab.contracts import Support, knob
from lab.lens import Probe, Progress, Specimen, Table
from lab.lenses import _soft
from lab.spec import RunSpec

ROLES = ("key", "value")
BATCH = 8
OTHER = "it has no prefix; prefix_tuning has, and the vectors of a prompt are compared with words instead"
LONG = 2  # times as long as a word's


class PrefixNorms(Probe):
    """How long a prefix's keys and values are, where a nearest token does not exist."""

    key = "prefix_norms"
    title = "Lengths of the prefix"
    about = ("A prefix is made of keys and values inside each block, which lie in no space that words lie in, so it has no nearest token; this shows how long "
             "they are beside the keys and values of real words. A long key can draw attention and a long value moves the result far when it is looked at.")
    source = "Li and Liang 2021, section 4"

    items: int = knob(32, "evaluation items whose words are compared with", low=1, high=500)

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        return Support(True) if spec.method.key == "prefix_tuning" else Support(False, OTHER)

    @classmethod
    def cost(cls, spec: RunSpec) -> str:
        return f"one pass over {min(cls().items, spec.eval_items)} items"

    def look(self, specimen: Specimen) -> Generator[Progress, None, Any]:
        """{"cells": [{"layer" from 0, "role": "key" or "value", "norm": mean length over the virtual tokens, "base_norm": over the words of evaluation items
        in the untouched base, "before": of the virtual tokens before training}], "items", "why": why there is no nearest token}.

        Of an encoder-decoder the blocks are those of the writing stack, and `layer` counts on behind the reading stack."""
        from lab.lenses import _prefix

        rows, total, words = specimen.texts(min(self.items, specimen.spec.eval_items)), 0, 0
        for done, batch in enumerate(specimen.batches(rows, BATCH), start=1):
            lengths = _prefix.of_words(specimen, batch)
            total, words = total + lengths.sum(0), words + len(lengths)
            yield min(done * BATCH, len(rows)), len(rows)
        now, then = (_prefix.trained(module).norm(dim=3).mean(0) for module in (specimen.module, specimen.before))  # (blocks, 2)
        chosen = specimen.spec.method.blocks(specimen.shape)
        return {"cells": _cells(specimen.shape.encoder_layers, chosen, now, (total / words)[list(chosen)], then), "items": len(rows), "why": _soft.PREFIX}

    @classmethod
    def says(cls, value: Any) -> tuple[str, ...]:
        return (f"There is no nearest token to show: {value['why']}.", *(_said(value["cells"], role) for role in ROLES))

    @classmethod
    def table(cls, value: Any) -> Table:
        names = ("layer", "role", "norm", "base_norm", "before")
        return Table(names, tuple(tuple(cell[name] for name in names) for cell in value["cells"]))


def _cells(first: int, blocks: range, now: Any, base: Any, then: Any) -> list[dict[str, Any]]:
    return [{"layer": first + layer, "role": role, **{name: float(f"{lengths[place, side]:.4g}") for name, lengths in
                                                      (("norm", now), ("base_norm", base), ("before", then))}}
            for place, layer in enumerate(blocks) for side, role in enumerate(ROLES)]


def _said(cells: list[dict[str, Any]], role: str) -> str:
    own = [cell for cell in cells if cell["role"] == role]
    top = max(own, key=lambda cell: cell["norm"] / max(cell["base_norm"], 1e-9))
    long = sum(cell["norm"] > LONG * cell["base_norm"] for cell in own)
    return (f"The {role}s are longest against those of words in block {top['layer'] + 1}: {top['norm']:.3g} beside {top['base_norm']:.3g}, and more than "
            f"{LONG} times as long in {long} of {len(own)} blocks; before training it was {top['before']:.3g} there.")


entry = PrefixNorms
