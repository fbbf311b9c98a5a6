"""Make the recorded runs that the page shows before anything was run: `python -m lab.recording SPEC.json … [--out FOLDER]`.

Without a spec it makes the pair of the first screen: LoRA and full fine-tuning of MiniLM on movie reviews.
"""
from __future__ import annotations

import argparse
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

from lab.contracts import LabError
from lab.events import Event
from lab.recorded import write
from lab.spec import RunSpec
from lab.supply import default_cache

USUAL = ({"model": "minilm-l6", "method": "lora"}, {"model": "minilm-l6", "method": "full"})
FOLDER = Path(__file__).resolve().parent.parent / "assets" / "recorded"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.recording", description=__doc__.splitlines()[0])
    parser.add_argument("specs", type=Path, nargs="*", metavar="SPEC.json")
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--cache", type=Path, default=None, help="folder of fetched weights and data")
    options = parser.parse_args()
    try:
        for spec in [RunSpec.read(path) for path in options.specs] or [RunSpec.parse(each) for each in USUAL]:
            record(spec, options.cache or default_cache(), options.out)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def record(spec: RunSpec, cache: Path, out: Path) -> Path:
    """Run it here and write its events. Raises LabError if it did not finish."""
    from lab.engine import Workshop, train

    events: list[Event] = []
    for event in train(spec, Workshop(cache)):
        events.append(event)
        print(f"{spec.method.key}: {event.name}", file=sys.stderr)
    if events[-1].name != "finished":
        raise LabError(f"the run ended as {events[-1].name}: {getattr(events[-1], 'reason', '')}")
    path = out / f"{spec.model}_{spec.task}_{spec.method.key}_{spec.fingerprint[:8]}.jsonl.gz"
    write(path, _made(), events)
    return path


def _made() -> dict[str, object]:
    return {"date": datetime.now(UTC).date().isoformat(), "machine": platform.machine(), "system": platform.system(), "cores": os.cpu_count(),
            "command": "python -m lab.recording"}


if __name__ == "__main__":
    sys.exit(main())
