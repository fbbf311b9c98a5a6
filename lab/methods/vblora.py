"""VB-LoRA: A and B of every LoRA are pieced together from one bank of short vectors; each piece mixes its k best vectors.

    h = W x + B A x;  every piece of A and B, v numbers long, is  Σ over the k largest logits z:  softmax(z)_j bank_j
    bank: (n, v), logits of A: (r, in / v, n), of B: (out / v, r, n); both start at random, so step 0 is near the base but not the base
"""
from dataclasses import replace
from typing import Any

from lab.contracts import Base, Code, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _peft, _tuners
from lab.methods._targets import Targets, supported

LONGEST = 128  # vector that is chosen by itself
BANK_RATE = 0.1  # of the logits' learning rate, as in the paper's settings


class Vblora(Method):
    """Keep one small bank of vectors for the whole model, and let every layer piece its LoRA together from it. Each layer learns which vectors to take."""

    key = "vblora"
    title = "VB-LoRA"
    paper = Paper("VB-LoRA: Extreme Parameter Efficient Fine-Tuning with Vector Banks", "Li, Han and Ji", 2024, "https://arxiv.org/abs/2405.15179")
    formula = "h = W x + B A x, each piece of A and B = Σ_top-k softmax(z)_j bank_j"
    family = "reparameterised"
    composition = "parameter"
    strengths = (
        "All layers share one bank, and afterwards only the bank and the choices need to be stored: in its paper 0.4 % of what LoRA stores "
        "for Llama2-13B.")
    weaknesses = "Trains far more than needs to be stored, a number for each vector of the bank and each piece; and it starts near the base, not at it."
    rates = {"encoder": Rate(3e-2, 1e-2, 1e-1), "decoder": Rate(1e-2, 1e-3, 1e-1)}
    format = _peft.FORMAT
    merges = True
    quantizable = True

    rank: int = knob(4, "width of the two thin matrices that are pieced together", low=1, high=256, peft="r")
    vectors: int = knob(90, "vectors in the bank, which all layers share", low=2, high=4096, peft="num_vectors")
    vector_length: int = knob(0, f"numbers in one vector, which must divide the sides of every chosen matrix; 0 for the longest up to {LONGEST} that does",
                              low=0, high=4096, peft="vector_length")
    top: int = knob(2, "vectors that are mixed for one piece", low=1, high=64, peft="topk")
    dropout: float = knob(0.0, "share of the inputs of A dropped at random while training", low=0, high=0.9, peft="vblora_dropout", advanced=True)
    targets: Targets = knob(("query", "value"), "which matrices get a correction", peft="target_modules")

    def attach(self, base: Base) -> Any:
        return _peft.attach(base, self.code(base))

    def code(self, base: Base) -> Code:
        chosen = base.shape.select(self.targets)
        config = _peft.code(
            base, "VBLoRAConfig", r=self.rank, num_vectors=self.vectors, vector_length=self._length(base.shape), topk=self.top,
            vblora_dropout=self.dropout or None, fan_in_fan_out=chosen[0].conv1d or None, target_modules=[linear.module for linear in chosen])
        return replace(config, groups=_peft.rates(logits=1, vector_bank=BANK_RATE))

    def places(self, shape: Shape) -> tuple[Place, ...]:
        n, r, v = self.vectors, self.rank, self._length(shape)
        logits = (Place(linear.role, linear.layer, (("A logits", (r, linear.inputs // v, n)), ("B logits", (linear.outputs // v, r, n))))
                  for linear in shape.select(self.targets))
        return (Place("bank", None, (("bank", (n, v)),)), *logits)

    def supports(self, shape: Shape) -> Support:
        if self.top > self.vectors:
            return Support(False, f"top is {self.top}: at most as many as there are vectors in the bank, and vectors is {self.vectors}")
        support = supported(self.targets, shape)
        if support.ok and self.vector_length:
            return _tuners.divides("vector_length", self.vector_length, shape.select(self.targets), "inputs", "outputs")
        return support

    def starts_as_base(self) -> bool:
        return False

    def groups(self, module: Any, lr: float) -> list[dict[str, Any]]:
        """The bank serves all layers, so it moves more slowly than the logits that choose from it."""
        trained = [(name, weight) for name, weight in module.named_parameters() if weight.requires_grad]
        bank = [weight for name, weight in trained if "vector_bank" in name]
        logits = [weight for name, weight in trained if "vector_bank" not in name]
        return [{"params": logits, "lr": lr}, {"params": bank, "lr": BANK_RATE * lr}]

    def _length(self, shape: Shape) -> int:
        lengths = _tuners.sizes_of(shape.select(self.targets), "inputs", "outputs")
        return self.vector_length or _tuners.largest_divisor(lengths, LONGEST)


entry = Vblora
