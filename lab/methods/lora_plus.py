"""LoRA+: LoRA whose B learns faster than its A.

    h = W x + (alpha / r) B A x,  learning rate of B = ratio x learning rate of A; B starts at 0, so step 0 is the base
"""
from dataclasses import replace
from typing import Any

from lab.contracts import Base, Code, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _lora, _peft
from lab.methods._targets import Targets, supported


class LoraPlus(Method):
    """The same two thin matrices as LoRA, but B takes steps many times as long as A: by its paper's theory one common learning rate is, in wide models,
    too small for B or too large for A. The learning rate of the run is that of A."""

    key = "lora_plus"
    title = "LoRA+"
    paper = Paper("LoRA+: Efficient Low Rank Adaptation of Large Models", "Hayou, Ghosh and Yu", 2024, "https://arxiv.org/abs/2402.12354")
    formula = "h = W x + (alpha / r) B A x,  lr_B = ratio lr_A"
    family = "reparameterised"
    composition = "parameter"
    strengths = "Costs nothing over LoRA but one number; its paper reports gains of 1 to 2 points and up to twice the speed to a given score."
    weaknesses = "One more knob, whose theory is of very wide models: on a small one the best ratio may be near 1."
    rates = {"encoder": Rate(3e-4, 2e-4, 1e-3), "decoder": Rate(2e-4, 1e-4, 2e-4)}
    format = _peft.FORMAT
    merges = True
    quantizable = True

    rank: int = _lora.RANK
    alpha: float = _lora.ALPHA
    dropout: float = _lora.DROPOUT
    targets: Targets = _lora.TARGETS
    ratio: float = knob(16.0, "how many times as fast as A does B learn; 1 is LoRA", low=0.01, high=1000, peft="loraplus_lr_ratio")

    def attach(self, base: Base) -> Any:
        return _peft.attach(base, self.code(base))

    def code(self, base: Base) -> Code:
        return replace(_lora.code(self, base), groups=_peft.rates(lora_A=1, lora_B=self.ratio))

    def groups(self, module: Any, lr: float) -> list[dict[str, Any]]:
        both = list(_lora.layers(module))
        return [{"params": [layer.lora_A["default"].weight for _, layer in both], "lr": lr},
                {"params": [layer.lora_B["default"].weight for _, layer in both], "lr": lr * self.ratio}]

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return _lora.places(self, shape)

    def supports(self, shape: Shape) -> Support:
        return supported(self.targets, shape)


entry = LoraPlus
