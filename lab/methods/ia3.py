"""IA3: keys, values and the middle of the feed-forward part are scaled, number by number, with learned vectors.

    k = l_k ⊙ (W_k x),  v = l_v ⊙ (W_v x),  y = W_out (l_ff ⊙ f(W_in x));  every l starts at 1, so step 0 is the base
"""
from typing import Any

from lab.contracts import Base, Code, Linear, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _peft
from lab.methods._targets import Targets, supported


class Ia3(Method):
    """Turn single channels of the frozen model up or down: one factor is learned for each number of keys, values and the middle of the feed-forward part.
    The name stands for Infused Adapter by Inhibiting and Amplifying Inner Activations."""

    key = "ia3"
    title = "IA3"
    paper = Paper("Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning", "Liu et al.", 2022,
                  "https://arxiv.org/abs/2205.05638")
    formula = "k = l_k ⊙ (W_k x), v = l_v ⊙ (W_v x), y = W_out (l_ff ⊙ f(W_in x))"
    family = "additive"
    composition = "function"
    strengths = "One factor a channel, so very few numbers, and after training they are multiplied into the weights."
    weaknesses = "It turns channels that are there up or down and mixes none of them, which limits what can be learned."
    rates = {"encoder": Rate(3e-2, 1e-2, 5e-2), "decoder": Rate(1e-2, 1e-3, 1e-1)}
    format = _peft.FORMAT
    merges = True
    quantizable = True

    targets: Targets = knob(("key", "value", "ffn_out"), "which matrices have their outputs scaled; ffn_out has its inputs scaled", peft="target_modules")

    def attach(self, base: Base) -> Any:
        return _peft.attach(base, self.code(base))

    def code(self, base: Base) -> Code:
        chosen = base.shape.select(self.targets)
        return _peft.code(
            base, "IA3Config", fan_in_fan_out=chosen[0].conv1d or None, target_modules=[linear.module for linear in chosen],
            feedforward_modules=[linear.module for linear in chosen if _scales_inputs(linear)])

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return tuple(Place(linear.role, linear.layer, (("l", (1, linear.inputs) if _scales_inputs(linear) else (linear.outputs, 1)),))
                     for linear in shape.select(self.targets))

    def supports(self, shape: Shape) -> Support:
        return supported(self.targets, shape)


def _scales_inputs(linear: Linear) -> bool:
    """The inputs of the second feed-forward layer are what the activation gave."""
    return linear.role == "ffn_out"


entry = Ia3
