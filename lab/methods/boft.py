"""BOFT: the inputs of a matrix are rotated in small blocks, several times over with the inputs shuffled in between, and its outputs are scaled.

    h = s ⊙ (W R x) + bias,  R = R_1ᵀ … R_mᵀ,  R_i = P_i blockdiag(C_i1 … C_ik) P_iᵀ,  C = (I - Q)(I + Q)^-1,  Q = (D - Dᵀ) / 2
    D: (m, in / b, b, b) starts at 0 and s: (out, 1) at 1; P_i is the butterfly's fixed shuffle, none in the first
    Step 0 is the base; where a matrix has a bias only up to rounding, because peft takes it off and puts it back behind the scale.
"""
from dataclasses import replace
from typing import Any

from lab.contracts import Base, Code, Format, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _peft, _tuners
from lab.methods._targets import Targets


def _without_compiler() -> None:
    """Let peft put blocks on a diagonal with torch. By itself it compiles a CUDA program for that, and where it cannot, leaves the butterflies out."""
    from types import SimpleNamespace

    import torch
    from peft.tuners.boft import layer

    layer._FBD_CUDA = True
    layer.FastBlockDiag = SimpleNamespace(apply=lambda levels: torch.stack([torch.block_diag(*blocks) for blocks in levels]))


def load(model, folder):
    from types import SimpleNamespace

    import torch
    from peft import PeftModel
    from peft.tuners.boft import layer

    layer._FBD_CUDA = True  # peft compiles a CUDA program for the next line by itself, and leaves the butterflies out where it cannot
    layer.FastBlockDiag = SimpleNamespace(apply=lambda levels: torch.stack([torch.block_diag(*blocks) for blocks in levels]))
    return PeftModel.from_pretrained(model, str(folder))


FORMAT = Format(key="boft", save=_peft.save, load=load)


class Boft(Method):
    """Reach a large rotation of the inputs through several small ones. Each level groups the inputs anew, as in the fast Fourier transform."""

    key = "boft"
    title = "BOFT"
    paper = Paper("Parameter-Efficient Orthogonal Finetuning via Butterfly Factorization", "Liu et al.", 2023, "https://arxiv.org/abs/2311.06243")
    formula = "h = s ⊙ (W R_1ᵀ … R_mᵀ x) + bias, each R_i a shuffled block rotation"
    family = "reparameterised"
    composition = "parameter"
    strengths = "Several small rotations in a row let every input mix with more of the others than one block holds, with fewer numbers than one large rotation."
    weaknesses = "Each level is one more product at every step, and block size and levels have to fit the sizes of the matrices."
    rates = {"encoder": Rate(3e-3, 1e-3, 1e-2), "decoder": Rate(1e-3, 2e-4, 3e-3)}
    format = FORMAT
    merges = True
    quantizable = True

    block_size: int = knob(8, "inputs that one level rotates together: an even number", low=2, high=256, peft="boft_block_size")
    butterflies: int = knob(2, "levels: each doubles how many inputs can meet; block_size times 2 to the levels but one must divide the inputs",
                            low=1, high=8, peft="boft_n_butterfly_factor")
    targets: Targets = knob(("query", "value"), "which matrices have their inputs rotated", peft="target_modules")

    def attach(self, base: Base) -> Any:
        _without_compiler()
        return _peft.attach(base, self.code(base))

    def code(self, base: Base) -> Code:
        config = _peft.code(base, "BOFTConfig", boft_block_size=self.block_size, boft_n_butterfly_factor=self.butterflies,
                            target_modules=_tuners.modules(base.shape, self.targets))
        return replace(config, imports=("from types import SimpleNamespace", "from peft.tuners.boft import layer as boft"), before=(
            "boft._FBD_CUDA = True  # where no CUDA program can be compiled for the next line, peft leaves the butterflies out",
            "boft.FastBlockDiag = SimpleNamespace(apply=lambda levels: torch.stack([torch.block_diag(*each) for each in levels]))"))

    def places(self, shape: Shape) -> tuple[Place, ...]:
        b, m = self.block_size, self.butterflies
        return tuple(Place(linear.role, linear.layer, (("D", (m, linear.inputs // b, b, b)), ("s", (linear.outputs, 1))))
                     for linear in shape.select(self.targets))

    def supports(self, shape: Shape) -> Support:
        if self.block_size % 2:
            return Support(False, f"block_size is {self.block_size}: it must be even, because a butterfly shuffles halves of blocks")
        support = _tuners.plain_linears(self.targets, shape)
        reach = self.block_size * 2 ** (self.butterflies - 1)
        return _tuners.divides("block_size times 2 to the butterflies but one", reach, shape.select(self.targets), "inputs") if support.ok else support


entry = Boft
