"""Small facts worth keeping between runs (scores of untouched bases, speed of number formats), one JSON file a topic."""
from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any


class Notes:
    """A cache: what cannot be read is measured again, what cannot be written is forgotten; it never fails a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, topic: str, key: str) -> Any:
        try:
            kept = json.loads(self._path(topic, key).read_text(encoding="utf-8"))
            return kept["value"] if kept["key"] == key else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, topic: str, key: str, value: Any) -> Any:
        path = self._path(topic, key)
        unfinished = path.with_suffix(f".{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(json.dumps({"key": key, "value": value}), encoding="utf-8")
            unfinished.replace(path)
        except OSError:
            unfinished.unlink(missing_ok=True) if unfinished.parent.is_dir() else None
        return value

    def _path(self, topic: str, key: str) -> Path:
        return self.folder / topic.replace(" ", "-") / (hashlib.sha256(key.encode()).hexdigest()[:24] + ".json")
