"""Ready questions in a real browser: a recorded one opens with its result, own arms stand beside it, and what fails or is deleted is said."""
from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from lab.compare import Comparison
from lab.comparing import record
from lab.store import Store
from tests.ui._serving import findings, wait_for, widths

pytestmark = pytest.mark.browser

BASE = {"model": "seed-bert", "task": "toy", "method": "lora", "steps": 4, "batch": 4, "tokens": 24, "eval_items": 24, "eval_every": 2, "dtype": "float32"}
SWEEP = {"title": "Does a higher rank help here?", "base": BASE, "seeds": [0, 1, 2],
         "arms": [{"name": f"rank {rank}", "change": {"method": {"rank": rank, "alpha": 2.0 * rank}}} for rank in (1, 4, 16)]}
SECONDS = 300


@pytest.fixture(scope="module")
def asked(lab: Any, kept_workshop: Any) -> Any:
    """A question of whoever hosts the lab, recorded, before anybody opens the tab."""
    folder = lab.data / "comparisons"
    folder.mkdir(exist_ok=True)
    (folder / "a-sweep.json").write_text(json.dumps(SWEEP))
    record(Comparison.parse(SWEEP).runs.values(), kept_workshop, folder)
    return lab


@pytest.fixture
def opened(asked: Any, visitor: Callable[..., Any]) -> Callable[..., Any]:
    def visit(key: str = "", **how: Any) -> Any:
        page = visitor(**how)
        page.click("#place-compare-button")
        page.wait_for_selector(".compare-question")
        if key:
            page.click(f'[data-key="{key}"]')
        return page

    return visit


def test_questions_come_first_and_one_click_shows_a_recorded_result(opened: Callable[..., Any], tmp_path: Path) -> None:
    page = opened()
    assert page.locator(".compare-question").count() > 20 and page.locator(".compare-ready h3").inner_text() == "Start with a question"
    assert page.locator("#compare-usual").is_visible(), "one's own stands beside them"
    line = page.locator('[data-key="rank"]').inner_text()
    assert "MiniLM-L6 · movie reviews · 6 arms × 3 seeds" in line and ("trainings" in line or "recorded" in line)
    assert "recorded" in page.locator('[data-key="a-sweep"]').inner_text()
    page.click('[data-key="a-sweep"]')
    page.locator(".compare-from", has_text="All 9 runs were recorded on").wait_for()
    assert page.locator(".compare-page h2").inner_text() == SWEEP["title"]
    assert page.locator(".compare-verdicts h3").first.is_visible() and not page.locator("#compare-run").is_visible()
    page.locator(".compare-figures .scatterlayer .trace").first.wait_for(state="attached")
    assert page.locator(".compare-figures .segments label").all_inner_texts()[:2] == ["By rank", "Scores"]
    for kind, end in (("Report (HTML)", "-report.html"), ("Table (CSV)", "-arms.csv"), ("Items (CSV)", "-items.csv")):
        with page.expect_download() as saved:
            page.get_by_role("button", name=kind, exact=True).click()
        assert saved.value.suggested_filename == f"does-a-higher-rank-help-here{end}"
        saved.value.save_as(tmp_path / end)
        assert (tmp_path / end).stat().st_size > 100
    assert page.locator(".compare-scripts a").all_inner_texts() == ["rank 1", "rank 4", "rank 16"], "recorded arms have their scripts too"
    with page.expect_download(timeout=120_000) as saved:
        page.locator(".compare-scripts a").first.click()
    assert saved.value.suggested_filename == "lora-seed-bert-script.zip"
    saved.value.save_as(tmp_path / "script.zip")
    with zipfile.ZipFile(tmp_path / "script.zip") as archive:
        assert "script/train.py" in archive.namelist()
    report = page.context.new_page()
    report.goto((tmp_path / "-report.html").as_uri())
    assert report.locator("h1").inner_text() == SWEEP["title"] and "recorded on" in report.locator("body").inner_text()
    page.get_by_role("button", name="All questions").click()
    page.wait_for_selector(".compare-question:visible")


