"""Models that nobody here could load, counted from their sizes; the papers' worked examples; GPUs by name; energy. All arithmetic, no torch."""
from __future__ import annotations

from typing import Any

import pytest

from lab import catalogue
from lab.accounting.devices import GB, GPUS, device, fits, reserved
from lab.accounting.energy import energy, estimated_seconds
from lab.accounting.papers import examples
from lab.accounting.presets import preset, presets
from lab.accounting.shapes import shape_of
from lab.contracts import LabError
from lab.spec import RunSpec

TOTALS = {  # as the makers, the papers or peft print them; encoders without pooler, tied layers once
    "gpt-2-medium": 354_823_168, "gpt-2-xl": 1_557_611_200, "t5-large": 737_668_096, "mt0-large": 1_229_581_312, "opt-6.7b": 6_658_473_984,
    "pythia-12b": 11_846_072_320, "llama-7b": 6_738_415_616, "llama-13b": 13_015_864_320, "llama-33b": 32_528_943_616, "llama-65b": 65_285_660_672,
    "llama-2-70b": 68_976_648_192, "llama-3-8b": 8_030_261_248, "llama-3.2-1b": 1_235_814_400, "llama-3.2-3b": 3_212_749_824, "mistral-7b": 7_241_732_096,
    "qwen2.5-7b": 7_615_616_512, "falcon-7b": 6_921_720_704,
}


@pytest.mark.parametrize("key", TOTALS)
def test_presets_have_the_published_sizes(key: str) -> None:
    assert shape_of(preset(key).config).total == TOTALS[key]


@pytest.mark.parametrize(("key", "method", "trainable", "total"), [
    ("llama-7b", {"name": "lora", "rank": 8}, 4_194_304, 6_742_609_920),
    ("mt0-large", {"name": "lora", "rank": 8}, 2_359_296, 1_231_940_608),
    ("gpt-2-medium", {"name": "lora", "rank": 4}, 393_216, 355_216_384),
    ("gpt-3-175b", {"name": "lora", "rank": 4}, 18_874_368, None),
    ("gpt-3-175b", {"name": "lora", "rank": 4, "targets": ["attention"]}, 37_748_736, None),
    ("llama-3.2-3b", {"name": "prompt_tuning", "virtual_tokens": 200}, 614_400, None),
    ("llama-3.2-3b", {"name": "lora", "rank": 32}, 9_175_040, None),
    ("t5-1.1-xxl", {"name": "prompt_tuning", "virtual_tokens": 100}, 2 * 409_600, None),  # peft makes them for both stacks
])
def test_counts_that_are_printed(key: str, method: dict[str, Any], trainable: int, total: int | None) -> None:
    counts = RunSpec.parse({"model": preset(key).model, "method": method}).counts
    assert counts.trainable == trainable and total in (None, counts.total)
    assert sum(counts.by_role.values()) == counts.method and counts.head == 0


@pytest.mark.parametrize("key", [each.key for each in presets()])
def test_every_method_is_counted_on_every_preset(key: str) -> None:
    shape = shape_of(preset(key).config)
    for method in (kind() for kind in catalogue.entries("methods").values()):
        if method.supports(shape).ok:
            count = method.count(shape)
            assert all(value > 0 for value in count.values()) and sum(count.values()) <= 2 * shape.total, method.key
            assert 0 <= sum(count.values()) - method.added(shape) <= shape.total


def test_the_papers_examples_show_their_arithmetic() -> None:
    found = {example.key: example for example in examples()}
    assert found["bottleneck"].result == 49_152 and found["lora-512x64"].result == 4608
    assert found["gpt-3-175b-r4-2"].result == 18_874_368 and found["gpt-3-175b-r4-4"].result == 37_748_736
    follows = {key for key, example in found.items() if example.follows}
    assert {"bottleneck", "lora-512x64", "gpt-3-175b-r8-2", "gpt-3-175b-r1-2", "gpt-3-adapter-1", "gpt-3-adapter-8", "llama-33b-qlora",
            "llama-65b-qlora"} <= follows
    assert not follows & {"gpt-2-medium-r4-2", "gpt-2-large-r4-2", "gpt-3-bitfit", "gpt-3-memory", "twelve-to-twenty"}
    departs = {how: {key for key, example in found.items() if example.departs == how} for how in ("contradiction", "rounding", "no_formula")}
    assert departs == {"contradiction": {"gpt-2-medium-r4-2", "gpt-2-large-r4-2"}, "rounding": {"gpt-3-175b-r4-2", "gpt-3-checkpoint"},
                       "no_formula": {"gpt-3-bitfit", "gpt-3-full", "gpt-3-memory", "twelve-to-twenty"}}
    for example in found.values():
        assert example.steps and example.to_dict()["result"] == example.result
        assert example.follows or example.remark, f"{example.key} differs and does not say why"
        if example.method and example.model and example.result > 1e6:
            assert RunSpec.parse({"model": preset(example.model).model, "method": example.method}).counts.method == example.result


def test_gpus_by_name() -> None:
    assert device("L40S").bytes == device("NVIDIA L40S").bytes == 48 * GB and device("a100-80gb").bytes == 80 * GB
    assert device("H100") == device("h100 80gb") and device("RTX Pro 6000").bytes == 96 * GB and device("RTX 4090").key == "NVIDIA GeForce RTX 4090"
    assert device("my GPU: 12 GB").bytes == device("12GB").bytes == 12 * GB and device("cpu").bytes == 0
    assert {gpu.bytes // GB for gpu in GPUS} == {16, 24, 40, 48, 80, 96, 141}
    with pytest.raises(LabError, match="more than one, NVIDIA A100 40GB and NVIDIA A100 80GB"):
        device("A100")
    for wrong in ("A10", "GTX", "", None, "0 GB", "-3 GB", "1e9 GB", 7):
        with pytest.raises(LabError, match="NVIDIA T4"):
            device(wrong)


def test_what_fits() -> None:
    assert [fits(size * GB, device("T4")) for size in (14, 15, 16)] == ["fits", "tight", "too_large"]
    assert reserved(1000) == {"reserved_bytes": 1020, "reserved_most_bytes": 1080}


def test_energy_is_an_estimate_with_its_factors() -> None:
    found = energy(3600, device("T4"), grid=0.5)
    assert found["kilowatt_hours"] == pytest.approx(0.070 * 1.2) and found["kilograms"] == pytest.approx(0.042) and "70 W" in found["assumptions"][0]
    counts = RunSpec.parse({"model": preset("llama-7b").model, "method": "lora"}).counts
    lora, full = (estimated_seconds(counts, moves, 2048, 100, device("H200")) for moves in (False, True))
    assert full == pytest.approx(1.5 * lora, rel=0.01), "the gradient of the weights is a third of the work"


def test_an_unknown_preset_names_the_known() -> None:
    with pytest.raises(LabError, match="llama-7b"):
        preset("llama-8b")
