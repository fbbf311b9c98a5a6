"""What the bottleneck adapters share: their tensors by arithmetic, how they lie in a folder, and the few plain torch lines that put them back."""
from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lab.contracts import Format, Linear, Place, Shape, knob

NORMS = "train the norms of the blocks as well, as Houlsby et al. do: copies beside the frozen ones, and counted"
LATER_NORMS = knob(False, NORMS, advanced=True, later=True)


def places(linears: Iterable[Linear], middle: int) -> tuple[Place, ...]:
    """D, U and their biases at each of these layers."""
    return tuple(
        Place(linear.role, linear.layer, (
            ("D", (middle, linear.outputs)), ("D bias", (middle,)), ("U", (linear.outputs, middle)), ("U bias", (linear.outputs,))))
        for linear in linears
    )


def norms(shape: Shape) -> dict[str, list[Place]]:
    """The norms of the blocks by module name: a trained copy of each tensor stands beside the frozen one."""
    found: dict[str, list[Place]] = {}
    for weight in shape.weights:
        if weight.role == "norm" and weight.layer is not None:
            found.setdefault(weight.name.rpartition(".")[0], []).append(Place("norm", weight.layer, ((weight.name, weight.sizes),)))
    return found


def renewed(shape: Shape) -> tuple[Place, ...]:
    return tuple(place for norm in norms(shape).values() for place in norm)


def save(module: Any, folder: Path) -> None:
    """adapters.safetensors holds D and U by the name of the layer they stand at, norms.safetensors the trained norms; adapters.json what else is needed."""
    from safetensors.torch import save_file

    parts = {name.removesuffix(".adapter"): part for name, part in module.named_modules() if type(part).__name__ == "Bottleneck"}
    trained_norms = {name: part for name, part in module.named_modules() if type(part).__name__ == "Renewed"}
    tensors = {f"{name}.{key}": value.detach().cpu().contiguous() for name, part in parts.items() for key, value in part.state_dict().items()}
    save_file(tensors, folder / "adapters.safetensors", metadata={"format": "pt"})
    if trained_norms:
        own = {f"{name}.{key}": value.detach().cpu().contiguous() for name, part in trained_norms.items() for key, value in part.own.items()}
        save_file(own, folder / "norms.safetensors", metadata={"format": "pt"})
    any_part = next(iter(parts.values()))
    about = {"activation": type(any_part.bend).__name__, "scale": any_part.scale,
             "places": {name: getattr(part, "source", None) for name, part in sorted(parts.items())}}  # a source: the layer whose input is read instead
    (folder / "adapters.json").write_text(json.dumps(about, indent=1))


def load(model, folder):
    import json
    from pathlib import Path

    import torch
    from safetensors.torch import load_file

    about = json.loads(Path(folder, "adapters.json").read_text())
    saved = load_file(Path(folder, "adapters.safetensors"))
    linear, bend, heard = torch.nn.functional.linear, getattr(torch.nn, about["activation"])(), {}

    def added(place, x):  # s U f(D x)
        down, down_bias, up, up_bias = (saved[f"{place}.{part}"] for part in ("down.weight", "down.bias", "up.weight", "up.bias"))
        return about["scale"] * linear(bend(linear(x.to(down.dtype), down, down_bias)), up, up_bias)

    for place, source in about["places"].items():
        if source:  # beside the feed-forward part: x is what goes into it; otherwise x is h, the output of the layer
            model.get_submodule(source).register_forward_pre_hook(lambda layer, inputs, place=place: heard.update({place: inputs[0]}))
        model.get_submodule(place).register_forward_hook(
            lambda layer, inputs, h, place=place: h + added(place, heard.pop(place, h)).to(h.dtype))
    if Path(folder, "norms.safetensors").exists():
        unknown = model.load_state_dict(load_file(Path(folder, "norms.safetensors")), strict=False).unexpected_keys
        assert not unknown, f"this model has no {unknown}"
    return model


FORMAT = Format(key="bottleneck", save=save, load=load)
