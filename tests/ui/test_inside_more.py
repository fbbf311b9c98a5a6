"""Layer maps, experiments and the blind reader in a real browser: asked for, read by keyboard, held against another run, and run to their end."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.spec import RunSpec
from lab.store import Store
from tests.ui._serving import findings, wait_for, widths

pytestmark = pytest.mark.browser

SMALL = {"model": "seed-llama", "task": "toy", "steps": 4, "batch": 2, "tokens": 24, "eval_items": 8, "eval_every": 0}
LORA = {**SMALL, "method": {"name": "lora", "targets": "all"}}
PROMPT = {**SMALL, "method": {"name": "prompt_tuning", "virtual_tokens": 4}}
MOVED = {**PROMPT, "lr": 3.0}  # far enough for other words to be the nearest
MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def runs(lab: Any) -> dict[str, str]:
    """Finished runs of somebody else, opened by their links."""
    with Store(lab.data) as store:
        made = {name: store.submit(RunSpec.parse(spec), "the tests").id for name, spec in (("lora", LORA), ("prompt", PROMPT), ("moved", MOVED))}
        wait_for(lambda: all(store.run(run).ended for run in made.values()), 240, "the runs do not end")
        assert {store.share(run).state for run in made.values()} == {"finished"}
    return made


@pytest.fixture
def inside(visitor: Callable[..., Any], runs: dict[str, str]) -> Callable[..., Any]:
    """inside("lora"): the tab with that run laid open."""

    def opened(name: str, **how: Any) -> Any:
        page = visitor(**how)  # every visitor waits for the Train tab; this one is on by its address
        page.goto(f"{page.url.split('?')[0]}?run={runs[name]}&place=inside")
        page.wait_for_selector(".heat-lenses label")
        return page

    return opened


def mapped(page: Any, lens: str = "update_spectrum") -> Any:
    """The map of a lens, which is asked for where nobody has looked yet."""
    page.locator(f".heat-lenses input[value={lens}]").check(force=True)
    page.wait_for_selector(".heat-section .heat, .heat-section .inside-ask button")
    if not page.locator(".heat-section .heat").count():
        page.locator(".heat-section .inside-ask button").first.click()
    page.wait_for_selector(".heat-section .heat", timeout=120_000)
    return page.locator(".heat-section")


def test_a_map_is_asked_for_and_read_by_keyboard(inside: Callable[..., Any]) -> None:
    page = inside("lora")
    section = mapped(page)
    assert section.locator(".heat-cell").count() == 14
    section.locator(".heat-cell").first.focus()
    assert section.locator(".heat-here").inner_text().startswith("block 1, query: ")
    for key, where in (("ArrowRight", "block 2, query: "), ("ArrowDown", "block 2, key: "), ("ArrowLeft", "block 1, key: ")):
        page.keyboard.press(key)
        assert section.locator(".heat-here").inner_text().startswith(where)
    page.keyboard.press("Enter")
    closely = section.locator(".heat-closely")
    closely.get_by_role("heading", name="key, block 1").wait_for()
    assert closely.locator("tbody tr").count() >= 5
    closely.locator(".plot .js-plotly-plot, .plot.js-plotly-plot").wait_for()
    said = section.locator(".heat-cell[aria-pressed=true]").get_attribute("aria-label")
    assert said == section.locator(".heat-here").inner_text()
    section.locator(".heat > .under").get_by_role("button", name="Numbers").click()
    assert said.rpartition(" ")[2] in section.locator(".heat-numbers tbody tr", has_text="key").first.inner_text()


def test_another_measure_has_its_own_numbers_and_scale(inside: Callable[..., Any]) -> None:
    section = mapped(inside("lora"))
    before = section.locator(".heat-cell").first.inner_text(), section.locator(".heat-ends").inner_text()
    section.locator(".heat-measures label", has_text="effective rank").click()
    assert (section.locator(".heat-cell").first.inner_text(), section.locator(".heat-ends").inner_text()) != before
    assert "90 %" in section.locator(".heat > .soft").inner_text()


def test_the_row_of_a_cell_lights_up_with_it(inside: Callable[..., Any]) -> None:
    section = mapped(inside("lora"))
    section.locator(".heat-cell").first.hover()
    assert section.locator(".heat-row.lit").all_inner_texts() == ["query"]


def test_an_experiment_runs_to_its_end_and_shows_its_words(inside: Callable[..., Any]) -> None:
    page = inside("prompt")
    card = page.get_by_role("article", name="Make it say anything")
    card.locator("#trial-waywardness-text").fill(MARKUP)
    card.locator("#trial-waywardness-pulls").fill("1")
    card.get_by_role("button", name="Run 2 trainings").click()
    card.locator(".trial-runs li.finished").nth(1).wait_for(timeout=240_000)
    card.locator(".trial-reads section").nth(1).wait_for()
    assert card.locator(".trial-reads q").inner_text().strip("“”\"") == MARKUP and card.locator("img").count() == 0
    assert card.locator(".trial-reads section").first.locator(".trial-words span").count() == 4
    assert card.get_by_role("button", name="Stop").count() == 0 and card.locator(".figure").is_visible()
    page.reload()
    page.locator(".trial-runs li.finished").nth(1).wait_for()
    assert page.input_value("#trial-waywardness-text") == MARKUP, "what was set and what was run is found again"


def test_a_setting_out_of_bounds_is_answered_before_anything_runs(inside: Callable[..., Any]) -> None:
    card = inside("prompt").get_by_role("article", name="Make it say anything")
    card.locator("#trial-waywardness-pulls").fill("70")
    card.locator(".error-text", has_text="Pulls is 70").wait_for()
    assert card.locator("button.main").is_disabled()
    card.locator("#trial-waywardness-pulls").fill("2")
    card.get_by_role("button", name="Run 3 trainings").wait_for()
    assert card.locator(".error-text").is_hidden()


def dealt(page: Any) -> Any:
    """The card of the blind reader with five lists."""
    card = page.get_by_role("article", name="Which list is the prompt?")
    deal = card.get_by_role("button", name="Deal five lists")
    if deal.count():
        deal.click()
    card.locator(".blind-list").nth(4).wait_for(timeout=120_000)
    return card


def test_a_guess_of_the_blind_reader_is_counted_in_this_browser(inside: Callable[..., Any]) -> None:
    page = inside("moved")
    card = dealt(page)
    assert card.locator(".kind").count() == 0, "nothing tells which it is before the guess"
    card.get_by_role("button", name="This one was trained").first.click()
    card.locator(".blind-list.trained").wait_for()
    assert card.locator(".kind").count() == 5
    right = card.locator(".blind-list").first.get_attribute("class").endswith("trained")
    assert f"{int(right)} right of 1 ({100 * right} %)" in card.inner_text() and ("Right:" in card.inner_text()) == right
    page.reload()
    page.locator(".blind-list.trained").wait_for()
    assert "right of 1" in page.locator(".blind").inner_text()


def test_a_round_that_nobody_can_tell_is_not_counted(inside: Callable[..., Any]) -> None:
    """A prompt that was hardly trained has the words it began with: two lists are the same."""
    card = dealt(inside("prompt"))
    card.get_by_role("button", name="This one was trained").first.click()
    card.get_by_text("This round is not counted").wait_for()
    assert "right of" not in card.inner_text()


def test_nothing_of_maps_and_experiments_sticks_out(inside: Callable[..., Any]) -> None:
    page = inside("lora", width=390, height=844)
    mapped(page).locator(".heat-cell").first.click()
    page.locator(".heat-closely h4").wait_for()
    assert list(widths(page, 320, 390, 1440))


@pytest.mark.parametrize("name", ["lora", "prompt"])
def test_maps_and_experiments_have_no_serious_accessibility_finding(inside: Callable[..., Any], axe: str, name: str) -> None:
    page = inside(name)
    if name == "lora":
        mapped(page).locator(".heat-cell").nth(3).click()
        page.locator(".heat-closely h4").wait_for()
    part = ".heat-section" if name == "lora" else ".trial-section"
    found = findings(page, axe, part, part)
    assert not found, found
