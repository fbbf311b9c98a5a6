"""The Compare tab in a real browser: built in a few clicks, run to verdicts, stopped, refused in words, found again by its link, and at every width."""
from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from lab.store import Store
from tests.ui._serving import WIDTHS, findings, wait_for, widths

pytestmark = pytest.mark.browser

BASE = {"model": "seed-bert", "task": "toy", "method": "lora", "steps": 4, "batch": 4, "tokens": 24, "eval_items": 24, "eval_every": 2, "dtype": "float32"}
PAIR = [{"name": "LoRA", "change": {}}, {"name": "head", "change": {"method": "head"}}]
SECONDS = 300  # for all runs of a comparison, on a busy machine
OVER = "document.querySelector('.compare-verdicts .told, .compare-verdicts .open')"


@pytest.fixture
def opened(visitor: Callable[..., Any]) -> Callable[..., Any]:
    """The tab with a comparison of small runs; `arms` may be empty."""

    def visit(arms: Any = (), seeds: Any = (0, 1, 2), base: Any = BASE, **how: Any) -> Any:
        page = visitor(**how)
        kept = {"draft": {"base": base, "arms": list(arms), "seeds": list(seeds)}}
        page.evaluate("kept => localStorage.setItem('peft-lab-compare', JSON.stringify(kept))", kept)
        page.click("#place-compare-button")
        page.wait_for_selector(".compare-arm" if arms else "#compare-usual")
        page.wait_for_selector("#compare-base-steps", state="attached")
        return page

    return visit


def run(page: Any) -> Any:
    """Press the button once it says what it will do, and wait for the verdicts."""
    page.wait_for_function("document.querySelector('#compare-run')?.disabled === false && document.querySelector('.compare-cost')?.textContent")
    page.click("#compare-run")
    page.wait_for_function(OVER, timeout=1000 * SECONDS)
    return page


def order(page: Any) -> list[str]:
    return page.locator(".compare-table tbody tr:not(.failed) th").all_inner_texts()


def link(arms: Any = PAIR, seeds: Any = (0, 1, 2), base: Any = BASE) -> str:
    return "?compare=" + quote(json.dumps({"base": base, "arms": list(arms), "seeds": list(seeds)})) + "&place=compare"


def test_the_usual_suspects_run_to_verdicts_that_are_read_first(opened: Callable[..., Any], tmp_path: Path) -> None:
    page = opened()
    assert page.locator("#compare button.main:visible").count() == 1
    page.click("#compare-usual")
    page.wait_for_function("document.querySelectorAll('.compare-arm').length === 6")
    assert page.locator(".compare-arm h3").all_inner_texts()[:2] == ["LoRA", "Prompt tuning"]
    assert "18 runs (6 arms × 3 seeds)" in page.locator(".compare-cost").inner_text()
    page.wait_for_function("document.querySelector('#compare-run')?.disabled === false")
    page.click("#compare-run")
    page.locator(".compare-rows li", has_text="LoRA").first.wait_for()
    page.locator(".compare-race .plot .scatterlayer .trace").first.wait_for(state="attached", timeout=90_000)
    page.reload()  # closing the page stops nothing, and coming back finds it
    page.wait_for_function(OVER, timeout=1000 * SECONDS)
    lead = page.locator(".compare-verdicts h3").inner_text()
    assert re.match(r"(None|\d+) of (the )?15 pairs can be told apart", lead)
    assert "looked=3" in page.url, "a link carries the look that was taken"
    heads = [head.rstrip("↕▲▼\n ") for head in page.locator(".compare-table thead th").all_inner_texts()]
    assert {"one text", "merged"} <= set(heads), "of runs of one's own as of recorded ones"
    page.get_by_role("button", name="trained").click()
    counts = [int(cell.replace(",", "")) for cell in page.locator(".compare-table td:nth-child(3)").all_inner_texts()]
    assert counts == sorted(counts) and page.locator("th[aria-sort=ascending]").count() == 1, "the best, here the fewest, first"
    page.keyboard.press("Enter")  # the head that was pressed has the focus
    assert order(page)[0] == "Full fine-tuning" and page.locator("th[aria-sort=descending]").count() == 1
    page.select_option("#compare-x", "peak_bytes")
    page.locator(".compare-front-part .plot[aria-label*='accuracy by memory']").wait_for()
    page.locator(".compare-more summary", has_text="Where do the arms disagree?").click()
    page.locator(".compare-items-head", has_text=re.compile("the 6 arms that have answered disagree on [0-9]+ of 24 test items")).wait_for()
    with page.expect_download() as waited:
        page.get_by_role("button", name="Runs (CSV)").click()
    waited.value.save_as(tmp_path / "all.csv")
    assert len(list(csv.DictReader((tmp_path / "all.csv").open()))) == 18


