"""Several runs in the Try tab, in a real browser: one batch with its bytes and its pace, a mix with its verdict, nothing to ask, and every screen size."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.spec import RunSpec
from lab.store import Store
from lab.ui import address
from tests.ui._serving import findings, wait_for, widths

pytestmark = pytest.mark.browser

TINY = {"model": "seed-bert", "task": "toy", "method": "lora", "steps": 2, "batch": 2, "tokens": 24, "eval_items": 6, "eval_every": 0}
OTHERS = ({"seed": 1}, {"method": {"name": "prompt_tuning", "virtual_tokens": 3}}, {"method": "houlsby"})
SECONDS = 300
CHOOSABLE = ".try-runs input.toggle:not(:checked):not(:disabled)"  # the list is drawn again with each choice


@pytest.fixture
def owning(visitor: Callable[..., Any], lab: Any) -> Any:
    """A browser that has trained a run itself, and to which more are given: what a browser may choose from are its own runs."""
    page = visitor()
    page.goto(f"{page.url.split('?')[0]}?spec={address.query(RunSpec.parse(TINY))}")
    page.wait_for_function("document.querySelector('#knob-steps')?.value === '2'")
    page.click("#train-button")
    page.wait_for_url("**run=*")
    with Store(lab.data) as store:
        wait_for(lambda: bool(store.history(None, search="seed-bert")), SECONDS, "the run is not there")
        owner = store.history(None, search="seed-bert")[0].owner
        for change in OTHERS:
            store.submit(RunSpec.parse({**TINY, **change}), owner)
        wait_for(lambda: all(run.ended for run in store.history(owner)), SECONDS, "the runs do not end")
        assert {run.state for run in store.history(owner)} == {"finished"}
    return page


def view(page: Any, words: str) -> Any:
    page.locator("#place-try-button").click()
    page.locator(".try-views label", has_text=words).click()
    return page


def test_one_batch_is_asked_timed_and_drawn(owning: Any, axe: str) -> None:
    page = view(owning, "Ask several at once")
    page.wait_for_selector(".try-runs input")
    assert page.locator(".try-others").inner_text().startswith("1 more of your runs on this model cannot be chosen here: Bottleneck adapters")
    while page.locator(CHOOSABLE).count():
        page.locator(CHOOSABLE).first.click()
    fields = page.locator(".try-own textarea")
    assert fields.count() == 3
    fields.nth(0).fill("<img src=x onerror=\"document.title='taken'\"> ${document.title='taken'}")
    for place in (1, 2):
        fields.nth(place).fill("a fine day")
    page.get_by_role("button", name="Ask 3 runs in one batch").click()
    page.wait_for_selector(".try-answers tbody tr", timeout=120_000)
    assert page.locator(".try-answers tbody tr").count() == 3 and "taken" not in page.title() and page.locator(".try-answers img").count() == 0
    page.locator(".try-part", has_text="times as much").wait_for()
    page.get_by_role("button", name="Measure the throughput").click()
    page.wait_for_selector(".try-pace-words li", timeout=180_000)
    page.locator(".try-part .main-svg").nth(1).wait_for()
    assert page.locator(".try-pace-words li").count() == 3
    page.locator(".try-part .figure button", has_text="Numbers").first.click()
    assert "whole copies" in page.locator(".try-part .numbers:visible").first.inner_text()
    for width in widths(page, 320, 390, 768, 1024, 1440):
        assert page.locator(".try-answers").bounding_box()["width"] <= width
    assert findings(page, axe, "several", "#try") == []


def test_a_mix_is_tried_and_tested_with_a_verdict(owning: Any, axe: str) -> None:
    page = view(owning, "Mix experts")
    page.locator(".try-plan", has_text="The four experts").wait_for()
    page.select_option("#try-way", "sum")
    while page.locator(".try-runs input:checked").count() < 2:
        page.locator(CHOOSABLE).first.click()
    assert page.locator(".try-slider input:visible").count() == 2 and page.locator(".try-runs .why").count() >= 1, "a soft prompt has no matrices to add up"
    page.get_by_role("button", name="Try it on validation items").click()
    page.locator(".try-verdict.validation").wait_for(timeout=180_000)
    page.wait_for_selector(".try-go-box button.main:enabled", timeout=60_000)
    page.get_by_role("button", name="Score it on test items").click()
    page.locator(".try-verdict.test", has_text="McNemar").wait_for(timeout=180_000)
    assert page.locator(".try-table tr.mix").count() == 1 and "best single" in page.locator(".try-table").inner_text()
    for width in widths(page, 320, 390, 1440):
        assert page.locator(".try-reply:visible").bounding_box()["width"] <= width
    assert findings(page, axe, "mix", "#try") == []


def test_who_has_no_run_is_offered_some(visitor: Callable[..., Any]) -> None:
    page = view(visitor(), "Ask several at once")
    page.locator(".try-plan", has_text="Three runs to begin with").wait_for()
    assert page.get_by_role("button", name="Train these three").is_visible() and page.locator(".try-choice").is_hidden()
    page.locator(".try-views label", has_text="Ask one run").click()
    page.locator(".try-empty", has_text="Nothing of yours to ask yet").wait_for()
