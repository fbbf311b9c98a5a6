"""The Class tab: the door for students, and the desk of whoever teaches."""
from __future__ import annotations

import gradio as gr
from starlette.routing import Route

from lab.ui.bench import Bench
from lab.ui.classroom import desk, student
from lab.ui.classroom.scores import Scores
from lab.ui.view import view


def tab(bench: Bench) -> gr.HTML:
    """Its one component; all that it asks goes through `routes`."""
    return view("class.js", elem_id="class")


def routes(bench: Bench) -> list[Route]:
    scores = Scores(bench)
    return [*student.routes(bench, scores), *desk.routes(bench, scores)]
