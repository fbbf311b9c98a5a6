"""P-tuning: the vectors in front of the text come out of a small trained network, which ties them to one another.

    P = MLP(E) or MLP(LSTM(E)),  E: (n, width), P: (n, width);   z = [P ; E(x)]
"""
from itertools import pairwise
from typing import Any, Literal

from lab.contracts import Base, Code, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _peft, _starts
from lab.methods.prompt_tuning import stacks_of


class PTuning(Method):
    """Learn made-up words as in prompt tuning, but as the output of a small network. The network is needed while training only: its vectors are kept."""

    key = "p_tuning"
    title = "P-tuning"
    paper = Paper("GPT Understands, Too", "Liu et al.", 2021, "https://arxiv.org/abs/2103.10385")
    formula = "z = [MLP(E) ; E(x)]"
    family = "additive"
    composition = "input"
    strengths = "The network ties the vectors to one another, which is meant to steady training; it is thrown away afterwards, only the vectors are kept."
    weaknesses = "Trains far more numbers than it keeps, and its vectors take up positions of the window like any prompt."
    rates = {"encoder": Rate(3e-4, 1e-4, 1e-3), "decoder": Rate(3e-3, 1e-3, 3e-3)}
    format = _peft.FORMAT
    quantizable = True

    virtual_tokens: int = knob(20, "vectors in front of every text; each uses up one position of the window", low=1, high=200, peft="num_virtual_tokens")
    encoder: Literal["mlp", "lstm"] = knob(
        "mlp", "the network: three layers for each vector alone, or a two-way LSTM over all of them and two layers", peft="encoder_reparameterization_type")
    hidden: int = knob(128, "width inside the network", low=1, high=4096, peft="encoder_hidden_size")

    def attach(self, base: Base) -> Any:
        return _peft.attach(base, self.code(base))

    def code(self, base: Base) -> Code:
        return _peft.code(
            base, "PromptEncoderConfig", **_starts.sizes(base.shape, self.virtual_tokens, stacks_of(base.shape)),
            encoder_reparameterization_type=None if self.encoder == "mlp" else self.encoder.upper(), encoder_hidden_size=self.hidden)

    def places(self, shape: Shape) -> tuple[Place, ...]:
        d, h = shape.embedding_width, self.hidden
        network = [*_lstm(d, h), *_layers(2 * h, 2 * h, d)] if self.encoder == "lstm" else _layers(d, h, h, d)
        return (Place("prompt", None, (("E", (stacks_of(shape) * self.virtual_tokens, d)), *network)),)

    def supports(self, shape: Shape) -> Support:
        if shape.kind == "vision":
            return Support(False, "its vectors stand in front of word embeddings, and a vision model reads patches of an image; try lora")
        return Support(True)

    def starts_as_base(self) -> bool:
        return False

    def virtual_tokens_used(self) -> int:
        return self.virtual_tokens


def _layers(*widths: int) -> list[tuple[str, tuple[int, ...]]]:
    """A weight and a bias between each two widths."""
    return [tensor for number, (inputs, outputs) in enumerate(pairwise(widths), start=1)
            for tensor in ((f"W{number}", (outputs, inputs)), (f"W{number} bias", (outputs,)))]


LSTM_LAYERS = 2  # peft's encoder_num_layers


def _lstm(inputs: int, hidden: int) -> list[tuple[str, tuple[int, ...]]]:
    """Four gates a layer, forwards and backwards; the second layer reads both directions of the first."""
    return [tensor for layer in range(LSTM_LAYERS) for way in ("forwards", "backwards")
            for tensor in ((f"{way} {layer} input", (4 * hidden, 2 * hidden if layer else inputs)), (f"{way} {layer} state", (4 * hidden, hidden)),
                           (f"{way} {layer} input bias", (4 * hidden,)), (f"{way} {layer} state bias", (4 * hidden,)))]


entry = PTuning
