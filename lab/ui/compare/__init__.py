"""The Compare tab: arms and seeds chosen, their runs submitted and watched, and a verdict that says no more than they show."""
from lab.ui.compare.tab import tab

__all__ = ["tab"]
