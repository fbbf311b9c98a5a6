"""LoKr: the correction is a Kronecker product: every number of a small matrix W1 is multiplied with a whole block W2.

    h = W x + (alpha / r) (W1 ⊗ W2) x,  W1: (o1, i1), W2: (o2, i2), out = o1 o2, in = i1 i2
    W2 = W2a W2b with W2a: (o2, r), W2b: (r, i2) where that is thinner than W2 itself; W1 starts at 0, so step 0 is the base
"""
from typing import Any

from lab.contracts import Base, Code, Linear, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _peft, _tuners
from lab.methods._targets import Targets


class Lokr(Method):
    """Build the change of a matrix out of one small block that is repeated all over it, each time with another factor. The ranks of the block and of the
    factors multiply."""

    key = "lokr"
    title = "LoKr"
    paper = Paper("Navigating Text-To-Image Customization: From LyCORIS Fine-Tuning to Model Evaluation", "Yeh et al.", 2023,
                  "https://arxiv.org/abs/2309.14859")
    formula = "h = W x + (alpha / r) (W1 ⊗ W2) x"
    family = "reparameterised"
    composition = "parameter"
    strengths = "The ranks of the two factors multiply, so few numbers can reach a high rank."
    weaknesses = "Every piece of the change is a multiple of one and the same block, and that whole change is built at each step."
    rates = {"encoder": Rate(1e-2, 3e-3, 3e-2), "decoder": Rate(1e-3, 2e-4, 3e-3)}
    format = _peft.FORMAT
    merges = True

    rank: int = knob(8, "width of the two thin matrices whose product is W2; where W2 itself is not larger it is trained whole", low=1, high=256, peft="r")
    alpha: float = knob(16.0, "scale of the correction: it is multiplied by alpha / rank", low=0, high=4096, peft="alpha")
    factor: int = knob(0, "rows and columns of W1, or the next smaller divisor; 0 for the nearest to a square cut", low=0, high=1024, peft="decompose_factor")
    targets: Targets = knob(("query", "value"), "which matrices get a correction", peft="target_modules")

    def attach(self, base: Base) -> Any:
        return _peft.attach(base, self.code(base))

    def code(self, base: Base) -> Code:
        return _peft.code(
            base, "LoKrConfig", r=self.rank, alpha=self.alpha, decompose_factor=self.factor or None,
            target_modules=_tuners.modules(base.shape, self.targets))

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return tuple(Place(linear.role, linear.layer, self._tensors(linear)) for linear in shape.select(self.targets))

    def _tensors(self, linear: Linear) -> tuple[tuple[str, tuple[int, ...]], ...]:
        (o1, o2), (i1, i2) = _cut(linear.outputs, self.factor), _cut(linear.inputs, self.factor)
        if 2 * self.rank >= max(o2, i2):
            return (("W1", (o1, i1)), ("W2", (o2, i2)))
        return (("W1", (o1, i1)), ("W2a", (o2, self.rank)), ("W2b", (self.rank, i2)))

    def supports(self, shape: Shape) -> Support:
        return _tuners.plain_linears(self.targets, shape)


def _cut(length: int, factor: int) -> tuple[int, int]:
    """Two whole numbers whose product is `length`: the factor and the rest, or else the nearest to a square with at most the factor."""
    if factor and length % factor == 0:
        return factor, length // factor
    most = min(factor or length, int(length**0.5))
    small = next(size for size in range(most, 0, -1) if length % size == 0)
    return small, length // small


entry = Lokr
