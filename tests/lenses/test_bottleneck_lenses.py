"""Gates against the adapter's own formula, and blocks switched off against models without them."""
from __future__ import annotations

from typing import Any

import pytest
import torch

from lab.engine.scoring import finished
from lab.lens import made
from lab.lenses import _matrices, _parts, _switch
from lab.lenses.layer_span import spans
from lab.methods import _lora
from lab.spec import RunSpec

SWITCHED = [("seed-bert", "houlsby"), ("seed-bert", {"name": "houlsby", "norms": True}), ("seed-llama", "parallel"), ("seed-llama", "lora"),
            ("seed-llama", "ia3"), ("seed-llama", "llama_adapter"), ("seed-llama", "dora"), ("seed-bert", "intrinsic"), ("seed-llama", "beft"),
            ("seed-bert", {"name": "stack", "parts": [{"name": "lora", "rank": 2, "targets": ["output"]}, {"name": "pfeiffer", "bottleneck": 4}]})]


def inputs_of(model: Any, path: str, batch: Any, specimen: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """What goes into a layer, and what comes out behind its hooks."""
    found: list[Any] = []
    hook = _matrices.found(model, path).register_forward_hook(lambda part, inputs, given: found.append((inputs[0], given)))
    specimen.run(model, batch)
    hook.remove()
    return found[0]


@pytest.mark.parametrize(("method", "role"), [("houlsby", "output"), ("pfeiffer", "ffn_out"), ("parallel", "ffn_out")])
def test_the_gate_is_what_the_adapter_adds_over_what_was_there(method: str, role: str, opened_again: Any) -> None:
    """By the saved tensors: of the first block, whose input is the base's."""
    specimen = opened_again("seed-bert", {"name": method, "bottleneck": 4})
    linear = next(linear for linear in specimen.shape.linears if (linear.layer, linear.role) == (0, role))
    batch = next(specimen.batches(specimen.texts(8), 8))
    x, behind = inputs_of(specimen.module, linear.module, batch, specimen)
    weight, bias = _matrices.own(_matrices.found(specimen.module, linear.module))
    h = x @ weight.float().t() + bias.float()
    ratio = ((behind - h).norm(dim=-1) / h.norm(dim=-1))[batch.mask.bool()]
    cell = next(cell for cell in finished(made("gates", {"items": 8}).look(specimen))["cells"] if (cell["layer"], cell["role"]) == (0, role))
    assert cell["gate"] == pytest.approx(float(ratio.double().quantile(0.5)), rel=2e-3) and cell["gate"] > 0.01
    assert cell["low"] <= cell["gate"] <= cell["high"]


def test_what_adds_twice_of_what_was_there_has_a_gate_of_two(opened_again: Any) -> None:
    """Behind an adapter in its training's own form, which is shut before the first step."""
    specimen = opened_again("seed-llama", {"name": "pfeiffer", "bottleneck": 4})
    linear = _parts.bottlenecks(specimen.spec)[0]
    seen: list[torch.Tensor] = []

    def two(part: Any, inputs: Any, given: torch.Tensor) -> torch.Tensor:
        seen.append(given)
        return given + 2 * given

    kept, layer = specimen.module, _matrices.found(specimen.before, linear.module)
    hook = layer.register_forward_hook(two)
    specimen.module = specimen.before
    try:
        cell = finished(made("gates", {}).look(specimen))["cells"][0]
    finally:
        specimen.module = kept
        hook.remove()
    assert seen and (cell["gate"], cell["low"], cell["high"]) == pytest.approx((2, 2, 2), rel=1e-3)


def test_gates_in_sixteen_bits_are_not_rounded_away(opened_again: Any) -> None:
    """A gate of a thousandth is less than one step of bfloat16."""
    specimen = opened_again("seed-llama", {"name": "pfeiffer", "bottleneck": 4}, dtype="bfloat16", lr=1e-5)
    cells = finished(made("gates", {}).look(specimen))["cells"]
    assert specimen.module.dtype == torch.bfloat16
    assert all(0 < cell["low"] < cell["gate"] < cell["high"] < 1e-2 for cell in cells)


@pytest.mark.parametrize(("model", "method"), SWITCHED)
def test_with_all_blocks_off_it_answers_as_the_base(model: str, method: Any, opened_again: Any) -> None:
    specimen = opened_again(model, method)
    base, whole = finished(specimen.scored(specimen.base)), finished(specimen.scored())
    with _switch.without(specimen.module, specimen.base, specimen.shape, _parts.changed_layers(specimen.spec)):
        off = finished(specimen.scored())
    torch.testing.assert_close(off.logits, base.logits, rtol=0, atol=0)
    assert not torch.equal(whole.logits, base.logits)
    torch.testing.assert_close(finished(specimen.scored()).logits, whole.logits, rtol=0, atol=0)


def test_one_block_off_is_that_block_without_its_lora(opened_again: Any) -> None:
    specimen = opened_again("seed-llama", "lora")
    spans_ = finished(made("layer_span", {"items": 12}).look(specimen))["spans"]
    for layer in (0, 1):
        halves = [part for name, part in _lora.layers(specimen.module) if f"layers.{layer}." in name]
        kept = [half.lora_B["default"].weight.data for half in halves]
        for half in halves:
            half.lora_B["default"].weight.data = torch.zeros_like(half.lora_B["default"].weight)
        wanted = finished(specimen.scored(items=12))
        for half, weight in zip(halves, kept, strict=True):
            half.lora_B["default"].weight.data = weight
        assert spans_[layer]["first"] == spans_[layer]["last"] == layer
        assert spans_[layer]["loss"] == pytest.approx(wanted.loss, abs=1e-4)


def test_thirds_hold_the_blocks_in_which_something_sits() -> None:
    spec = RunSpec.parse({"model": "smollm2-135m", "method": {"name": "top_layers", "layers": 12}})
    assert spans(spec, single=False) == [("middle", tuple(range(18, 20))), ("upper", tuple(range(20, 30)))]
    assert len(spans(spec, single=True)) == 14
    assert spans(RunSpec.parse({"model": "seed-llama", "task": "toy", "method": "lora"}), single=True) == [("", (0,)), ("", (1,))]


def test_what_has_nothing_in_a_block_says_so() -> None:
    for lens, method in (("layer_span", "prompt_tuning"), ("gates", "lora")):
        fits = made(lens, {}).applies(RunSpec.parse({"model": "seed-llama", "task": "toy", "method": method}))
        assert not fits.ok and fits.reason
