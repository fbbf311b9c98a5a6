"""In-context learning: nothing is trained; k solved examples stand in front of every text.

    y = argmax over labels of p(label | x_1 y_1 … x_k y_k x)
"""
import random
from typing import Any

from lab.contracts import Base, Item, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _weights

WHY_NOT = {
    "encoder": "an encoder does not continue a text, so it cannot learn from examples in it; try head",
    "vision": "a vision model reads one image and continues nothing, so there is no place for examples; try head",
    "seq2seq": "an encoder-decoder answers a text instead of continuing it, so solved examples are no text it would go on with; try lora",
}

class InContext(Method):
    """Show the model a few solved examples and let it go on. No weight moves; the examples are read again for every answer."""

    key = "in_context"
    title = "In-context learning"
    paper = Paper("Language Models are Few-Shot Learners", "Brown et al.", 2020, "https://arxiv.org/abs/2005.14165")
    formula = "p(y | x_1 y_1 … x_k y_k x)"
    family = "none"
    composition = "input"
    rates = {"decoder": Rate(0.0, 0.0, 0.0), "encoder": Rate(0.0, 0.0, 0.0)}
    format = _weights.FORMAT
    quantizable = True
    fixed = {"steps": 0}

    shots: int = knob(4, "solved examples in front of every text; 0 asks without any", low=0, high=32)

    def attach(self, base: Base) -> Any:
        return _weights.freeze(base.module)

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return ()

    def supports(self, shape: Shape) -> Support:
        reason = WHY_NOT.get(shape.kind, "")
        return Support(not reason, reason)

    def starts_as_base(self) -> bool:
        return self.shots == 0

    def shots_shown(self, train: tuple[Item, ...], seed: int) -> tuple[Item, ...]:
        """k training items, classes in turn, then in random order."""
        draw = random.Random(f"shots:{seed}")
        labels = sorted({item.label for item in train})
        pools = [draw.sample([item for item in train if item.label == label], len(train) // len(labels) // 2) for label in labels]
        chosen = [pools[place % len(labels)][place // len(labels)] for place in range(self.shots)]
        return tuple(draw.sample(chosen, len(chosen)))


entry = InContext