def test_an_arm_and_then_all_are_stopped(opened: Callable[..., Any]) -> None:
    page = opened([*PAIR, {"name": "long", "change": {"steps": 3000}}], seeds=[11, 12, 13])
    page.wait_for_function("document.querySelector('#compare-run')?.disabled === false")
    page.click("#compare-run")
    page.get_by_role("button", name="stop long").click()
    page.locator(".compare-rows li", has_text="long").locator(".says", has_text="stopped").wait_for()
    page.wait_for_function(OVER, timeout=1000 * SECONDS)
    assert "long was stopped: it is not judged" in page.locator(".compare-verdicts").inner_text() and sorted(order(page)) == ["LoRA", "head"]
    other = opened([{"name": "long", "change": {"steps": 3000}}, {"name": "longer", "change": {"steps": 3500}}])
    other.wait_for_function("document.querySelector('#compare-run')?.disabled === false")
    other.click("#compare-run")
    other.get_by_role("button", name="Stop all").click()
    other.get_by_role("button", name="Stop them").click()
    other.get_by_role("button", name="Run the rest").wait_for()
    assert not other.evaluate(OVER) and other.get_by_role("button", name="Stop all").count() == 0


def test_bad_values_are_told_in_words_and_lose_nothing(opened: Callable[..., Any]) -> None:
    page = opened(PAIR)
    page.get_by_role("button", name="change LoRA").click()
    page.fill("#compare-knob-rank", "0")
    page.locator(".compare-arm .error-text", has_text="Rank is 0: must be 1 to").wait_for()
    assert page.locator("#compare-run").is_disabled() and page.input_value("#compare-knob-rank") == "0"
    page.fill("#compare-knob-rank", "2")
    page.wait_for_function("document.querySelector('#compare-run')?.disabled === false")
    assert "rank 2" in page.locator(".compare-arm").first.inner_text()
    for field, value, words, right in (("#compare-seeds", "none", "The number of seeds must be 1 to 200, not “none”", "3"),
                                       ("#compare-base-steps", "many", "Steps is", "4")):
        page.fill(field, value)
        page.locator(".compare-go .error-text", has_text=words).wait_for()
        page.fill(field, right)
        page.wait_for_function("document.querySelector('#compare-run')?.disabled === false")
    page.fill("#compare-arm-name", "head")
    page.locator(".compare-go .error-text", has_text="more than once").wait_for()
    page.fill("#compare-arm-name", "small")
    page.wait_for_function("document.querySelector('#compare-run')?.disabled === false")
    page.locator(".compare-more summary", has_text="Sweep").click()
    page.select_option("#compare-sweep-knob", "rank")
    page.fill("#compare-sweep-values", "1, 999")
    page.get_by_role("button", name="Add these arms").click()
    page.locator(".compare-adders .error-text", has_text="rank is 999".capitalize()).wait_for()
    page.fill("#compare-sweep-values", "1, 16")
    page.get_by_role("button", name="Add these arms").click()
    page.wait_for_function("document.querySelectorAll('.compare-arm').length === 4")
    page.get_by_role("button", name="copy head").click()
    page.wait_for_function("document.querySelectorAll('.compare-arm').length === 5")
    page.get_by_role("button", name="remove head 2").click()
    page.wait_for_function("document.querySelectorAll('.compare-arm').length === 4")
    page.reload()
    page.wait_for_selector(".compare-arm")
    assert page.locator(".compare-arm h3").all_inner_texts() == ["small", "head", "LoRA, rank 1", "LoRA, rank 16"]


def test_a_link_shows_another_browser_the_same_numbers(opened: Callable[..., Any], visitor: Callable[..., Any]) -> None:
    first = run(opened(PAIR))
    numbers = first.locator(".compare-table tbody").inner_text()
    second = visitor()
    second.goto(first.url)
    second.wait_for_selector(".compare-arm")
    second.get_by_role("button", name="Show the result").click()
    second.wait_for_function(OVER)
    assert second.locator(".compare-table tbody").inner_text() == numbers
    second.goto(second.url.split("?")[0] + "?compare=%7B&place=compare")
    second.locator(".compare-page .notice", has_text="This link cannot be read").wait_for()
    assert second.locator("#compare-usual").is_visible()


