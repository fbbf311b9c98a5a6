"""LoRA: a low-rank product is added to chosen frozen weight matrices.

    h = W x + (alpha / r) B A x,  A: (r, in), B: (out, r); B starts at 0, so step 0 is the base
"""
from typing import Any, Literal

from lab.contracts import Base, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _peft
from lab.methods._targets import Targets, supported


class Lora(Method):
    """Leave the weight matrices alone and learn a thin correction beside each: the change of W, written as a product of two small matrices."""

    key = "lora"
    title = "LoRA"
    paper = Paper("LoRA: Low-Rank Adaptation of Large Language Models", "Hu et al.", 2021, "https://arxiv.org/abs/2106.09685")
    formula = "h = W x + (alpha / r) B A x"
    family = "reparameterised"
    composition = "parameter"
    rates = {"encoder": Rate(1e-3, 3e-4, 5e-3), "decoder": Rate(1e-3, 2e-4, 3e-3)}
    format = _peft.FORMAT
    merges = True
    quantizable = True

    rank: int = knob(8, "width of the two thin matrices: more lets the correction be richer", low=1, high=256, peft="r")
    alpha: float = knob(16.0, "scale of the correction: it is multiplied by alpha / rank", low=0, high=4096, peft="lora_alpha")
    dropout: float = knob(0.0, "share of the inputs of A dropped at random while training", low=0, high=0.9, peft="lora_dropout", advanced=True)
    targets: Targets = knob(("query", "value"), "which matrices get a correction", peft="target_modules")
    init: Literal["kaiming", "gaussian", "orthogonal", "zero_a"] = knob(
        "kaiming", "start of A; B starts at 0. With zero_a both are 0 and nothing can ever move", peft="init_lora_weights", advanced=True)

    def attach(self, base: Base) -> Any:
        from peft import LoraConfig
        from torch.nn import init

        chosen = base.shape.select(self.targets)
        module = _peft.attach(base, LoraConfig(
            task_type=_peft.task_type(base.shape), r=self.rank, lora_alpha=self.alpha, lora_dropout=self.dropout,
            target_modules=[linear.module for linear in chosen], fan_in_fan_out=chosen[0].conv1d,
            init_lora_weights={"kaiming": True, "zero_a": True}.get(self.init, self.init),
        ))
        if self.init == "zero_a":
            for name, weight in module.named_parameters():
                if ".lora_A." in name:
                    init.zeros_(weight)
        return module

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return tuple(
            Place(linear.role, linear.layer, (("A", (self.rank, linear.inputs)), ("B", (linear.outputs, self.rank))))
            for linear in shape.select(self.targets)
        )

    def starts_as_base(self) -> bool:
        return self.init != "orthogonal"  # there A and B are not 0: their product is, but only to rounding

    def supports(self, shape: Shape) -> Support:
        if self.init == "orthogonal" and self.rank % 2:
            return Support(False, f"init orthogonal needs an even rank, and rank is {self.rank}")
        return supported(self.targets, shape)


entry = Lora
