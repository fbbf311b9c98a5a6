"""What every command prints, and the files it writes."""
from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from lab.contracts import LabError
from lab.lens import Table
from lab.metrics import METRICS

REPORT = "report.html"


def printed(rows: Any, as_json: bool, lines: Callable[[Any], Iterator[str]]) -> int:
    print(json.dumps(rows, ensure_ascii=False, indent=1) if as_json else "\n".join(lines(rows)))
    return 0


def said_score(score: float, error: float, metric: str) -> str:
    digits = METRICS[metric].digits if metric in METRICS else 3
    return f"{score:.{digits}f} ± {error:.{digits}f}"


def table_lines(says: Sequence[str], table: Table) -> Iterator[str]:
    yield from says
    yield "\t".join(table.columns)
    yield from ("\t".join(f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row) for row in table.rows)


def write(path: Path, text: str) -> None:
    with opened(path) as file:
        file.write(text + "\n")


def opened(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise LabError(f"cannot write {path}: {error.strerror}; give another folder") from None
