"""How like the base's the states of each layer still are, over the words of the evaluation items.

    linear CKA of X and Y, (words, width): 1 for equal up to turning, shifting and scaling, 0 for unrelated
"""
from collections.abc import Generator
from typing import Any

from lab.contracts import Support, knob
from lab.lens import Probe, Progress, Specimen, Table
from lab.spec import RunSpec

AT_ONCE = 8


class Representations(Probe):
    """Each layer's states beside those of the untouched model, for the same words."""

    key = "representations"
    title = "How like the base each layer still is"
    about = ("How similar the states behind each block are to the untouched model's, for the same words of test items: 1 is the same arrangement, however it "
             "is turned, shifted or scaled as a whole. It compares arrangements, not answers: a score can change a great deal while this stays near 1.")
    source = "Similarity of Neural Network Representations Revisited, Kornblith et al. 2019; unbiased HSIC, Song et al. 2012"

    items: int = knob(100, "test items that are read", low=4, high=1000)

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        if spec.method.places(spec.shape):
            return Support(True)
        return Support(False, "nothing inside the model is trained, so every layer gives exactly what the base gives for the same text")

    @classmethod
    def cost(cls, spec: RunSpec) -> str:
        models = 2 if spec.method.starts_as_base() else 3
        seconds = models * max(1, spec.shape.total // 6_000_000)
        return f"{models} forward passes over 100 items, and as much again for comparing: about {seconds} s on two cores"

    def look(self, specimen: Specimen) -> Generator[Progress, None, Any]:
        """{"layers": [{"layer": block number from 0, None for what goes into the first block, "stack": "" or of an encoder-decoder reading or writing,
        "cka": trained against base, "before": before training against base}], "items", "words": how many were compared}."""
        from lab.lenses import _layers

        same = specimen.spec.method.starts_as_base()
        models = [specimen.module] if same else [specimen.module, specimen.before]
        rows = specimen.texts(self.items)
        compared, done = {}, 0
        for batch in specimen.batches(sorted(rows, key=lambda row: len(row.ids)), AT_ONCE):
            _layers.compare(specimen, models, batch, compared)
            done += len(batch.labels)
            yield done, len(rows)
        layers = [{"layer": layer, "stack": stack, **_told(similarity.values, same)} for (stack, layer), similarity in compared.items()]
        return {"layers": layers, "items": len(rows), "words": max(similarity.base.rows for similarity in compared.values())}

    @classmethod
    def says(cls, value: Any) -> tuple[str, ...]:
        known = [layer for layer in value["layers"] if layer["cka"] is not None]
        if not known:
            return ()
        least = min(known, key=lambda layer: layer["cka"])
        where = "what goes into the first block" if least["layer"] is None else f"block {least['layer'] + 1}"
        before = "" if least["before"] in (None, 1.0) else f" (before training {least['before']:.3f})"
        return (f"The states moved furthest from the base's at {where}: similarity {least['cka']:.3f}{before}; at the last block it is {known[-1]['cka']:.3f}.",
                "1 means the same arrangement of the words, not the same answers; and what few directions hold of a state can decide an answer without "
                "showing here.")

    @classmethod
    def table(cls, value: Any) -> Table:
        columns = ("stack", "layer", "cka", "before")
        return Table(columns, tuple(tuple(layer[column] for column in columns) for layer in value["layers"]))


def _told(values: list[float | None], same: bool) -> dict[str, float | None]:
    """`same`: the method starts as the base, so nothing had to be computed for before."""
    told = [None if value is None else round(value, 5) for value in values]
    return {"cka": told[0], "before": 1.0 if same else told[1]}


entry = Representations
