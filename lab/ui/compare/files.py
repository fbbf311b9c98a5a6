"""A comparison to take away: its runs, its table, its items, everything as JSON, what was asked, and a report that opens offline."""
from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from lab import reporting
from lab.contracts import LabError
from lab.reporting.measures import measures
from lab.ui.compare.items import TestItems, given
from lab.ui.compare.result import Stand
from lab.ui.compare.sources import sources
from lab.ui.compare.table import arms_csv, as_csv, items_csv

DRAWN = ("figures", "figures_by", "evidence", "scripts")  # for the page and the report, and no part of what came out


def file(format: str, stand: Stand, made: Mapping[str, Any], items: TestItems) -> dict[str, Any]:
    """{"name", "text"}. Raises LabError for a kind of file that there is not, or one that cannot be made."""
    name = re.sub(r"[^a-z0-9]+", "-", (stand.comparison.title or "comparison").lower()).strip("-")[:60] or "comparison"
    match format:
        case "csv":
            return {"name": f"{name}-runs.csv", "text": as_csv(made)}
        case "table":
            return {"name": f"{name}-arms.csv", "text": arms_csv(made, measures(made["metric"], made["higher_is_better"], made["test_metric"]))}
        case "items":
            return {"name": f"{name}-items.csv", "text": _items(stand, items)}
        case "json":
            told = {key: value for key, value in made.items() if key not in DRAWN}
            return {"name": f"{name}-result.json", "text": json.dumps(told, ensure_ascii=False, indent=1)}
        case "comparison":
            return {"name": f"{name}.json", "text": json.dumps(stand.comparison.to_dict(), ensure_ascii=False, indent=1)}
        case "html":
            told = sources(stand.counted, made["apart"])
            said = " ".join(filter(None, (told["says"], told["apart"])))
            results = {part.spec.fingerprint: part.result for part in stand.counted if part.ended}
            return {"name": f"{name}-report.html", "text": reporting.of_comparison(made, results, said, made["evidence"], stand.looks)}
    raise LabError(f'unknown kind of file "{format[:40]}": there are csv, table, items, json, comparison, html')


def _items(stand: Stand, known: TestItems) -> str:
    comparison = stand.comparison
    if comparison.mixed:
        raise LabError("these arms learn different tasks, so they share no list of items: the runs and the table can be had")
    items = known.of(comparison)
    if not items:
        raise LabError("the test items of this task do not lie here: the runs and the table can be had without them")
    answers = {(part.arm, part.seed): said for part in stand.parts if (said := given(part, items)) is not None}
    return items_csv(items, comparison.base_spec.goal, answers)
