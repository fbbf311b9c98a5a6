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


EMPTY = "<div class='lab-view'></div>"


def view(script: str, template: str = EMPTY, **more: Any) -> gr.HTML:
    """`value` and the keyword arguments reach the script as `props`, `server_functions` as `server`.

    A function and not a subclass: for subclasses Gradio writes a stub file beside the source.
    """
    return gr.HTML(value={}, html_template=template, js_on_load=LOADER.replace("SCRIPT", script), apply_default_css=False, **more)


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
