"""OLoRA: LoRA that starts from orthonormal columns of each matrix itself.

    W = Q R;  B_0 = Q_r, A_0 = R_r,  h = (W - s B_0 A_0) x + s B A x,  s = alpha / r
"""
from typing import Any

from lab.contracts import Base, Code, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _lora
from lab.methods._targets import Targets


class Olora(Method):
    """Start B with orthonormal columns, from a QR decomposition of the weight matrix, and take what A and B begin with out of the frozen part.
    Orthonormal columns do not overlap, so each can learn something of its own from the first step on; LoRA's B starts with nothing but zeros."""

    key = "olora"
    title = "OLoRA"
    paper = Paper("OLoRA: Orthonormal Low-Rank Adaptation of Large Language Models", "Büyükakyüz", 2024, "https://arxiv.org/abs/2406.01775")
    formula = "h = (W - s Q_r R_r) x + s B A x"
    family = "reparameterised"
    composition = "parameter"
    strengths = "Begins with orthonormal directions that do not overlap; its paper reports faster progress than LoRA from the same count."
    weaknesses = (
        "Every chosen matrix is decomposed first and gives up the part that A and B start as; a file that fits the untouched base has to hold "
        "that too: twice the rank.")
    rates = {"encoder": Rate(3e-3, 5e-4, 3e-3), "decoder": Rate(5e-4, 1e-4, 1e-3)}  # decoder: below LoRA's, two rates tried
    format = _lora.DIFFERENCE
    merges = True

    rank: int = _lora.RANK
    alpha: float = knob(16.0, "scale of the product, which is also taken out of W: alpha / rank", low=0.001, high=4096, peft="lora_alpha")
    dropout: float = _lora.DROPOUT
    targets: Targets = _lora.TARGETS

    def attach(self, base: Base) -> Any:
        return _lora.attach_from_weights(self, base)

    def code(self, base: Base) -> Code:
        return _lora.code(self, base, init_lora_weights="olora")

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return _lora.places(self, shape)

    def starts_as_base(self) -> bool:
        return False  # the parts add up to W only to rounding

    def supports(self, shape: Shape) -> Support:
        support = _lora.fits(self, shape)
        if support.ok and any(linear.conv1d for linear in shape.select(self.targets)):
            return Support(False, "the OLoRA of the library peft does not know this model's transposed layers (Conv1D), whose rows are columns; try pissa")
        return support


entry = Olora
