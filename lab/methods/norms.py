"""Norm tuning: only the scales and shifts of the normalisation layers move.

    y = g * (x - mean) / deviation + b,  g and b: (width,) trained; in RMSNorm y = g * x / rms, without b
"""
from typing import Any, Literal

from lab.contracts import Base, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _places, _weights


class Norms(Method):
    """Train only the gains and shifts of the normalisation layers: 9,984 numbers in MiniLM-L6, 35,136 in SmolLM2-135M.
    Each gain turns one feature of the hidden state louder, quieter or off."""

    key = "norms"
    title = "Norm tuning"
    paper = Paper("Parameter-Efficient Tuning on Layer Normalization for Pre-trained Language Models", "Qi et al.", 2022, "https://arxiv.org/abs/2211.08682")
    formula = "y = g * normalised(x) + b, only g and b trained"
    family = "selective"
    composition = "parameter"
    strengths = "Less than a thousandth of the model, and nearly every transformer has such layers; nothing is added, so answers take no longer."
    weaknesses = "Each feature is made louder, quieter or shifted by itself: none is mixed with another in a new way."
    rates = {"encoder": Rate(1e-3, 1e-4, 1e-2), "decoder": Rate(1e-3, 1e-4, 1e-2)}
    format = _weights.FORMAT
    trains_base = True
    only_vectors = True

    which: Literal["all", "scales", "shifts"] = knob("all", "the gains, the shifts, or both; a model with RMSNorm has no shifts")

    def attach(self, base: Base) -> Any:
        return _places.only(base.module, self.places(base.shape))

    def places(self, shape: Shape) -> tuple[Place, ...]:
        end = {"all": "", "scales": ".weight", "shifts": ".bias"}[self.which]
        return tuple(Place(weight.role, weight.layer, ((weight.name, weight.sizes),))
                     for weight in shape.weights if weight.role == "norm" and weight.name.endswith(end))

    def supports(self, shape: Shape) -> Support:
        if self.places(shape):
            return Support(True)
        if self.which == "shifts":
            return Support(False, f"a {shape.model_type} model normalises by RMSNorm, which has gains and no shifts; choose scales")
        return Support(False, "the norms of this model were made without gains and shifts, so there is nothing in them to train; try lora")


entry = Norms
