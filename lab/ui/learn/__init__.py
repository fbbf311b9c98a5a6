"""The Learn tab: lessons as steps, predictions before results, and what the runs say of each claim."""
from lab.ui.learn.tab import tab

__all__ = ["tab"]
