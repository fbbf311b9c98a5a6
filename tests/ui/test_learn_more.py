"""Lessons in a real browser: one of them by keyboard from end to end, sketches and orders, what is shown back, what a link sets, and where "Why?" leads."""
from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.ui._serving import findings

pytestmark = pytest.mark.browser

FIRST, RANK, FAIR, FORGETTING = "01-why-not-train-everything", "06-rank-and-matrices", "13-fair-comparison", "14-forgetting-and-little-data"
LORA, WORDS, CHOOSING = "05-lora", "11-what-does-a-prompt-say", "17-choosing-a-method"
MEMORY = "12-where-does-the-memory-go"
STEPS = 90  # of the tab key within one step of a lesson, at most


def at_step(page: Any, lesson: str, step: int, **kept: Any) -> None:
    """As a browser finds the lesson in which this step was reached."""
    page.evaluate("([key, value]) => localStorage.setItem(key, value)", ["peft-lab-learn", json.dumps({lesson: {"step": step, **kept}})])
    page.goto(f"{page.url.split('?')[0]}?lesson={lesson}&place=learn")
    page.wait_for_selector(".learn-step")


def last(page: Any) -> Any:
    return page.locator(".learn-step").last


def reach(page: Any, what: str) -> None:
    """By the tab key alone, on from where one is."""
    for _ in range(STEPS):
        if page.evaluate("what => document.activeElement.matches(what)", what):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{STEPS} tabs do not reach {what}")


def answer(page: Any) -> None:
    """Down the options of the question in the last step until it is answered rightly."""
    reach(page, ".learn-step:last-child .learn-question input[type=radio]")
    says = last(page).locator(".says")
    for _ in range(5):
        page.keyboard.press("Enter")
        if "right" in says.get_attribute("class"):
            return
        told = says.inner_text()
        page.keyboard.press("ArrowDown")
        assert says.inner_text() == told, "arrows look at another answer and do not give it"
    raise AssertionError("no option is right")


def predict(page: Any) -> None:
    """Something, with the widget's own keys."""
    if last(page).locator(".guess-number").count():
        reach(page, ".learn-step:last-child .guess-number input")
        page.keyboard.press("ArrowRight")
    elif last(page).locator(".guess-order").count():
        reach(page, ".learn-step:last-child .guess-order .down")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.matches('.guess-order button')"), "the arm that was moved keeps the keyboard"
    else:
        reach(page, ".learn-step:last-child .guess-choice input")
        page.keyboard.press("Space")
    reach(page, ".learn-step:last-child .predict .buttons button")
    page.keyboard.press("Enter")
    assert "Kept:" in last(page).locator(".predict .says").inner_text()


def test_the_whole_of_the_first_lesson_goes_by_keyboard(visitor: Callable[..., Any]) -> None:
    page = visitor()
    page.goto(f"{page.url.split('?')[0]}?lesson={FIRST}&place=learn")
    page.wait_for_selector(".learn-step")
    page.locator(".learn-lesson h2").focus()
    seen = 0
    while True:
        seen += 1
        step = last(page)
        assert page.locator(".learn-step").count() == seen
        if step.locator(".predict").count():
            predict(page)
        if step.locator(".learn-result").count():
            reach(page, ".learn-step:last-child .learn-result .buttons .main")
            page.keyboard.press("Enter")
            step.locator(".learn-gap").first.wait_for()
        if step.locator(".learn-question:not(.predict)").count():
            answer(page)
        page.wait_for_function("document.querySelector('.learn-foot .main')?.disabled === false")
        reach(page, ".learn-foot .main")
        page.keyboard.press("Enter")
        if page.locator(".learn-end:visible").count():
            break
        assert page.evaluate("document.activeElement.matches('.learn-step:last-child h3')"), "reading goes on at the next step"
    assert seen == 12 and page.evaluate("document.activeElement.matches('.learn-end h3')")
    assert "That was this lesson" in page.locator(".learn-end").inner_text()


# ── predictions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def values(page: Any) -> list[float]:
    return page.eval_on_selector_all(".sketch-point", "all => all.map((each) => Number(each.getAttribute('aria-valuenow')))")