def test_a_recorded_comparison_that_was_built_offers_its_result_and_counts_no_look_until_it_is_shown(opened: Callable[..., Any]) -> None:
    page = opened()
    built = json.dumps({key: SWEEP[key] for key in ("base", "arms", "seeds")})
    page.goto(f"{page.url.split('?')[0]}?compare={quote(built)}&place=compare")
    page.locator(".compare-cost", has_text="all of them recorded: nothing has to be trained. Showing the result is a look at its verdicts").wait_for()
    assert page.locator("#compare-run").inner_text() == "Show the result" and page.locator(".compare-result").is_hidden() and "looked" not in page.url
    page.click("#compare-run")
    page.locator(".compare-from", has_text="All 9 runs were recorded on").wait_for()
    page.wait_for_function("location.search.includes('looked=3')")


def test_an_arm_of_ones_own_stands_beside_recorded_ones_and_a_deleted_run_is_said(opened: Callable[..., Any], lab: Any) -> None:
    page = opened("a-sweep")
    page.locator(".compare-from", has_text="All 9 runs were recorded on").wait_for()
    page.locator(".compare-build summary").first.click()
    page.select_option("#compare-add", "head")
    page.locator(".compare-cost", has_text="12 runs (4 arms × 3 seeds), 9 of them recorded").wait_for()
    page.wait_for_function("document.querySelector('#compare-run')?.disabled === false")
    page.click("#compare-run")
    page.locator(".compare-from", has_text="9 of 12 runs were recorded").wait_for(timeout=1000 * SECONDS)
    page.wait_for_function("document.querySelectorAll('.compare-table small.elsewhere').length > 0", timeout=1000 * SECONDS)
    assert "Times marked “elsewhere” were measured on " in page.locator(".compare-apart").inner_text()
    page.wait_for_function("document.querySelector('.compare-verdicts .told, .compare-verdicts .open')", timeout=1000 * SECONDS)
    with Store(lab.data) as store:
        store.delete(next(run.id for run in store.history(None, limit=50) if run.settings["method"]["name"] == "head" and run.settings["steps"] == 4))
    page.reload()
    page.locator(".compare-page .notice", has_text="the run was deleted, so it is not counted").wait_for()
    assert page.get_by_role("button", name="Run the rest").is_visible()


def test_an_arm_that_fails_stays_with_its_reason(opened: Callable[..., Any], asked: Any) -> None:
    page = opened()
    fast = {"method": "full", "lr": 100.0, "steps": 60, "clip": 0.0, "weight_decay": 1.0}  # takes the weights times −99 in each step
    broken = {"base": BASE, "seeds": [21, 22, 23], "arms": [{"name": "LoRA", "change": {}}, {"name": "far too fast", "change": fast}]}
    page.evaluate("kept => localStorage.setItem('peft-lab-compare', JSON.stringify({draft: kept}))", broken)
    page.goto(asked.url)
    page.wait_for_selector(".bench")
    page.click("#place-compare-button")
    page.wait_for_function("document.querySelector('#compare-run')?.disabled === false")
    page.click("#compare-run")
    wait_for(lambda: page.get_by_role("button", name="Run the failed ones again").count() > 0, SECONDS, "nothing failed")
    said = page.locator(".compare-table tr.failed").inner_text()
    assert said.startswith("far too fast failed with seeds 21, 22 and 23:") and len(said) > 60
    assert page.locator(".compare-table tbody tr:not(.failed)").count() == 2


def test_nothing_sticks_out_and_nothing_is_inaccessible(opened: Callable[..., Any], axe: str) -> None:
    page = opened()
    assert list(widths(page, 320, 390, 768, 1024, 1440))
    found = findings(page, axe, "questions", "#compare")
    page.set_viewport_size({"width": 1440, "height": 900})
    page.click('[data-key="a-sweep"]')
    page.locator(".compare-figures .segments label").first.wait_for()
    assert list(widths(page, 320, 390, 768, 1024, 1440))
    page.locator(".compare-from summary").click()
    assert not [*found, *findings(page, axe, "recorded", "#compare")]
