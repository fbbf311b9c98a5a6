"""Attention mass: how much of its attention the place where the answer is due pays to each trained vector, block by block; and the words at their places.

    mass(layer, i) = mean over heads and texts of attention(answer -> i);  lens(layer, i) = softmax(U norm(h_i)), h_i the state behind the block
"""
from collections.abc import Generator
from typing import Any

from lab.contracts import Support, knob
from lab.lens import Probe, Progress, Specimen, Table
from lab.lenses import _soft
from lab.spec import RunSpec

BATCH = 8


class AttentionMass(Probe):
    """Where the answer looks, and what the prompt's own places would say."""

    key = "attention_mass"
    title = "Attention to the prompt"
    about = ("What share of its attention the answer's place pays to each trained vector in each block, beside the share before training and an even one; of "
             "decoders also which word the state at each vector's place would give. Attention is no proof of use: the first place of any text draws it.")
    source = "attention sinks: Xiao et al. 2024; the logit lens: nostalgebraist 2020"

    items: int = knob(32, "evaluation items read", low=1, high=500)

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        return Support(True) if spec.method.key == "prefix_tuning" else _soft.has_prompt(spec, among_words=True)

    @classmethod
    def cost(cls, spec: RunSpec) -> str:
        return f"two passes over {min(cls().items, spec.eval_items)} items, with attention written out"

    def look(self, specimen: Specimen) -> Generator[Progress, None, Any]:
        """{"layers": [{"layer" from 0, "mass": share of attention on each vector, "words": share on all else}], "before": the same before training,
        "even": the share of one vector if attention were even, "from": "answer", or "words" where it is the mean over all words (encoders), "items",
        "lens": [{"position", "layers": [{"layer", "text", "probability"}, …], "before": the same before training}], decoders with a prompt only}.

        Of an encoder-decoder: attention of the answer's first place, across the stacks for a prompt, within the writing stack for a prefix; `layer` counts
        on behind the reading stack."""
        import torch

        from lab.lenses import _attention

        rows = specimen.texts(min(self.items, specimen.spec.eval_items))
        found = {}
        for turn, (name, module) in enumerate((("layers", specimen.module), ("before", specimen.before))):
            found[name] = None
            for done, batch in enumerate(specimen.batches(rows, BATCH), start=1):
                found[name] = _attention.add(found[name], specimen, module, batch)
                yield turn * len(rows) + min(done * BATCH, len(rows)), 2 * len(rows)
        lens = _lens(specimen) if specimen.shape.kind == "decoder" and _soft.prompt_of(specimen.spec) else []
        shares = {name: torch.clamp(masses.mean, 0, 1) for name, masses in found.items()}
        first = specimen.shape.encoder_layers
        return {**{name: [_layer(first + layer, line) for layer, line in enumerate(share)] for name, share in shares.items()},
                "even": float(f"{found['layers'].even / found['layers'].asked:.4g}"),
                "from": "words" if specimen.shape.kind == "encoder" else "answer", "items": len(rows), "lens": lens}

    @classmethod
    def says(cls, value: Any) -> tuple[str, ...]:
        whole = {name: [sum(layer["mass"]) for layer in value[name]] for name in ("layers", "before")}
        top = max(range(len(whole["layers"])), key=lambda place: whole["layers"][place])
        even = value["even"] * len(value["layers"][0]["mass"])
        asked = "a word pays on average" if value["from"] == "words" else "the answer's place pays"
        return (f"In block {value['layers'][top]['layer'] + 1} {asked} {whole['layers'][top]:.0%} of its attention to the trained vectors, the most of all "
                f"blocks; before training it was {whole['before'][top]:.0%}, and an even share would be {even:.0%}.",
                "Much attention is not much effect: the first place of any text draws attention, and what is looked at may carry nothing.")

    @classmethod
    def table(cls, value: Any) -> Table:
        rows = ((now["layer"], position, mass, old) for now, then in zip(value["layers"], value["before"], strict=True)
                for position, (mass, old) in enumerate(zip(now["mass"], then["mass"], strict=True)))
        return Table(("layer", "position", "share of attention", "before training"), tuple(rows))


def _layer(layer: int, shares: Any) -> dict[str, Any]:
    return {"layer": layer, "mass": [float(f"{share:.3g}") for share in shares.tolist()], "words": float(f"{1 - float(shares.sum()):.3g}")}


def _lens(specimen: Specimen) -> list[dict[str, Any]]:
    from lab.lenses import _attention
    from lab.lenses._vocabulary import vocabulary

    shown = vocabulary(specimen).shown

    def told(line: list[tuple[int, int, float]]) -> list[dict[str, Any]]:
        return [{"layer": layer, "text": shown(token), "probability": float(f"{chance:.3g}")} for layer, token, chance in line]

    both = zip(_attention.words_at_places(specimen, specimen.module), _attention.words_at_places(specimen, specimen.before), strict=True)
    return [{"position": position, "layers": told(now), "before": told(then)} for position, (now, then) in enumerate(both)]


entry = AttentionMass
