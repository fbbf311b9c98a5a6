"""PiSSA: LoRA that starts from the strongest parts of each matrix, and leaves the frozen rest.

    W = U S V';  B_0 = U_r sqrt(S_r / s), A_0 = sqrt(S_r / s) V_r',  h = (W - s B_0 A_0) x + s B A x,  s = alpha / r
"""
from typing import Any, Literal

from lab.contracts import Base, Code, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _lora
from lab.methods._targets import Targets


class Pissa(Method):
    """Take the strongest directions out of each weight matrix by its singular values and train them; what remains stays frozen.
    LoRA's B starts at 0 and has to find a direction first; here the first step already moves the largest part of the matrix."""

    key = "pissa"
    title = "PiSSA"
    paper = Paper("PiSSA: Principal Singular Values and Singular Vectors Adaptation of Large Language Models", "Meng, Wang and Zhang", 2024,
                  "https://arxiv.org/abs/2404.02948")
    formula = "h = (W - s B_0 A_0) x + s B A x"
    family = "reparameterised"
    composition = "parameter"
    strengths = "Begins with the largest singular directions of each matrix instead of nothing; its paper reports a loss that falls faster than LoRA's."
    weaknesses = (
        "Every chosen matrix is decomposed first and gives up the part that A and B start as; a file that fits the untouched base has to hold "
        "that too: twice the rank.")
    rates = {"encoder": Rate(1e-3, 5e-4, 3e-3), "decoder": Rate(5e-4, 1e-4, 1e-3)}  # decoder: below LoRA's, two rates tried
    format = _lora.DIFFERENCE
    merges = True

    rank: int = _lora.RANK
    alpha: float = knob(16.0, "scale of the product: alpha / rank. B and A start larger where it is smaller", low=0.001, high=4096, peft="lora_alpha")
    dropout: float = _lora.DROPOUT
    targets: Targets = _lora.TARGETS
    init: Literal["pissa", "pissa_niter_4", "pissa_niter_16"] = knob(
        "pissa", "exact singular values, or 4 or 16 rounds of a fast random estimate: for large matrices", peft="init_lora_weights", advanced=True)

    def attach(self, base: Base) -> Any:
        return _lora.attach_from_weights(self, base)

    def code(self, base: Base) -> Code:
        return _lora.code(self, base, init_lora_weights=self.init)

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return _lora.places(self, shape)

    def starts_as_base(self) -> bool:
        return False  # the parts add up to W only to rounding

    def supports(self, shape: Shape) -> Support:
        return _lora.fits(self, shape)


entry = Pissa
