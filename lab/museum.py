"""The museum of failures: a run that is broken on purpose for each diagnosis, recorded here and read by the page.

    python -m lab.museum [--out FOLDER]    runs what is missing
"""
from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab import catalogue
from lab.contracts import LabError
from lab.diagnosed import Diagnosis, diagnose
from lab.events import Observed
from lab.recording import Recorded, provenance, read, write
from lab.spec import RunSpec
from lab.waiting import spin_briefly

KEPT = ("memory", "answers", "read", "samples", "gradient_norms", "prompt_drift", "general_text", "template", "wording", "reloaded")


def spec_of(diagnosis: type[Diagnosis]) -> RunSpec:
    return RunSpec.parse(dict(diagnosis.broken))


def exhibits(folder: Path) -> dict[str, Recorded]:
    """What was recorded, by the key of its diagnosis; one whose settings have changed since is left out."""
    found = {}
    for key, diagnosis in catalogue.entries("diagnoses").items():
        path = folder / f"{key}.jsonl.gz"
        recorded = read(path) if path.exists() else None
        if recorded is not None and recorded.result.started and recorded.result.started.fingerprint == spec_of(diagnosis).fingerprint:
            found[key] = recorded
    return found


def record(folder: Path, workshop: Any) -> None:
    """Raises LabError where a run that should go wrong in one way is not diagnosed so."""
    from lab.engine import train

    known = exhibits(folder)
    for key, diagnosis in catalogue.entries("diagnoses").items():
        if key in known:
            continue
        with TemporaryDirectory() as out:
            events = [event for event in train(spec_of(diagnosis), workshop, out=Path(out)) if not isinstance(event, Observed) or event.lens in KEPT]
        write(folder / f"{key}.jsonl.gz", provenance("python -m lab.museum"), events)
        found = [each.key for each in diagnose(read(folder / f"{key}.jsonl.gz").result)]
        print(f"{key}: {events[-1].name}, diagnosed as {', '.join(found) or 'nothing'}", file=sys.stderr, flush=True)
        if key not in found:
            raise LabError(f"{key} is not diagnosed as such: its broken run must show what it tells")


def main() -> int:
    spin_briefly(os.environ)
    from lab.engine import Workshop
    from lab.supply import default_cache

    parser = argparse.ArgumentParser(prog="python -m lab.museum", description="Run what is broken on purpose, and keep its events.")
    parser.add_argument("--out", type=Path, default=Path("assets/museum"))
    options = parser.parse_args()
    try:
        record(options.out, Workshop(default_cache()))
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