def test_a_curve_is_sketched_with_the_mouse(visitor: Callable[..., Any]) -> None:
    page = visitor()
    at_step(page, RANK, 1)
    before, button = values(page), page.get_by_role("button", name="That is my guess")
    button.click()
    assert "Make a guess first" in last(page).locator(".predict .says").inner_text(), "a curve that nobody drew is no guess"
    page.locator(".guess-curve").scroll_into_view_if_needed()
    marks = [mark.bounding_box() for mark in page.locator(".sketch-point").all()]
    page.mouse.move(marks[0]["x"] + 8, marks[0]["y"] - 20)
    page.mouse.down()
    for mark in marks[1:]:
        page.mouse.move(mark["x"] + 8, mark["y"] - 20, steps=6)
    page.mouse.up()
    drawn = values(page)
    assert all(now > was for now, was in zip(drawn, before, strict=True)), "one stroke moves every point"
    button.click()
    assert "Kept:" in last(page).locator(".predict .says").inner_text()
    page.locator(".learn-foot .main").click()
    page.get_by_role("button", name="Show the result").click()
    page.wait_for_selector(".learn-gap .came-out")
    assert page.locator(".learn-gap .sketch").count() == 1, "both curves stand in one picture"


def test_a_curve_is_sketched_with_the_keyboard(visitor: Callable[..., Any]) -> None:
    page = visitor()
    at_step(page, RANK, 1)
    before = values(page)
    page.locator(".sketch-point").first.focus()
    for key in ("ArrowUp", "ArrowUp", "PageUp"):
        page.keyboard.press(key)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    drawn = values(page)
    assert drawn[0] > before[0] and drawn[1] < before[1] and drawn[2:] == before[2:]
    spoken = page.locator(".sketch-point").first.get_attribute("aria-valuetext")
    assert float(spoken) == pytest.approx(drawn[0], abs=0.001)
    reach(page, ".predict .buttons button")
    page.keyboard.press("Enter")
    assert "Kept:" in last(page).locator(".predict .says").inner_text()


def test_a_sketch_stays_once_its_result_was_shown(visitor: Callable[..., Any]) -> None:
    """Neither keys nor the mouse move it, and what was moved without being kept goes back."""
    page = visitor()
    at_step(page, RANK, 1)
    page.locator(".sketch-point").first.focus()
    page.keyboard.press("PageUp")
    page.get_by_role("button", name="That is my guess").click()
    kept = values(page)
    page.locator(".sketch-point").first.focus()
    page.keyboard.press("PageDown")
    assert values(page) != kept
    page.locator(".learn-foot .main").click()
    page.get_by_role("button", name="Show the result").click()
    page.wait_for_selector(".learn-gap .came-out")
    assert values(page) == kept
    page.locator(".sketch-point").first.focus()
    for key in ("ArrowUp", "ArrowDown", "PageUp", "PageDown"):
        page.keyboard.press(key)
        assert values(page) == kept, key
    box = page.locator(".sketch-point").nth(1).bounding_box()
    page.mouse.move(box["x"] + 8, box["y"] + 8)
    page.mouse.down()
    page.mouse.move(box["x"] + 8, box["y"] - 40, steps=4)
    page.mouse.up()
    assert values(page) == kept and page.locator(".sketch-point").first.get_attribute("aria-disabled") == "true"


def test_words_in_answers_are_explained_below_them_and_a_click_on_them_answers(visitor: Callable[..., Any]) -> None:
    page = visitor()
    at_step(page, MEMORY, 2)
    question = last(page).locator(".learn-question")
    page.wait_for_selector(".learn-question .words-below .term", state="attached")
    assert not page.locator(".learn-question label .term").count(), "nothing in an answer takes its click"
    word = page.locator(".learn-question .words-below .term").first
    word.click()
    assert page.locator(".term-bubble").is_visible() and not question.locator("input:checked").count()
    question.locator("label span").first.click()
    assert question.locator("input:checked").count() == 1


def test_the_course_of_a_step_stands_in_a_lesson(visitor: Callable[..., Any]) -> None:
    """As the Memory tab draws it: traced when it is asked for, in parts, and as numbers."""
    page = visitor()
    at_step(page, MEMORY, 3, seen=["full"])
    course = page.locator('.learn-figure[data-name="full-course"]')
    course.locator(".memory-course .plot .main-svg").first.wait_for(timeout=180_000)
    assert "one step from start to end" in course.locator("h4").inner_text() and "The peak" in course.inner_text()
    course.get_by_role("button", name="Numbers").click()
    assert course.locator(".numbers tbody tr").count() > 20


