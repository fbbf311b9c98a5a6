"""Recorded runs that come with the lab: event streams in files, read through the same fold as a live run, and the command that makes them.

A file is gzipped JSON lines: first where and how it was made, then one event a line.

    python -m lab.recording [SPEC.json …] [--out FOLDER] [--lenses KEY …]    without a spec: what is missing of the usual ones
"""
from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab import catalogue
from lab.contracts import LabError
from lab.events import Event, Finished, Observed, RunResult, fold, from_json, to_json
from lab.lens import Look, Probe, fitting
from lab.spec import RunSpec
from lab.waiting import allowed_cores, spin_briefly

FORMAT = 1
INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2", "bf16", "asimd")  # of a processor: what decides how fast its arithmetic is
PARTS = {"swap_test": ("prompt_neighbours", "swap")}  # probes whose value is a part of another's: asking a decoder twice takes minutes
USUAL = (  # the pair of the first screen, then every task that needs no Hub on a model that suits it
    {"model": "minilm-l6", "method": "lora"}, {"model": "minilm-l6", "method": "full"},
    *({"model": "minilm-l6", "method": "lora", "task": task} for task in ("products", "editorials", "tweets")),
    *({"model": "smollm2-135m", "method": "lora", "task": task} for task in ("movies", "table_to_text", "short_qa", "headline", "random_pairs", "new_facts")),
    {"model": "seed-vit", "method": "full"}, {"model": "seed-vit", "method": "lora"},
    # soft prompts from each start, for who looks inside
    *({"model": model, "task": "movies", "method": {"name": "prompt_tuning", "init": init}}
      for model in ("minilm-l6", "smollm2-135m") for init in ("vocabulary", "random", "text", "labels")),
)


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Recorded:
    """One recorded run. `made` says when, on what machine and with what command."""

    key: str
    made: dict[str, Any]
    events: tuple[Event, ...]

    @cached_property
    def result(self) -> RunResult:
        return fold(self.events)

    @cached_property
    def spec(self) -> RunSpec:
        if self.result.started is None:
            raise LabError(f"the recorded run {self.key} has no beginning: record it again")
        return RunSpec.parse(self.result.started.spec)


def read(path: Path) -> Recorded:
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    made = json.loads(lines[0])
    if made.pop("recording", None) != FORMAT:
        raise LabError(f"{path.name} is not a recorded run of this lab: record it again")
    return Recorded(path.name.removesuffix(".jsonl.gz"), made, tuple(from_json(line) for line in lines[1:]))


def shelf(folder: Path) -> tuple[Recorded, ...]:
    """All finished recorded runs of a folder; one whose settings the catalogue no longer knows is left out, the page does without it."""
    return tuple(recorded for recorded in map(read, sorted(folder.glob("*.jsonl.gz"))) if _usable(recorded))


def find(recorded: Sequence[Recorded], model: str, task: str, method: str) -> Recorded | None:
    return next((each for each in recorded if (each.spec.model, each.spec.task, each.spec.method.key) == (model, task, method)), None)


def _usable(recorded: Recorded) -> bool:
    try:
        return recorded.result.state == "finished" and bool(recorded.spec.fingerprint)
    except LabError:
        return False


# ── making ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def write(path: Path, made: dict[str, Any], events: Iterable[Event]) -> None:
    header = json.dumps({"recording": FORMAT, **made}, ensure_ascii=False)
    text = "\n".join([header, *(to_json(event) for event in events)]) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))  # no time stamp: equal runs give equal files


def record(spec: RunSpec, workshop: Any, out: Path, lenses: Collection[str] | None = None) -> Path:
    """Run it here, look at it through every probe, or these, and write its events, in place of an older recording of the same model, task, method and
    knobs. Raises LabError if it did not finish."""
    from lab.engine import train

    events: list[Event] = []
    with TemporaryDirectory() as folder:
        for event in train(spec, workshop, out=Path(folder)):
            events.append(event)
            print(f"{_name(spec)}: {event.name}", file=sys.stderr)
        if not isinstance(events[-1], Finished):
            raise LabError(f"the run ended as {events[-1].name}: {getattr(events[-1], 'reason', '')}")
        for lens in (lens for lens in fitting(spec, Probe) if lenses is None or lens in lenses):
            events.insert(-1, _known(lens, events) or _looked(lens, Path(folder), workshop))
    path = _path(spec, out)
    for old in out.glob(path.name.replace(spec.fingerprint[:8], "????????")):
        old.unlink()
    write(path, provenance("python -m lab.recording"), events)
    return path


