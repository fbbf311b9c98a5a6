"""VeRA: all layers share one pair of random matrices; each layer learns only two vectors that scale their rows.

    h = W x + Λb B Λd A x,  A: (r, in) and B: (out, r) random, shared and frozen; d: (r), b: (out), b starts at 0
"""
from typing import Any

from lab.contracts import Base, Code, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _peft, _tuners
from lab.methods._targets import Targets, supported


class Vera(Method):
    """Draw one pair of thin random matrices for the whole model and never train it. Each layer learns only two vectors: how strongly to use every row."""

    key = "vera"
    title = "VeRA"
    paper = Paper("VeRA: Vector-based Random Matrix Adaptation", "Kopiczko, Blankevoort and Asano", 2023, "https://arxiv.org/abs/2310.11454")
    formula = "h = W x + Λb B Λd A x"
    family = "reparameterised"
    composition = "parameter"
    strengths = "Two vectors a matrix: its paper keeps LoRA's scores on GLUE with about a tenth of the trained numbers; can be merged."
    weaknesses = "The random matrices are kept and multiplied all the same: at rank 256 that is more work for each token than LoRA at rank 8."
    rates = {"encoder": Rate(3e-2, 1e-2, 1e-1), "decoder": Rate(3e-2, 1e-2, 1e-1)}
    format = _peft.FORMAT
    merges = True
    quantizable = True

    rank: int = knob(256, "rows of A, drawn and not trained, so it may be far larger than LoRA's", low=1, high=2048, peft="r")
    start: float = knob(0.1, "value that d starts from; b starts at 0", low=1e-6, high=10, peft="d_initial", advanced=True)
    dropout: float = knob(0.0, "share of the inputs of A dropped at random while training", low=0, high=0.9, peft="vera_dropout", advanced=True)
    targets: Targets = knob(("query", "value"), "which matrices get a correction", peft="target_modules")

    def attach(self, base: Base) -> Any:
        return _peft.attach(base, self.code(base))

    def code(self, base: Base) -> Code:
        chosen = base.shape.select(self.targets)
        return _peft.code(
            base, "VeraConfig", r=self.rank, d_initial=self.start, vera_dropout=self.dropout or None, fan_in_fan_out=chosen[0].conv1d or None,
            projection_prng_key=_tuners.DRAWN_SEED, save_projection=True, target_modules=[linear.module for linear in chosen])

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return tuple(Place(linear.role, linear.layer, (("b", (linear.outputs,)), ("d", (self.rank,)))) for linear in shape.select(self.targets))

    def supports(self, shape: Shape) -> Support:
        return supported(self.targets, shape)


entry = Vera
