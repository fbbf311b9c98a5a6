"""BitFit: only the biases of the model move.

    h = W x + b,  b: (out,) trained, W frozen
"""
from typing import Any, Literal

from lab.contracts import Base, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _places, _weights

ROLES = {
    "attention": ("query", "key", "value", "qkv", "output"), "ffn": ("ffn_in", "ffn_gate", "ffn_out"),
    "query": ("query", "qkv"), "value": ("value", "qkv"), "query_and_ffn_in": ("query", "qkv", "ffn_in"), "ffn_in": ("ffn_in",), "norms": ("norm",),
}


class BitFit(Method):
    """Train the biases, the numbers that are added behind each matrix, and none of the matrices: about a thousandth of the model.
    What it can do is shift what each layer gives, never turn it."""

    key = "bitfit"
    title = "BitFit (biases only)"
    paper = Paper("BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked Language-models", "Ben Zaken, Ravfogel and Goldberg", 2022,
                  "https://arxiv.org/abs/2106.10199")
    formula = "h = W x + b, only b trained"
    family = "selective"
    composition = "parameter"
    strengths = (
        "About a thousandth of BERT, and in its paper a match for full fine-tuning on small and middle-sized data; nothing is added, so answers "
        "take no longer.")
    weaknesses = "Needs a model that has biases, and Llama has none; with more data its paper sees full fine-tuning ahead."
    needs_biases = True
    rates = {"encoder": Rate(1e-3, 1e-4, 1e-2), "decoder": Rate(1e-3, 1e-4, 1e-2)}
    format = _weights.FORMAT
    trains_base = True
    only_vectors = True

    biases: Literal["all", "attention", "ffn", "query", "value", "ffn_in", "query_and_ffn_in", "norms"] = knob(
        "all", "which biases move: all of the model's, or those of one kind of layer; the paper's smaller half is query_and_ffn_in")

    def attach(self, base: Base) -> Any:
        return _places.only(base.module, self.places(base.shape))

    def places(self, shape: Shape) -> tuple[Place, ...]:
        linears = (Place(linear.role, linear.layer, ((f"{linear.module}.bias", (linear.outputs,)),)) for linear in shape.linears if linear.bias)
        weights = (Place(weight.role, weight.layer, ((weight.name, weight.sizes),)) for weight in shape.weights if weight.name.endswith(".bias"))
        return tuple(place for place in (*linears, *weights) if self.biases == "all" or place.role in ROLES[self.biases])

    def supports(self, shape: Shape) -> Support:
        if self.places(shape):
            return Support(True)
        if self.biases != "all" and BitFit().places(shape):
            return Support(False, f"biases is {self.biases}: this model has biases elsewhere, but none there; choose all")
        return Support(False, f"a {shape.model_type} model was made without biases, so there is none to train; try beft, which puts some in, or norms")


entry = BitFit
