"""The command line: lists, counts and runs. `--json` prints one JSON document; errors go to stderr.

Exit codes: 0 done; 1 the run failed; 2 bad input, nothing ran; 130 cancelled.
"""
from __future__ import annotations

import argparse
import json
import os
import runpy
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from lab import catalogue, describe
from lab.accounting.devices import GPUS
from lab.contracts import LabError
from lab.events import Cancelled, Evaluated, Event, Failed, Finished, Observed, Preparing, RunResult, Started, Stepped, fold, to_json
from lab.forecast.forecaster import Forecaster
from lab.forecast.order import Order
from lab.metrics import METRICS
from lab.spec import RunSpec
from lab.supply import Supply, default_cache
from lab.ui.wording import THIN, speed, unit
from lab.waiting import spin_briefly

DEFAULT_RUN = {"model": "minilm-l6", "task": "movies", "method": {"name": "lora", "rank": 8}}


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return options.act(options)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output has gone, `| head` for instance
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab", description="The PEFT Lab: choose a small model and a method, train, and see what it cost.")
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, act: Callable[[argparse.Namespace], int], help: str, *, data: bool = False) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help)
        added.set_defaults(act=act, name=name)
        added.add_argument("--json", action="store_true", help="print one JSON document")
        if data:
            added.add_argument("--data", type=Path, default=Path(os.environ.get("LAB_DATA", "data")), help="folder of the lab's runs (default: data)")
        return added

    for folder in ("models", "methods", "tasks", "lenses"):
        command(folder, _list, f"list the {folder} of the catalogue")
    command("devices", _devices, "list what this machine can run on, and the GPUs that memory can be foretold for")
    command("runs", _runs, "list the runs in a data folder", data=True)
    command("count", _count, "count trainable parameters; downloads nothing").add_argument("spec", type=Path, metavar="SPEC.json")
    memory = command("memory", _memory, "foretell the memory of a training step, part by part; downloads nothing")
    memory.add_argument("spec", type=Path, metavar="SPEC.json", help="`device` in it may also be a GPU from `devices`, or a size such as 12 GB")
    memory.add_argument("--cache", type=Path, default=None, help="folder of earlier answers")
    export = command("export", _export, "write a run as a plain script of at most 40 lines, with its data")
    export.add_argument("spec", type=Path, metavar="SPEC.json")
    export.add_argument("--out", type=Path, metavar="DIR", required=True, help="folder for train.py, data.jsonl and requirements.txt")
    export.add_argument("--cache", type=Path, default=None, help="folder of fetched weights and data")
    run = command("train", _train, "run one spec in this process")
    run.add_argument("spec", type=Path, nargs="?", metavar="SPEC.json", help="left out: LoRA on MiniLM, movie reviews")
    run.add_argument("--events", metavar="FILE", help="write events as JSON lines to a file, or - for standard output")
    run.add_argument("--out", type=Path, metavar="DIR", help="folder for spec.json, events.jsonl, result.json and adapter/")
    run.add_argument("--cache", type=Path, default=None, help="folder of fetched weights and data")
    ask = command("ask", _ask, "ask a trained model and the untouched one, side by side")
    ask.add_argument("run", type=Path, metavar="RUN_DIR", help="a folder that `train --out` has filled")
    ask.add_argument("text")
    ask.add_argument("--sampled", type=float, metavar="TEMPERATURE", help="draw the words of a written answer instead of taking the likeliest")
    ask.add_argument("--seed", type=int, default=0, help="start of that drawing")
    ask.add_argument("--cache", type=Path, default=None, help="folder of fetched weights and data")
    serve = command("serve", _serve, "open the page and start the workers beside it", data=True)
    serve.add_argument("--host", default=None, help="address to listen on (default: this machine only)")
    serve.add_argument("--port", type=int, default=None, help="port (default: the first free one from 7860)")
    serve.add_argument("--runner", default="local", help="what runs the training: local (default)")
    return parser


