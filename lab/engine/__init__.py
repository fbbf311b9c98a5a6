"""The engine: `train(spec)` is a generator of events; torch lives here and in the worker, never in the page.

Read `loop.py` first: it is the whole training loop. The files beside it each do one thing for it.
"""
from lab.engine.answering import answer
from lab.engine.job import ahead
from lab.engine.looking import look
from lab.engine.loop import train
from lab.engine.measuring import measure
from lab.engine.shelf import Shelf
from lab.engine.workshop import Workshop

__all__ = ["Shelf", "Workshop", "ahead", "answer", "look", "measure", "train"]
