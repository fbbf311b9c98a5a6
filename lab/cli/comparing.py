"""Arms × seeds, run in this process, and which is better."""
from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab import reporting
from lab.cli.commands import Commands, stop_signals
from lab.cli.printing import REPORT, printed, said_score, write
from lab.compare import Comparison, compare, warnings
from lab.compare.report import ENDED
from lab.compare.running import Began, Compared, Ended, Happened, Progress
from lab.compare.says import listed, with_warning
from lab.compare.steady import MARK
from lab.comparing import Shelf
from lab.events import Preparing, RunResult
from lab.metrics import METRICS
from lab.reporting.evidence import evidence
from lab.supply import default_cache
from lab.sweeping import note_rates, sweeps
from lab.waiting import spin_briefly


def add(commands: Commands) -> None:
    compared = commands.add("compare", _compare, "run arms with the same seeds, and tell which is better, with intervals", data=True, cache=True)
    compared.add_argument("comparison", type=Path, metavar="COMPARISON.json", help='{"base": SPEC, "arms": [{"name", "change"}, …], "seeds": [0, 1, 2]}')
    compared.add_argument("--assets", type=Path, default=Path("assets"), help="folder of recorded runs, for what is known of the methods beside these runs")
    compared.add_argument("--out", type=Path, metavar="DIR", required=True, help="folder for result.json and runs/; what has ended there is not run again")


def _compare(options: argparse.Namespace) -> int:
    """Progress goes to standard error, the verdicts to standard output."""
    comparison = Comparison.read(options.comparison)
    stopped = stop_signals()
    for warning in warnings(comparison):
        print(f"warning: {warning}", file=sys.stderr)
    seeds = f"{len(comparison.seeds)} seed{'' if len(comparison.seeds) == 1 else 's'}"
    print(f"{len(comparison.arms)} arms, {seeds}: {listed(list(comparison.specs))}. Loading torch …", file=sys.stderr)
    spin_briefly(os.environ)
    from lab.engine import Workshop

    tried = sweeps(options.assets / "sweeps")

    def noting(found: dict[str, Any]) -> None:
        note_rates(found["arms"], comparison.specs.values(), tried)

    found: dict[str, Any] = {}
    results: dict[str, RunResult] = {}
    workshop = Workshop(options.cache or default_cache())
    for event in compare(comparison, workshop, options.out, cancelled=lambda: bool(stopped), noting=noting):
        if isinstance(event, Compared):
            found = event.result
            continue
        if isinstance(event, Ended):
            results[comparison.run(event.arm, event.seed).fingerprint] = event.result
        if line := _progress(event):
            print(line, file=sys.stderr, flush=True)
    write(options.out / REPORT, reporting.of_comparison(found, results, known=evidence(comparison, tried, Shelf(options.assets / "comparisons"))))
    failed = [run for arm in found["arms"] for run in arm["runs"] if run["state"] == "failed"]
    if found["state"] == "cancelled":
        ended = sum(run["state"] in ENDED for arm in found["arms"] for run in arm["runs"])
        runs = len(comparison.arms) * len(comparison.seeds)
        print(f"stopped: {ended} of {runs} runs are kept in {options.out}; the same command again goes on from there", file=sys.stderr)
    printed(found, options.json, _verdicts)
    return 130 if found["state"] == "cancelled" else 1 if failed else 0


def _progress(event: Progress) -> str:
    """One line for a person, where there is something to say."""
    if isinstance(event, Happened):
        return f"  {event.event.what}" if isinstance(event.event, Preparing) else ""
    line = f"run {event.number} of {event.of}: {event.arm}, seed {event.seed}"
    if isinstance(event, Began):
        return line
    result = event.result
    if result.state == "finished":
        tuned = result.scores["tuned"]
        took = "already there" if event.reused else f"{result.seconds['total']:.1f} s"
        return f"{line}: {tuned.metric} {said_score(tuned.score, tuned.standard_error, tuned.metric)}, {took}"
    again = f"; it is run again once runs/{result.started.fingerprint} is deleted" if event.reused else ""
    return f"{line} {result.state}: {result.reason}{again}"


def _verdicts(found: dict[str, Any]) -> Iterator[str]:
    digits = METRICS[found["metric"]].digits if found["metric"] in METRICS else 3
    width = max(len(arm["name"]) for arm in found["arms"])
    for arm in found["arms"]:
        scores = " ".join("-" if score is None else f"{score:.{digits}f}" for score in arm["scores"])
        mean = "" if arm["mean"] is None else f"{arm['mean']:.{digits}f}"
        pace = f", {MARK if 'step_seconds' in arm['loaded'] else ''}{arm['step_seconds']:.3f} s a step" if arm["step_seconds"] else ""
        room = f", {arm['peak_bytes'] / 1e6:,.1f} MB" if arm["peak_bytes"] else ""
        tried = f", its rate the best of {arm['rates']} tried" if arm["rates"] else ""
        yield f"{arm['name']:{width}}  {found['metric']} {mean} ({scores}); trains {arm['trainable']:,} ({arm['share']:.3%}){pace}{room}{tried}"
    yield from map(with_warning, found["pairs"])
    if found["load"]:
        yield found["load"]
    shared = found["shared"]
    if all(row["same"] for row in shared):
        yield f"shared by all arms: {', '.join(shared[0]['parts'])}; seed by seed {' '.join(row['hash'] for row in shared)}"
    yield from (f"warning: {warning.rstrip('.')}." for warning in found["warnings"])
    if found["looks"]["says"] and found["looks"]["says"] not in found["warnings"]:
        yield found["looks"]["says"]
