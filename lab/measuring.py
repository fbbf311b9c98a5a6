"""Recorded measurements that come with the lab: made here, read by lessons.

    python -m lab.measuring [LESSON.md …] [--out FOLDER]    what is missing of those that these lessons ask for, or all lessons
"""
from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lab import catalogue
from lab.contracts import LabError
from lab.lessons import lessons
from lab.measurement import named
from lab.recording import provenance
from lab.waiting import spin_briefly


def recorded(folder: Path) -> dict[str, dict[str, Any]]:
    """{name with knobs: what was measured, and how it was made}."""
    found = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json")))
    return {each["name"]: each for each in found}


def measure(key: str, knobs: Mapping[str, Any], workshop: Any) -> Iterator[Any]:
    """(done, of) while it goes on, and then what was measured."""
    found = yield from catalogue.find("measurements", key).made(knobs).measure(workshop)
    yield found


def record(key: str, knobs: Mapping[str, Any], workshop: Any, folder: Path) -> Path:
    name = named(key, knobs)
    began = time.perf_counter()
    *_, found = measure(key, knobs, workshop)
    seconds = round(time.perf_counter() - began, 1)
    path = folder / f"{re.sub(r'[^a-z0-9.]+', '-', name.lower()).strip('-')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    made = {"name": name, "key": key, "knobs": dict(knobs), "made": provenance("python -m lab.measuring"), "seconds": seconds}
    path.write_text(json.dumps({**made, **found}, indent=1) + "\n")
    return path


def main() -> int:
    spin_briefly(os.environ)
    from lab.engine import Workshop
    from lab.supply import default_cache

    parser = argparse.ArgumentParser(prog="python -m lab.measuring", description="Make the measurements that lessons ask for, and keep them.")
    parser.add_argument("--lessons", type=Path, default=Path("lessons"), help="folder of lessons")
    parser.add_argument("--comparisons", type=Path, default=Path("assets/comparisons"))
    parser.add_argument("--out", type=Path, default=Path("assets/measurements"))
    options = parser.parse_args()
    try:
        known, workshop = recorded(options.out), Workshop(default_cache(), comparable=True)
        for lesson in lessons([options.lessons], options.comparisons).values():
            for asked in lesson.matter.measurements.values():
                if named(asked.name, asked.knobs) not in known:
                    print(record(asked.name, asked.knobs, workshop, options.out), file=sys.stderr)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
