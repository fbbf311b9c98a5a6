"""LoRA-FA: LoRA whose A stays as it was drawn; only B is trained.

    h = W x + (alpha / r) B A x,  A: (r, in) frozen, B: (out, r) starts at 0, so step 0 is the base
"""
from dataclasses import replace
from typing import Any, Literal

from lab.contracts import Base, Code, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _lora, _peft
from lab.methods._targets import Targets, supported

SMALLEST = 1e-8  # keeps A A' invertible, as in peft


class LoraFa(Method):
    """LoRA with the first matrix A frozen at its random start: only B is trained, and of the layer's input only the r numbers of A x are kept for the
    backward pass. B's gradient is corrected for how A happens to look at the inputs, as in peft's LoRA-FA optimizer, or used as it is.

    h = W x + (alpha / r) B A x,  A: (r, in) frozen, B: (out, r);  corrected: dB (s² A A')⁻¹ with s = alpha / r, of all steps that B can take the nearest
    to one of the whole matrix; Zhang et al. 2023, arXiv 2308.03303.
    """

    key = "lora_fa"
    title = "LoRA-FA"
    paper = Paper("LoRA-FA: Memory-efficient Low-rank Adaptation for Large Language Models Fine-tuning", "Zhang et al.", 2023,
                  "https://arxiv.org/abs/2308.03303")
    formula = "h = W x + (alpha / r) B A x,  A frozen"
    family = "reparameterised"
    composition = "parameter"
    strengths = "Only B trains, and of a layer's input only the few numbers of A x are kept for the backward pass: fewer activations in memory."
    weaknesses = "The directions in which A looks are drawn once and stay: what they miss cannot be learned, whatever B does."
    rates = {"encoder": Rate(1e-2, 1e-3, 1e-2), "decoder": Rate(3e-3, 3e-3, 1e-2)}
    format = _peft.FORMAT
    merges = True
    quantizable = True

    rank: int = _lora.RANK
    alpha: float = knob(16.0, "scale of the correction: it is multiplied by alpha / rank", low=0.001, high=4096, peft="lora_alpha")
    dropout: float = _lora.DROPOUT
    targets: Targets = _lora.TARGETS
    gradient: Literal["corrected", "plain"] = knob("corrected", "B's gradient as in peft's optimizer create_lorafa_optimizer, or as it is", advanced=True)

    def attach(self, base: Base) -> Any:
        module = _peft.attach(base, self.code(base))
        for _, layer in _lora.layers(module):
            _freeze(layer.lora_A["default"])
            if self.gradient == "corrected":
                _correct(layer)
        return module

    def code(self, base: Base) -> Code:
        lines = ['for part in [part for part in model.modules() if hasattr(part, "lora_A")]:',
                 '    a = part.lora_A["default"].weight.requires_grad_(False)  # A stays as it was drawn']
        if self.gradient == "corrected":  # as `_correct` below
            lines += [f'    inverse = torch.linalg.pinv(a @ a.T + {SMALLEST} * torch.eye(len(a))) / part.scaling["default"] ** 2',
                      '    part.lora_B["default"].weight.register_hook(lambda grad, inverse=inverse: grad @ inverse)']
        return replace(_lora.code(self, base), after=tuple(lines))

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return tuple(Place(linear.role, linear.layer, (("B", (linear.outputs, self.rank)),)) for linear in shape.select(self.targets))

    def supports(self, shape: Shape) -> Support:
        return supported(self.targets, shape)


def _freeze(a: Any) -> None:
    """A becomes a buffer: a fixed random table, which no optimizer and no count takes for a parameter. Its name in the saved file stays."""
    weight = a.weight.detach()
    del a.weight
    a.register_buffer("weight", weight)


def _correct(layer: Any) -> None:
    """Multiply B's gradient, (out, r), by (s² A A')⁻¹, (r, r), whenever it is computed."""
    import torch

    a, s = layer.lora_A["default"].weight.float(), layer.scaling["default"]
    inverse = torch.linalg.pinv(a @ a.t() + SMALLEST * torch.eye(len(a), device=a.device)) / s ** 2
    layer.lora_B["default"].weight.register_hook(lambda grad: (grad.float() @ inverse.to(grad.device)).to(grad.dtype))


entry = LoraFa
