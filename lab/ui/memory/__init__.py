"""The Memory tab: where the bytes of one training step go, foretold for any model, several methods side by side."""
from lab.ui.memory.tab import questions, tab

__all__ = ["questions", "tab"]