def _known(lens: str, events: Iterable[Event]) -> Observed | None:
    """What a probe sees, where it is a part of what another has seen in this run already."""
    other, part = PARTS.get(lens, ("", ""))
    return next((Observed(event.step, lens, event.value[part]) for event in events if isinstance(event, Observed) and event.lens == other), None)


def _looked(lens: str, folder: Path, workshop: Any) -> Observed:
    """What a probe sees in the run. Raises LabError where it fails."""
    from lab.engine import look

    print(f"  {lens}", file=sys.stderr)
    events = list(look(Look.parse({"run": "recorded", "lens": lens}), folder, workshop))
    if not isinstance(events[-1], Finished):
        raise LabError(f"{lens} failed on {folder.name}: {getattr(events[-1], 'reason', '')}")
    return next(event for event in events if isinstance(event, Observed) and event.lens == lens)


def provenance(command: str) -> dict[str, Any]:
    """When, on what machine and with what command. The processor is a part of it: two of one architecture differ in speed by more than most methods do."""
    name, instructions = processor()
    return {"date": datetime.now(UTC).date().isoformat(), "machine": platform.machine(), "system": platform.system(), "cores": os.cpu_count(),
            "threads": threads(), "cpu": name, "instructions": instructions, "command": command}


def threads() -> int:
    """As many as arithmetic may use here."""
    allowed = allowed_cores()
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(allowed, int(asked)) if asked.isdigit() and int(asked) else allowed


def processor(told: str | None = None) -> tuple[str, list[str]]:
    """Its model's name, and which of INSTRUCTIONS it has; `told` is the text of /proc/cpuinfo. A name that nobody tells is ""."""
    if told is None:
        told = next((path.read_text(encoding="utf-8", errors="replace") for path in [Path("/proc/cpuinfo")] if path.exists()), "")
    lines = dict(reversed([(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in told.splitlines())]))  # of the first core
    if not lines and platform.system() == "Darwin":
        lines = {"model name": _sysctl("machdep.cpu.brand_string"), "flags": _sysctl("machdep.cpu.leaf7_features").lower()}
    name = next((lines[key] for key in ("model name", "Model", "Hardware", "CPU part") if lines.get(key)), "") or platform.processor()
    if lines.get("cpu family") and lines.get("model"):  # rented machines often hide the name
        name += f", family {lines['cpu family']} model {lines['model']}"
    flags = set((lines.get("flags") or lines.get("Features") or "").split())
    return name, [each for each in INSTRUCTIONS if each in flags]


def _sysctl(key: str) -> str:
    try:
        return subprocess.run(["sysctl", "-n", key], capture_output=True, text=True, timeout=5, check=False).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _path(spec: RunSpec, out: Path) -> Path:
    return out / f"{_name(spec)}_{spec.fingerprint[:8]}.jsonl.gz"


def _name(spec: RunSpec) -> str:
    """Model, task, method, and the choices of it that are not the default ones."""
    usual = type(spec.method)().settings()
    chosen = [re.sub(r"[^a-z0-9]+", "-", value.lower())[:20] for knob, value in spec.method.settings().items()
              if isinstance(value, str) and value != usual[knob]]
    return "_".join((spec.model, spec.task, "-".join((spec.method.key, *chosen))))


def main() -> int:
    spin_briefly(os.environ)
    from lab.engine import Workshop
    from lab.supply import default_cache

    parser = argparse.ArgumentParser(prog="python -m lab.recording", description="Run specs and keep their events for the page's first screen.")
    parser.add_argument("specs", type=Path, nargs="*", metavar="SPEC.json", help="left out: those of the usual ones that are not recorded yet")
    parser.add_argument("--out", type=Path, default=Path("assets/recorded"))
    parser.add_argument("--cache", type=Path, default=None, help="folder of fetched weights and data")
    parser.add_argument("--lenses", nargs="+", metavar="KEY", help="probes to look through; left out: all that fit, which takes long on a decoder")
    options = parser.parse_args()
    try:
        for lens in options.lenses or ():
            catalogue.find("lenses", lens)
        usual = (spec for spec in map(RunSpec.parse, USUAL) if not _path(spec, options.out).exists())
        workshop = Workshop(options.cache or default_cache())
        for spec in [RunSpec.read(path) for path in options.specs] or usual:
            record(spec, workshop, options.out, options.lenses)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
