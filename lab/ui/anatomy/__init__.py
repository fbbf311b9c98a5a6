"""Anatomy: one block of a model with what a method trains lit up, each part with its shape and count. Pure arithmetic, for the page and for lessons."""
from lab.ui.anatomy.drawing import Drawing, draw
from lab.ui.anatomy.parts import names_by_role

__all__ = ["Drawing", "draw", "names_by_role"]
