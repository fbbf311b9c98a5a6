"""A part of the page whose content is drawn by a script of our own from JSON: nothing a person or a model wrote ever becomes HTML.

Gradio runs `${…}` of a template as JavaScript, so templates here are fixed text, and the scripts set textContent and attributes only.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import gradio as gr
from fastapi.encoders import jsonable_encoder
from starlette.responses import Response

from lab.contracts import LabError

Question = Callable[[Any], dict[str, Any]]

LOADER = """
import(new URL("lab-assets/SCRIPT", document.baseURI)).then((script) => script.mount(element, { props, server, watch }));
"""


EMPTY = "<div class='lab-view'></div>"


def view(script: str, template: str = EMPTY, server_functions: Sequence[Question] = (), **more: Any) -> gr.HTML:
    """`value` and the keyword arguments reach the script as `props`, `server_functions` as `server`.

    A function and not a subclass: for subclasses Gradio writes a stub file beside the source.
    """
    return gr.HTML(value={}, html_template=template, js_on_load=LOADER.replace("SCRIPT", script), apply_default_css=False,
                   server_functions=list(map(_written, server_functions)), **more)


def _written(question: Question) -> Callable[[Any], Response]:
    """Its answer as JSON, written where it was made: Gradio would copy it value by value, in the one thread that all visitors share."""

    @wraps(question)
    def write(asked: Any) -> Response:
        return Response(json.dumps(question(asked), ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=jsonable_encoder),
                        media_type="application/json")

    write.__annotations__ = {}  # Gradio looks through them at each call
    return write


def answered(question: Question) -> Question:
    """A question with its errors in words; `field` is the first word of the message, which the lab's messages begin with."""

    @wraps(question)
    def ask(asked: Any) -> dict[str, Any]:
        try:
            return question(asked if isinstance(asked, Mapping) else {})
        except LabError as error:
            text = str(error)
            return {"error": text, "field": text.partition(" ")[0]}

    return ask
