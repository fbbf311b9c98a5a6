"""HRA: the inputs of a matrix go through a chain of mirrors; each mirror is one learned vector.

    h = W H_1 … H_r x,  H_i = I - 2 u_i u_iᵀ / |u_i|²,  u_i: (in)
    u_1 = u_2, u_3 = u_4 … at the start, and a mirror twice is no mirror: step 0 is the base but for rounding
"""
from typing import Any

from lab.contracts import Base, Code, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _peft, _tuners
from lab.methods._targets import Targets


class Hra(Method):
    """Look at the inputs of a frozen matrix through a few mirrors and learn how to tilt them. Such a chain is a rotation and a low-rank change at once."""

    key = "hra"
    title = "HRA"
    paper = Paper("Bridging The Gap between Low-rank and Orthogonal Adaptation via Householder Reflection Adaptation", "Yuan, Liu and Xu", 2024,
                  "https://arxiv.org/abs/2405.17484")
    formula = "h = W H_1 … H_r x, H_i = I - 2 u_i u_iᵀ / |u_i|²"
    family = "reparameterised"
    composition = "parameter"
    strengths = "A few vectors a matrix give a rotation and a change of low rank at once; can be merged."
    weaknesses = "Mirrors are applied one behind the other, so the time grows with their number; peft puts it on plain linear layers in full precision only."
    rates = {"encoder": Rate(1e-2, 3e-3, 3e-2), "decoder": Rate(1e-3, 2e-4, 3e-3)}
    format = _peft.FORMAT
    merges = True

    rank: int = knob(8, "number of mirrors; an even one, because they start in pairs that undo each other", low=2, high=256, peft="r")
    targets: Targets = knob(("query", "value"), "which matrices have their inputs mirrored", peft="target_modules")

    def attach(self, base: Base) -> Any:
        return _peft.attach(base, self.code(base))

    def code(self, base: Base) -> Code:
        return _peft.code(base, "HRAConfig", r=self.rank, target_modules=_tuners.modules(base.shape, self.targets))

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return tuple(Place(linear.role, linear.layer, (("u", (linear.inputs, self.rank)),)) for linear in shape.select(self.targets))

    def supports(self, shape: Shape) -> Support:
        if self.rank % 2:
            return Support(False, f"rank is {self.rank}: it must be even, because the mirrors start in pairs that undo each other; take {self.rank + 1}")
        return _tuners.plain_linears(self.targets, shape)

    def starts_as_base(self) -> bool:
        return False  # a mirror applied twice gives the input back only up to rounding


entry = Hra
