"""LoHa: the correction is the elementwise product of two low-rank products, so its rank may reach r squared.

    h = W x + (alpha / r) ((B1 A1) ⊙ (B2 A2)) x,  A: (r, in), B: (out, r); A2 starts at 0, so step 0 is the base
"""
from typing import Any

from lab.contracts import Base, Code, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _peft, _tuners
from lab.methods._targets import Targets


class Loha(Method):
    """Write the change of a matrix as two low-rank changes multiplied number by number. That takes twice LoRA's parameters, and the rank may reach the
    square of r."""

    key = "loha"
    title = "LoHa"
    paper = Paper("FedPara: Low-Rank Hadamard Product for Communication-Efficient Federated Learning", "Hyeon-Woo, Ye-Bin and Oh", 2021,
                  "https://arxiv.org/abs/2108.06098")
    formula = "h = W x + (alpha / r) ((B1 A1) ⊙ (B2 A2)) x"
    family = "reparameterised"
    composition = "parameter"
    strengths = "The rank of the change may reach the square of r, for the numbers of two LoRAs."
    weaknesses = "Builds a correction as large as the matrix itself at each step, which LoRA never does; only on plain linear layers in full precision."
    rates = {"encoder": Rate(1e-2, 3e-3, 3e-2), "decoder": Rate(1e-3, 2e-4, 3e-3)}
    format = _peft.FORMAT
    merges = True

    rank: int = knob(8, "width of the four thin matrices; the correction's rank is at most its square", low=1, high=256, peft="r")
    alpha: float = knob(16.0, "scale of the correction: it is multiplied by alpha / rank", low=0, high=4096, peft="alpha")
    targets: Targets = knob(("query", "value"), "which matrices get a correction", peft="target_modules")

    def attach(self, base: Base) -> Any:
        return _peft.attach(base, self.code(base))

    def code(self, base: Base) -> Code:
        return _peft.code(base, "LoHaConfig", r=self.rank, alpha=self.alpha, target_modules=_tuners.modules(base.shape, self.targets))

    def places(self, shape: Shape) -> tuple[Place, ...]:
        r = self.rank
        return tuple(
            Place(linear.role, linear.layer, (("B1", (linear.outputs, r)), ("A1", (r, linear.inputs)), ("B2", (linear.outputs, r)), ("A2", (r, linear.inputs))))
            for linear in shape.select(self.targets)
        )

    def supports(self, shape: Shape) -> Support:
        return _tuners.plain_linears(self.targets, shape)


entry = Loha
