"""The Try tab in a real browser: answers beside the base's, a text that comes as it is written and is never HTML, times, every state, every screen size."""
from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from lab.serving import KIND
from lab.spec import RunSpec
from lab.store import Store
from tests.ui._serving import findings, wait_for, widths

pytestmark = pytest.mark.browser

TINY = {"model": "seed-llama", "task": "toy", "method": "lora", "steps": 2, "batch": 2, "tokens": 24, "eval_items": 6, "eval_every": 0}
RUNS = {"labels": {}, "encoder": {"model": "seed-bert", "method": {"name": "prompt_tuning", "virtual_tokens": 3}},
        "writes": {"task": "random_pairs", "train_items": 6}, "gone": {"seed": 1}, "deleted": {"seed": 2}}
SECONDS = 300
HOSTILE = "<img src=x onerror=\"document.title='taken'\"> ${document.title='taken'} so good"


@dataclass(frozen=True)
class Shelf:
    """Runs that the lab's own worker has made, by name."""

    runs: dict[str, str]
    store: Store


@pytest.fixture(scope="module")
def shelf(lab: Any) -> Iterator[Shelf]:
    with Store(lab.data) as store:
        made = {name: store.submit(RunSpec.parse({**TINY, **change}), "someone").id for name, change in RUNS.items()}
        wait_for(lambda: all(store.run(run).ended for run in made.values()), SECONDS, "the runs do not end")
        assert {store.share(run).state for run in made.values()} == {"finished"}, [store.run(run).reason for run in made.values()]
        shutil.rmtree(store.folder(made["gone"]) / "adapter")
        store.delete(made["deleted"])
        yield Shelf(made, store)


@pytest.fixture
def opened(visitor: Callable[..., Any], shelf: Shelf) -> Callable[..., Any]:
    """The tab with a run; the first visit is to the Train tab, which every visitor waits for."""

    def visit(name: str, **how: Any) -> Any:
        page = visitor(**how)
        page.goto(f"{page.url.split('?')[0]}?run={shelf.runs.get(name, name)}&place=try")
        return page

    return visit


def asked(page: Any, text: str = "what a fine day") -> Any:
    """Type, ask, and wait until all have answered."""
    page.fill("#try-text", text)
    page.get_by_role("button", name="Ask", exact=True).click()
    page.wait_for_selector(".try-latency h3", timeout=90_000)
    page.wait_for_selector(".try-ask button.main:enabled", timeout=90_000)
    return page


def test_a_test_item_is_answered_beside_the_base(opened: Callable[..., Any]) -> None:
    page = opened("labels")
    page.wait_for_selector(".try-card.waiting")
    page.get_by_role("button", name="Take a test example").click()
    page.locator(".try-truth", has_text="never trained on. Its label:").wait_for()
    assert page.input_value("#try-text")
    page.focus("#try-text")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".try-latency h3", timeout=90_000)
    assert page.locator(".try-card h3").all_inner_texts() == ["Seeded Llama, untouched", "Seeded Llama with a prompt", "Seeded Llama with LoRA"]
    tuned = page.locator(".try-card.tuned")
    assert tuned.locator(".try-best").inner_text()[0] in "✓✗" and tuned.locator("tbody tr").count() == 2 and "%" in tuned.locator("tbody").inner_text()
    assert "no certainty" in page.locator(".try-caution").inner_text()
    assert any("␣" in token for token in page.locator(".try-row .token").all_inner_texts())
    page.get_by_role("button", name="Open the run").click()
    page.locator(".watch .try-it").click()
    page.wait_for_selector("#try .try-ask")


