"""From recorded rows to what is shown: peak, parts, moments, the course of the step, activations block by block, and the assumptions in words."""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lab.accounting import devices
from lab.accounting.memory import estimate, in_float32, static_parts
from lab.accounting.points import PARTS, Deep, Section, moments
from lab.contracts import Shape
from lab.forecast.order import Order

POINTS = 400  # of the course, as many as a chart can show


def answered(order: Order, deep: Deep, closely: bool = True) -> dict[str, Any]:
    """Everything about one step. `parts` is the split at the peak and sums to `peak_bytes`; `reserved_bytes` is null on the CPU.

    Not looked at `closely`, its course and its blocks are left out, which is most of the work.
    """
    depths = order.plan.depths
    sections = list(deep.sections(depths, every_block=closely))
    found = moments(sections)
    peak = max(found, key=lambda moment: moment["bytes"])
    return {
        "peak_bytes": peak["bytes"], "peak_moment": peak["name"], "parts": peak["parts"],
        "moments": [{name: moment[name] for name in ("name", "bytes", "parts")} for moment in found],
        **_on(order, peak["bytes"]), "traced": True, "peak_at": _short(peak["module"]),
        "timeline": timeline(sections, order.spec.shape) if closely else [], "layers": layers(order, deep) if closely else [],
        "assumptions": assumptions(order),
    }


def addressed(order: Order, found: dict[str, Any]) -> dict[str, Any]:
    """An answer that was made for another GPU: the tensors are the same, what is said of the card is not."""
    return found | _on(order, found["peak_bytes"]) | ({"assumptions": assumptions(order)} if found["traced"] else {})


def static(order: Order, reason: str) -> dict[str, Any]:
    """What is known without a trace: weights, gradients and states. The peak is then a lower bound."""
    spec = order.spec
    parts = dict.fromkeys(PARTS, 0) | static_parts(spec.shape, spec.counts, **_formats(order))
    total = sum(parts.values())
    return {"peak_bytes": total, "peak_moment": "optimizer_peak", "parts": parts, "moments": [{"name": "optimizer_peak", "bytes": total, "parts": parts}],
            **_on(order, total), "traced": False, "peak_at": "", "timeline": [], "layers": [], "assumptions": [f"Only the static part: {reason}."]}


def meanwhile(order: Order) -> dict[str, Any]:
    """What can be said at once, until the step is traced: the static part, and a rule of thumb for the rest."""
    spec = order.spec
    rough = estimate(spec.method, spec.shape, spec.counts, batch=spec.batch, tokens=order.tokens, dtype=spec.dtype, optimizer=spec.optimizer,
                     checkpointing=spec.checkpointing, quantization=spec.quantization)
    parts = rough["parts"] | static_parts(spec.shape, spec.counts, **_formats(order))
    return {"peak_bytes": sum(parts.values()), "parts": parts, "assumptions": rough["assumptions"]}


def _on(order: Order, peak_bytes: int) -> dict[str, Any]:
    if not order.device.gpu:
        return {"device": order.device.key, "reserved_bytes": None, "reserved_most_bytes": None, "fits": None}
    return {"device": order.device.key, **devices.reserved(peak_bytes), "fits": devices.fits(peak_bytes, order.device)}


def _formats(order: Order) -> dict[str, Any]:
    spec = order.spec
    base = 2 if spec.dtype == "bfloat16" and not in_float32(spec.method, order.way, spec.adapter_dtype) else 4
    trained = base if spec.method.trains_base and order.way == "library" else 2 if spec.adapter_dtype == "bfloat16" else 4
    return {"base_size": base, "trained_size": trained, "optimizer": spec.optimizer, "quantization": spec.quantization}


# ── the course of a step ──────────────────────────────────────────────────────────────────────────────────────────────


def timeline(sections: Sequence[Section], shape: Shape) -> list[dict[str, Any]]:
    """Points in order: {"phase", "block", "module", "bytes", and each part}; at most POINTS, of each stretch the highest."""
    rows = np.concatenate([section.rows for section in sections])
    owners = [(section, name) for section in sections for name in section.names]
    totals = rows.sum(1)
    points = []
    for group in np.array_split(np.arange(len(rows)), min(POINTS, len(rows))):
        at = int(group[totals[group].argmax()])
        section, name = owners[at]
        points.append({"phase": section.phase, "block": section.block, "module": _placed(name, section, shape), "bytes": round(float(totals[at])),
                       **{part: round(float(value)) for part, value in zip(PARTS, rows[at], strict=True)}})
    return points


def _placed(name: str, section: Section, shape: Shape) -> str:
    """The name with the block's own number: repeated blocks were recorded as the second."""
    if section.stack < 0 or not name:
        return _short(name)
    path = _stacks(shape)[section.stack]
    return re.sub(rf"({re.escape(path)})\.\d+", rf"\1.{section.block}", _short(name), count=1)


