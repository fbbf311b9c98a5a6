"""Parallel adapter: the small two-layer network reads what the feed-forward part reads, and a multiple of its output is added to that part's.

    z = FFN(x) + s U f(D x),  D: (m, d), U: (d, m); U starts at 0, so step 0 is the base
"""
from typing import Any, Literal

from lab.contracts import Base, Method, Paper, Place, Rate, Shape, knob
from lab.methods import _bottleneck_format


class Parallel(Method):
    """Put the narrow trainable detour beside the feed-forward part instead of behind it: both read the same input, and what they give is added."""

    key = "parallel"
    title = "Parallel adapter"
    paper = Paper("Towards a Unified View of Parameter-Efficient Transfer Learning", "He et al.", 2022, "https://arxiv.org/abs/2110.04366")
    formula = "z = FFN(x) + s U f(D x)"
    family = "additive"
    composition = "function"
    strengths = "Reads what the feed-forward part reads instead of what comes out; at equal size its paper finds that ahead of an adapter behind the part."
    weaknesses = "Cannot be merged, because of the bend in its middle, so every answer passes through it; and its scale is one more number to choose."
    rates = {"encoder": Rate(1e-3, 3e-4, 3e-3), "decoder": Rate(1e-3, 3e-4, 3e-3)}
    format = _bottleneck_format.FORMAT
    exhibit = "bottleneck"
    quantizable = True

    bottleneck: int = knob(16, "width of the narrow middle, m: fewer numbers pass through a narrower one", low=1, high=1024)
    scale: float = knob(4.0, "s, by which the detour's output is multiplied; He et al. use 4", low=0.01, high=100)
    activation: Literal["gelu", "relu", "silu", "tanh"] = knob("relu", "the bend between the two layers", advanced=True)
    norms: bool = _bottleneck_format.LATER_NORMS

    def attach(self, base: Base) -> Any:
        from lab.methods import _bottleneck

        module = _bottleneck.beside(base.module.requires_grad_(False), base.shape, self.bottleneck, self.activation, self.scale)
        return _bottleneck.renew(module, _bottleneck_format.norms(base.shape)) if self.norms else module

    def places(self, shape: Shape) -> tuple[Place, ...]:
        renewed = _bottleneck_format.renewed(shape) if self.norms else ()
        return (*_bottleneck_format.places(shape.select(("ffn_out",)), self.bottleneck), *renewed)


entry = Parallel
