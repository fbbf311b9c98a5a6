"""The Memory tab in a real browser: the bars come, a change is tried and undone, a config is pasted, wrong input loses nothing, and it fits every screen."""
from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.ui._serving import WIDTHS, findings, widths

pytestmark = pytest.mark.browser

TINY = {"model_type": "llama", "num_hidden_layers": 4, "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 96, "vocab_size": 300,
        "max_position_embeddings": 256}
TRACED = "!document.querySelector('.memory-rows .estimate, .memory-rows .old, .memory-picture.stale') && document.querySelector('.memory-rows .exact')"


@pytest.fixture
def memory(visitor: Callable[..., Any]) -> Callable[..., Any]:
    """The tab with a small model and two methods, traced."""

    def opened(**how: Any) -> Any:
        page = visitor(**how)
        kept = {"model": {"lab": "seed-llama"}, "methods": [{"name": "full"}, {"name": "lora"}], "shown": 1, "batch": 4, "tokens": 64, "device": "NVIDIA T4"}
        page.evaluate("kept => localStorage.setItem('peft-lab-memory', JSON.stringify(kept))", kept)
        page.click("#place-memory-button")
        traced(page)
        return page

    return opened


def traced(page: Any) -> None:
    page.wait_for_function(TRACED, timeout=90_000)  # the first waits for the tracing process


def peaks(page: Any) -> list[str]:
    return page.locator(".memory-rows .what b").all_inner_texts()


def test_who_opens_it_first_sees_a_picture_and_what_it_says(visitor: Callable[..., Any]) -> None:
    page = visitor()
    page.click("#place-memory-button")
    page.wait_for_selector(".memory-rows .row .stack")
    assert page.locator(".memory-rows .name").all_inner_texts() == ["Full fine-tuning", "LoRA", "QLoRA", "Prompt tuning"]
    traced(page)
    said = page.locator(".memory-status").inner_text()
    assert "On Llama 2 7B" in said and "still takes" in said
    assert page.locator(".memory-key dt").all_inner_texts() == ["weights", "gradients", "optimizer", "activations", "temporary"]
    assert page.locator(".memory-rows .gpu.chosen").inner_text().split() == ["T4", "16", "GB"]
    assert page.locator(".memory-advanced").get_attribute("open") is None
    assert page.locator(".memory-choose input:visible, .memory-choose select:visible").count() <= 8, "no wall of controls"
    trained = page.locator(".memory-card.trains").inner_text()
    assert "131,072 in each of 32 blocks" in trained and "2,097,152" in trained and "6,742,609,920" in trained
    page.get_by_role("button", name="Numbers").first.click()
    assert "4,194,304" in page.locator(".memory-picture .numbers").inner_text()


def test_a_saving_is_tried_with_one_click_and_undone(memory: Callable[..., Any]) -> None:
    page = memory()
    before = peaks(page)
    saving = page.locator(".help-list li").first
    saving.wait_for()
    page.wait_for_function("!document.querySelector('.help-list [role=status]')", timeout=60_000)
    wanted = re.search(r"then ([^:]+)", saving.inner_text())[1].strip()
    saving.get_by_role("button").click()
    traced(page)
    assert peaks(page)[1] == wanted != before[1]
    page.get_by_role("button", name="Undo").click()
    traced(page)
    assert peaks(page) == before and page.get_by_role("button", name="Undo").count() == 0


def test_knobs_move_the_counts(memory: Callable[..., Any]) -> None:
    page = memory()
    trained = page.locator(".memory-rows .chosen .who small").first
    first = int(re.search(r"[\d,]+", trained.inner_text())[0].replace(",", ""))
    page.fill("#memory-knob-rank", "16")
    page.locator(".memory-rows .chosen .who small", has_text=f"trains {2 * first:,} ").wait_for()
    traced(page)
    page.select_option("#memory-add", "ia3")
    page.wait_for_function("document.querySelectorAll('.memory-rows .name').length === 3")
    traced(page)
    assert "one step from start to end" in page.locator(".memory-detail h2").inner_text() and page.locator("#memory-knob-rank").count() == 0
    page.get_by_role("button", name="remove Full fine-tuning").click()
    page.wait_for_function("document.querySelectorAll('.memory-rows .name').length === 2")
    page.reload()
    page.click("#place-memory-button")
    traced(page)
    assert page.locator(".memory-rows .name").count() == 2, "what was chosen is still there"