APART = {"name": "longer", "change": {"method": "full", "steps": 20, "lr": 0.003}}  # ahead by so much that ten seeds would tell it, and three do not


def test_seeds_that_are_added_after_a_look_make_it_stricter(opened: Callable[..., Any]) -> None:
    page = run(opened([PAIR[0], APART]))
    offer = page.locator(".compare-offer")
    assert "look 2 where 1 was planned" in offer.inner_text() and re.match(r"Add \d+ seeds?$", offer.locator("button").inner_text())
    page.fill("#compare-seeds", "4")
    page.locator(".compare-cost", has_text="8 runs (2 arms × 4 seeds), 6 of them made before").wait_for()
    run(page)
    assert "Look 2, where 1 was planned" in page.locator(".compare-verdicts").inner_text()
    assert "look 3 where 1 was planned" in offer.inner_text() and offer.get_by_role("button", name=re.compile("Add [0-9]+ seed")).is_visible()


def test_no_seeds_are_offered_where_none_would_tell_anything(opened: Callable[..., Any]) -> None:
    page = run(opened([PAIR[0], {"name": "alike", "change": {"clip": 2.0}}]))
    assert "No seeds are offered: if they go on as they did" in page.locator(".compare-offer").inner_text()
    assert page.locator(".compare-offer button").count() == 0


def test_a_result_is_read_by_another_outcome_with_its_figure(opened: Callable[..., Any]) -> None:
    page = run(opened(PAIR))
    assert page.locator("#compare-by").input_value() == "score" and page.locator("input[name=compare-figure]:checked").input_value() == "scores"
    page.select_option("#compare-by", "peak_bytes")
    page.locator(".compare-verdicts .told", has_text="head takes less memory than LoRA by a factor of").wait_for()
    page.wait_for_function("decodeURIComponent(location.search).includes('\"by\":\"peak_bytes\"')")
    assert "was not planned to be read by memory of a step" in page.locator(".compare-aside").inner_text()
    assert page.locator("input[name=compare-figure]:checked").input_value() == "by peak_bytes"
    assert "memory of a step, MB" in page.locator(".compare-figures .plot .xtitle").text_content()
    page.locator(".compare-figures .segments label", has_text="Scores").click()
    assert page.locator("input[name=compare-figure]:checked").input_value() == "scores", "another figure leaves the verdicts"
    assert page.locator("#compare-by").input_value() == "peak_bytes"
    page.select_option("#compare-by", "score")
    page.wait_for_function("!document.querySelector('.compare-aside')")


def test_an_arm_that_is_taken_away_leaves_the_looks_at_the_others(opened: Callable[..., Any]) -> None:
    arms = [PAIR[0], {"name": "alike", "change": {"clip": 2.0}}, {"name": "other", "change": {"clip": 3.0}}]
    page = run(opened(arms, base={**BASE, "batch": 3}))  # which no other test has run in this lab
    page.locator(".compare-build > summary").click()
    page.locator(".compare-arm", has_text="other").get_by_role("button", name="Remove").click()
    page.fill("#compare-seeds", "4")
    page.locator(".compare-cost", has_text="8 runs (2 arms × 4 seeds), 6 of them made before").wait_for()
    run(page)
    assert "Look 2, where 1 was planned" in page.locator(".compare-verdicts").inner_text()


def test_the_race_shows_the_loss_until_there_is_a_score(opened: Callable[..., Any]) -> None:
    """The score of these runs comes with their end."""
    page = opened(PAIR, seeds=(3,), base={**BASE, "steps": 400, "eval_every": 0})
    page.wait_for_function("document.querySelector('#compare-run')?.disabled === false && document.querySelector('.compare-cost')?.textContent")
    page.click("#compare-run")
    page.wait_for_function("[...document.querySelectorAll('.compare-race .plot')].some(plot => (plot.data || []).some(line => line.name && line.y.length))",
                           timeout=1000 * SECONDS)
    chosen = "document.querySelector('input[name=compare-chart]:checked').value"
    seen = page.evaluate(f"[{chosen}, document.querySelector('.compare-race .plot').getAttribute('aria-label')]")
    assert seen[0] == "score" or "Chart of loss by step" in seen[1]
    page.wait_for_function(OVER, timeout=1000 * SECONDS)
    assert page.evaluate(chosen) == "score"
    page.locator(".compare-race .segments label", has_text="Training loss").click()
    page.wait_for_timeout(1500)
    assert page.evaluate(chosen) == "loss", "who chose keeps it"


