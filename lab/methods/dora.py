"""DoRA: the length of each row of a matrix is trained apart from its direction, which LoRA turns.

    h = m (V x) / |V|,  V = W + (alpha / r) B A, |V|: the length of each row, m: (out,) starts as |W|; B starts at 0, so step 0 is the base
"""
from typing import Any

from lab.contracts import Base, Code, Method, Paper, Place, Rate, Shape, Support
from lab.methods import _lora, _peft
from lab.methods._targets import Targets, supported


class Dora(Method):
    """Split each weight matrix into a length and a direction for every output, and train both: the lengths directly, the directions by a LoRA.
    Its paper finds that nearer to how full fine-tuning moves a matrix. It is slower: the lengths of W + B A are computed anew at every step."""

    key = "dora"
    title = "DoRA"
    paper = Paper("DoRA: Weight-Decomposed Low-Rank Adaptation", "Liu et al.", 2024, "https://arxiv.org/abs/2402.09353")
    formula = "h = m (W + (alpha / r) B A) x / |W + (alpha / r) B A|"
    family = "reparameterised"
    composition = "parameter"
    strengths = "Length and direction of a matrix's rows can move apart from each other; its paper reports gains over LoRA, above all at small ranks."
    weaknesses = "Slower and larger in training than LoRA, because the lengths of the changed matrix are computed anew at every step."
    rates = {"encoder": Rate(3e-3, 2e-3, 5e-3), "decoder": Rate(1e-3, 2e-4, 3e-3)}  # decoder: LoRA's, two rates tried
    format = _peft.FORMAT
    merges = True
    quantizable = ("nf4", "nf4_double", "fp4")  # peft turns weights back at every step; on a CPU bitsandbytes then loses the scales of an 8-bit one

    rank: int = _lora.RANK
    alpha: float = _lora.ALPHA
    dropout: float = _lora.DROPOUT
    targets: Targets = _lora.TARGETS

    def attach(self, base: Base) -> Any:
        return _peft.attach(base, self.code(base))

    def code(self, base: Base) -> Code:
        return _lora.code(self, base, use_dora=True)

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return tuple(Place(linear.role, linear.layer, (*_lora.a_and_b(linear, self.rank), ("m", (linear.outputs,)))) for linear in shape.select(self.targets))

    def supports(self, shape: Shape) -> Support:
        return supported(self.targets, shape)


entry = Dora
