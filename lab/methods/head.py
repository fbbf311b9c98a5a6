"""Head only: the base stays as it is, a linear classifier on its features is trained.

    y = W mean(h) + b, with W: (labels, width)
"""
from typing import Any

from lab.contracts import Base, Latency, Method, Paper, Place, Rate, Shape, Support
from lab.methods import _weights


class Head(Method):
    """Freeze the whole model and train one linear layer on what it already sees. What any method should beat."""

    key = "head"
    title = "Head only"
    paper = Paper("Deep contextualized word representations", "Peters et al.", 2018, "https://arxiv.org/abs/1802.05365")
    formula = "y = W mean(h) + b"
    family = "selective"
    composition = "function"
    strengths = "No gradient flows through the model, so a step costs little more than asking it; the base stays as it was for certain."
    weaknesses = "It can only weigh what the frozen features show already: where they do not part the classes, it cannot help."
    rates = {"encoder": Rate(1e-2, 1e-3, 1e-1)}
    format = _weights.FORMAT
    quantizable = True

    @classmethod
    def latency(cls) -> Latency:
        return "none"  # a head stands on the features whatever trains

    def attach(self, base: Base) -> Any:
        return _weights.freeze(base.module)

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return ()

    def supports(self, shape: Shape) -> Support:
        if not shape.writes:
            return Support(True)
        who = "a decoder" if shape.kind == "decoder" else "an encoder-decoder"
        return Support(False, f"{who} answers with words through its own vocabulary, so there is no separate head to train; try top_layers")

    def head_rate(self, lr: float) -> float:
        return lr


entry = Head
