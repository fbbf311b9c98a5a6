"""What rounding a model's matrices to 4 bits loses: NF4, FP4 and plain 4-bit integers against each other."""
from __future__ import annotations

from collections.abc import Generator
from typing import Any

from lab.contracts import knob
from lab.measurement import Gives, Measurement, Progress
from lab.measurements._halves import mean

BLOCK = 64  # numbers that share a scale, as bitsandbytes takes them
GAUSSIAN = "Gaussian numbers"
KINDS = {"nf4": "NF4", "fp4": "FP4", "int4": "4-bit integers"}
PAIRS = (("nf4", "fp4"), ("nf4", "int4"), ("fp4", "int4"))


class NumberFormats(Measurement):
    """Dettmers et al. 2023, section 3 and table 2. Error: |W - W'| / |W| (Frobenius), W' the matrix rounded and turned back; blocks of 64 share a scale.

    Int4 is absmax rounding to the whole numbers -7 … 7: w' = s round(7 w / s) / 7, s the largest magnitude of the block.
    """

    key = "number-formats"
    title = "Three ways to write a weight in 4 bits"
    about = ("Each weight matrix of the blocks is rounded to NF4, FP4 and 4-bit integers by the same blocks of 64 and turned back. "
             "How much of the matrix is lost, on these weights and on as many Gaussian numbers?")
    source = "Dettmers et al. 2023, QLoRA, section 3"
    gives = {**{key: Gives("share", f"relative error of {name}, mean over the matrices") for key, name in KINDS.items()},
             **{f"gaussian_{key}": Gives("share", f"relative error of {name} on Gaussian numbers") for key, name in KINDS.items()},
             **{f"{name}_to_{other}": Gives("times", f"error of {KINDS[name]} as a multiple of that of {KINDS[other]}, mean over the matrices")
                for name, other in PAIRS}}

    model: str = knob("minilm-l6", "base model")

    def measure(self, workshop: Any) -> Generator[Progress, None, dict[str, Any]]:
        import torch

        from lab import catalogue
        from lab.engine.scoring import finished

        base = finished(workshop.base(catalogue.find("models", self.model), torch.float32, "eager", "cpu")).module
        matrices = [(name, weight) for name, weight in base.named_parameters() if weight.dim() == 2 and _in_a_block(name)]
        drawn = torch.randn(4096, 1024, generator=torch.Generator().manual_seed(0))
        rows = []
        for done, (name, weight) in enumerate([*matrices, (GAUSSIAN, drawn)]):
            yield done, len(matrices) + 1
            rows.append([name, list(weight.shape), *(_error(weight.detach(), kind) for kind in KINDS)])
        errors = {kind: torch.tensor([row[place] for row in rows[:-1]], dtype=torch.float64) for place, kind in enumerate(KINDS, 2)}
        values = {kind: mean(each) for kind, each in errors.items()}
        values |= {f"gaussian_{kind}": [rows[-1][place], 0.0] for place, kind in enumerate(KINDS, 2)}
        values |= {f"{name}_to_{other}": mean(errors[name] / errors[other]) for name, other in PAIRS}
        return {"values": values, "columns": ["matrix", "shape", "error NF4", "error FP4", "error Int4"], "rows": rows}


def _in_a_block(name: str) -> bool:
    return ".layer." in name or ".layers." in name or ".h." in name


def _error(weight: Any, kind: str) -> float:
    """Relative: of 1 nothing is left, 0 is exact."""
    back = _whole_numbers(weight) if kind == "int4" else _four_bits(weight, kind)
    return float((weight - back).norm() / weight.norm())


def _four_bits(weight: Any, kind: str) -> Any:
    from bitsandbytes import functional

    packed, state = functional.quantize_4bit(weight.contiguous(), blocksize=BLOCK, quant_type=kind)
    return functional.dequantize_4bit(packed, state)


def _whole_numbers(weight: Any) -> Any:
    import torch

    flat = weight.reshape(-1)
    short = -len(flat) % BLOCK
    blocks = torch.cat([flat, flat.new_zeros(short)]).reshape(-1, BLOCK)
    scale = blocks.abs().amax(1, keepdim=True).clamp(min=1e-30)
    back = (7 * blocks / scale).round() * scale / 7
    return back.reshape(-1)[:len(flat)].reshape(weight.shape)


entry = NumberFormats
