"""The Learn tab in a real browser: a lesson by keyboard alone, guesses before results, the gap drawn, progress that stays, every screen size."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.ui._serving import findings, widths

pytestmark = pytest.mark.browser

LESSON = "05-lora"


@pytest.fixture
def opened(visitor: Callable[..., Any]) -> Callable[..., Any]:
    def visit(**how: Any) -> Any:
        page = visitor(**how)
        page.goto(f"{page.url.split('?')[0]}?lesson={LESSON}&place=learn")
        page.wait_for_selector(".learn-step")
        return page

    return visit


def go_on(page: Any) -> None:
    page.locator(".learn-foot .main").click()


def guess(page: Any) -> None:
    slider = page.locator(".learn-step .guess-number input")
    slider.focus()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="That is my guess").click()


def test_the_map_shows_lessons_and_opens_one(visitor: Callable[..., Any]) -> None:
    page = visitor()
    page.locator("#place-learn-button").click()
    page.wait_for_selector(".learn-card")
    assert page.locator(".learn-card").count() >= 1
    page.get_by_role("button", name="LoRA from the equation up").first.click()
    page.wait_for_selector(".learn-step")
    assert f"lesson={LESSON}" in page.url and page.locator(".learn-step").count() == 1


def test_no_result_before_a_guess_and_then_the_gap(opened: Callable[..., Any]) -> None:
    page = opened()
    assert page.locator(".learn-foot .main").is_disabled() and page.locator(".learn-result").count() == 0
    assert "Make your guess" in page.locator(".learn-foot .hint").inner_text()
    guess(page)
    go_on(page)
    assert page.locator(".learn-gap").count() == 0  # nothing is shown before it is asked for
    page.get_by_role("button", name="Show what came out").click()
    page.wait_for_selector(".learn-gap")
    page.locator(".learn-result .js-plotly-plot").wait_for()
    assert "73,728" in page.locator(".learn-gap").inner_text()
    go_on(page)
    page.wait_for_selector(".learn-step .anatomy svg")


def test_a_wrong_observation_is_answered_and_can_be_put_right(opened: Callable[..., Any]) -> None:
    page = opened()
    guess(page)
    go_on(page)
    page.get_by_role("button", name="Show what came out").click()
    page.wait_for_selector(".learn-gap")
    go_on(page)
    page.get_by_text("The query and value matrices W").click()
    assert "✗" in page.locator(".learn-step .says.wrong").inner_text() and page.locator(".look-here").count() == 1
    page.get_by_text("A and B beside them, and the head").click()
    assert "✓" in page.locator(".learn-question .says.right").inner_text() and page.locator(".look-here, .look-note").count() == 0
    page.wait_for_selector('.learn-claim[data-verdict="holds"]')


def test_a_lesson_goes_by_keyboard_alone(opened: Callable[..., Any]) -> None:
    page = opened()
    page.locator(".learn-lesson h2").focus()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "range":
            break
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert "Kept:" in page.locator(".learn-question .says").inner_text()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator(".learn-step").count() == 2
    assert page.evaluate("document.activeElement.tagName") == "H3"  # where reading goes on


def test_progress_stays_in_this_browser(opened: Callable[..., Any]) -> None:
    page = opened()
    guess(page)
    go_on(page)
    page.reload()
    page.wait_for_selector(".learn-step")
    assert page.locator(".learn-step").count() == 2 and "Kept:" in page.locator(".learn-question .says").first.inner_text()
    page.get_by_role("button", name="All lessons").first.click()
    page.wait_for_selector(".learn-card.begun")


def test_a_lesson_that_is_not_there_says_so(visitor: Callable[..., Any]) -> None:
    page = visitor()
    page.goto(f"{page.url.split('?')[0]}?lesson=77-nothing&place=learn")
    page.wait_for_selector(".learn-page [role=alert]:not([hidden])")
    assert 'no lesson "77-nothing"' in page.locator(".learn-page [role=alert]").inner_text() and page.locator(".learn-card").count() >= 1


def test_every_width_and_the_accessibility_checker(opened: Callable[..., Any], axe: str) -> None:
    page = opened()
    guess(page)
    go_on(page)
    page.get_by_role("button", name="Show what came out").click()
    page.wait_for_selector(".learn-gap")
    go_on(page)
    page.locator(".learn-step").last.locator(".learn-question input").first.check()  # the claim below may tell the answer
    page.wait_for_selector(".learn-claim[data-verdict]")
    for _ in widths(page, 320, 390, 768, 1440):
        pass
    assert findings(page, axe, "a lesson", "#place-learn") == []


def test_a_word_explains_itself_and_its_bubble_goes_away(opened: Callable[..., Any]) -> None:
    page = opened()
    word, bubble = page.locator(".term:visible").first, page.locator(".term-bubble")
    word.hover()
    bubble.wait_for(state="visible")
    assert len(bubble.inner_text()) > 20
    page.mouse.move(5, 5)
    bubble.wait_for(state="hidden")
    word.focus()
    bubble.wait_for(state="visible")
    page.keyboard.press("Escape")
    bubble.wait_for(state="hidden")
