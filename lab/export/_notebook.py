"""The script as a notebook: the same lines in cells, so that each part can be run, looked at and changed by itself."""
from __future__ import annotations

import json
import re
from itertools import groupby
from typing import Any

from lab.export._lines import Script
from lab.spec import RunSpec

ARGUMENT = re.compile(r"^base = sys\.argv\[1\] if sys\.argv\[1:\] else ", re.MULTILINE)  # a notebook is given none


def notebook(spec: RunSpec, script: Script) -> str:
    """JSON of notebook format 4.5. Whoever runs it has train.py's data.jsonl and requirements.txt beside it."""
    title, code = script.text.split("\n", 1)
    code = ARGUMENT.sub("base = ", code.replace("import sys\n", ""))
    settings = ", ".join(f"{name} {value}" for name, value in spec.method.settings().items() if not isinstance(value, list | dict))
    about = (f"# {spec.method.title} on {spec.base.title}\n\n{title.strip(chr(34))}\n\n{spec.steps} steps of {spec.batch} texts"
             f"{f'; {settings}' if settings else ''}; seed {spec.seed}.")
    cells = [_cell("markdown", about), _cell("code", "%pip install -q -r requirements.txt"), *(_cell("code", part) for part in _parts(code))]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, "language_info": {"name": "python"}}
    book = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(book, ensure_ascii=False, indent=1) + "\n"


def _parts(code: str) -> list[str]:
    """What empty lines divide; what is indented belongs to what stands before it."""
    parts = ["\n".join(lines) for empty, lines in groupby(code.split("\n"), key=lambda line: not line) if not empty]
    found: list[str] = []
    for part in parts:
        if found and part.startswith(" "):
            found[-1] += f"\n\n{part}"
        else:
            found.append(part)
    return found


def _cell(kind: str, text: str) -> dict[str, Any]:
    source = text.splitlines(keepends=True)
    return {"cell_type": kind, "metadata": {}, "source": source, **({"outputs": [], "execution_count": None} if kind == "code" else {})}