def _serve(options: argparse.Namespace) -> int:
    """The composition stands in app.py, beside this package: it alone knows folders and ports."""
    compose = runpy.run_path(str(Path(__file__).resolve().parent.parent / "app.py"))["serve"]
    return compose(options.host, options.port, options.data, options.runner)


def _print(rows: Any, as_json: bool, lines: Callable[[Any], Iterator[str]]) -> int:
    print(json.dumps(rows, ensure_ascii=False, indent=1) if as_json else "\n".join(lines(rows)))
    return 0


def _list(options: argparse.Namespace) -> int:
    rows = describe.catalogue_rows(options.name)
    if options.name == "models":
        supply = Supply(default_cache())
        for row in rows:
            row["here"] = row["seeded"] or supply.known_sha256(catalogue.find("models", row["key"])) is not None
    return _print(rows, options.json, _titles)


def _titles(rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield f"{row['key']:16} {row['title']}"
        if row.get("about"):
            yield f"{'':16} {row['about']}"
        if "here" in row:
            yield f"{'':16} {'Lies on this machine.' if row['here'] and not row['seeded'] else row['origin']}"


def _devices(options: argparse.Namespace) -> int:
    """This machine's, to run on, and then the GPUs that memory can be foretold for."""
    rows = [{**row, "here": True} for row in describe.devices()] + [{**gpu.to_dict(), "title": gpu.key, "here": False} for gpu in GPUS]
    return _print(rows, options.json, lambda rows: (
        f"{row['key']:8} {row['title']}, {row['bytes'] / 1e9:.1f} GB" if row["here"] else f"{row['key']}, {row['bytes'] / 1e9:.0f} GB, for `memory` only"
        for row in rows))


def _runs(options: argparse.Namespace) -> int:
    from lab.store import Store

    if not options.data.is_dir():
        raise LabError(f"there is no folder {options.data}: give the data folder of a lab with --data")
    with Store(options.data) as store:
        rows = [_row(run, store.result(run.id)) for run in store.history(None, limit=1000)]
    return _print(rows, options.json, lambda rows: map(_line, rows))


def _row(run: Any, result: RunResult) -> dict[str, Any]:
    return {"id": run.id, "kind": run.kind, "state": run.state, "title": run.title, "owner": run.owner, "created": run.created, "reason": run.reason,
            "spec": run.settings, "scores": result.to_dict()["scores"]}


def _line(row: dict[str, Any]) -> str:
    spec, tuned = row["spec"], row["scores"].get("tuned")
    score = _said(tuned["score"], tuned["standard_error"], tuned["metric"]) if tuned else ""
    when = datetime.fromtimestamp(row["created"]).isoformat(" ", "minutes")
    return f"{row['id']}  {when}  {row['state']:9} {score:13}  {spec['model']} {spec['task']} {spec['method']['name']} {row['title']}".rstrip()


def _said(score: float, error: float, metric: str) -> str:
    digits = METRICS[metric].digits if metric in METRICS else 3
    return f"{score:.{digits}f} ± {error:.{digits}f}"


def _count(options: argparse.Namespace) -> int:
    return _print(Order.read(options.spec).spec.counts.to_dict(), options.json, lambda counts: (
        f"{name:10} {value:,}" for name, value in counts.items() if isinstance(value, int)))


def _memory(options: argparse.Namespace) -> int:
    """A process of its own traces the step; an answer that was given before needs none."""
    forecaster = Forecaster((options.cache or default_cache()) / "forecast")
    try:
        found = forecaster.memory(Order.read(options.spec))
    finally:
        forecaster.close()
    return _print(found, options.json, _parts)


def _parts(found: dict[str, Any]) -> Iterator[str]:
    yield f"peak       {found['peak_bytes'] / 1e9:,.3f} GB at the {found['peak_moment'].replace('_', ' ')}, on {found['device']}"
    for part, size in found["parts"].items():
        yield f"{part:12} {size / 1e9:10,.3f} GB"
    for moment in found["moments"]:
        yield f"{moment['name']:15} {moment['bytes'] / 1e9:7,.3f} GB"
    if found["reserved_bytes"]:
        reserved = f"reserved   {found['reserved_bytes'] / 1e9:,.3f} GB, at most {found['reserved_most_bytes'] / 1e9:,.3f} GB"
        yield f"{reserved}; {found['fits'].replace('_', ' ')}" if found["fits"] else reserved
    yield from found["assumptions"]


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
    return _print(found, options.json, lambda found: (f"{options.out / export.SCRIPT}: {found['lines']} lines", f"run it: {found['command']}"))


def _train(options: argparse.Namespace) -> int:
    spec = RunSpec.read(options.spec) if options.spec else RunSpec.parse(DEFAULT_RUN)
    spec.base, spec.goal  # noqa: B018  a spec of a bare config is refused here, before torch is loaded
    stopped: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: stopped.append(number))
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
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
        _write(options.out / "result.json", json.dumps(result.to_dict(), ensure_ascii=False, indent=1))
    if options.json:
        print(json.dumps(result.to_dict(), ensure_ascii=False))
    if result.state == "failed":
        print(f"error: {result.reason} {result.advice}".rstrip(), file=sys.stderr)
    return {"finished": 0, "cancelled": 130}.get(result.state, 1)


