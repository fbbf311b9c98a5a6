"""Full fine-tuning: every weight of the base moves.

    theta = theta_0 + delta, with delta of the size of the model
"""
from typing import Any

from lab.contracts import Base, Code, Method, Paper, Place, Rate, Shape
from lab.methods import _places, _weights


class Full(Method):
    """Train every weight of the model. The yardstick that the other methods are measured against."""

    key = "full"
    title = "Full fine-tuning"
    paper = Paper("Universal Language Model Fine-tuning for Text Classification", "Howard and Ruder", 2018, "https://arxiv.org/abs/1801.06146")
    formula = "theta = theta_0 + delta"
    family = "selective"
    composition = "parameter"
    strengths = "Every weight can move, so the method itself limits nothing: the yardstick that papers compare with."
    weaknesses = "Gradients take as much memory as the weights, AdamW's two states twice as much again, and every task keeps a whole copy of the model."
    rates = {"encoder": Rate(1e-4, 3e-5, 3e-4), "decoder": Rate(2e-5, 5e-6, 1e-4), "vision": Rate(3e-3, 1e-3, 1e-2)}  # vision here: random weights
    format = _weights.FORMAT
    trains_base = True

    decay: float = _places.DECAY

    def attach(self, base: Base) -> Any:
        return base.module.requires_grad_(True)

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return _places.of_base(shape, lambda layer: True)

    def code(self, base: Base) -> Code:
        return _places.code(base.shape, self.decay)

    def groups(self, module: Any, lr: float) -> list[dict[str, Any]]:
        return _places.groups(module, self.places(_places.shape_in(module)), lr, self.decay)


entry = Full
