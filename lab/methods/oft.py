"""OFT: the inputs of a matrix are rotated, block by block; lengths and angles between its inputs stay as they were.

    h = W R x + bias,  R = blockdiag(R_1 … R_k),  R_i = (I + Q_i)(I - Q_i)^-1,  Q_i: (b, b) skew-symmetric, so b (b - 1) / 2 numbers
    k = in / b blocks; Q starts at 0, so step 0 is the base
"""
from typing import Any

from lab.contracts import Base, Code, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _peft, _tuners
from lab.methods._targets import Targets


class Oft(Method):
    """Turn the inputs of a frozen matrix, by a learned rotation inside each small block, instead of adding to it. What was alike before stays alike."""

    key = "oft"
    title = "OFT"
    paper = Paper("Controlling Text-to-Image Diffusion by Orthogonal Finetuning", "Qiu et al.", 2023, "https://arxiv.org/abs/2306.07280")
    formula = "h = W R x, R = (I + Q)(I - Q)⁻¹ in blocks, Q = -Qᵀ"
    family = "reparameterised"
    composition = "parameter"
    strengths = "Turns all neurons of a layer alike, so the angles between them stay, which is meant to protect what the model knows; can be merged."
    weaknesses = "It turns and never stretches, only within its blocks, and builds the rotation anew at each step."
    rates = {"encoder": Rate(3e-3, 3e-4, 1e-2), "decoder": Rate(1e-3, 2e-4, 3e-3)}
    format = _peft.FORMAT
    merges = True
    quantizable = True

    block_size: int = knob(32, "inputs that are rotated together; it must divide the inputs of every chosen matrix", low=2, high=1024, peft="oft_block_size")
    share: bool = knob(False, "one rotation for all blocks of a matrix instead of one for each", peft="block_share", advanced=True)
    approximate: bool = knob(True, "sum up the inverse to the fourth power of Q: faster, and a rotation only while Q is small", peft="use_cayley_neumann",
                             advanced=True)
    targets: Targets = knob(("query", "value"), "which matrices have their inputs rotated", peft="target_modules")

    def attach(self, base: Base) -> Any:
        return _peft.attach(base, self.code(base))

    def code(self, base: Base) -> Code:
        return _peft.code(
            base, "OFTConfig", oft_block_size=self.block_size, block_share=self.share or None, use_cayley_neumann=None if self.approximate else False,
            target_modules=_tuners.modules(base.shape, self.targets))

    def places(self, shape: Shape) -> tuple[Place, ...]:
        angles = self.block_size * (self.block_size - 1) // 2
        return tuple(Place(linear.role, linear.layer, (("Q", (1 if self.share else linear.inputs // self.block_size, angles)),))
                     for linear in shape.select(self.targets))

    def supports(self, shape: Shape) -> Support:
        support = _tuners.plain_linears(self.targets, shape)
        return _tuners.divides("block_size", self.block_size, shape.select(self.targets), "inputs") if support.ok else support


entry = Oft