def _ask(options: argparse.Namespace) -> int:
    """Written answers appear as they come; a label with the probability of each."""
    if not options.run.is_dir():
        raise LabError(f"there is no folder {options.run}: give one that `python -m lab train SPEC.json --out FOLDER` has filled")
    spin_briefly(os.environ)
    from lab.engine import Workshop
    from lab.engine.reload import reload
    from lab.engine.scoring import finished

    tuned = finished(reload(options.run, Workshop(options.cache or default_cache())))
    how = {"sampled": True, "temperature": options.sampled, "seed": options.seed} if options.sampled is not None else {}
    answers: dict[str, Any] = {}
    for who in ("untouched", "trained"):
        base = who == "untouched"
        if not tuned.spec.goal.writes and base and tuned.head is not None:
            continue  # an encoder without a head has no answer
        print("" if options.json else f"{who:9} ", end="", flush=True)
        if tuned.spec.goal.writes:
            answers[who] = "".join(_passed_on(tuned.streamed(options.text, base, **how), options.json))
        else:
            answers[who] = tuned.chances(options.text, base)
            print("" if options.json else ", ".join(f"{label} {chance:.1%}" for label, chance in answers[who].items()), end="")
        print(end="" if options.json else "\n")
    if options.json:
        print(json.dumps({"text": options.text, **answers}, ensure_ascii=False))
    return 0


def _passed_on(pieces: Iterator[str], quiet: bool) -> Iterator[str]:
    for piece in pieces:
        if not quiet:
            print(piece, end="", flush=True)
        yield piece


def _events(spec: RunSpec, options: argparse.Namespace, stopped: list[int]) -> Iterator[Event]:
    if options.out:
        _write(options.out / "spec.json", json.dumps(spec.to_dict(), ensure_ascii=False, indent=1))
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
        sinks.append(_line_writer(files.enter_context(_open(path))))
    if options.events == "-":
        sinks.append(_line_writer(sys.stdout))
    return sinks


def _line_writer(file: IO[str]) -> Callable[[Event], None]:
    return lambda event: print(to_json(event), file=file, flush=True)


def _open(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise LabError(f"cannot write {path}: {error.strerror}; give another folder") from None


def _write(path: Path, text: str) -> None:
    with _open(path) as file:
        file.write(text + "\n")


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
            more = "".join(f"; {name} {_said(*found, name.partition(' (')[0])}" for name, found in event.more.items())
            line = f"{event.who:9} {event.metric} {_said(event.score, event.standard_error, event.metric)} on {event.items:,} {event.split} items{more}"
        case Observed(lens="memory"):
            line = f"memory of a step: {event.value['peak_bytes'] / 1e6:.1f} MB at the {event.value['peak_moment'].replace('_', ' ')}"
        case Finished():
            line = f"finished: {event.seconds['training']:.1f} s of training, {event.seconds['total']:.1f} s in all"
        case Cancelled() | Failed():
            line = f"{event.name}: {event.reason}"
        case _:
            return
    print(line, flush=True)

