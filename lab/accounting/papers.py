"""Worked examples of the papers: each number's arithmetic, step by step, and what the paper prints. Where they differ, it is said how.

Sources: Houlsby et al. 2019 (bottleneck adapters), Hu et al. 2021 (LoRA: tables 2 to 4, section 4.2 and appendix), Dettmers et al. 2023 (QLoRA).
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lab.accounting.memory import BITS
from lab.accounting.presets import preset
from lab.accounting.shapes import shape_of
from lab.contracts import Shape

LORA = "LoRA: Low-Rank Adaptation of Large Language Models, Hu et al. 2021"


@dataclass(frozen=True)
class Example:
    """`steps` are lines of arithmetic with their value; the last one is the result. `printed` is the source's number, as a number and as it stands there."""

    key: str
    title: str
    source: str
    formula: str
    steps: tuple[tuple[str, float], ...]
    printed: float
    as_printed: str
    remark: str = ""
    model: str = ""  # preset
    method: dict[str, Any] | None = None  # as in a spec, so that the page can open it
    loosely: str = ""  # why a printed number that is another may be so: rounding, or no_formula where the source gives none. Else it is a contradiction
    limit: bool = False  # the printed number is a size that the result must stay below

    @property
    def result(self) -> float:
        return self.steps[-1][1]

    @property
    def difference(self) -> float:
        """Of the printed number from the computed one, as a share of the latter."""
        return self.printed / self.result - 1

    @property
    def follows(self) -> bool:
        """Whether the printed number is the computed one, rounded; of a limit, whether the computed one stays below."""
        return self.result <= self.printed if self.limit else abs(self.difference) <= _rounding(self.as_printed)

    @property
    def departs(self) -> str:
        """How the printed number departs from the computed one: not at all, or by contradiction, rounding or no_formula."""
        return "" if self.follows else self.loosely or "contradiction"

    def to_dict(self) -> dict[str, Any]:
        return {"key": self.key, "title": self.title, "source": self.source, "formula": self.formula, "result": self.result, "printed": self.printed,
                "steps": [{"text": text, "value": value} for text, value in self.steps], "as_printed": self.as_printed, "follows": self.follows,
                "departs": self.departs,
                "difference": self.difference, "remark": self.remark, "model": self.model, "method": self.method, "limit": self.limit}


def _rounding(text: str) -> float:
    """How far a number may be off, as a share, by rounding to the digits that are printed; noughts at the end of a whole number may be rounding too."""
    number = re.match(r"[\d,.]+", text)[0].replace(",", "")
    unit = 10.0 ** -len(number.partition(".")[2]) if "." in number else 10.0 ** (len(number) - len(number.rstrip("0")))
    return unit / 2 / float(number)


def _shape(key: str) -> Shape:
    return shape_of(preset(key).config)


def _lora(key: str, rank: int, roles: int, printed: float, as_printed: str, remark: str = "", loosely: str = "") -> Example:
    """LoRA on `roles` square matrices of each block: 2 for query and value, 4 for all of attention."""
    shape, model = _shape(key), preset(key)
    of_one = rank * (shape.width + shape.width)
    steps = ((f"one matrix: {rank} x ({shape.width:,} + {shape.width:,})", of_one),
             (f"{roles} of them in each block: {roles} x {of_one:,}", roles * of_one),
             (f"{shape.layers} blocks: {shape.layers} x {roles * of_one:,}", shape.layers * roles * of_one))
    targets = ["query", "value"] if roles == 2 else ["attention"]
    return Example(f"{key}-r{rank}-{roles}", f"{model.title}, LoRA r = {rank} on {'query and value' if roles == 2 else 'all four of attention'}", LORA,
                   "layers x matrices x r x (in + out)", steps, printed, as_printed, remark, key, {"name": "lora", "rank": rank, "targets": targets}, loosely)


