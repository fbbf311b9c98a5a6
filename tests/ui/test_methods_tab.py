"""The Methods tab in a real browser: filtering, pricing for a model, side by side, the matrix by keyboard, and from a method into training."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.ui._serving import WIDTHS, findings, widths

pytestmark = pytest.mark.browser


@pytest.fixture
def family(visitor: Callable[..., Any]) -> Callable[..., Any]:
    def opened(**how: Any) -> Any:
        page = visitor(**how)
        page.click("#place-methods-button")
        page.wait_for_selector(".family-row")
        return page

    return opened


def names(page: Any) -> list[str]:
    return page.locator(".family-row .name").all_inner_texts()


def test_filters_narrow_down_and_an_empty_list_says_what_to_let_go(family: Callable[..., Any]) -> None:
    page = family()
    everything = names(page)
    assert len(everything) > 30
    page.get_by_text("needs biases", exact=True).first.click()
    assert names(page) == ["BitFit (biases only)"]
    assert "1 of" in page.locator(".family-found [role=status]").inner_text()
    page.get_by_text("works on a 4-bit base", exact=True).click()
    page.get_by_text("No method is all of that at once.").wait_for()
    page.get_by_role("button", name="works on a 4-bit base (then 1)").click()
    assert names(page) == ["BitFit (biases only)"]
    page.get_by_role("button", name="Clear filters").click()
    assert names(page) == everything
    page.fill("#family-search", "Houlsby")
    assert names(page) == ["Bottleneck adapters (Houlsby)", "Bottleneck adapters (Pfeiffer)"]


def test_another_model_has_other_prices_and_other_refusals(family: Callable[..., Any]) -> None:
    page = family()
    lora = page.locator(".family-row", has=page.locator("#family-lora"))
    first = lora.locator(".cost b").inner_text()
    page.select_option("#family-model", "smollm2-135m")
    page.wait_for_function("price => document.querySelector('.family-row:has(#family-lora) .cost b')?.textContent === price", arg="460,800")
    assert first != "460,800"
    bitfit = page.locator(".family-row", has=page.locator("#family-bitfit"))
    assert "blocked" in bitfit.get_attribute("class") and "try beft" in bitfit.inner_text()
    page.select_option("#family-order", "count")
    assert names(page)[0] == "In-context learning" and names(page)[-1] in ("BitFit (biases only)", "Head only")  # what cannot be had comes last
    page.get_by_text("fits this model", exact=True).click()
    assert page.locator(".family-row.blocked").count() == 0 and page.locator("#family-bitfit").count() == 0


def test_three_at_most_stand_side_by_side(family: Callable[..., Any]) -> None:
    page = family(width=390, height=844)
    for key in ("lora", "houlsby", "bitfit"):
        page.check(f"#family-{key}-mark")
    assert page.locator("#family-dora-mark").is_disabled()
    page.get_by_role("button", name="Side by side").click()
    table = page.locator(".family-compare table")
    assert table.locator("thead th").all_inner_texts() == ["LoRA", "Bottleneck adapters (Houlsby)", "BitFit (biases only)"]
    assert "extra work for every answer" in table.inner_text() and page.evaluate("document.documentElement.scrollWidth") <= 390
    page.keyboard.press("Escape")
    assert page.locator(".family-compare").count() == 0 and page.locator("#family-lora-mark").is_checked()


def test_train_with_it_fills_the_form(family: Callable[..., Any]) -> None:
    page = family()
    page.select_option("#family-model", "seed-llama")
    page.wait_for_function("document.querySelector('#family-bitfit')?.closest('.blocked')")
    page.click("#family-vera")
    page.locator(".family-row", has=page.locator("#family-vera")).get_by_role("button", name="Train with it").click()
    page.wait_for_function("document.querySelector('#choose-method')?.value === 'vera'")
    assert page.locator("#choose-model").input_value() == "seed-llama" and page.locator("#choose-method").is_visible()
    page.reload()
    page.wait_for_function("document.querySelector('#choose-method')?.value === 'vera'")
    page.click("#place-methods-button")
    page.wait_for_selector(".family-row")
    assert page.locator("#family-model").input_value() == "seed-llama"


def test_the_matrix_is_read_by_keyboard(family: Callable[..., Any]) -> None:
    page = family()
    page.get_by_text("All models", exact=True).click()
    page.locator(".matrix td[tabindex='0']").focus()
    told = page.locator(".told")
    before = told.inner_text()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert told.inner_text() not in ("", before) and page.locator(".matrix td[tabindex='0']").count() == 1
    refused = page.locator(".matrix td.no").first
    refused.hover()
    assert refused.locator(".hidden-text").inner_text().partition(": ")[2] in told.inner_text()


def test_nothing_sticks_out(family: Callable[..., Any]) -> None:
    page = family(width=390, height=844)
    page.click("#family-lora")
    assert list(widths(page, *WIDTHS))
    page.get_by_text("All models", exact=True).click()
    assert list(widths(page, *WIDTHS))


def test_no_serious_accessibility_finding(family: Callable[..., Any], axe: str) -> None:
    page = family()
    page.select_option("#family-model", "seed-llama")
    page.wait_for_function("document.querySelector('#family-bitfit')?.closest('.blocked')")
    page.click("#family-lora")
    page.click("#family-bitfit")
    page.check("#family-lora-mark")
    page.check("#family-vera-mark")
    found = findings(page, axe, "list")
    page.get_by_role("button", name="Side by side").click()
    found += findings(page, axe, "side by side")
    page.keyboard.press("Escape")
    page.get_by_text("All models", exact=True).click()
    found += findings(page, axe, "matrix")
    assert not found, found
