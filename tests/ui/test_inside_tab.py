"""The Look-inside tab in a real browser: words only beside their test, a replay that moves everything, prefix tuning explained, and every screen size."""
from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.lens import Look
from lab.spec import RunSpec
from lab.store import Store
from tests.ui._serving import findings, wait_for, widths

pytestmark = pytest.mark.browser

TINY = {"model": "seed-llama", "task": "toy", "steps": 12, "batch": 4, "tokens": 24, "eval_items": 16, "eval_every": 0}
METHODS = {
    "bare": {"name": "prompt_tuning", "virtual_tokens": 4, "init": "random"}, "tested": {"name": "prompt_tuning", "virtual_tokens": 4},
    "many": {"name": "prompt_tuning", "virtual_tokens": 200}, "prefix": {"name": "prefix_tuning", "virtual_tokens": 3, "init": "random"},
    "lora": {"name": "lora"},
}
LOOKS = ("prompt_neighbours", "cliff_walk", "knock_out")
SECONDS = 400  # for all runs and looks, on a busy machine


@dataclass(frozen=True)
class Shelf:
    """Runs that the lab's own worker has made, by name."""

    runs: dict[str, str]

    def at(self, name: str) -> str:
        return f"?run={self.runs[name]}&place=inside"


@pytest.fixture(scope="module")
def shelf(lab: Any) -> Iterator[Shelf]:
    with Store(lab.data) as store:
        made = {name: store.submit(RunSpec.parse({**TINY, "method": method}), "someone").id for name, method in METHODS.items()}
        wait_for(lambda: all(store.run(run).ended for run in made.values()), SECONDS, "the runs do not end")
        looks = [store.submit(Look.parse({"run": made["tested"], "lens": lens, "knobs": {"items": 10}}), "someone", kind="look", priority=1) for lens in LOOKS]
        wait_for(lambda: all(store.run(look.id).ended for look in looks), SECONDS, "the looks do not end")
        assert {store.run(run).state for run in made.values()} | {store.run(look.id).state for look in looks} == {"finished"}
        for run in made.values():
            store.share(run)
        yield Shelf(made)


@pytest.fixture
def opened(visitor: Callable[..., Any]) -> Callable[..., Any]:
    """A page at an address that names this tab; the first visit is to the Train tab, which every visitor waits for."""

    def visit(address: str, **how: Any) -> Any:
        page = visitor(**how)
        page.goto(page.url.split("?")[0] + address)
        return page

    return visit


@pytest.fixture
def inside(opened: Callable[..., Any], shelf: Shelf) -> Callable[..., Any]:
    def at(name: str, **how: Any) -> Any:
        page = opened(shelf.at(name), **how)
        page.wait_for_selector(".inside-all .inside-lens")
        return page

    return at


def chips(page: Any, row: int, cell: str) -> list[str]:
    return page.locator(f".inside-tokens tbody tr:nth-child({row}) {cell} .token").all_inner_texts()


def test_words_that_are_not_tested_say_so_and_can_be_tested_on_the_spot(inside: Callable[..., Any]) -> None:
    page = inside("bare")
    assert page.locator(".inside-table .chip").inner_text() == "not tested" and "not tested yet" in page.locator(".inside-verdict").inner_text()
    assert page.locator(".inside-tokens .z2, .inside-tokens .z3, .inside-tokens .z4").count() == 0, "no colour of worth without a test"
    assert len(chips(page, 1, ".list:not(.before)")) == len(chips(page, 1, ".before")) == 5
    assert "s on two cores" in page.locator(".inside-verdict .inside-ask").inner_text()
    page.locator(".inside-verdict .inside-knobs summary").click()
    page.fill("#inside-prompt_neighbours-draws", "7")
    page.get_by_role("button", name="Test these words").click()
    page.locator(".inside-verdict .error-text", has_text="draws is 7: must be 100 to 10,000").wait_for()
    page.fill("#inside-prompt_neighbours-draws", "100")
    page.fill("#inside-prompt_neighbours-items", "10")
    page.get_by_role("button", name="Test these words").click()
    page.wait_for_selector(".inside-verdict .scores", timeout=120_000)
    assert page.locator(".inside-table .chip").inner_text() == "tested"
    assert page.locator(".inside-verdict .score").first.inner_text().startswith("The trained vectors")
    assert page.locator(".inside-verdict .lead").inner_text().strip()


def test_the_replay_moves_list_map_river_and_loss_together(inside: Callable[..., Any]) -> None:
    page = inside("tested")
    state = """() => [document.querySelector('.inside-table h3').textContent, document.querySelector('.inside-map .way').getAttribute('points'),
        document.querySelector('.inside-river .here').getAttribute('x1'), document.querySelector('.inside-loss .here').getAttribute('x1')]"""
    at_end = page.evaluate(state)
    slider = page.locator(".inside-player input[type=range]")
    slider.focus()
    page.keyboard.press("Home")
    at_start = page.evaluate(state)
    assert all(one != other for one, other in zip(at_end, at_start, strict=True)) and at_start[0] == "Nearest tokens before training"
    assert page.locator(".inside-table .chip").inner_text() == "not tested", "only the list of the end is tested"
    assert chips(page, 1, ".list:not(.before)") == chips(page, 1, ".before"), "at the start the list is the one before training"
    assert slider.get_attribute("aria-valuetext") == "step 0 of 12"
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("end => document.querySelector('.inside-table h3')?.textContent === end", arg=at_end[0])
    page.get_by_role("button", name="Play").wait_for()
    assert page.evaluate(state) == at_end


