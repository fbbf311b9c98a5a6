"""Own data in a real browser: a file becomes a task, is trained on, looked into, asked and compared with, and is nobody else's."""
from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=\"window.hacked = 1\"> ${window.hacked = 2} {{window.hacked = 3}} =1+1"
DRAFT = {"model": "seed-bert", "method": {"name": "lora"}, "steps": 4, "batch": 4}


def as_csv(rows: list[tuple[str, str]]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows([("review", "opinion"), *rows])
    return written.getvalue().encode()


ROWS = [(HOSTILE, "bad"), *((f"the film number {number} was {'good' if number % 3 else 'bad'}", "good" if number % 3 else "bad") for number in range(120))]


def chosen(page: Any, content: bytes, name: str = "films ${window.hacked = 4}.csv") -> None:
    """The panel is opened from the menu of tasks, and a file chosen there."""
    page.wait_for_selector("#choose-task option[value^='own-data']", state="attached")
    page.select_option("#choose-task", "own-data…")
    page.wait_for_selector(".own-privacy dd")
    page.set_input_files("#own-file", files=[{"name": name, "mimeType": "text/csv", "buffer": content}])


def kept(page: Any, content: bytes) -> str:
    chosen(page, content)
    page.wait_for_selector(".own-labels")
    page.click("#own-use")
    page.wait_for_selector(".own-dialog", state="detached")
    page.wait_for_function("document.querySelector('#choose-task')?.value.startsWith('own-') && document.querySelector('#choose-task')?.value.length > 20")
    return page.input_value("#choose-task")


def opened(visitor: Callable[..., Any], **draft: Any) -> Any:
    page = visitor(f"?spec={json.dumps({**DRAFT, **draft})}")
    page.set_default_timeout(90_000)
    page.wait_for_function("document.querySelector('#choose-model')?.value === 'seed-bert' || document.querySelector('.notice.broken')?.offsetParent")
    return page


def unharmed(page: Any) -> bool:
    return page.evaluate("window.hacked") is None and page.evaluate("document.querySelectorAll('img[src=x]').length") == 0


def test_a_file_becomes_a_task_that_everything_works_with(visitor: Callable[..., Any]) -> None:
    page = opened(visitor)
    key = kept(page, as_csv(ROWS))
    assert "Your own data: bad, good" in page.inner_text(".choose .menus") and unharmed(page)
    page.click("#train-button")
    page.wait_for_selector(".watch .chip.finished", timeout=240_000)
    assert "own data" in page.inner_text(".watch .settings") and "Always the most frequent answer" in page.inner_text(".card.learned") and unharmed(page)
    run = page.evaluate("new URLSearchParams(location.search).get('run')")
    page.click("#show-code")
    with page.expect_download(timeout=90_000) as saved:
        page.click("text=Download script + data")
    assert saved.value.suggested_filename.endswith("script.zip")

    page.click("#place-try-button")
    page.wait_for_selector("#try textarea")
    page.wait_for_function("document.querySelector('#try')?.textContent.includes('films window.hacked 4')")
    assert unharmed(page)
    page.click("#place-inside-button")
    page.wait_for_function("document.querySelector('#inside')?.textContent.includes('own data')")
    page.click("#place-compare-button")
    page.wait_for_selector(f"#compare-task option[value='{key}']", state="attached")
    page.select_option("#compare-task", key)
    page.click("#compare-usual")
    page.wait_for_selector(".compare-arm")
    assert unharmed(page)

    other = visitor(f"?run={run}")
    other.set_default_timeout(90_000)
    other.wait_for_function("document.querySelector('.watch')?.textContent.includes('somebody\\'s own data')")
    assert key not in other.content() and "film number" not in other.content()

    page.click("#place-train-button")
    page.select_option("#choose-task", "own-data…")
    page.click("button[aria-label^='remove films']")
    page.click("dialog:not(.own-dialog) button.warn")
    page.wait_for_function("!document.querySelector('.own-kept')")
    page.click(".own-foot button:has-text('Close')")
    page.goto(page.url.partition("?")[0] + f"?run={run}")
    page.wait_for_selector(".watch .chip.finished")
    page.wait_for_function("document.querySelector('.watch .settings')?.textContent.includes('removed meanwhile')")
    page.wait_for_function("document.querySelector('.choose .error-text')?.textContent.includes('removed by its owner')")


def test_another_browser_cannot_use_it(visitor: Callable[..., Any]) -> None:
    key = kept(opened(visitor), as_csv(ROWS))
    other = opened(visitor, task=key)
    other.wait_for_selector(".notice.broken")
    assert "somebody's own data" in other.inner_text(".notice.broken")
    assert other.locator(f"#choose-task option[value='{key}']").count() == 0


@pytest.mark.parametrize(("content", "said"), [
    (b"", "empty"), (b"text\na\nb\n", "only one column"), (b'text,label\n"never,x\na,y\n', "never closed"), (b"PK\x03\x04xxxx", "Excel"),
    (as_csv([(f"text {number}", "one") for number in range(20)]), "one label only"), (b"text,label\n" + b"a,b\n" * 1_300_000, "at most 5 MB"),
])
def test_a_file_that_is_none_says_what_to_do_and_nothing_is_kept(visitor: Callable[..., Any], content: bytes, said: str) -> None:
    page = opened(visitor)
    chosen(page, content)
    page.wait_for_function("document.querySelector('.own-dialog .error-text')?.hidden === false")
    assert said.lower() in page.inner_text(".own-dialog .error-text").lower()
    assert not page.locator("#own-use:enabled").is_visible()
    page.keyboard.press("Escape")
    page.wait_for_selector(".own-dialog", state="detached")
    assert page.input_value("#choose-task") == "toy" and page.locator("#choose-task optgroup").nth(1).locator("option").count() == 1


def test_columns_and_labels_can_be_changed(visitor: Callable[..., Any]) -> None:
    page = opened(visitor)
    rows = [("id", "a", "b", "mark")] + [(str(number), f"a text on {number}", f"word {number}", "123"[number % 3]) for number in range(60)]
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    chosen(page, written.getvalue().encode())
    page.wait_for_selector(".own-labels")
    assert (page.input_value("#own-text"), page.input_value("#own-answer")) == ("a", "mark")
    page.fill("#own-label-0", "low")
    page.fill("#own-label-1", "low")
    page.fill("#own-label-2", "high")
    page.wait_for_function("document.querySelector('.own-labels summary')?.textContent === '2 labels'")
    page.select_option("#own-kind", "answers")
    page.wait_for_function("document.querySelector('.own-body')?.textContent.includes('Scored by exact match')")
    page.select_option("#own-answer", "b")
    page.wait_for_function("document.querySelector('#own-answer')?.value === 'b' && document.querySelector('.own-preview th.chosen + th')?.textContent === 'b'")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#own-use").is_visible()
