"""One spec: run in this process, or written as a script."""
from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from lab import reporting
from lab.cli.commands import Commands, stop_signals
from lab.cli.printing import REPORT, opened, printed, said_score, write
from lab.contracts import LabError
from lab.events import Cancelled, Evaluated, Event, Failed, Finished, Observed, Preparing, Started, Stepped, fold, to_json
from lab.spec import RunSpec
from lab.supply import default_cache
from lab.ui.wording import THIN, speed, unit
from lab.waiting import spin_briefly

DEFAULT_RUN = {"model": "minilm-l6", "task": "movies", "method": {"name": "lora", "rank": 8}}


def add(commands: Commands) -> None:
    run = commands.add("train", _train, "run one spec in this process", data=True, cache=True)
    run.add_argument("spec", type=Path, nargs="?", metavar="SPEC.json", help="left out: LoRA on MiniLM, movie reviews")
    run.add_argument("--events", metavar="FILE", help="write events as JSON lines to a file, or - for standard output")
    run.add_argument("--out", type=Path, metavar="DIR", help="folder for spec.json, events.jsonl, result.json and adapter/")
    export = commands.add("export", _export, "write a run as a plain script of at most 40 lines, with its data", data=True, cache=True)
    export.add_argument("spec", type=Path, metavar="SPEC.json")
    export.add_argument("--out", type=Path, metavar="DIR", required=True, help="folder for train.py, train.ipynb, data.jsonl and requirements.txt")


def _train(options: argparse.Namespace) -> int:
    spec = RunSpec.read(options.spec) if options.spec else RunSpec.parse(DEFAULT_RUN)
    spec.base, spec.goal  # noqa: B018  a spec of a bare config is refused here, before torch is loaded
    if spec.goal.gone:
        raise LabError(spec.goal.gone)
    stopped = stop_signals()
    quiet = options.json or options.events == "-"
    with ExitStack() as files:
        sinks = _sinks(options, files, quiet)
        events = []
        for event in _events(spec, options, stopped):
            events.append(event)
            for sink in sinks:
                sink(event)
    result = fold(events)
    if options.out:
        write(options.out / "result.json", json.dumps(result.to_dict(), ensure_ascii=False, indent=1))
        write(options.out / REPORT, reporting.of_run(result, f"{spec.method.title} on {spec.base.title}, {spec.goal.title}"))
    if options.json:
        print(json.dumps(result.to_dict(), ensure_ascii=False))
    if result.state == "failed":
        print(f"error: {result.reason} {result.advice}".rstrip(), file=sys.stderr)
    return {"finished": 0, "cancelled": 130}.get(result.state, 1)


def _events(spec: RunSpec, options: argparse.Namespace, stopped: list[int]) -> Iterator[Event]:
    if options.out:
        write(options.out / "spec.json", json.dumps(spec.to_dict(), ensure_ascii=False, indent=1))
    steps = f"{spec.steps} steps of {spec.batch} {unit(spec.task)}"
    print(f"{spec.method.title} on {spec.base.title}, {spec.goal.title}: {steps}. Loading torch …", file=sys.stderr)
    spin_briefly(os.environ)
    from lab.engine import Workshop, train

    workshop = Workshop(options.cache or default_cache())
    yield from train(spec, workshop, out=options.out, cancelled=lambda: bool(stopped))


def _sinks(options: argparse.Namespace, files: ExitStack, quiet: bool) -> list[Callable[[Event], None]]:
    """Where events go: the folder, the file or standard output that was asked for, and else a line for a person."""
    sinks: list[Callable[[Event], None]] = [] if quiet else [_tell]
    targets = [options.out / "events.jsonl"] if options.out else []
    if options.events and options.events != "-":
        targets.append(Path(options.events))
    for path in targets:
        sinks.append(_line_writer(files.enter_context(opened(path))))
    if options.events == "-":
        sinks.append(_line_writer(sys.stdout))
    return sinks


def _line_writer(file: IO[str]) -> Callable[[Event], None]:
    return lambda event: print(to_json(event), file=file, flush=True)


def _tell(event: Event) -> None:
    """One line for a person."""
    match event:
        case Preparing():
            size = f" {event.done_bytes / 1e6:.0f} of {event.total_bytes / 1e6:.0f} MB" if event.total_bytes else ""
            line = f"{event.what}{size}"
        case Started():
            counts = event.counts
            line = (f"trains {counts['trainable']:,} of {counts['total']:,} parameters ({counts['share']:.3%}): "
                    f"method {counts['method']:,}, head {counts['head']:,}; {event.dtype} on {event.device}, {event.threads} threads")
        case Stepped():
            pace = speed(event.step / event.seconds).replace(THIN, " ") if event.seconds and event.step else ""
            line = f"step {event.step:4}  loss {event.loss:.3f}  {pace}" if pace else f"step {event.step}"
        case Evaluated():
            more = "".join(f"; {name} {said_score(*found, name.partition(' (')[0])}" for name, found in event.more.items())
            line = f"{event.who:9} {event.metric} {said_score(event.score, event.standard_error, event.metric)} on {event.items:,} {event.split} items{more}"
        case Observed(lens="memory"):
            line = f"memory of a step: {event.value['peak_bytes'] / 1e6:.1f} MB at the {event.value['peak_moment'].replace('_', ' ')}"
        case Finished():
            line = f"finished: {event.seconds['training']:.1f} s of training, {event.seconds['total']:.1f} s in all"
        case Cancelled() | Failed():
            line = f"{event.name}: {event.reason}"
        case _:
            return
    print(line, flush=True)


def _export(options: argparse.Namespace) -> int:
    from lab import export

    spec = RunSpec.read(options.spec)
    script = export.script(spec)  # what cannot be written is refused before torch is loaded
    spin_briefly(os.environ)
    from lab.engine import Workshop
    from lab.engine.feeding import fed
    from lab.engine.scoring import finished

    files, batches = finished(fed(spec, Workshop(options.cache or default_cache())))
    export.write(options.out, spec, script, batches, files.folder)
    base = "" if spec.base.seeded else f" {files.folder}"
    found = {"folder": str(options.out), "lines": script.lines, "command": f"cd {options.out} && python {export.SCRIPT}{base}"}
    return printed(found, options.json, lambda found: (f"{options.out / export.SCRIPT}: {found['lines']} lines", f"run it: {found['command']}"))