def _short(name: str) -> str:
    """A module's name without what peft puts around it."""
    return name.removeprefix("base_model.model.").replace(".base_layer", "")


def _stacks(shape: Shape) -> list[str]:
    return [shape.encoder_blocks, shape.blocks] if shape.encoder_layers else [shape.blocks]


# ── activations, block by block ───────────────────────────────────────────────────────────────────────────────────────


def layers(order: Order, deep: Deep) -> list[dict[str, Any]]:
    """What the forward pass leaves behind, a row for each block and one for what lies outside: {"layer", "bytes", "modules": {name: bytes}}."""
    shape = order.spec.shape
    outside, blocks = _by_block(deep.short.saved, shape)
    rows, first = [], 0
    for stack, (short, depth) in enumerate(zip(deep.short.depths, order.plan.depths, strict=True)):
        for layer in range(depth):
            block = layer if layer <= 1 else max(1, layer - (depth - short))  # the repeated ones look like the second
            found = blocks.get((stack, block), {})
            rows.append({"layer": first + layer, "bytes": round(sum(found.values())), "modules": {name: round(value) for name, value in found.items()}})
        first += depth
    return [*rows, {"layer": None, "bytes": round(sum(outside.values())), "modules": {name: round(value) for name, value in outside.items()}}]


def _by_block(saved: dict[str, float], shape: Shape) -> tuple[dict[str, float], dict[tuple[int, int], dict[str, float]]]:
    outside: dict[str, float] = {}
    blocks: dict[tuple[int, int], dict[str, float]] = {}
    for module, size in saved.items():
        for stack, path in enumerate(_stacks(shape)):
            inside = re.search(rf"(?:^|\.){re.escape(path)}\.(\d+)(?:\.(.*))?$", module)
            if inside:
                part = (inside[2] or "block").replace(".base_layer", "")
                found = blocks.setdefault((stack, int(inside[1])), {})
                found[part] = found.get(part, 0) + size
                break
        else:
            name = module.removeprefix("base_model.model.") or "model"
            outside[name] = outside.get(name, 0) + size
    return outside, blocks


# ── in words ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def assumptions(order: Order) -> list[str]:
    """What has been taken for granted, a sentence each."""
    spec, plan, said = order.spec, order.plan, []
    read = f"{spec.batch} images" if spec.shape.kind == "vision" else f"{spec.batch} texts of {order.tokens} tokens, all at full length"
    said.append(f"A step from the second on, {read}.")
    said.append(_way(order))
    if isinstance(spec.model, Mapping) and not spec.shape.writes and spec.model.get("class"):
        said.append(f"The pooler or the layers of its own that {spec.model['class']} puts behind the blocks are counted, and not traced.")
    attention = "sdpa where the model has it" if spec.attention == "sdpa" else spec.attention
    said.append(f"Arithmetic in {spec.dtype}, attention {attention}, optimizer {spec.optimizer}; new weights in "
                f"{'bfloat16' if spec.adapter_dtype == 'bfloat16' else 'float32'}.")
    if plan.fewer:
        said.append(f"Traced on {' + '.join(map(str, plan.short))} blocks and on one less, and put together for {' + '.join(map(str, plan.depths))}: each row "
                    "of the step grows by the same bytes with each block.")
    if not order.device.gpu:
        return [*said, "Tensors only: scratch space inside kernels, the interpreter and libraries are not in it."]
    said.append("On the GPU: pieces of 512 bytes, attention as one kernel that keeps no scores unless eager, dropout masks of one byte.")
    if spec.dtype == "bfloat16" and order.device.halves == "float16":
        said.append(f"{order.device.key} is older than Ampere and has no matrix units for bfloat16: one would use float16 there. Its bytes are the same, "
                    "and the time is that of float16.")
    said.append(f"torch reserves {devices.RESERVED:.2f} to {devices.RESERVED_MOST:.2f} times what is allocated, and CUDA itself takes "
                f"{devices.CONTEXT_BYTES / 1e9:.1f} GB beside it. The lab had no GPU to measure this on; published runs were compared.")
    return [*said, *(["Paged optimizer states can move to the host's memory, so they are not counted."] if spec.optimizer.startswith("paged") else [])]


def _way(order: Order) -> str:
    if order.way == "library":
        return "The model as transformers and peft run it, with " + ("a loss at every token." if order.spec.shape.writes else
                                                                     "a linear classifier on the mean over the tokens.")
    written = "" if order.device.gpu or order.spec.checkpointing else ", with its own blocks for BERT and Llama where LoRA alone trains"
    answers = "logits only where an answer is due" if order.spec.shape.writes else "a classifier on the mean over the tokens"
    return f"The lab's own step{written}: {answers}."