def test_an_untouched_order_is_no_guess(visitor: Callable[..., Any]) -> None:
    page = visitor()
    at_step(page, FORGETTING, 2)
    said, names = last(page).locator(".predict .says"), last(page).locator(".guess-order li > span")
    shown, agree = names.all_inner_texts(), last(page).get_by_role("button", name="I think it is this order")
    agree.wait_for(state="hidden")
    last(page).get_by_role("button", name="That is my guess").click()
    assert "Nothing has been moved yet" in said.inner_text() and page.locator(".learn-foot .main").is_disabled()
    agree.click()
    assert f"Kept: {', '.join(shown)}" in said.inner_text() and page.locator(".learn-foot .main").is_enabled()
    change = last(page).get_by_role("button", name="Keep the changed guess")
    change.wait_for(state="hidden")
    last(page).locator(".guess-order .up").nth(1).click()
    assert f"Still kept: {', '.join(shown)}" in said.inner_text(), "what is moved counts once it is kept"
    change.click()
    assert f"Kept: {', '.join([shown[1], shown[0], *shown[2:]])}" in said.inner_text() and not change.is_visible()
    page.reload()
    page.wait_for_selector(".guess-order")
    assert last(page).locator(".guess-order li > span").all_inner_texts() == [shown[1], shown[0], *shown[2:]]


def test_an_order_is_moved_with_the_keyboard(visitor: Callable[..., Any]) -> None:
    page = visitor()
    at_step(page, FORGETTING, 2)
    names = last(page).locator(".guess-order li > span")
    shown = names.all_inner_texts()
    last(page).locator(".guess-order .up").nth(1).focus()
    page.keyboard.press("Enter")
    assert names.all_inner_texts() == [shown[1], shown[0], *shown[2:]]
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == f"{shown[1]} down", "on top there is no way up"
    assert f"{shown[1]} is now 1 of {len(shown)}" in last(page).locator(".predict .hidden-text").inner_text()


# ── what comes with a result ──────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_that_tells_the_result_is_visible_before_it_is_shown(visitor: Callable[..., Any]) -> None:
    """Claims, figures and words below a result come with it; until then the guess can be changed, and from then on it stays."""
    page = visitor()
    at_step(page, FIRST, 3, seen=["methods"], guesses={"left": 1})
    page.wait_for_timeout(1000)
    assert not last(page).locator(".learn-claim:visible, .learn-figure:visible, .learn-gap, .js-plotly-plot").count()
    assert "LoRA itself is explained" not in last(page).inner_text() and page.locator(".learn-foot .main").is_disabled()
    assert "“Show what came out” or “Run it yourself”" in page.locator(".learn-foot .hint").inner_text()
    guess = page.locator(".learn-step", has=page.locator(".predict")).last.locator(".predict")
    guess.locator("input").nth(1).check()
    guess.get_by_role("button", name="Keep the changed guess").click()
    last(page).get_by_role("button", name="Show what came out recorded: shown at once").click()
    last(page).locator('.learn-figure[data-name="memory-lora"] .memory').wait_for()
    assert "LoRA itself is explained" in last(page).inner_text() and page.locator(".learn-foot .main").is_enabled()
    assert "Some MB" in last(page).locator(".learn-gap").inner_text(), "the gap is that of the guess that was kept"
    assert guess.locator("input").first.is_disabled() and "so this guess stays" in guess.locator(".says").inner_text()
    assert "Go on with “What training keeps”." in page.locator(".learn-foot .hint").inner_text()


def test_a_guess_that_is_made_again_says_that_the_result_was_seen(visitor: Callable[..., Any]) -> None:
    page = visitor()
    at_step(page, FIRST, 3, seen=["methods", "lora"], guesses={"left": 1})
    last(page).locator(".learn-gap").wait_for()
    guess = page.locator(".learn-step", has=page.locator(".predict")).last.locator(".predict")
    guess.get_by_role("button", name="Guess again, now that you know").click()
    assert "The result has been shown, so a guess from now on is made with that knowledge" in guess.locator(".says").inner_text()
    guess.locator("input").nth(2).check()
    guess.get_by_role("button", name="Keep this as my second guess").click()
    assert "Knowing it, you guessed again: Between one and three" in guess.locator(".says").inner_text()
    page.reload()
    page.locator(".learn-gap", has_text="you guessed again").wait_for()
    kept = page.evaluate("JSON.parse(localStorage.getItem('peft-lab-learn'))")[FIRST]
    assert kept["guesses"]["left"] == 1 and kept["second"]["left"] == 3, "what was expected stays what it was"


def test_a_claim_about_a_later_step_waits_for_it(visitor: Callable[..., Any]) -> None:
    page = visitor()
    at_step(page, LORA, 7, seen=["dimension"], guesses={"dimension": 2})
    verdicts = last(page).locator(".learn-claim .outcome")
    last(page).locator(".learn-claim[data-verdict]").wait_for()
    assert "once you have seen the result in “Three seeds each”" in verdicts.nth(0).inner_text() and "Three seeds each" in verdicts.nth(1).inner_text()
    assert last(page).locator(".learn-claim[data-verdict]").count() == 1


