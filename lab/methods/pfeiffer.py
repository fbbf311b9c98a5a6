"""Bottleneck adapters after Pfeiffer: the small two-layer network stands behind the feed-forward part only.

    z = h + U f(D h),  D: (m, d), U: (d, m); U starts at 0, so step 0 is the base
"""
from typing import Any, Literal

from lab.contracts import Base, Method, Paper, Place, Rate, Shape, knob
from lab.methods import _bottleneck_format


class Pfeiffer(Method):
    """Put one narrow trainable detour into each block, behind its feed-forward part. Where Houlsby's adapters stand behind attention as well,
    these leave attention as it is.

    z = h + U f(D h),  h: (…, d) what the feed-forward part gives,  D: (m, d), U: (d, m), f: the bend; Pfeiffer et al. 2021, arXiv 2005.00247. In
    their code D reads h behind the block's skip connection and norm; here in front of them, as Houlsby's adapter does.
    """

    key = "pfeiffer"
    title = "Bottleneck adapters (Pfeiffer)"
    paper = Paper("AdapterFusion: Non-Destructive Task Composition for Transfer Learning", "Pfeiffer et al.", 2021, "https://arxiv.org/abs/2005.00247")
    formula = "z = h + U f(D h)"
    family = "additive"
    composition = "function"
    strengths = "One adapter a block instead of two: half of Houlsby's numbers and detours at the same width."
    weaknesses = "Cannot be merged, because its two layers have a bend between them: every answer passes through the detour."
    rates = {"encoder": Rate(1e-3, 1e-3, 3e-3), "decoder": Rate(1e-3, 3e-4, 3e-3)}
    format = _bottleneck_format.FORMAT
    exhibit = "bottleneck"
    quantizable = True

    bottleneck: int = knob(16, "width of the narrow middle, m: fewer numbers pass through a narrower one", low=1, high=1024)
    activation: Literal["gelu", "relu", "silu", "tanh"] = knob("relu", "the bend between the two layers", advanced=True)
    norms: bool = _bottleneck_format.LATER_NORMS

    def attach(self, base: Base) -> Any:
        from lab.methods import _bottleneck

        module = _bottleneck.behind(base.module.requires_grad_(False), base.shape.select(("ffn_out",)), self.bottleneck, self.activation)
        return _bottleneck.renew(module, _bottleneck_format.norms(base.shape)) if self.norms else module

    def places(self, shape: Shape) -> tuple[Place, ...]:
        renewed = _bottleneck_format.renewed(shape) if self.norms else ()
        return (*_bottleneck_format.places(shape.select(("ffn_out",)), self.bottleneck), *renewed)


entry = Pfeiffer
