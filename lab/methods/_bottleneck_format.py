"""How bottleneck adapters lie in a folder, and the few plain torch lines that put them back."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lab.contracts import Format


def save(module: Any, folder: Path) -> None:
    """adapters.safetensors holds D and U by the name of the layer they stand behind; adapters.json the activation."""
    from safetensors.torch import save_file

    places = {name: part for name, part in module.named_modules() if type(part).__name__ == "Bottleneck"}
    tensors = {f"{name}.{key}": value.detach().cpu().contiguous() for name, part in places.items()
               for key, value in part.state_dict().items() if not key.startswith("layer.")}
    save_file(tensors, folder / "adapters.safetensors", metadata={"format": "pt"})
    activation = type(next(iter(places.values())).bend).__name__
    (folder / "adapters.json").write_text(json.dumps({"activation": activation, "places": sorted(places)}, indent=1))


def load(model, folder):
    import json
    from pathlib import Path

    import torch
    from safetensors.torch import load_file

    about = json.loads(Path(folder, "adapters.json").read_text())
    saved = load_file(Path(folder, "adapters.safetensors"))
    linear, bend = torch.nn.functional.linear, getattr(torch.nn, about["activation"])()

    def behind(down, down_bias, up, up_bias):  # z = h + U f(D h)
        return lambda layer, inputs, h: h + linear(bend(linear(h.to(down.dtype), down, down_bias)), up, up_bias).to(h.dtype)

    for place in about["places"]:
        parts = (saved[f"{place}.{part}"] for part in ("down.weight", "down.bias", "up.weight", "up.bias"))
        model.get_submodule(place).register_forward_hook(behind(*parts))
    return model


FORMAT = Format(key="bottleneck", save=save, load=load)
