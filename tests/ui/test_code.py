"""Show code: the script beside the knobs, live; copied, downloaded with its data, or the reason why there is none."""
from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.ui._serving import findings, widths

pytestmark = pytest.mark.browser
SPEC = {"model": "seed-bert", "method": {"name": "lora", "rank": 4}, "steps": 6}


def opened(visitor: Callable[..., Any], spec: dict[str, Any] = SPEC, **how: Any) -> Any:
    page = visitor("?spec=" + quote(json.dumps(spec)), **how)
    page.locator("#show-code").click()
    page.locator(".code .listing li, .code .source").first.wait_for()
    return page


def test_the_script_follows_the_knobs(visitor: Callable[..., Any]) -> None:
    page = opened(visitor)
    listing = page.locator(".code .listing")
    assert "r=4" in listing.inner_text() and page.locator(".code .listing li").count() <= 40
    page.fill("#knob-rank", "6")
    page.wait_for_function("document.querySelector('.code .listing')?.textContent.includes('r=6')")
    assert page.locator(".code .fresh").count() == 1
    assert page.locator('.code [data-part="query"]').inner_text() == '"query"'


def test_it_is_closed_at_first_and_stays_as_it_was_left(visitor: Callable[..., Any]) -> None:
    page = visitor("?spec=" + quote(json.dumps(SPEC)))
    toggle = page.locator("#show-code")
    toggle.wait_for()
    assert page.locator("#code").is_hidden() and toggle.get_attribute("aria-expanded") == "false"
    toggle.click()
    page.reload()
    page.locator(".code .listing li").first.wait_for()
    assert page.locator("#show-code").inner_text() == "Hide code"


def test_copied_it_is_the_script(visitor: Callable[..., Any]) -> None:
    page = opened(visitor)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".code").get_by_role("button", name="Copy").click()
    page.get_by_text("copied").wait_for()
    text = page.evaluate("navigator.clipboard.readText()")
    compile(text, "train.py", "exec")
    assert "get_peft_model" in text and text.count("\n") <= 40


def test_the_archive_has_script_data_and_model(visitor: Callable[..., Any], tmp_path: Path) -> None:
    page = opened(visitor)
    with page.expect_download(timeout=120_000) as started:
        page.locator(".code").get_by_role("button", name="Download").click()
    started.value.save_as(tmp_path / "script.zip")
    with zipfile.ZipFile(tmp_path / "script.zip") as archive:
        names = set(archive.namelist())
        assert {"script/train.py", "script/data.jsonl", "script/requirements.txt", "script/base/model.safetensors"} <= names
        assert len(archive.read("script/data.jsonl").splitlines()) == SPEC["steps"]


def test_what_has_no_script_shows_the_labs_own_file(visitor: Callable[..., Any]) -> None:
    page = opened(visitor, {"model": "seed-bert", "method": {"name": "houlsby"}})
    assert "lab/methods/houlsby.py" in page.locator(".code .top").inner_text()
    assert "class Houlsby" in page.locator(".code .source pre").first.inner_text()
    assert page.locator(".code .listing").is_hidden()


def test_nothing_sticks_out(visitor: Callable[..., Any]) -> None:
    page = opened(visitor)
    for _ in widths(page, 390, 1440):
        assert page.evaluate("(() => { const list = document.querySelector('.code .listing'); return list.scrollWidth <= list.clientWidth; })()")


def test_no_archive_of_what_does_not_lie_here(visitor: Callable[..., Any]) -> None:
    page = opened(visitor, {"model": "minilm-l6", "method": {"name": "lora"}})
    page.locator(".code").get_by_role("button", name="Download").click()
    page.get_by_text("not on this machine yet").wait_for()


def test_a_name_in_the_script_lights_its_part_of_the_drawing(visitor: Callable[..., Any]) -> None:
    page = opened(visitor)
    page.locator('.code [data-part="query"]').hover()
    page.wait_for_function("document.querySelectorAll('.anatomy .lit').length > 0 && document.querySelectorAll('.code .lit').length === 1")


@pytest.mark.parametrize("method", ["lora", "houlsby"])
def test_no_serious_accessibility_finding(visitor: Callable[..., Any], axe: str, method: str) -> None:
    page = opened(visitor, {**SPEC, "method": {"name": method}})
    page.wait_for_timeout(2500)  # a line that has just changed is marked for a moment
    found = findings(page, axe, "code", ".code")
    assert not found, found
