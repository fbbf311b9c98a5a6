"""LoRA: a low-rank product is added to chosen frozen weight matrices.

    h = W x + (alpha / r) B A x,  A: (r, in), B: (out, r); B starts at 0, so step 0 is the base
"""
from dataclasses import replace
from typing import Any, Literal

from lab.contracts import Base, Code, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _lora, _peft
from lab.methods._targets import Targets, supported


class Lora(Method):
    """Leave the weight matrices alone and learn a thin correction beside each: the change of W, written as a product of two small matrices.

    h = W x + (alpha / r) B A x,  W: (out, in) frozen,  A: (r, in), B: (out, r); r (in + out) numbers for each W; Hu et al. 2021, section 4.1, arXiv
    2106.09685. Scaled as there, by alpha / r; A is drawn as in the authors' code, Kaiming-uniform, where the paper says Gaussian.
    """

    key = "lora"
    title = "LoRA"
    paper = Paper("LoRA: Low-Rank Adaptation of Large Language Models", "Hu et al.", 2021, "https://arxiv.org/abs/2106.09685")
    formula = "h = W x + (alpha / r) B A x"
    family = "reparameterised"
    composition = "parameter"
    strengths = "Small files, no extra cost once merged; its paper matches full fine-tuning of GPT-3 with a few million of its 175 billion numbers."
    weaknesses = (
        "The change has a low rank: with much new to learn it fell behind full fine-tuning (Biderman et al. 2024); rank, scale, "
        "rate and targets are to choose.")
    rates = {"encoder": Rate(3e-3, 1e-3, 5e-3), "decoder": Rate(1e-3, 2e-4, 3e-3)}
    format = _peft.FORMAT
    exhibit = "lora"
    merges = True
    quantizable = True

    rank: int = _lora.RANK
    alpha: float = _lora.ALPHA
    dropout: float = _lora.DROPOUT
    targets: Targets = _lora.TARGETS
    init: Literal["kaiming", "gaussian", "orthogonal", "zero_a"] = knob(
        "kaiming", "start of A; B starts at 0. With zero_a both are 0 and nothing can ever move", peft="init_lora_weights", advanced=True)

    def attach(self, base: Base) -> Any:
        from torch.nn import init

        module = _peft.attach(base, self.code(base))
        if self.init == "zero_a":
            for _, layer in _lora.layers(module):
                init.zeros_(layer.lora_A["default"].weight)
        return module

    def code(self, base: Base) -> Code:
        if self.init == "zero_a":
            zeros = "torch.nn.init.zeros_(weight)  # B is 0 as well: nothing can move"
            return replace(_lora.code(self, base), after=("for name, weight in model.named_parameters():", f'    "lora_A" in name and {zeros}'))
        return _lora.code(self, base, init_lora_weights=None if self.init == "kaiming" else self.init)

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return _lora.places(self, shape)

    def starts_as_base(self) -> bool:
        return self.init != "orthogonal"  # there A and B are not 0: their product is, but only to rounding

    def supports(self, shape: Shape) -> Support:
        if self.init == "orthogonal" and self.rank % 2:
            return Support(False, f"init orthogonal needs an even rank, and rank is {self.rank}")
        return supported(self.targets, shape)


entry = Lora