def _first() -> tuple[Example, ...]:
    d, m, rank = 1024, 24, 8
    return (
        Example("bottleneck", "Bottleneck adapter, d = 1024, m = 24", "Parameter-Efficient Transfer Learning for NLP, Houlsby et al. 2019", "2 d m",
                ((f"down: {d} x {m}", d * m), (f"up: {m} x {d}", m * d), ("together", 2 * d * m)), 49_152, "49,152",
                f"95 % fewer than the {d * d:,} of a square matrix; with its biases m + d it has {2 * d * m + m + d:,}. "
                "A term m² that some texts add has no source."),
        Example("lora-512x64", "LoRA r = 8 on a matrix of 512 x 64", LORA, "r (in + out)",
                (("the matrix: 512 x 64", 512 * 64), (f"A and B: {rank} x (512 + 64)", rank * (512 + 64))), 4608, "4,608",
                f"{1 - 4608 / 32_768:.0%} fewer than 32,768, which is one projection of one head; of the whole 512 x 512 the same rank is "
                f"{rank * 1024:,} of {512 * 512:,}, {1 - rank * 1024 / 512 ** 2:.0%} fewer."),
    )


def _of_lora() -> tuple[Example, ...]:
    more = "The formula gives another number than the table; which matrices it counted, the paper does not say."
    return (
        _lora("gpt-2-medium", 4, 2, 350_000, "0.35M", more), _lora("gpt-2-large", 4, 2, 770_000, "0.77M", more),
        _lora("gpt-3-175b", 1, 2, 4_700_000, "4.7M"), _lora("gpt-3-175b", 8, 2, 37_700_000, "37.7M"),
        _lora("gpt-3-175b", 4, 2, 18_000_000, "18M", "Printed as a budget of 18M, the beginning of 18.9M.", "rounding"),
        _lora("gpt-3-175b", 4, 4, 37_700_000, "37.7M", "As many as r = 8 on two matrices: that is what makes the comparison of matrices fair."),
        _bottleneck_gpt3(1, 7_100_000, "7.1M"), _bottleneck_gpt3(8, 40_100_000, "40.1M"), _biases_gpt3(), _whole_gpt3(),
    )


def _bottleneck_gpt3(m: int, printed: float, as_printed: str) -> Example:
    shape = _shape("gpt-3-175b")
    one = 2 * shape.width * m + m + shape.width
    return Example(f"gpt-3-adapter-{m}", f"GPT-3, bottleneck adapters with m = {m}", LORA, "2 layers x (2 d m + m + d)",
                   ((f"one adapter: 2 x {shape.width:,} x {m} + {m} + {shape.width:,}", one),
                    (f"two in each of {shape.layers} blocks", 2 * shape.layers * one)),
                   printed, as_printed, "", "gpt-3-175b", {"name": "houlsby", "bottleneck": m})


def _biases_gpt3() -> Example:
    shape = _shape("gpt-3-175b")
    of_linears = sum(linear.outputs for linear in shape.linears if linear.layer == 0)
    of_norms = sum(weight.count for weight in shape.weights if weight.layer == 0 and weight.name.endswith("bias"))
    total = shape.layers * (of_linears + of_norms) + shape.width
    return Example("gpt-3-bitfit", "GPT-3, BitFit", LORA, "every bias",
                   (("of the linears of a block: 5 x d and 4 x d", of_linears), ("of its two norms: 2 x d", of_norms),
                    (f"{shape.layers} blocks, and the last norm", total)), 14_200_000, "14.2M",
                   f"The table's number is 12 vectors of the width a block ({12 * shape.layers * shape.width:,}), one more than a block has.",
                   "gpt-3-175b", {"name": "bitfit"}, "no_formula")


def _whole_gpt3() -> Example:
    shape = _shape("gpt-3-175b")
    blocks = sum(part.count for part in (*shape.linears, *shape.weights) if part.layer is not None)
    return Example("gpt-3-full", "GPT-3, full fine-tuning", LORA, "every weight",
                   (("in the blocks: about 12 layers x d²", blocks), ("with embeddings", shape.total)),
                   175_255_800_000, "175,255.8M",
                   "The table counts a little more than the published sizes give: an output layer that is not tied to the word "
                   f"embeddings would add {shape.vocabulary * shape.width:,}.", "gpt-3-175b", {"name": "full"}, "no_formula")


