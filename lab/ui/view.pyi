"""A part of the page whose content is drawn by a script of our own from JSON: nothing a person or a model wrote ever becomes HTML.

Gradio runs `${…}` of a template as JavaScript, so templates here are fixed text, and the scripts set textContent and attributes only.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import gradio as gr

from lab.contracts import LabError

LOADER = """
import(new URL("lab-assets/SCRIPT", document.baseURI)).then((script) => script.mount(element, { props, server, watch }));
"""

from gradio.events import Dependency

class View(gr.HTML):
    """`value` and the keyword arguments reach the script as `props`; `server_functions` as `server`."""

    def __init__(self, script: str = "", **more: Any) -> None:
        super().__init__(value={}, html_template="<div class='lab-view'></div>", js_on_load=LOADER.replace("SCRIPT", script), apply_default_css=False, **more)

    def get_block_name(self) -> str:
        return "html"

    def postprocess(self, value: Any) -> Any:
        return value

    def preprocess(self, payload: Any) -> Any:
        return payload
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


def answered(question: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    """A question with its errors in words; `field` is the first word of the message, which the lab's messages begin with."""

    @wraps(question)
    def ask(asked: Any) -> dict[str, Any]:
        try:
            return question(asked if isinstance(asked, Mapping) else {})
        except LabError as error:
            text = str(error)
            return {"error": text, "field": text.partition(" ")[0]}

    return ask