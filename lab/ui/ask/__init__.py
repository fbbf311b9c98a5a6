"""The Try tab: a text for a finished run, and the answers side by side."""
from lab.ui.ask.tab import questions, tab

__all__ = ["questions", "tab"]