def _of_memory() -> tuple[Example, ...]:
    gpt3, adam = _shape("gpt-3-175b"), 2 + 2 + 4 + 4 + 4
    small = 96 * 2 * 4 * 2 * 12_288
    return (
        Example("twelve-to-twenty", '"Training takes 12 to 20 times the weights"', "a rule of thumb that is handed on",
                "bytes of weight + gradient + float32 copy + two states", (("in 16 bits with a float32 copy: 2 + 2 + 4 + 4 + 4 bytes a parameter", adam),
                                                                          (f"as a multiple of 16-bit weights: {adam} / 2", adam / 2)), 12, "12–20",
                "It probably began as 12 to 20 BYTES a parameter: mixed precision takes 16 (8 times the 16-bit weights), pure float32 16 as well "
                "(4 times its weights), without activations.", loosely="no_formula"),
        Example("gpt-3-memory", "GPT-3 175B, memory of full fine-tuning", LORA, "parameters x 16 bytes",
                ((f"{gpt3.total:,} parameters x {adam} bytes, in TB", gpt3.total * adam / 1e12),), 1.2, "1.2 TB",
                f"1.2 TB is {1.2e12 / gpt3.total:.1f} bytes a parameter: less than weights, gradients and two states take in any usual format, "
                "and no activations.",
                "gpt-3-175b", {"name": "full"}, "no_formula"),
        Example("gpt-3-lora-memory", "GPT-3 175B, memory with LoRA", LORA, "parameters x 2 bytes",
                ((f"{gpt3.total:,} frozen weights x 2 bytes, in GB", gpt3.total * 2 / 1e9),), 350, "350 GB",
                "The printed number is the weights alone; activations come on top, and they are the same as a frozen model's."),
        Example("gpt-3-checkpoint", "GPT-3 175B, what LoRA saves", LORA, "trained parameters x 2 bytes",
                ((f"{small:,} x 2 bytes, in MB", small * 2 / 1e6),), 35, "35 MB",
                "37.7 million bytes are 36.0 MiB: printed as about 35 MB, 10,000 times less than 350 GB.", loosely="rounding"),
        *(_qlora(key, size) for key, size in (("llama-7b", 24), ("llama-13b", 24), ("llama-33b", 24), ("llama-65b", 48))),
    )


def _qlora(key: str, card: int) -> Example:
    """What stands on the card before the first activation. Embeddings and output layer stay in 16 bits."""
    shape, rank = _shape(key), 64
    blocks = [linear for linear in shape.linears if linear.layer is not None]
    matrices, trained = sum(linear.inputs * linear.outputs for linear in blocks), sum(rank * (linear.inputs + linear.outputs) for linear in blocks)
    packed, rest, adapters = matrices * BITS["nf4_double"] / 8, (shape.total - matrices) * 2, trained * 4
    return Example(f"{key}-qlora", f"{preset(key).title} with QLoRA r = {rank} on a card of {card} GB", "QLoRA: Efficient Finetuning of Quantized LLMs, "
                   "Dettmers et al. 2023", "matrices x 4.127 bits + the rest x 16 bits + adapters x (2 + 2) bytes",
                   ((f"{matrices:,} weights x {BITS['nf4_double']:.3f} bits, in GB", packed / 1e9),
                    (f"{shape.total - matrices:,} others x 2 bytes, in GB", rest / 1e9),
                    (f"{trained:,} adapter weights and their gradients x 2 bytes each, in GB", adapters / 1e9),
                    ("together", (packed + rest + adapters) / 1e9)), card, f"{card} GB",
                   "The optimizer's states are paged, so they can leave the card; what is left of it is for the activations of one text. The picture below is "
                   "larger: it is a whole step at the settings on the left, with the optimizer's states, activations and each matrix unpacked for a moment.",
                   key, {"name": "qlora", "rank": rank}, limit=True)


def examples() -> tuple[Example, ...]:
    """All of them, in the order in which they are best read."""
    return (*_first(), *_of_lora(), *_of_memory())
