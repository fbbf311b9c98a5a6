"""Why a step takes the memory it takes: its largest part in two sentences, with the rule behind it and the student's own numbers."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.contracts import Method, Shape

# bytes that one block keeps per token, text and width in 16 bits with dropout, attention's scores (5 a s / h with dropout) aside; measured on GPT-2 and BERT
RULE = {"full": 34, "passing": 20, "lora_fused": 22, "lora_ffn": 30, "lora_all": 34, "lora_all_dropout": 41, "lora_all_dropout_float32": 55, "checkpointed": 2}
CASES = {
    "full": "every weight trains", "lora_all_dropout_float32": "LoRA on every linear, dropout, new weights in 32 bits",
    "lora_all_dropout": "LoRA on every linear, dropout, new weights in 16 bits",
    "lora_all": "LoRA on every linear", "lora_ffn": "LoRA on the feed-forward part", "lora_fused": "LoRA where attention begins",
    "passing": "nothing in the block trains, the gradient passes through", "checkpointed": "checkpointing: only what enters the block",
}
MEASURED = ("gpt2", "bert")
ATTENTION_INPUTS = {"query", "key", "value", "qkv"}
ATTENTION = ATTENTION_INPUTS | {"output"}
PASSING, LORA = ("prompt_tuning", "p_tuning", "prefix_tuning", "multitask_prompt", "bitfit"), ("lora", "qlora", "rslora", "lora_plus")
STATES = {"adamw_8bit": "2 bytes of states", "paged_adamw_8bit": "2 bytes of states", "sgd": "no states", "adafactor": "next to no states"}


def per_unit(layer_bytes: float, batch: int, positions: int, shape: Shape, scores: bool, attention_bytes: float = 5.0) -> float:
    """Bytes that a block keeps per token, text and width; `scores` says whether attention keeps its scores, which grow with the square of the length."""
    kept = attention_bytes * shape.heads * batch * positions * positions if scores else 0.0
    return (layer_bytes - kept) / (batch * positions * shape.width)


def rules(method: Method, shape: Shape, checkpointing: bool, adapter_dtype: str) -> list[dict[str, Any]]:
    """The rule as rows {"bytes", "about", "yours"}: how much a block keeps, by what trains in it. At most one of them is about this very step."""
    mine = "checkpointed" if checkpointing else _case(method, shape, adapter_dtype)
    return [{"bytes": RULE[case], "about": about, "yours": case == mine} for case, about in CASES.items()]


def differs(method: Method, shape: Shape, *, dtype: str, adapter_dtype: str, attention: str) -> list[str]:
    """Why a block of this step keeps another number than its row of the rule: what GPT-2 and BERT in 16 bits, measured for it, have otherwise."""
    found = []
    if dtype != "bfloat16":
        found.append("its numbers have 32 bits, not 16")
    elif method.key in LORA and adapter_dtype != "bfloat16" and not getattr(method, "dropout", 0):
        found.append("its new weights have 32 bits and keep their inputs as copies in 32 bits")
    if shape.model_type not in MEASURED:
        found.append(f"its blocks are of another architecture ({shape.model_type}): norms, positions and activation function are computed otherwise")
    elif shape.model_type == "gpt2":
        found.append("GPT-2's own activation function is written out in several operations, in the rule it is one")
    if shape.ffn != 4 * shape.width:
        found.append(f"its feed-forward part is {shape.ffn / shape.width:.3g} times as wide as the block, not 4 times")
    if attention == "eager":
        found.append("attention is written out and keeps its scores, which the rule leaves aside")
    return found or ["what attention and the new weights keep for themselves is in it, and the rule leaves that aside"]


def _case(method: Method, shape: Shape, adapter_dtype: str) -> str:
    if method.key == "full":
        return "full"
    if method.key in PASSING:
        return "passing"
    if method.key not in LORA:
        return ""
    roles, dropout = {place.role for place in method.places(shape) if place.layer is not None}, getattr(method, "dropout", 0)
    if roles <= ATTENTION_INPUTS:
        return "" if dropout else "lora_fused"
    if not roles & ATTENTION:
        return "" if dropout else "lora_ffn"
    if dropout:
        return "lora_all_dropout" if adapter_dtype == "bfloat16" else "lora_all_dropout_float32"
    return "lora_all"


def why(answer: Mapping[str, Any], method: Method, shape: Shape, *, batch: int, positions: int, optimizer: str, trainable: int,
        dtype: str = "bfloat16", checkpointing: bool = False) -> dict[str, Any]:
    """{"largest", "share", "sentences": [two], "numbers"}."""
    parts, peak = answer["parts"], answer["peak_bytes"]
    largest = max(parts, key=lambda part: parts[part])
    blocks = [row for row in answer["layers"] if row["layer"] is not None]
    kept = max((row["bytes"] for row in blocks), default=0)
    numbers = {"batch": batch, "positions": positions, "width": shape.width, "layers": shape.layers, "a block keeps": kept,
               "per token, text and width": round(kept / (batch * positions * shape.width), 1) if batch else 0, "trainable": trainable}
    return {"largest": largest, "share": parts[largest] / peak if peak else 0.0, "numbers": numbers, "rule": RULE,
            "sentences": _sentences(largest, numbers, shape, optimizer, dtype, checkpointing)}


def _sentences(largest: str, numbers: Mapping[str, Any], shape: Shape, optimizer: str, dtype: str, checkpointing: bool) -> list[str]:
    match largest:
        case "activations" if checkpointing:
            return [f"Activations are the largest part even so: each of {numbers['layers']} blocks keeps what enters it, "
                    f"{numbers['a block keeps'] / 1e6:,.1f} MB, and what lies outside the blocks is kept whole.",
                    "They grow with texts x tokens: fewer or shorter texts shrink them, fewer trained parameters do not."]
        case "activations":
            return [f"Activations are the largest part: each of {numbers['layers']} blocks keeps {numbers['a block keeps'] / 1e6:,.1f} MB for the backward "
                    f"pass, {numbers['per token, text and width']:g} bytes for each token, text and unit of width "
                    f"({numbers['batch']} x {numbers['positions']} x {numbers['width']:,}).",
                    f"In 16 bits{', half of what 32 take,' if dtype == 'float32' else ''} a plain block keeps 34 of them where every weight trains and "
                    f"still 20 where none does, because the gradient must pass: training "
                    f"{numbers['trainable']:,} parameters instead of all saves gradients and states, not these."]
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
