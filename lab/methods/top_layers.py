"""Top layers: the last k blocks move, everything below stays frozen (FT-Top2 of the papers, for k = 2).

    theta = (frozen blocks 1 … L-k, trained blocks L-k+1 … L)

Two further habits of Howard and Ruder (2018) can be switched on: smaller learning rates for deeper blocks, and blocks that join one by one.
"""
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from lab.contracts import Base, Code, Method, Paper, Place, Rate, Shape, Support, knob, shorten
from lab.methods import _places, _weights


def _listed(value: Any) -> str:
    """Numbers of blocks, as text ("0, 5") or as a list, in the one form "0, 5"."""
    parts = [part for part in value.replace(",", " ").split() if part] if isinstance(value, str) else value
    try:
        if not isinstance(parts, list | tuple) or len(parts) > 1000 or any(isinstance(part, bool | float) or int(part) < 0 for part in parts):
            raise ValueError
        return ", ".join(str(number) for number in sorted({int(part) for part in parts}))
    except (TypeError, ValueError):
        raise ValueError(f"chosen is {shorten(value)}: give the numbers of blocks, counted from 0, such as 0, 5") from None


class TopLayers(Method):
    """Train only the last blocks; in an encoder-decoder those are the decoder's. No gradient has to be computed below the lowest trained block."""

    key = "top_layers"
    title = "Top layers"
    paper = Paper("Prefix-Tuning: Optimizing Continuous Prompts for Generation (its baseline FT-Top2)", "Li and Liang", 2021, "https://arxiv.org/abs/2101.00190")
    formula = "theta = (frozen 1 … L-k, trained L-k+1 … L)"
    family = "selective"
    composition = "parameter"
    strengths = "Nothing flows back below the lowest trained block, which saves time and memory; nothing is added, so answers take no longer."
    weaknesses = "What the lower blocks see stays fixed, and every trained block counts in full: a large share of the model for few blocks."
    rates = {"encoder": Rate(3e-4, 5e-5, 1e-3), "decoder": Rate(1e-4, 2e-5, 5e-4)}
    format = _weights.FORMAT
    trains_base = True

    layers: int = knob(2, "how many of the last blocks are trained, or of the first; not used where which is chosen", low=1, high=1000)
    which: Literal["top", "bottom", "chosen"] = knob("top", "the last blocks, the first ones, or those listed under chosen", advanced=True)
    chosen: Annotated[str, BeforeValidator(_listed)] = knob("", "numbers of the trained blocks, counted from 0 at the bottom, such as 0, 5", advanced=True)
    decay: float = _places.DECAY
    unfreeze_every: int = knob(
        0, "steps until the next deeper block joins the highest one in training; 0 trains all from the start. The count is that of all of them",
        low=0, high=5000, advanced=True)

    def attach(self, base: Base) -> Any:
        return _places.only(base.module, self.places(base.shape))

    def places(self, shape: Shape) -> tuple[Place, ...]:
        trained = self._numbers(shape)
        return _places.of_base(shape, lambda layer: layer in trained)

    def code(self, base: Base) -> Code:
        code = _places.code(base.shape, self.decay)
        if not self.unfreeze_every:
            return code
        blocks = ", ".join(f'"{base.shape.block(layer)}"' for layer in self._numbers(base.shape))
        return replace(code, begin=(f"for place, block in enumerate([{blocks}]):  # the deeper ones join later",
                                    f"    model.get_submodule(block).requires_grad_(place * {self.unfreeze_every} < step)"))

    def supports(self, shape: Shape) -> Support:
        if self.which == "chosen":
            numbers = self._numbers(shape)
            if not numbers:
                return Support(False, "chosen is empty: list the numbers of the blocks to train, counted from 0, such as 0, 5")
            if numbers[0] >= shape.layers:
                return Support(False, f"chosen has {numbers[0]}: this model has the blocks 0 to {shape.layers - 1}")
        elif self.layers > shape.layers:
            return Support(False, f"layers is {self.layers}: this model has {shape.layers}")
        return Support(True)

    def groups(self, module: Any, lr: float) -> list[dict[str, Any]]:
        return _places.groups(module, self.places(_places.shape_in(module)), lr, self.decay)

    def before_step(self, module: Any, step: int) -> None:
        """Until a block joins it runs without gradients: nothing reaches it or what lies below, so the optimizer passes over its weights, momentum and all."""
        if not self.unfreeze_every or (step - 1) % self.unfreeze_every:
            return
        from torch import no_grad

        shape = _places.shape_in(module)
        for place, layer in enumerate(self._numbers(shape)):
            block = module.get_submodule(shape.block(layer))
            if place * self.unfreeze_every < step:
                vars(block).pop("forward", None)
            elif step == 1:
                block.forward = no_grad()(block.forward)

    def _numbers(self, shape: Shape) -> list[int]:
        """The trained blocks, the highest first."""
        match self.which:
            case "top":
                found = range(max(0, shape.layers - self.layers), shape.layers)
            case "bottom":
                found = range(min(self.layers, shape.layers))
            case _:
                found = [int(part) for part in self.chosen.split(", ") if part]
        return sorted(found, reverse=True)


entry = TopLayers
