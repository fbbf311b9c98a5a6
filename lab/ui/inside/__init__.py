"""The Look-inside tab: a run laid open, what its lenses recorded, and what a worker finds in it when asked."""
from lab.ui.inside.tab import questions, tab

__all__ = ["questions", "tab"]
