"""DyLoRA: one LoRA that works at every rank up to r, trained by using another number of its directions at each step.

    h = W x + (alpha / b) B[:, :b] A[:b] x,  b drawn from 1 … r at each step,  A: (r, in), B: (out, r); B starts at 0, so step 0 is the base
"""
import random
from typing import Any, Literal

from lab.contracts import Base, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _dylora, _lora, _peft
from lab.methods._targets import Targets, supported


class DyLora(Method):
    """At each step draw a rank b and train only the first b directions of every LoRA, so that the most useful ones come first and a trained model
    can be cut to any smaller rank. It saves the search for the right rank; scores here are those of the full rank."""

    key = "dylora"
    title = "DyLoRA"
    paper = Paper("DyLoRA: Parameter-Efficient Tuning of Pre-trained Models using Dynamic Search-Free Low-Rank Adaptation", "Valipour et al.", 2022,
                  "https://arxiv.org/abs/2210.07558")
    formula = "h = W x + (alpha / b) B[:, :b] A[:b] x,  b drawn from 1 … r"
    family = "reparameterised"
    composition = "parameter"
    strengths = "One training gives a LoRA for every rank up to the largest, so the rank can be chosen afterwards."
    weaknesses = "Each step trains up to a rank drawn at random, so the last directions learn in few of the steps."
    rates = {"encoder": Rate(1e-2, 3e-3, 3e-2), "decoder": Rate(1e-3, 2e-4, 3e-3)}  # decoder: LoRA's
    format = _dylora.FORMAT
    merges = True
    quantizable = True

    rank: int = knob(8, "largest rank; every smaller one can be used after training", low=1, high=256, peft="r")
    alpha: float = knob(16.0, "scale of the correction: it is multiplied by alpha / b", low=0, high=4096, peft="lora_alpha")
    dropout: float = _lora.DROPOUT
    targets: Targets = _lora.TARGETS
    update: Literal["all", "last"] = knob(
        "all", "what learns at a step of rank b: all of the first b directions, or the b-th alone, which keeps what smaller ranks know", advanced=True)

    def attach(self, base: Base) -> Any:
        module = _dylora.nest(_peft.attach(base, _lora.code(self, base)))
        module.ranks_seed = base.seed
        return module

    def before_step(self, module: Any, step: int) -> None:
        rank = self.drawn(module.ranks_seed, step)
        _dylora.begin(module, rank, range(rank) if self.update == "all" else range(rank - 1, rank))

    def after_step(self, module: Any, step: int) -> None:
        _dylora.end(module)

    def drawn(self, seed: int, step: int) -> int:
        """The rank of a step, every one as likely; from the run's seed, and from no generator that something else draws from."""
        return random.Random(f"rank:{seed}:{step}").randint(1, self.rank)

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return _lora.places(self, shape)

    def supports(self, shape: Shape) -> Support:
        return supported(self.targets, shape)


entry = DyLora
