"""Which blocks the score hangs on: what a method did in some of them is switched off, without training again.

    score with the method in all blocks but l … m
"""
from collections.abc import Generator
from typing import Any

from lab.contracts import Support, knob
from lab.lens import Probe, Progress, Specimen, Table
from lab.lenses import _parts
from lab.spec import RunSpec

THIRDS = ("lower", "middle", "upper")


class LayerSpan(Probe):
    """The score and the loss when a span of blocks forgets its adapters, or its change."""

    key = "layer_span"
    title = "Switched off, block by block"
    about = ("What the trained model scores when the method is switched off in one block, or in a third of them, and left on in the others. Blocks that can be "
             "spared here might still have been needed while training, and what two blocks do together is not the sum of both.")
    source = "Parameter-Efficient Transfer Learning for NLP, Houlsby et al. 2019, section 3.6, figure 6"

    items: int = knob(100, "test items asked each time", low=2, high=1000)
    single: bool = knob(True, "each block by itself as well; otherwise only the thirds")

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        if _parts.changed_layers(spec):
            return Support(True)
        return Support(False, "nothing of it sits in single blocks that could be switched off: what it trains stands outside them, or nothing is trained")

    @classmethod
    def cost(cls, spec: RunSpec) -> str:
        layers = len(_parts.changed_layers(spec))
        return f"{len(spans(spec, True)) + 2} evaluations of 100 items each; {layers} blocks; with single off only {len(spans(spec, False)) + 2}"

    def look(self, specimen: Specimen) -> Generator[Progress, None, Any]:
        """{"spans": [{"first", "last": block numbers from 0, "name": lower, middle, upper or "", "score", "standard_error", "loss", "items", "changed": share
        of answers that become another, None where answers are written}], "score": the same with all on, "none": with all blocks off; what moved outside the
        blocks stays}."""
        from lab.lenses import _switch

        spec, module = specimen.spec, specimen.module
        asked = spans(spec, self.single)
        every, whole = tuple(_parts.changed_layers(spec)), len(asked) + 2
        answers, found = None, []
        for number, (name, layers) in enumerate((("", ()), ("", every), *asked)):
            with _switch.without(module, specimen.base, spec.shape, layers):
                scored = yield from _parts.counted(specimen.scored(module, self.items), number, whole)
            answers = scored.logits if answers is None else answers
            found.append({"first": min(layers, default=None), "last": max(layers, default=None), "name": name, **scored.to_dict(),
                          "changed": _changed(answers, scored.logits)})
        return {"spans": found[2:], "score": _without_span(found[0]), "none": _without_span(found[1])}

    @classmethod
    def says(cls, value: Any) -> tuple[str, ...]:
        whole, none = value["score"], value["none"]
        spans = [span for span in value["spans"] if not span["name"]] or value["spans"]
        if not spans:
            return ()
        worst = max(spans, key=lambda span: span["loss"])
        told = (f"It suffers most without {_named(worst)}: score {worst['score']:.3f}, loss {worst['loss']:.3f}." if worst["loss"] > whole["loss"] else
                "No single one makes the loss larger by being switched off.")
        return (f"All on the score is {whole['score']:.3f} ± {whole['standard_error']:.3f} (loss {whole['loss']:.3f}), all off {none['score']:.3f} "
                f"({none['loss']:.3f}).",
                f"{told} The same {whole['items']} items are asked each time; differences of scores within about two standard errors show nothing, and the "
                "head, where there is one, stays as it was trained.")

    @classmethod
    def table(cls, value: Any) -> Table:
        columns = ("first", "last", "score", "standard_error", "loss", "changed")
        rows = [("on everywhere", value["score"]), *((_named(span), span) for span in value["spans"]), ("off everywhere", value["none"])]
        return Table(("switched off", *columns), tuple((name, *(row.get(column) for column in columns)) for name, row in rows))


def spans(spec: RunSpec, single: bool) -> list[tuple[str, tuple[int, ...]]]:
    """(name, the blocks of it in which there is something to switch off) of each third of the model, and of single blocks."""
    layers, depth = _parts.changed_layers(spec), spec.shape.layers
    thirds = [(name, tuple(layer for layer in layers if layer * 3 // depth == place)) for place, name in enumerate(THIRDS)] if depth >= 3 else []
    found = [(name, span) for name, span in thirds if span and len(span) < len(layers)]
    return found + ([("", (layer,)) for layer in layers] if single else [])


def _named(span: Any) -> str:
    if span["name"]:
        return f"the {span['name']} third (blocks {span['first'] + 1} to {span['last'] + 1})"
    return f"block {span['first'] + 1}"


def _without_span(found: dict[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in ("score", "standard_error", "loss", "items", "changed")}


def _changed(before: Any, after: Any) -> float | None:
    return None if before is None else round(float((before.argmax(1) != after.argmax(1)).float().mean()), 4)


entry = LayerSpan
