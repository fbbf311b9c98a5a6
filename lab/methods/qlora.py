"""QLoRA: LoRA beside every matrix of a base that is kept in 4 bits.

    h = dequantise(W_nf4) x + (alpha / r) B A x,  A: (r, in), B: (out, r); B starts at 0, so step 0 is the quantised base
"""
from typing import Any

from lab.contracts import Base, Code, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _lora, _peft
from lab.methods._targets import Targets, supported


class Qlora(Method):
    """Keep the frozen base in 4 bits (NF4, its scales quantised as well) and train a LoRA beside every matrix of it. At each use a matrix is turned back
    into the run's number format, dtype. The paper's paged optimizer is optimizer paged_adamw_8bit, on a GPU only; with lora, the setting quantization
    takes other formats: fp4, int8."""

    key = "qlora"
    title = "QLoRA"
    paper = Paper("QLoRA: Efficient Finetuning of Quantized LLMs", "Dettmers et al.", 2023, "https://arxiv.org/abs/2305.14314")
    formula = "h = dequantise(W_nf4) x + (alpha / r) B A x"
    family = "reparameterised"
    composition = "parameter"
    strengths = "The frozen base takes little more than 4 bits a weight, so a large model fits a small GPU; its paper finds it level with 16-bit fine-tuning."
    weaknesses = "Weights are turned back at every use, which takes time, and merging into 4 bits rounds what was learned."
    rates = {"encoder": Rate(1e-3, 3e-4, 5e-3), "decoder": Rate(1e-3, 2e-4, 3e-3)}  # LoRA's; decoder: two rates tried
    format = _peft.FORMAT
    exhibit = "qalora"
    quantizable = True
    fixed = {"quantization": "nf4_double"}

    rank: int = _lora.RANK
    alpha: float = _lora.ALPHA
    dropout: float = _lora.DROPOUT
    targets: Targets = knob(("all",), "which matrices get a correction; the paper found that all are needed to reach full fine-tuning",
                            peft="target_modules")

    def attach(self, base: Base) -> Any:
        return _peft.attach(base, self.code(base))

    def code(self, base: Base) -> Code:
        return _lora.code(self, base)

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return _lora.places(self, shape)

    def supports(self, shape: Shape) -> Support:
        return supported(self.targets, shape)


entry = Qlora
