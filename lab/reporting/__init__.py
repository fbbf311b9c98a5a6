"""A run or a comparison as one HTML file that opens offline: figures, numbers, verdicts, settings and versions, without any script."""
from lab.reporting.pages import of_comparison, of_run

__all__ = ["of_comparison", "of_run"]
