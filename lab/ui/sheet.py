"""Tables as CSV, for a spreadsheet that must take no text of a person or a model for a formula."""
from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet reads as the start of one, or skips before it


def sheet(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow([plain(column) for column in columns])
    writer.writerows([plain(cell) for cell in row] for row in rows)
    return written.getvalue()


def plain(cell: Any) -> Any:
    """A text that would be a formula is marked as a text; numbers stay numbers."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULAS) else cell
