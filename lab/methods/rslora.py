"""rsLoRA: LoRA with another scale, so that a larger rank does not mean a smaller step.

    h = W x + (alpha / sqrt(r)) B A x,  A: (r, in), B: (out, r); B starts at 0, so step 0 is the base
"""
from typing import Any

from lab.contracts import Base, Code, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _lora, _peft
from lab.methods._targets import Targets, supported


class RsLora(Method):
    """LoRA divides by the rank: its paper shows that at large ranks the correction then learns too slowly to use the extra width. Dividing by the root
    of the rank keeps the size of the correction, and of its gradient, about the same at every rank."""

    key = "rslora"
    title = "rsLoRA"
    paper = Paper("A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA", "Kalajdzievski", 2023, "https://arxiv.org/abs/2312.03732")
    formula = "h = W x + (alpha / sqrt(r)) B A x"
    family = "reparameterised"
    composition = "parameter"
    strengths = "The correction keeps about the same size at every rank, so that ranks can be compared, and a large one used, at one learning rate."
    weaknesses = "It is LoRA with alpha times the root of the rank: at one given rank the same can be had by choosing alpha."
    rates = {"encoder": Rate(3e-3, 1e-3, 3e-3), "decoder": Rate(1e-3, 5e-4, 1e-3)}
    format = _peft.FORMAT
    merges = True
    quantizable = True

    rank: int = _lora.RANK
    alpha: float = knob(16.0, "scale of the correction: it is multiplied by alpha / sqrt(rank)", low=0, high=4096, peft="lora_alpha")
    dropout: float = _lora.DROPOUT
    targets: Targets = _lora.TARGETS

    def attach(self, base: Base) -> Any:
        return _peft.attach(base, self.code(base))

    def code(self, base: Base) -> Code:
        return _lora.code(self, base, use_rslora=True)

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return _lora.places(self, shape)

    def supports(self, shape: Shape) -> Support:
        return supported(self.targets, shape)


entry = RsLora
