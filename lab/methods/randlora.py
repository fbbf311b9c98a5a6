"""RandLoRA: a sum of many random low-rank products, shared by all layers; each layer learns how to scale them.

    h = W x + (alpha / r) Σ_j B_j Λ_j A Γ_j x,  j = 1 … n, n = ⌈min(in, out) / r⌉, so the sum has full rank
    A: (r, min) and B_j: (max, r) random, shared, frozen; λ: (r, n) starts at 0, γ: (n, min); where out < in the product is transposed
"""
from typing import Any

from lab.contracts import Base, Code, Linear, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _peft, _tuners
from lab.methods._targets import Targets, supported


class Randlora(Method):
    """Add up enough random low-rank matrices to reach the full rank, and learn only how to scale each. A smaller rank means more of them, and more to learn."""

    key = "randlora"
    title = "RandLoRA"
    paper = Paper("RandLoRA: Full-rank parameter-efficient fine-tuning of large models", "Albert et al.", 2025, "https://arxiv.org/abs/2502.00987")
    formula = "h = W x + (alpha / r) Σ_j B_j Λ_j A Γ_j x"
    family = "reparameterised"
    composition = "parameter"
    strengths = "The change can reach the full rank with about d² / r trained numbers (d: the matrix's shorter side), where LoRA's is held to rank r."
    weaknesses = "Its random matrices are kept and multiplied at every step; a smaller rank means more of them, not fewer numbers."
    rates = {"encoder": Rate(1e-3, 1e-4, 1e-2), "decoder": Rate(1e-3, 1e-4, 1e-2)}
    format = _peft.FORMAT
    merges = True
    quantizable = True

    rank: int = knob(32, "rank of one random product; a smaller one means more products and more to learn", low=1, high=1024, peft="r")
    alpha: float = knob(640.0, "scale of the correction: it is multiplied by alpha / rank", low=0, high=65536, peft="randlora_alpha")
    dropout: float = knob(0.0, "share of the inputs dropped at random while training", low=0, high=0.9, peft="randlora_dropout", advanced=True)
    targets: Targets = knob(("query", "value"), "which matrices get a correction", peft="target_modules")

    def attach(self, base: Base) -> Any:
        return _peft.attach(base, self.code(base))

    def code(self, base: Base) -> Code:
        chosen = base.shape.select(self.targets)
        return _peft.code(
            base, "RandLoraConfig", r=self.rank, randlora_alpha=self.alpha, randlora_dropout=self.dropout or None, fan_in_fan_out=chosen[0].conv1d or None,
            projection_prng_key=_tuners.DRAWN_SEED, save_projection=True, target_modules=[linear.module for linear in chosen])

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return tuple(Place(linear.role, linear.layer, self._tensors(linear)) for linear in shape.select(self.targets))

    def _tensors(self, linear: Linear) -> tuple[tuple[str, tuple[int, ...]], ...]:
        least = min(linear.inputs, linear.outputs)
        products = -(-least // self.rank)
        return (("λ", (self.rank, products)), ("γ", (products, least)))

    def supports(self, shape: Shape) -> Support:
        return supported(self.targets, shape)


entry = Randlora
