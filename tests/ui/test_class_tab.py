"""The Class tab in a real browser: a student joins, predicts in a lesson and is seen by whoever teaches; of who has not joined nothing is sent."""
from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.classroom.register import Register
from lab.store import Store
from tests.ui._serving import findings, wait_for, widths
from tests.ui.conftest import Lab, served

pytestmark = pytest.mark.browser

CODE, SECRET = "spring26", "correct horse battery"
LESSON = "05-lora"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab of this file's own, with a class."""
    with served(tmp_path_factory, LAB_CLASS_CODE=CODE, LAB_INSTRUCTOR_SECRET=SECRET, LAB_TITLE="Spring course", LAB_METHODS="lora,head",
                LAB_SHARED_TASK="toy") as found:
        yield found


def at(page: Any, lab: Lab, address: str, wanted: str) -> Any:
    page.goto(lab.url + address)
    page.wait_for_selector(wanted)
    return page


def guess(page: Any) -> None:
    slider = page.locator(".learn-step .guess-number input")
    slider.focus()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="That is my guess").click()


def open_desk(page: Any, lab: Lab) -> Any:
    at(page, lab, "?place=class", ".class-another")
    page.get_by_text("For whoever teaches").click()
    page.fill("#class-secret", SECRET)
    page.get_by_role("button", name="Open the desk").click()
    page.wait_for_selector(".class-figures")
    return page


def test_a_student_joins_predicts_and_is_seen(visitor: Callable[..., Any], lab: Lab) -> None:
    page, sent = visitor(), []
    page.on("request", lambda request: sent.append(request.url) if "/class/" in request.url else None)
    assert page.locator("#banner h1").inner_text() == "Spring course"
    at(page, lab, f"?lesson={LESSON}&place=learn", ".learn-step")
    guess(page)
    page.wait_for_timeout(1500)
    assert sent == [], "nothing is sent of who has not joined"

    at(page, lab, "?place=class", "#class-code")
    page.fill("#class-code", CODE)
    page.fill("#class-name", "Ann Å.")
    page.get_by_role("button", name="Join").click()
    page.get_by_text("tick that you agree").wait_for()
    page.get_by_label("I agree to this").check()
    page.get_by_role("button", name="Join").click()
    page.get_by_text("You are in the class as Ann Å.").wait_for()

    with Store(lab.data) as store:
        register = Register(store)
        wait_for(lambda: bool(register.records(["prediction"])), 20, "what was predicted before does not arrive")
        at(page, lab, f"?lesson={LESSON}&place=learn", ".learn-step")
        before = len(register.records())
        page.locator(".learn-foot .main").click()
        wait_for(lambda: any(each.kind == "progress" for each in register.records()), 20, "the place in the lesson does not arrive")
        assert len(register.records()) > before or before > 1
        assert {each.owner for each in register.records()} == {register.members()[0].owner}

    desk = open_desk(visitor(), lab)
    desk.get_by_role("button", name="Progress").click()
    desk.locator(".class-progress tbody th", has_text="Ann Å.").wait_for()
    desk.get_by_role("button", name="Predictions").click()
    desk.locator(".class-predicted", has_text="1 prediction").first.wait_for()
    assert desk.input_value("#class-lesson") == LESSON
    with desk.expect_download() as download:
        desk.get_by_role("button", name="Files").click()
        desk.get_by_role("button", name="Download Predictions").click()
    assert "Ann Å." in download.value.path().read_text(encoding="utf-8")
    kept = desk.evaluate("JSON.stringify([document.documentElement.outerHTML, {...localStorage}, {...sessionStorage}])")
    assert SECRET not in kept and CODE not in kept, "neither is anywhere in the page"


def test_the_desk_stops_a_run_and_the_door_opens_again_on_another_device(visitor: Callable[..., Any], lab: Lab) -> None:
    from lab.spec import RunSpec

    with Store(lab.data) as store:
        member = next(iter(Register(store).members()), None) or Register(store).join("o" * 32, "Bob")
        long = {"model": "seed-bert", "task": "toy", "method": "lora", "steps": 5000, "eval_every": 0, "eval_items": 20}
        run = store.submit(RunSpec.parse(long), member.owner)
        page = open_desk(visitor(), lab)
        row = page.locator(".class-table tbody tr", has_text=member.name).first
        row.wait_for()
        row.get_by_role("button", name="Stop").click()
        page.click("dialog .warn")
        wait_for(lambda: store.run(run.id).ended, 60, "the run goes on")
        assert store.run(run.id).state == "cancelled"
    other = visitor()
    at(other, lab, "?place=class", "#class-code")
    other.get_by_text("I have joined on another device").click()
    other.fill("#class-back-name", member.name)
    other.fill("#class-back-word", member.word)
    other.get_by_role("button", name="Come back").click()
    other.get_by_text(f"You are in the class as {member.name}").wait_for()
    other.click("#place-runs-button")
    other.locator(".run-row", has_text="LoRA").first.wait_for()


def test_nothing_sticks_out_and_no_serious_accessibility_finding(visitor: Callable[..., Any], lab: Lab, axe: str) -> None:
    page = at(visitor(), lab, "?place=class", ".class-card")
    found = findings(page, axe, "the door", "#class")
    open_desk(page, lab)
    for name in ("Runs", "Progress", "Predictions", "Results", "Files"):
        page.locator(".class-views").get_by_role("button", name=name).click()
        page.wait_for_timeout(800)
        for _ in widths(page, 390, 1440):
            pass
        found += findings(page, axe, name, "#class")
    assert not found, json.dumps(found, indent=1)
