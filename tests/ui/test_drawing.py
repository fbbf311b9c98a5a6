"""The drawing in a real Chromium: it follows the knobs, what belongs together lights up together, and it can be read on a phone."""
from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

pytestmark = pytest.mark.browser
LIT = "[...document.querySelectorAll('.anatomy-sheet .part.lit')].map((part) => part.dataset.part + ':' + (part.dataset.symbol || ''))"
SMALLEST = """Math.min(...[...document.querySelectorAll('.anatomy-sheet text')].map((text) =>
    parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a))"""
SHOWN = "text => document.querySelector('.anatomy .sheets')?.textContent.includes(text)"


def drawn(visitor: Callable[..., Any], spec: dict[str, Any], text: str, **how: Any) -> Any:
    page = visitor("?spec=" + quote(json.dumps(spec)), **how)
    page.wait_for_function(SHOWN, arg=text)
    return page


def test_the_drawing_follows_the_knobs(visitor: Callable[..., Any]) -> None:
    page = drawn(visitor, {"model": "seed-bert", "method": "lora"}, "A 8×32")
    page.fill("#knob-rank", "4")
    page.wait_for_function(SHOWN, arg="A 4×32")
    page.select_option("#choose-method", "prompt_tuning")
    page.wait_for_function(SHOWN, arg="P 20×32")
    assert page.locator(".anatomy h2").inner_text().endswith("with Prompt tuning: what is trained")
    assert page.locator(".anatomy-sheet[role=img] > title").count() == 1 == page.locator(".anatomy-sheet > desc").count()


def test_what_belongs_together_lights_up_together(visitor: Callable[..., Any]) -> None:
    page = drawn(visitor, {"model": "seed-bert", "method": "lora"}, "A 8×32")
    page.locator(".anatomy .formula [data-symbol=A]").hover()
    assert page.evaluate(LIT) == ["query adapter:A", "value adapter:A"]
    page.locator(".anatomy tbody tr", has_text="query").hover()
    assert page.evaluate(LIT) == ["query:W", "query adapter:A", "query adapter:B"]
    page.locator(".anatomy-sheet .trained[data-part='value adapter'][data-symbol=B]").hover()
    assert page.locator(".anatomy .formula .lit").inner_text() == "B" and "value" in page.locator(".anatomy tr.lit").inner_text()
    assert page.locator(".terms > .lit").count() == 1
    page.locator(".anatomy tbody tr", has_text="new head").focus()
    assert page.evaluate(LIT) == ["head:W b"]


@pytest.mark.parametrize(("model", "method"), [("seed-llama", "qlora"), ("seed-t5", "lora"), ("seed-neox", "houlsby"), ("seed-bert", "p_tuning")])
def test_it_can_be_read_on_a_phone(visitor: Callable[..., Any], model: str, method: str) -> None:
    page = drawn(visitor, {"model": model, "method": method}, "block", width=390, height=844)
    box = page.locator(".anatomy-sheet").first.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390 and page.evaluate(SMALLEST) > 6.5
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_same_stands_there_as_a_table(visitor: Callable[..., Any]) -> None:
    page = drawn(visitor, {"model": "seed-bert", "method": "top_layers"}, "trained", width=390, height=844)
    assert not page.locator(".anatomy table").is_visible()
    page.get_by_text("The same as a table").click()
    assert page.locator(".anatomy tfoot td").inner_text() == page.locator("#trainable").inner_text().split("\n")[0]