def test_ones_own_run_and_the_recorded_one_are_told_apart(visitor: Callable[..., Any]) -> None:
    """In the lesson whose run takes seconds: a tiny model that reads digits."""
    page = visitor()
    at_step(page, CHOOSING, 12, seen=["techniques"], guesses={"untaught": 1})
    last(page).get_by_role("button", name="Run it yourself").click()
    last(page).locator(".learn-part h4", has_text="Your own run").wait_for()
    assert page.locator(".predict").last.locator("input").first.is_disabled(), "its curve is seen as it goes"
    last(page).get_by_role("button", name="Show what came out").click()
    recorded = last(page).locator(".learn-part", has_text="The recorded run")
    recorded.locator(".note").get_by_text("This is not yours: it was recorded before. Your own run goes on above").wait_for()
    assert re.search(r"recorded \d{4}-\d\d-\d\d on \d+ CPU cores", recorded.inner_text())
    both = last(page).locator(".learn-both")
    both.wait_for(timeout=240_000)
    assert both.locator("thead th").all_inner_texts() == ["", "yours", "recorded"] and "numbers trained" in both.inner_text()
    assert last(page).locator(".learn-part .chip").all_inner_texts()[0] == "finished" and "This is not yours" not in recorded.inner_text()


def test_a_claim_that_may_tell_the_answer_waits_for_it(visitor: Callable[..., Any]) -> None:
    page = visitor()
    at_step(page, "18-myth-or-fact", 12, seen=["qlora", "lora"])
    claims, options = last(page).locator(".learn-claim"), last(page).locator(".learn-question input")
    options.first.wait_for()
    assert claims.count() == 2 and not claims.first.is_visible()
    options.nth(1).check()
    claims.first.wait_for()
    assert claims.nth(1).is_visible()


def test_the_nearest_words_are_summed_up_and_the_rows_folded(visitor: Callable[..., Any]) -> None:
    page = visitor()
    at_step(page, WORDS, 5, seen=["written", "from-text", "words"], guesses={"gain": 1, "stayed": 1, "swap": 1})
    figure = last(page).locator('.learn-figure[data-name="neighbours"]')
    figure.locator(".scores .score").nth(6).wait_for()
    assert figure.locator("tr:visible").count() == 0 and "Bands: one standard error" in figure.inner_text()
    each, folded = figure.locator("details").all()
    each.locator("summary").click()
    assert each.locator("tbody tr").count() == 20
    folded.locator("summary").click()
    assert folded.locator("tbody tr").count() == 20 and "–: how often chance" in folded.inner_text()
    folded.get_by_role("button", name="Show all 500 rows").click()
    assert folded.locator("tbody tr").count() == 500


# ── what was seen ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_wrong_observation_is_shown_back_steps_above(visitor: Callable[..., Any]) -> None:
    page = visitor()
    at_step(page, FAIR, 5, seen=["by-heart"], guesses={"learned": 1})
    page.locator('[data-name="by-heart"] .js-plotly-plot').wait_for()
    options = last(page).locator(".learn-question input")
    says = last(page).locator(".says")
    for place in range(options.count()):
        options.nth(place).check()
        if "wrong" in says.get_attribute("class"):
            break
    shown = page.locator(".look-here")
    assert shown.count() == 1 and shown.get_attribute("data-name") == "by-heart"
    page.wait_for_function("(({ top, bottom }) => top >= 0 && bottom <= innerHeight)(document.querySelector('.look-note').getBoundingClientRect())")
    assert "Look here again." in shown.inner_text() and "It is marked further up, in “Random labels”." in says.inner_text()
    assert says.get_attribute("role") == "status", "and it is spoken where the question is"
    page.get_by_role("button", name="Back to the question").click()
    assert page.evaluate("document.activeElement.closest('.learn-step') === document.querySelector('.learn-step:last-child')")
    page.reload()
    page.locator(".look-note").wait_for()
    for place in range(options.count()):
        options.nth(place).check()
        if "right" in says.get_attribute("class"):
            break
    assert page.locator(".look-here, .look-note").count() == 0 and "It is marked" not in says.inner_text()


# ── links ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_link_fixes_controls(visitor: Callable[..., Any]) -> None:
    page = visitor("?lock=rank,method")
    page.wait_for_selector("#knob-rank")
    assert page.locator("#knob-rank").is_disabled() and page.locator("#choose-method").is_disabled() and page.locator("#choose-task").is_enabled()
    assert page.get_by_text("Set by your teacher's link.").count() == 2


