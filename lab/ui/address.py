"""The page's address: `?spec=…` opens the form filled in, `?run=…` opens a run. Short where nothing differs from what never changes."""
from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from lab.spec import RunSpec

ALWAYS = ("model", "task", "method", "steps", "batch", "tokens", "lr", "seed", "eval_items", "eval_every")  # others have one default for all


def short(spec: RunSpec) -> dict[str, Any]:
    """The dict form without what RunSpec itself puts in; `RunSpec.parse` of it gives an equal spec."""
    return {key: value for key, value in spec.to_dict().items() if key in ALWAYS or value != RunSpec.model_fields[key].default}


def query(spec: RunSpec) -> str:
    """The value of `spec=`: JSON, safe in an address."""
    return quote(json.dumps(short(spec), ensure_ascii=False, separators=(",", ":")), safe="")


def read(text: str) -> RunSpec:
    """From the value as the browser has unescaped it."""
    return RunSpec.from_json(text)
