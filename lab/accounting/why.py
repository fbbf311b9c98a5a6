"""Why a step takes the memory it takes: its largest part in two sentences, with the rule behind it and the student's own numbers."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.contracts import Method, Shape

# bytes that one block keeps per token, text and width in 16 bits with dropout, attention's scores (5 a s / h with dropout) aside; measured on GPT-2 and BERT
RULE = {"full": 34, "passing": 20, "lora_fused": 22, "lora_ffn": 30, "lora_all": 34, "lora_all_dropout": 41, "lora_all_dropout_float32": 55, "checkpointed": 2}
STATES = {"adamw_8bit": "2 bytes of states", "paged_adamw_8bit": "2 bytes of states", "sgd": "no states", "adafactor": "next to no states"}


def per_unit(layer_bytes: float, batch: int, positions: int, shape: Shape, scores: bool, attention_bytes: float = 5.0) -> float:
    """Bytes that a block keeps per token, text and width; `scores` says whether attention keeps its scores, which grow with the square of the length."""
    kept = attention_bytes * shape.heads * batch * positions * positions if scores else 0.0
    return (layer_bytes - kept) / (batch * positions * shape.width)


def why(answer: Mapping[str, Any], method: Method, shape: Shape, *, batch: int, positions: int, optimizer: str, trainable: int) -> dict[str, Any]:
    """{"largest", "share", "sentences": [two], "numbers"}."""
    parts, peak = answer["parts"], answer["peak_bytes"]
    largest = max(parts, key=lambda part: parts[part])
    blocks = [row for row in answer["layers"] if row["layer"] is not None]
    kept = max((row["bytes"] for row in blocks), default=0)
    numbers = {"batch": batch, "positions": positions, "width": shape.width, "layers": shape.layers, "a block keeps": kept,
               "per token, text and width": round(kept / (batch * positions * shape.width), 1) if batch else 0, "trainable": trainable}
    return {"largest": largest, "share": parts[largest] / peak if peak else 0.0, "sentences": _sentences(largest, numbers, method, shape, optimizer),
            "numbers": numbers, "rule": RULE}


def _sentences(largest: str, numbers: Mapping[str, Any], method: Method, shape: Shape, optimizer: str) -> list[str]:
    match largest:
        case "activations":
            return [f"Activations are the largest part: each of {numbers['layers']} blocks keeps {numbers['a block keeps'] / 1e6:,.1f} MB for the backward "
                    f"pass, {numbers['per token, text and width']:g} bytes for each token, text and unit of width "
                    f"({numbers['batch']} x {numbers['positions']} x {numbers['width']:,}).",
                    f"In 16 bits a plain block keeps 34 of them where every weight trains and still 20 where none does, because the gradient must pass: "
                    f"training {numbers['trainable']:,} parameters instead of all saves gradients and states, not these."]
        case "weights":
            return [f"The weights are the largest part: {shape.total:,} numbers, trained or not.",
                    "Fewer trained parameters do not shrink them; fewer bits a weight do: a frozen base in NF4 takes 4.5 bits instead of 16 or 32."]
        case "optimizer":
            kept = STATES.get(optimizer, "two states")
            return [f"Optimizer states are the largest part: {optimizer} keeps {kept} for each of {numbers['trainable']:,} trained parameters.",
                    "This is the part that a method with few trained parameters removes; with the same parameters, states in 8 bits or SGD shrink it."]
        case "gradients":
            return [f"Gradients are the largest part: one number for each of {numbers['trainable']:,} trained parameters.",
                    "Only fewer trained parameters shrink them."]
        case _:
            return ["What is needed for a moment only is the largest part: usually the scores for the whole vocabulary, which small models have many of.",
                    f"They grow with texts x tokens with a loss x vocabulary ({shape.vocabulary:,}), not with the number of blocks or of trained parameters."]
