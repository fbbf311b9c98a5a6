"""AdaLoRA: LoRA in the form of a singular value decomposition, whose least important parts are taken away while it trains.

    h = W x + (alpha / r_0) B diag(E) A x,  A: (r_0, in), E: (r_0, 1), B: (out, r_0); E starts at 0, so step 0 is the base
"""
from dataclasses import replace
from typing import Any

from lab.contracts import Base, Code, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _lora, _peft
from lab.methods._targets import Targets, supported


class AdaLora(Method):
    """Give every matrix a few more directions than the budget allows, watch which ones the loss reacts to, and switch off the rest step by step:
    matrices that need more keep a higher rank. The penalty keeps A and B near orthogonal, so that each direction can be judged by itself."""

    key = "adalora"
    title = "AdaLoRA"
    paper = Paper("AdaLoRA: Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning", "Zhang et al.", 2023, "https://arxiv.org/abs/2303.10512")
    formula = "h = W x + (alpha / r_0) B diag(E) A x"
    family = "reparameterised"
    composition = "parameter"
    strengths = "Spends a budget of ranks where the loss reacts to them, instead of the same rank everywhere."
    weaknesses = "Trains more than it keeps, and its schedule must know the number of steps beforehand and has knobs of its own."
    rates = {"encoder": Rate(1e-2, 3e-3, 3e-2), "decoder": Rate(1e-2, 2e-3, 2e-2)}  # decoder: two rates tried
    format = _peft.FORMAT
    merges = True
    quantizable = True

    rank: int = knob(8, "average rank that is left at the end", low=1, high=256, peft="target_r")
    start_rank: int = knob(12, "rank that every matrix starts with, r_0; what is counted", low=1, high=384, peft="init_r")
    alpha: float = knob(16.0, "scale of the correction: it is multiplied by alpha / start_rank", low=0.001, high=4096, peft="lora_alpha")
    dropout: float = _lora.DROPOUT
    targets: Targets = _lora.TARGETS
    before: float = knob(0.1, "share of the steps before anything is taken away", low=0, high=0.45, peft="tinit", advanced=True)
    after: float = knob(0.3, "share of the steps that train what is left at the end", low=0, high=0.5, peft="tfinal", advanced=True)
    every: int = knob(1, "steps between two decisions", low=1, high=1000, peft="deltaT", advanced=True)
    orthogonality: float = knob(0.5, "weight of the penalty on directions that are not orthogonal", low=0, high=100, peft="orth_reg_weight", advanced=True)

    def attach(self, base: Base) -> Any:
        module = _peft.attach(base, self.code(base))
        for _, layer in _lora.layers(module):
            _fix(layer)
        return module

    def code(self, base: Base) -> Code:
        steps = max(1, base.steps)  # a run without steps only asks
        config = _peft.code(
            base, "AdaLoraConfig", init_r=self.start_rank, target_r=self.rank, total_step=steps, tinit=int(self.before * steps),
            tfinal=int(self.after * steps), deltaT=self.every, orth_reg_weight=self.orthogonality, **_lora.settings(self, base))
        penalty = () if base.shape.writes or not self.orthogonality else (  # as `penalty` below; peft adds it to a loss that the model itself computes
            'both = [w if "lora_A" in n else w.T for n, w in model.named_parameters() if "lora_A" in n or "lora_B" in n]',
            f"loss = loss + {self.orthogonality} * torch.stack([torch.linalg.norm(w @ w.T - torch.eye(len(w))) for w in both]).mean()")
        return replace(config, loss=penalty, step=("model.base_model.update_and_allocate(step)  # take the weakest ranks away",))

    def penalty(self, module: Any) -> Any:
        """peft adds it only to a loss that the model itself computes: the mean of |A A' - 1| and |B' B - 1| over all matrices."""
        import torch

        found = []
        for _, layer in _lora.layers(module):
            a, b = layer.lora_A["default"], layer.lora_B["default"]
            found += [torch.linalg.norm(product - torch.eye(len(product), device=product.device)) for product in (a @ a.t(), b.t() @ b)]
        return self.orthogonality * torch.stack(found).mean() if self.orthogonality else None

    def after_step(self, module: Any, step: int) -> None:
        module.base_model.update_and_allocate(step)

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return tuple(Place(linear.role, linear.layer, (*_lora.a_and_b(linear, self.start_rank), ("E", (self.start_rank, 1))))
                     for linear in shape.select(self.targets))

    def supports(self, shape: Shape) -> Support:
        if self.start_rank < self.rank:
            return Support(False, f"start_rank is {self.start_rank}: it must be at least rank, {self.rank}, because ranks are only taken away")
        return supported(self.targets, shape)


def _fix(layer: Any) -> None:
    """peft keeps the number r_0 as a frozen parameter; it is no weight, so here it is a buffer."""
    from peft.tuners._buffer_dict import BufferDict

    layer.ranknum = BufferDict({name: value.data for name, value in layer.ranknum.items()})


entry = AdaLora
