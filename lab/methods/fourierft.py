"""FourierFT: of the correction only a few frequencies are learned, the same random ones in every layer.

    h = W x + alpha Re(F⁻¹(c)) x,  c: (out, in), zero but at n places; F⁻¹ is the inverse discrete Fourier transform in two dimensions
"""
from typing import Any, Literal

from lab.contracts import Base, Code, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _peft, _tuners
from lab.methods._targets import Targets, supported


class Fourierft(Method):
    """See the change of a matrix as a picture made of waves, and learn the strength of a few waves only. Which waves is drawn once, the same for all layers."""

    key = "fourierft"
    title = "FourierFT"
    paper = Paper("Parameter-Efficient Fine-Tuning with Discrete Fourier Transform", "Gao et al.", 2024, "https://arxiv.org/abs/2405.03003")
    formula = "h = W x + alpha Re(F⁻¹(c)) x"
    family = "reparameterised"
    composition = "parameter"
    strengths = "The count does not grow with the matrix; its paper needs a five-hundredth of LoRA's numbers on LLaMA2-7B."
    weaknesses = "Builds a correction as large as the matrix, by a transform, at every step; its large scale is one more number to choose."
    rates = {"encoder": Rate(1e-1, 3e-2, 3e-1), "decoder": Rate(1e-2, 1e-3, 1e-1)}
    format = _peft.FORMAT
    merges = True
    quantizable = True

    frequencies: int = knob(500, "waves whose strength is learned, for each matrix; at most as many as the matrix has numbers", low=1, high=100_000,
                            peft="n_frequency")
    alpha: float = knob(150.0, "scale of the correction; a transform back divides by the size of the matrix, so it is large", low=0, high=4096, peft="scaling")
    init: Literal["zero", "gaussian"] = knob("zero", "start of the strengths: zero is the base; gaussian, as in the paper, is a random change",
                                             peft="init_weights", advanced=True)
    targets: Targets = knob(("query", "value"), "which matrices get a correction", peft="target_modules")

    def attach(self, base: Base) -> Any:
        return _peft.attach(base, self.code(base))

    def code(self, base: Base) -> Code:
        chosen = base.shape.select(self.targets)
        return _peft.code(
            base, "FourierFTConfig", n_frequency=self.frequencies, scaling=self.alpha, init_weights=self.init == "zero" or None,
            random_loc_seed=_tuners.DRAWN_SEED, fan_in_fan_out=chosen[0].conv1d or None, target_modules=[linear.module for linear in chosen])

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return tuple(Place(linear.role, linear.layer, (("c", (self.frequencies,)),)) for linear in shape.select(self.targets))

    def supports(self, shape: Shape) -> Support:
        support = supported(self.targets, shape)
        if not support.ok:
            return support
        least = min(shape.select(self.targets), key=lambda linear: linear.inputs * linear.outputs)
        if self.frequencies > least.inputs * least.outputs:
            return Support(False, f"frequencies is {self.frequencies}: at most as many as a matrix has numbers, and {least.role} has "
                           f"{least.inputs * least.outputs} here")
        return Support(True)

    def starts_as_base(self) -> bool:
        return self.init == "zero"


entry = Fourierft