def test_another_metric_and_another_row_are_a_click_or_a_key_away(inside: Callable[..., Any]) -> None:
    page = inside("tested")
    centred = chips(page, 1, ".list:not(.before)")
    page.locator(".inside-bar label", has_text="distance (L2)").click()
    assert chips(page, 1, ".list:not(.before)") != centred and page.locator(".inside-legend").is_hidden()
    page.locator(".inside-tokens tbody tr:nth-child(3) button").focus()
    page.keyboard.press("Enter")
    assert page.locator(".inside-river h3").inner_text().startswith("Virtual token 3")
    assert page.locator(".inside-map .vector.chosen").get_attribute("data-position") == "2"
    page.locator(".inside-map .vector[data-position='0']").click(force=True)
    assert page.locator(".inside-tokens tr.chosen button").inner_text() == "1"


def test_figures_have_their_numbers_and_a_file(inside: Callable[..., Any], tmp_path: Path) -> None:
    page = inside("tested")
    panel = page.locator(".inside-panel.knock_out")
    panel.locator(".plot .main-svg").first.wait_for()
    panel.get_by_role("button", name="Numbers", exact=True).click()
    assert panel.locator(".numbers tbody tr").count() == 4
    panel.get_by_role("button", name="All its numbers").click()
    with page.expect_download() as coming:
        page.locator(".inside-lens[open] .inside-numbers button", has_text="Download CSV").click()
    coming.value.save_as(tmp_path / "numbers.csv")
    assert len(list(csv.reader((tmp_path / "numbers.csv").open()))) >= 5


def test_what_is_drawn_lights_up_in_the_anatomy(inside: Callable[..., Any]) -> None:
    page = inside("tested")
    page.locator(".inside-drawing > summary").click()
    page.wait_for_selector(".inside-drawing [data-part~=prompt]")
    page.hover(".inside-table h3")
    page.wait_for_selector(".inside-drawing .lit[data-part~=prompt]", state="attached")


def test_prefix_tuning_says_why_it_has_no_nearest_token(inside: Callable[..., Any]) -> None:
    page = inside("prefix")
    assert "no nearest token" in page.locator(".inside-verdict").inner_text() and page.locator(".inside-table").is_hidden()
    assert page.locator(".inside-panel:visible").count() == 2
    page.locator(".inside-panel.prefix_norms .go-ask button").click()
    page.wait_for_selector(".inside-panel.prefix_norms .plot .main-svg", timeout=120_000)


def test_a_run_without_a_soft_prompt_shows_its_own_lenses(inside: Callable[..., Any]) -> None:
    page = inside("lora")
    assert page.locator(".inside-verdict").is_hidden()
    page.locator(".inside-away summary").click()
    assert "it trains no soft prompt" in page.locator(".inside-away").inner_text().lower()
    page.locator(".inside-lens", has_text="Which matrix moves first").locator("summary").click()
    step, of_a, of_b = page.locator(".inside-lens[open] .numbers tbody tr").first.locator("td").all_inner_texts()
    assert (step, of_a) == ("0", "0") and float(of_b) > 0, "only B can move first; later looks are left out where steps are too short to pay for them"


def test_200_virtual_tokens_stay_in_their_box(inside: Callable[..., Any]) -> None:
    page = inside("many")
    assert page.locator(".inside-tokens tbody tr").count() == 200
    box = page.locator(".inside-tokens")
    assert box.bounding_box()["height"] <= 640
    box.evaluate("box => { box.scrollTop = 4000; }")
    head, frame = page.locator(".inside-tokens thead th").first.bounding_box(), box.bounding_box()
    assert abs(head["y"] - frame["y"]) < 4, "the head stays"


def test_from_a_run_into_it_and_back(visitor: Callable[..., Any]) -> None:
    page = visitor("?spec=" + json.dumps({**TINY, "method": {"name": "prompt_tuning", "virtual_tokens": 2}}))
    page.click("#train-button")
    page.locator(".next .look-inside").click(timeout=120_000)
    page.wait_for_selector(".inside-tokens tbody tr")
    assert page.locator(".inside-tokens tbody tr").count() == 2 and page.locator("#inside-run option:checked").inner_text().startswith("Prompt tuning")
    page.get_by_role("button", name="Open the run").click()
    page.wait_for_selector(".watch[data-state=finished]")
    page.click("#place-runs-button")
    page.get_by_role("button", name="Look inside", exact=True).first.click()
    page.wait_for_selector(".inside-tokens tbody tr")


def test_a_run_that_is_not_here_is_explained_and_another_is_offered(opened: Callable[..., Any]) -> None:
    page = opened("?run=gone&place=inside")
    page.locator(".inside-page .notice", has_text="Unknown run").wait_for()
    page.get_by_role("button", name="Show another run").click()
    page.wait_for_selector(".inside-all .inside-lens")
    assert "recorded" in page.locator(".inside-choose .chip").inner_text()


@pytest.mark.parametrize("name", ["tested", "prefix"])
def test_nothing_of_the_tab_sticks_out(inside: Callable[..., Any], name: str) -> None:
    page = inside(name, width=390, height=844)
    page.locator(".inside-lens summary").first.click()
    assert list(widths(page, 320, 390, 768, 1024, 1440))


@pytest.mark.parametrize("name", ["tested", "bare", "prefix", "lora"])
def test_the_tab_has_no_serious_accessibility_finding(inside: Callable[..., Any], axe: str, name: str) -> None:
    page = inside(name)
    page.locator(".inside-lens summary").first.click()
    page.locator(".inside-drawing > summary").click()
    found = findings(page, axe, name, "#inside")
    assert not found, found