def test_wrong_input_is_answered_and_loses_nothing(memory: Callable[..., Any]) -> None:
    page = memory()
    before = peaks(page)
    page.fill("#memory-tokens", "0")
    page.get_by_text("Tokens in a text is 0: must be 8 to 4,096.").wait_for()
    assert peaks(page) == before and page.locator("#memory-tokens").get_attribute("aria-invalid") == "true"
    page.fill("#memory-tokens", "64")
    traced(page)
    page.locator(".memory-other summary").click()
    absurd, long = json.dumps({**TINY, "num_hidden_layers": 10**9}), '{"x":"' + "y" * 300_000 + '"}'
    for text, words in (("nonsense", "not JSON"), (absurd, "1 to 1,000"), (long, "300,008")):
        page.fill("#memory-config", text)
        page.get_by_role("button", name="Use this config").click()
        page.locator(".memory-other .error-text", has_text=words).wait_for()
        assert page.locator("#memory-config").input_value() == text and peaks(page) == before
    page.fill("#memory-hub", "no such name")
    page.get_by_role("button", name="Fetch its config").click()
    page.locator(".memory-other .error-text", has_text="owner/name").wait_for()
    page.fill("#memory-config", json.dumps(TINY))
    page.get_by_role("button", name="Use this config").click()
    page.wait_for_function("document.querySelector('#memory-model')?.selectedOptions[0].textContent.startsWith('your llama')")
    traced(page)
    assert peaks(page) != before
    page.reload()
    page.click("#place-memory-button")
    traced(page)
    assert page.locator("#memory-model option:checked").inner_text().startswith("your llama")


def test_what_would_help_comes_back_after_a_slip(memory: Callable[..., Any]) -> None:
    page = memory()
    page.wait_for_function("document.querySelector('.help-list li') && !document.querySelector('.help-list [role=status]')", timeout=60_000)
    before = page.locator(".help-list li").all_inner_texts()
    page.fill("#memory-tokens", "0")
    page.locator(".help-list", has_text="as soon as these settings make a step").wait_for()
    page.fill("#memory-tokens", "64")
    page.wait_for_function("document.querySelector('.help-list li') && !document.querySelector('.help-list [role=status]')", timeout=60_000)
    assert page.locator(".help-list li").all_inner_texts() == before


def test_a_worked_example_shows_its_arithmetic_and_opens_in_the_picture(memory: Callable[..., Any]) -> None:
    page = memory()
    page.select_option("#memory-model", "example:gpt-2-medium-r4-2")
    sheet = page.locator(".memory-example")
    assert "393,216" in sheet.inner_text() and "0.35M" in sheet.inner_text() and "does not follow" in sheet.inner_text()
    page.wait_for_function("document.querySelector('.memory-rows .chosen .who small')?.textContent.includes('393,216')")
    assert page.locator("#memory-model").input_value() == '{"preset":"gpt-2-medium"}'
    page.locator(".memory-shelf summary").click()
    page.get_by_role("button", name="show the arithmetic of Bottleneck adapter, d = 1024, m = 24").click()
    assert "49,152" in sheet.inner_text()


def test_a_finished_run_is_held_against_its_forecast(visitor: Callable[..., Any]) -> None:
    page = visitor("?spec=" + json.dumps({"model": "seed-llama", "task": "toy", "method": {"name": "lora"}, "steps": 6, "eval_items": 16}))
    page.click("#train-button")
    page.wait_for_selector(".card.cost .against", timeout=120_000)
    page.locator(".card.cost .against", has_text="Foretold by tracing").wait_for(timeout=90_000)
    said = page.locator(".card.cost .against").inner_text()
    off = re.search(r"training: ([\d.]+)\s% (more|less)", said)
    assert "exactly" in said or float(off[1]) < 1, said
    assert page.locator(".card.cost .memory .head span").all_inner_texts() == ["measured", "foretold"]


def test_nothing_of_the_memory_tab_sticks_out(memory: Callable[..., Any]) -> None:
    page = memory(width=390, height=844)
    assert list(widths(page, *WIDTHS))
    page.locator(".memory-shelf summary").click()
    page.get_by_role("button", name="Numbers").first.click()
    assert list(widths(page, *WIDTHS))


def test_the_memory_tab_has_no_serious_accessibility_finding(memory: Callable[..., Any], axe: str) -> None:
    page = memory()
    page.wait_for_function("!document.querySelector('.help-list [role=status]')", timeout=60_000)
    page.locator(".memory-shelf summary").click()
    found = findings(page, axe, "memory")
    assert not found, found


def test_settings_of_a_run_are_followed_through_one_step(visitor: Callable[..., Any]) -> None:
    page = visitor("?spec=" + quote(json.dumps({"model": "seed-bert", "method": {"name": "lora", "rank": 3}, "batch": 5, "tokens": 40})))
    page.wait_for_selector("#trace-step")
    page.click("#trace-step")
    traced(page)
    assert page.locator(".memory-rows .name").all_inner_texts() == ["LoRA"]
    assert page.input_value("#memory-device") == "cpu" and page.input_value("#memory-model") == '{"lab":"seed-bert"}'
    assert "r = 3" in page.locator(".memory-rows").inner_text() and "BERT" in page.locator(".memory-status").inner_text()
