"""What would help: the same step with one thing changed, and how many bytes that saves."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from lab.accounting.memory import EIGHT_BITS
from lab.contracts import LabError
from lab.forecast.forecaster import Forecaster
from lab.forecast.order import Order

SMALLEST_SAVING = 0.005  # of the peak: less is not worth a line


def changes(order: Order) -> Iterator[tuple[str, dict[str, Any]]]:
    """(in words, changes of the spec), those that change this one and could be tried."""
    spec = order.spec
    if not spec.checkpointing:
        yield "recompute activations instead of keeping them (checkpointing)", {"checkpointing": True}
    if spec.batch > 1:
        yield f"half as many texts in a step ({spec.batch // 2})", {"batch": spec.batch // 2}
    if spec.tokens >= 16 and spec.shape.kind != "vision":
        yield f"texts half as long ({spec.tokens // 2} tokens)", {"tokens": spec.tokens // 2}
    if spec.quantization is None and spec.method.quantizable:
        yield "the frozen base in 4 bits (NF4)", {"quantization": "nf4_double"}
    if spec.dtype == "float32":
        yield "numbers of 16 bits (bfloat16)", {"dtype": "bfloat16"}
    if order.device.gpu and spec.optimizer not in (*EIGHT_BITS, "sgd"):
        yield "optimizer states in 8 bits", {"optimizer": "adamw_8bit"}
    if spec.optimizer not in ("sgd", "adafactor"):
        yield "an optimizer without full states (Adafactor)", {"optimizer": "adafactor"}
    if spec.attention == "eager":
        yield "attention as one operation that keeps no scores", {"attention": "sdpa"}
    if spec.adapter_dtype != "bfloat16" and not spec.method.trains_base:
        yield "new weights in 16 bits too", {"adapter_dtype": "bfloat16"}
    settings = spec.method.settings()
    targets = settings.get("targets")
    if targets is not None and set(targets) != {"query", "value"}:
        yield "corrections on query and value only", {"method": settings | {"targets": ["query", "value"]}}
    if spec.method.key == "full":
        yield "LoRA instead of every weight", {"method": {"name": "lora"}}


def saving(now: Mapping[str, Any], then: Mapping[str, Any]) -> dict[str, Any] | None:
    """{"saves": bytes, "peak_bytes", "fits"} of two answers, None where it is too little to speak of or where only one of them was traced."""
    saves = now["peak_bytes"] - then["peak_bytes"]
    if then["traced"] != now["traced"] or saves <= SMALLEST_SAVING * now["peak_bytes"]:
        return None
    return {"saves": saves, "peak_bytes": then["peak_bytes"], "fits": then["fits"]}


def helps(forecaster: Forecaster, order: Order) -> list[dict[str, Any]]:
    """{"change": words, "spec": the altered keys, "saves": bytes, "peak_bytes"}, the largest saving first; what cannot be done or saves nothing is left out."""
    now, found = forecaster.memory(order), []
    for words, change in changes(order):
        with suppress(LabError):  # they do not go together
            saved = saving(now, forecaster.memory(order.changed(**change)))
            if saved:
                found.append({"change": words, "spec": change, **saved})
    return sorted(found, key=lambda each: -each["saves"])
