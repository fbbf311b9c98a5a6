"""MiSS: one thin matrix serves as the correction for every group of r inputs.

    h = W x + D (x_1 + x_2 + … + x_k),  x cut into k = in / r pieces (the last one filled up with 0), D: (out, r), kept as (r, out); D starts at 0
"""
from typing import Any

from lab.contracts import Base, Code, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _peft, _tuners
from lab.methods._targets import Targets


class Miss(Method):
    """Cut the inputs into short pieces, add the pieces up, and learn one small matrix for the sum. All parts of a frozen matrix share the same correction."""

    key = "miss"
    title = "MiSS"
    paper = Paper("MiSS: Revisiting the Trade-off in LoRA with an Efficient Shard-Sharing Structure", "Kang and Yin", 2024, "https://arxiv.org/abs/2409.15371")
    formula = "h = W x + D (x_1 + … + x_k)"
    family = "reparameterised"
    composition = "parameter"
    strengths = "One thin matrix instead of LoRA's two, and it starts at 0: nothing about its start is random."
    weaknesses = "All pieces of the input share the correction: numbers at the same place of two pieces are treated alike."
    rates = {"encoder": Rate(1e-3, 3e-4, 5e-3), "decoder": Rate(1e-3, 2e-4, 3e-3)}
    format = _peft.FORMAT
    merges = True
    quantizable = True

    rank: int = knob(16, "length of a piece, and so the width of the one matrix that is learned; at most the inputs", low=1, high=1024, peft="r")
    dropout: float = knob(0.0, "share of the inputs dropped at random before they are added up, while training", low=0, high=0.9, peft="miss_dropout",
                          advanced=True)
    targets: Targets = knob(("query", "value"), "which matrices get a correction", peft="target_modules")

    def attach(self, base: Base) -> Any:
        return _peft.attach(base, self.code(base))

    def code(self, base: Base) -> Code:
        return _peft.code(base, "MissConfig", r=self.rank, miss_dropout=self.dropout or None, target_modules=_tuners.modules(base.shape, self.targets))

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return tuple(Place(linear.role, linear.layer, (("D", (self.rank, linear.outputs)),)) for linear in shape.select(self.targets))

    def supports(self, shape: Shape) -> Support:
        support = _tuners.plain_linears(self.targets, shape)
        if not support.ok:
            return support
        least = min(shape.select(self.targets), key=lambda linear: linear.inputs)
        if self.rank > least.inputs:
            return Support(False, f"rank is {self.rank}: a piece of the inputs is at most all of them, and {least.role} has {least.inputs}")
        return Support(True)


entry = Miss
