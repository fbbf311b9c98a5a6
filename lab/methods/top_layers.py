"""Top layers: the last k blocks move, everything below stays frozen (FT-Top2 of the papers, for k = 2).

    theta = (frozen blocks 1 … L-k, trained blocks L-k+1 … L)
"""
from typing import Any

from lab.contracts import Base, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _places, _weights


class TopLayers(Method):
    """Train only the last blocks; in an encoder-decoder those are the decoder's. Cheap, because nothing flows back below the lowest trained block."""

    key = "top_layers"
    title = "Top layers"
    paper = Paper("Prefix-Tuning: Optimizing Continuous Prompts for Generation (its baseline FT-Top2)", "Li and Liang", 2021, "https://arxiv.org/abs/2101.00190")
    formula = "theta = (frozen 1 … L-k, trained L-k+1 … L)"
    family = "selective"
    composition = "parameter"
    rates = {"encoder": Rate(3e-4, 5e-5, 1e-3), "decoder": Rate(1e-4, 2e-5, 5e-4)}
    format = _weights.FORMAT
    trains_base = True

    layers: int = knob(2, "how many of the last blocks are trained", low=1, high=1000)

    def attach(self, base: Base) -> Any:
        module = _weights.freeze(base.module)
        for layer in range(base.shape.layers - self.layers, base.shape.layers):
            module.get_submodule(base.shape.block(layer)).requires_grad_(True)
        return module

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return _places.of_base(shape, lambda layer: layer is not None and layer >= shape.layers - self.layers)

    def supports(self, shape: Shape) -> Support:
        if self.layers > shape.layers:
            return Support(False, f"layers is {self.layers}: this model has {shape.layers}")
        return Support(True)


entry = TopLayers
