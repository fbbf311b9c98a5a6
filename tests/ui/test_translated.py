"""The page in other words: sentences the server wrote, those a script writes later, labels, and numbers in the order of the other language."""
from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Lab, served

WORDS = {"Learn": "Lernen", "Train": "Trainieren", "{} steps": "{} Schritte", "switch between light and dark": "hell und dunkel wechseln",
         "{} of {} runs": "von {2} Läufen {1}"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    file = tmp_path_factory.mktemp("words") / "de.json"
    file.write_text(json.dumps({"language": "de", "words": WORDS}), encoding="utf-8")
    with served(tmp_path_factory, LAB_TRANSLATION=str(file)) as found:
        yield found


@pytest.mark.slow
def test_the_page_speaks_the_other_language(visitor: Any) -> None:
    page = visitor()
    page.wait_for_selector("#choose-model")
    page.wait_for_selector("button[role=tab]:has-text('Trainieren')")
    assert page.get_attribute("html", "lang") == "de"
    assert page.get_attribute(".lab-header button", "aria-label") == "hell und dunkel wechseln"
    said = page.evaluate("""async () => {
        const node = document.createElement("p");
        document.querySelector(".lab-header").append(node);
        node.textContent = "1,200 of 3,400.5 runs";
        await new Promise((done) => setTimeout(done, 50));
        const first = node.textContent;
        node.firstChild.data = "60 steps";
        await new Promise((done) => setTimeout(done, 50));
        return [first, node.textContent, "Learn" in JSON.parse(window.labMissingWords()), Object.keys(JSON.parse(window.labMissingWords())).length];
    }""")
    assert said[:3] == ["von 3,400.5 Läufen 1,200", "60 Schritte", False] and said[3] > 50