def test_a_finished_run_is_compared_in_one_click_and_a_failed_arm_keeps_its_reason(visitor: Callable[..., Any], lab: Any) -> None:
    page = visitor("?spec=" + quote(json.dumps({**BASE, "method": {"name": "lora", "rank": 3}, "seed": 5})))
    page.click("#train-button")
    page.get_by_role("button", name="Compare with prompt tuning").click(timeout=120_000)
    page.wait_for_selector(".compare-arm")
    page.locator(".compare-cost", has_text="6 runs (2 arms × 3 seeds), 1 of them made before").wait_for()
    assert page.locator(".compare-arm h3").all_inner_texts() == ["LoRA", "Prompt tuning"] and "rank 3" in page.locator(".compare-arm").first.inner_text()
    page.get_by_role("button", name="change Prompt tuning").click()
    page.locator(".compare-editor summary").click()
    page.fill("#compare-knob-steps", "3000")
    page.locator(".compare-arm.open", has_text="steps 3000").wait_for()
    page.wait_for_function("document.querySelector('#compare-run')?.disabled === false")
    page.click("#compare-run")
    wait_for(lambda: lost(lab) and page.evaluate(OVER), SECONDS, "no verdict comes")
    assert len(order(page)) == 2 and "Prompt tuning failed with seeds 5, 6 and 7: it was lost" in page.locator(".compare-table").inner_text()
    assert page.get_by_role("button", name="Run the failed ones again").is_visible()


def lost(lab: Any) -> bool:
    """Fails every long run that is on its way, as a lab does whose worker is gone."""
    with Store(lab.data) as store:
        for each in store.history(None, limit=50):
            if each.settings["steps"] == 3000 and not each.ended:
                store.fail(each.id, "it was lost")
    return True


def test_with_the_page_closed_the_rest_follows(opened: Callable[..., Any], lab: Any) -> None:
    mark = 7  # steps that no other run of these tests has
    page = opened(PAIR, seeds=range(4), base={**BASE, "steps": mark, "eval_every": 0})
    page.wait_for_function("document.querySelector('#compare-run')?.disabled === false")
    page.click("#compare-run")
    page.wait_for_selector(".compare-rows li")
    page.wait_for_function("document.querySelector('#compare').textContent.includes('also when this page is closed')")
    page.close()

    def states() -> list[str]:
        with Store(lab.data) as store:
            return [each.state for each in store.history(None, limit=100) if each.settings["steps"] == mark]

    assert len(states()) < 8, "not all of them had room"
    wait_for(lambda: states().count("finished") == 8, SECONDS, "runs that were to follow did not")


def test_nothing_sticks_out_and_every_tab_can_be_reached(opened: Callable[..., Any]) -> None:
    page = opened(width=390, height=844)
    for _ in widths(page, *WIDTHS):
        titles = page.locator("#places > .tab-wrapper .tab-container:not(.visually-hidden) button:visible").all_inner_texts()
        assert {"Train", "Methods", "Compare", "Memory", "Look inside", "Runs"} <= set(titles)
    page.click("#compare-usual")
    page.wait_for_function("document.querySelectorAll('.compare-arm').length === 6")
    page.get_by_role("button", name="change Prompt tuning").click()
    page.wait_for_selector("#compare-knob-virtual_tokens")
    page.locator(".compare-adders summary").click()
    assert list(widths(page, *WIDTHS))
    page.goto(page.url.split("?")[0] + link())
    page.wait_for_selector(".compare-arm", state="attached")
    run(page) if page.locator("#compare-run:visible").count() else page.wait_for_function(OVER)
    for fold in page.locator("#compare summary").all():
        fold.click() if fold.is_visible() else None
    assert list(widths(page, *WIDTHS))


def test_no_serious_accessibility_finding(opened: Callable[..., Any], axe: str) -> None:
    page = opened()
    found = findings(page, axe, "empty", "#compare")
    page.click("#compare-usual")
    page.wait_for_function("document.querySelectorAll('.compare-arm').length === 6")
    page.get_by_role("button", name="change LoRA").click()
    page.wait_for_selector("#compare-knob-rank")
    found += findings(page, axe, "built", "#compare")
    page.goto(page.url.split("?")[0] + link())
    page.wait_for_selector(".compare-arm", state="attached")
    run(page) if page.locator("#compare-run:visible").count() else page.wait_for_function(OVER)
    page.locator(".compare-more summary", has_text="Where do the arms disagree?").click()
    page.locator(".compare-items-head", has_text="test items").wait_for()
    assert not [*found, *findings(page, axe, "result", "#compare")]
