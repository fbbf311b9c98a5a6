"""Bottleneck adapters after Houlsby: a small two-layer network behind both sublayers of each block.

    z = h + U f(D h),  D: (m, d), U: (d, m); U starts at 0, so step 0 is the base
"""
from typing import Any, Literal

from lab.contracts import Base, Method, Paper, Place, Rate, Shape, knob
from lab.methods import _bottleneck_format


class Houlsby(Method):
    """Put a narrow trainable detour behind attention and behind the feed-forward part of each block; the frozen blocks stay as they are.

    z = h + U f(D h),  h: (…, d) what the sublayer gives,  D: (m, d), U: (d, m), f: the bend; 2 d m + d + m numbers each; Houlsby et al. 2019,
    section 2.1 and figure 2, arXiv 1902.00751.
    """

    key = "houlsby"
    title = "Bottleneck adapters (Houlsby)"
    paper = Paper("Parameter-Efficient Transfer Learning for NLP", "Houlsby et al.", 2019, "https://arxiv.org/abs/1902.00751")
    formula = "z = h + U f(D h)"
    family = "additive"
    composition = "function"
    strengths = "Fits nearly any transformer; in its paper within 0.4 points of full fine-tuning on GLUE with 3.6 % more numbers for a task."
    weaknesses = "Two more layers behind each sublayer that cannot be merged: every answer passes through them, which tells most in small batches."
    rates = {"encoder": Rate(3e-3, 1e-3, 1e-2), "decoder": Rate(1e-3, 2e-4, 3e-3)}
    format = _bottleneck_format.FORMAT
    exhibit = "bottleneck"
    quantizable = True

    bottleneck: int = knob(16, "width of the narrow middle, m: fewer numbers pass through a narrower one", low=1, high=1024)
    activation: Literal["gelu", "relu", "silu", "tanh"] = knob("gelu", "the bend between the two layers", advanced=True)
    norms: bool = knob(False, _bottleneck_format.NORMS, advanced=True)

    def attach(self, base: Base) -> Any:
        from lab.methods import _bottleneck

        module = _bottleneck.behind(base.module.requires_grad_(False), base.shape.select(("output", "ffn_out")), self.bottleneck, self.activation)
        return _bottleneck.renew(module, _bottleneck_format.norms(base.shape)) if self.norms else module

    def places(self, shape: Shape) -> tuple[Place, ...]:
        renewed = _bottleneck_format.renewed(shape) if self.norms else ()
        return (*_bottleneck_format.places(shape.select(("output", "ffn_out")), self.bottleneck), *renewed)


entry = Houlsby
