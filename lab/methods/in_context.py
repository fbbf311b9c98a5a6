"""In-context learning: nothing is trained; k solved examples stand in front of every text.

    y = argmax over labels of p(label | x_1 y_1 … x_k y_k x)
"""
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

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
    strengths = "Nothing is trained and nothing stored: a new task is a new text."
    weaknesses = "The examples are read again for every answer and use up the window; their order and wording move the score (Zhao et al. 2021)."
    rates = {"decoder": Rate(0.0, 0.0, 0.0), "encoder": Rate(0.0, 0.0, 0.0)}
    format = _weights.FORMAT
    quantizable = True
    fixed = {"steps": 0}

    shots: int = knob(4, "solved examples in front of every text; 0 asks without any", low=0, high=32)
    order: Literal["random", "by_label", "by_label_reversed"] = knob(
        "random", "how the examples follow one another: mixed, or label after label, so that all that stand last have one answer")
    labels: Literal["true", "random"] = knob(
        "true", "the answers shown: the right ones, or any. What examples teach besides the answers stays (Min et al. 2022)")

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
        """k training items, classes in turn (items with written answers are one class). Order and answers have draws of their own, so that
        neither changes which texts are shown."""
        draw = random.Random(f"shots:{seed}")
        labels = sorted({item.label for item in train})
        pools = [draw.sample([item for item in train if item.label == label], len(train) // len(labels) // 2) for label in labels]
        chosen = [pools[place % len(labels)][place // len(labels)] for place in range(self.shots)]
        shown = draw.sample(chosen, len(chosen))
        if self.order != "random":
            shown.sort(key=lambda item: item.label, reverse=self.order == "by_label_reversed")
        return tuple(shown if self.labels == "true" else _answered_at_random(shown, train, random.Random(f"answers:{seed}")))


def _answered_at_random(shown: Sequence[Item], train: tuple[Item, ...], draw: random.Random) -> list[Item]:
    """Each with the label, or the written answer, of some training item; labels are drawn evenly, so that about one in their number stays right."""
    if any(item.answers for item in train):
        return [replace(item, answers=draw.choice(train).answers) for item in shown]
    labels = sorted({item.label for item in train})
    return [replace(item, label=draw.choice(labels)) for item in shown]


entry = InContext