def test_a_link_hides_controls(visitor: Callable[..., Any]) -> None:
    page = visitor("?hide=task,rank,advanced")
    page.wait_for_selector("#choose-model")
    assert page.locator("#choose-model").is_visible() and not page.locator("#choose-task").is_visible()
    assert not page.locator("#knob-rank").is_visible() and page.locator("#knob-alpha").count() == 1
    assert not page.get_by_text("Advanced settings", exact=False).first.is_visible()


def test_a_link_leaves_predictions_out(visitor: Callable[..., Any]) -> None:
    page = visitor()
    at_step(page, FIRST, 0)
    assert page.locator(".predict").count() == 1
    page.goto(f"{page.url}&predict=off")
    page.wait_for_selector(".learn-step")
    assert page.locator(".predict").count() == 0 and page.locator(".learn-foot .main").is_enabled()
    page.locator(".learn-foot .main").click()
    page.get_by_role("button", name="Show the result").click()
    page.locator(".learn-result .js-plotly-plot").wait_for()
    assert page.locator(".learn-gap").count() == 0 and page.locator(".learn-foot .main").is_enabled()


def test_a_link_leaves_live_runs_out(visitor: Callable[..., Any]) -> None:
    page = visitor()
    at_step(page, FIRST, 5)
    assert page.get_by_role("button", name="Run it yourself").count() == 1
    page.goto(f"{page.url}&runs=recorded")
    page.get_by_role("button", name="Show what came out").wait_for()
    assert page.get_by_role("button", name="Run it yourself").count() == 0


def test_a_teacher_makes_a_link_to_a_lesson_with_the_rank_fixed(visitor: Callable[..., Any]) -> None:
    page = visitor()
    page.locator("#place-learn-button").click()
    page.get_by_text("For teachers: make a link for a class").click()
    page.locator("#teacher-what").select_option("10-soft-prompts")
    page.get_by_text("Fix or hide controls of the Train tab").click()
    page.get_by_label("Rank: fixed", exact=True).check()
    page.get_by_label("Task: hidden", exact=True).check()
    page.get_by_text("Advanced settings", exact=True).last.click()
    page.get_by_label("Seed: hidden", exact=True).check()
    page.get_by_text("Ask for predictions before results").click()
    link = page.locator(".teacher-link").inner_text()
    assert "lesson=10-soft-prompts" in link and "predict=off" in link and "lock=rank" in link and "hide=task,seed" in link and "spec=" in link
    page.goto(link)
    page.wait_for_selector(".learn-step")
    page.locator("#place-train-button").click()
    page.wait_for_selector("#knob-rank")
    assert page.locator("#knob-rank").is_disabled() and not page.locator("#choose-task").is_visible()


# ── from a run to its lesson ──────────────────────────────────────────────────────────────────────────────────────────


def test_why_after_a_run_opens_the_lesson_at_its_step(visitor: Callable[..., Any]) -> None:
    page = visitor("?run=recorded.minilm-l6_movies_full_43cb7684")
    why = page.locator(".watch .next .why")
    why.wait_for()
    assert why.inner_text() == "Why? Lesson 1: Why not train everything?"
    why.click()
    page.wait_for_selector(".learn-step")
    assert page.locator(".learn-step").count() == 1 and page.locator(".learn-step h3").inner_text() == "What training keeps"
    assert "You came in at step 5 of 12" in page.locator(".learn-visit").inner_text()
    answer(page)
    page.locator(".learn-foot .main").click()
    assert page.locator(".learn-step").count() == 2
    page.get_by_role("button", name="Begin at the first step").click()
    assert page.locator(".learn-step h3").all_inner_texts() == ["Four ways to teach one model"], "no step is counted that was left out"


# ── accessibility ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_map_museum_test_and_teachers_form_pass_the_accessibility_checker(visitor: Callable[..., Any], axe: str) -> None:
    """Light and dark."""
    page = visitor()
    page.locator("#place-learn-button").click()
    page.wait_for_selector(".learn-card")
    page.locator(".museum-exhibit summary").first.click()
    page.locator(".museum-exhibit .js-plotly-plot").wait_for()
    page.locator(".museum-exhibit .learn-question input").first.check()
    page.get_by_role("button", name="Before you start").click()
    page.locator(".test-body .learn-question").first.wait_for()
    page.get_by_text("For teachers: make a link for a class").click()
    page.get_by_text("Fix or hide controls of the Train tab").click()
    page.locator(".teacher-table").first.wait_for()
    found = [each for part in (".learn-map", ".learn-museum", ".learn-test", ".learn-teacher") for each in findings(page, axe, part, part)]
    assert found == []