def test_what_was_typed_and_what_was_written_stay_text(opened: Callable[..., Any]) -> None:
    page = opened("writes")
    page.wait_for_selector("#try-text")
    page.evaluate("""() => { window.seen = []; new MutationObserver(() => { const text = document.querySelector('.try-card.tuned .try-text');
        if (text) window.seen.push(text.textContent); }).observe(document.querySelector('.try-page'), {subtree: true, childList: true}); }""")
    page.locator(".try-prompt summary").click()
    page.fill("#try-wording", "Say {text} again:")
    asked(page, HOSTILE)
    written = page.locator(".try-card.tuned .try-text").inner_text()
    grown = [text for text in page.evaluate("window.seen") if text != "(nothing)"]
    assert all(one == other[:len(one)] for one, other in pairwise(grown)) and (not grown or written.startswith(grown[0].strip()))
    assert "taken" not in page.title() and page.locator(".try-page img").count() == 0
    assert "<img" in "".join(page.locator(".try-row .token").all_inner_texts())
    assert "It could not be asked: " in page.locator(".try-card.prompted").inner_text(), "with a wording around it the text is too long for this model"
    page.fill("#try-wording", "no place")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator(".error-text", has_text="Wording must have {text} once").wait_for()
    assert page.evaluate("document.activeElement.id") == "try-wording"


def test_every_form_is_timed_in_a_table(opened: Callable[..., Any]) -> None:
    page = asked(opened("labels"))
    page.locator(".try-forms label", has_text="merged into the base").click()
    asked(page)
    assert page.locator(".try-card.tuned").inner_text().count("merged into the base") == 1
    page.get_by_role("button", name="Take the time").click()
    table = page.locator(".try-measured table")
    table.wait_for(timeout=120_000)
    forms = table.locator("tbody th").all_inner_texts()
    assert forms[:3] == ["untouched base", "as it was trained", "merged into the base"] and table.locator("tbody").inner_text().count("ms") >= 6
    assert "one text at a time" in page.locator(".try-measured").inner_text()


def test_a_virtual_token_has_no_word_and_an_encoders_base_no_head(opened: Callable[..., Any]) -> None:
    page = asked(opened("encoder"))
    assert page.locator(".try-row .virtual").all_inner_texts() == ["virtual 1", "virtual 2", "virtual 3"]
    assert "no probability" in page.locator(".try-card.base").inner_text() and page.locator(".try-card.base .try-bar").count() == 0
    assert page.locator(".try-forms input:disabled").count() >= 1 and "cannot be written into" in page.locator(".try-forms").inner_text()
    assert page.locator(".try-prompt").is_hidden()


def test_every_state_says_why_and_what_to_do(opened: Callable[..., Any], visitor: Callable[..., Any], shelf: Shelf) -> None:
    for name, words, button in (("gone", "adapter is not on this machine any more", "Run it again"), ("deleted", "deleted", "Show another run"),
                                ("recorded.minilm-l6_movies_lora_b241c2c3", "ship no weights", "Run it yourself")):
        page = opened(name)
        page.locator("#try .lab-view", has_text=words).wait_for()
        assert page.locator("#try").get_by_role("button", name=button).count() == 1, name
    page = visitor()  # somebody without any run
    page.goto(f"{page.url.split('?')[0]}?place=try")
    page.locator("#try .try-empty", has_text="Nothing of yours to ask yet").wait_for()
    page = opened("labels")
    page.wait_for_selector("#try-text")
    page.fill("#try-text", " ")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator(".error-text", has_text="Text is empty").wait_for()
    asked(page)
    assert shelf.store.history(None, search="nothing") == [] and all(run.kind != KIND for run in shelf.store.history(None))


def test_it_fits_every_screen_and_passes_the_checker(opened: Callable[..., Any], axe: str) -> None:
    page = asked(opened("labels"), "so good " * 30)
    page.get_by_role("button", name="Take the time").click()
    page.wait_for_selector(".try-measured table", timeout=120_000)
    for width in widths(page, 320, 390, 768, 1024, 1440):
        assert page.locator(".try-card.tuned").bounding_box()["width"] <= width
    assert findings(page, axe, "answered", "#try") == []
