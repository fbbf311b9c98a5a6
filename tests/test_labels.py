"""Names and numbers beside marks: short, all different, and round."""
from __future__ import annotations

import pytest

from lab.ui.labels import apart, powers, round_numbers, short, shorts
from lab.ui.wording import seconds, size


@pytest.mark.parametrize(("name", "said"), [
    ("LoRA", "LoRA"), ("Full fine-tuning, 0.00001", "Full … 0.00001"), ("LoRA, learning rate 0.01", "LoRA … 0.01"),
    ("a" * 30, f"{'a' * 14}…{'a' * 7}"),
])
def test_a_long_name_is_cut_in_the_middle(name: str, said: str) -> None:
    assert short(name) == said and len(said) <= 22


def test_no_two_names_are_alike() -> None:
    rates = [f"Full fine-tuning, {rate}" for rate in ("0.00001", "0.0001", "0.001")]
    assert list(shorts(rates).values()) == ["Full … 0.00001", "Full … 0.0001", "Full … 0.001"]
    alike = ["LoRA on queries and values, rank 4", "LoRA on queries and outputs, rank 4", "LoRA on queries, rank 4"]
    found = shorts(alike)
    assert len(set(found.values())) == 3 and list(found) == alike and all(name.startswith("LoRA") and name.endswith("4") for name in found.values())


def test_ticks_are_round_numbers_between_the_ends() -> None:
    assert round_numbers(48e6, 96e6, size) == pytest.approx([60e6, 80e6])
    assert round_numbers(0.8, 2.7, lambda value: f"× {value:.2f}") == pytest.approx([1.0, 1.5, 2.0, 2.5])
    assert round_numbers(40, 300, seconds, clock=True) == [120, 240], "whole minutes"
    few = round_numbers(10.1, 10.4, lambda value: f"{value:.0f}")
    assert len({f"{each:.0f}" for each in few}) == len(few), "no number twice"


def test_a_logarithmic_axis_has_powers_of_ten_and_where_these_are_few_others_between() -> None:
    assert powers(706, 300_850) == [1_000, 10_000, 100_000] and powers(706, 30_850) == [1_000, 2_000, 5_000, 10_000, 20_000]


def test_values_that_stand_on_each_other_are_counted_once() -> None:
    assert apart([90.9] * 6 + [53.6], 1.05) == 2 and apart([1, 1.2, 1.5, 9], 1.05) == 4 and apart([], 1.05) == 0
