"""BEFT: a trained vector is added to the outputs of the value projection; a layer without a bias gets one that way.

    h = W x + b + Δb,  Δb: (out); it starts at 0, so step 0 is the base

It folds into the base only where the layer has a bias of its own: not in Llama, hence no promise to merge.
"""
from typing import Any

from lab.contracts import Base, Code, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _peft, _tuners
from lab.methods._targets import Targets


class Beft(Method):
    """Leave every matrix alone and learn one vector that is added to what it gives. Of the biases of query, key and value its paper finds the value's
    the best to train where data are few, so that is the one."""

    key = "beft"
    title = "BEFT"
    paper = Paper("BEFT: Bias-Efficient Fine-Tuning of Language Models in Low-Data Regimes", "Huang et al.", 2025, "https://arxiv.org/abs/2509.15974")
    formula = "h = W x + b + Δb"
    family = "additive"
    composition = "function"
    strengths = "One vector a block, and it gives biases to models that were made without, such as Llama."
    weaknesses = "The same vector is added at every position, whatever the text: it shifts what a layer gives and never turns it."
    rates = {"encoder": Rate(1e-2, 1e-3, 1e-1), "decoder": Rate(1e-2, 1e-3, 1e-1)}
    format = _peft.FORMAT
    quantizable = True

    targets: Targets = knob(("value",), "which matrices get a vector added to their outputs", peft="target_modules")

    def attach(self, base: Base) -> Any:
        import warnings

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected that the base layer has no bias")  # known: nothing here merges it
            return _peft.attach(base, self.code(base))

    def code(self, base: Base) -> Code:
        return _peft.code(base, "BeftConfig", target_modules=_tuners.modules(base.shape, self.targets))

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return tuple(Place(linear.role, linear.layer, (("Δb", (1, linear.outputs)),)) for linear in shape.select(self.targets))

    def supports(self, shape: Shape) -> Support:
        return _tuners.plain_linears(self.targets, shape)


entry = Beft
