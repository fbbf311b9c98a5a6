"""What LoRA's relatives share: the knobs, peft's config made from them, the sizes of A and B, and how a LoRA that moved the base lies in a folder."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.contracts import Base, Code, Format, Linear, Place, Shape, Support, knob
from lab.methods import _peft
from lab.methods._targets import supported

RANK = knob(8, "width of the two thin matrices: more lets the correction be richer", low=1, high=256, peft="r")
ALPHA = knob(16.0, "scale of the correction: it is multiplied by alpha / rank", low=0, high=4096, peft="lora_alpha")
DROPOUT = knob(0.0, "share of the inputs of A dropped at random while training", low=0, high=0.9, peft="lora_dropout", advanced=True)
TARGETS = knob(("query", "value"), "which matrices get a correction", peft="target_modules")


def settings(method: Any, base: Base) -> dict[str, Any]:
    """The part of peft's config that every relative has, from the knobs of the same meaning."""
    chosen = base.shape.select(method.targets)
    return {"lora_alpha": method.alpha, "lora_dropout": method.dropout or None,
            "target_modules": [linear.module for linear in chosen], "fan_in_fan_out": chosen[0].conv1d or None}


def code(method: Any, base: Base, **more: Any) -> Code:
    """peft's LoRA with these knobs; `more` is what makes the relative."""
    return _peft.code(base, "LoraConfig", r=method.rank, **settings(method, base), **more)


def a_and_b(linear: Linear, rank: int) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return ("A", (rank, linear.inputs)), ("B", (linear.outputs, rank))


def places(method: Any, shape: Shape) -> tuple[Place, ...]:
    """A: (r, in) and B: (out, r) beside each chosen matrix."""
    return tuple(Place(linear.role, linear.layer, a_and_b(linear, method.rank)) for linear in shape.select(method.targets))


def layers(module: Any) -> Iterator[tuple[str, Any]]:
    """peft's LoRA layers with their names."""
    from peft.tuners.lora import LoraLayer

    return ((name, part) for name, part in module.named_modules() if isinstance(part, LoraLayer))


# ── relatives that start from the base's own weights, and take out of the base what they start from ───────────────────


def attach_from_weights(method: Any, base: Base) -> Any:
    """A and B begin as a part of W, which is taken out of the base.

    Those weights are other runs' too, and peft writes into them, so each gets storage of its own first. peft subtracts A B before it rounds A and B
    to the base's number format; here what is subtracted is what A and B then are. Where they began is kept beside them, for `save_difference`.
    """
    whole = {}
    for linear in base.shape.select(method.targets):
        weight = base.module.get_submodule(linear.module).weight
        whole[linear.module], weight.data = weight.data, weight.data.clone()
    module = _peft.attach(base, method.code(base))
    for name, layer in layers(module):
        a, b = (part["default"].weight.detach().clone() for part in (layer.lora_A, layer.lora_B))
        w, product = whole[name.removeprefix("base_model.model.")], layer.scaling["default"] * b.float() @ a.float()
        layer.base_layer.weight.data = (w.float() - (product.t() if layer.fan_in_fan_out else product)).to(w.dtype)
        layer.register_buffer("start_a", a, persistent=False)
        layer.register_buffer("start_b", b, persistent=False)
    return module


def fits(method: Any, shape: Shape) -> Support:
    """Parts of a matrix there are only as many as its shorter side has numbers."""
    support = supported(method.targets, shape)
    shortest = min((min(linear.inputs, linear.outputs) for linear in shape.select(method.targets)), default=0) if support.ok else 0
    if support.ok and method.rank > shortest:
        return Support(False, f"rank is {method.rank}: the smallest matrix of these targets has only {shortest} parts to start from")
    return support


def save_difference(module: Any, folder: Path) -> None:
    """peft's folder with a plain LoRA of twice the rank for the untouched base: B A - B_0 A_0, as [B, -B_0] [A; A_0]."""
    import json

    import torch
    from safetensors.torch import load_file, save_file

    _peft.save(module, folder)
    tensors = load_file(folder / "adapter_model.safetensors")
    for name, layer in layers(module):
        a, b = f"{name}.lora_A.weight", f"{name}.lora_B.weight"
        tensors[a] = torch.cat([tensors[a], layer.start_a.cpu()])
        tensors[b] = torch.cat([tensors[b], -layer.start_b.cpu()], dim=1)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config |= {"r": 2 * config["r"], "lora_alpha": 2 * config["lora_alpha"], "init_lora_weights": True}  # alpha / r stays
    path.write_text(json.dumps(config, indent=2))


DIFFERENCE = Format(key="peft", save=save_difference, load=_peft.load)
