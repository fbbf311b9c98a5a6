"""Several finished runs on one base: asked in one batch, timed, or mixed."""
from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.cli.commands import Commands, run_folder
from lab.cli.printing import printed
from lab.contracts import LabError
from lab.events import fold
from lab.serving import MIXED, THROUGHPUT, TOGETHER, Gathering, Mixture
from lab.supply import default_cache
from lab.waiting import spin_briefly


def add(commands: Commands) -> None:
    together = commands.add("together", _together, "ask several runs of one base in one batch, or mix them, and say what it is worth", cache=True)
    together.add_argument("runs", type=Path, nargs="+", metavar="RUN_DIR", help="folders that `train --out` has filled, two to eight")
    what = together.add_mutually_exclusive_group(required=True)
    what.add_argument("--text", help="a text that all are asked, in one batch")
    what.add_argument("--time", type=int, metavar="CALLS", help="time one batch for all against one batch a run, so many times")
    what.add_argument("--mix", metavar="WAY", help="score a mix: posterior, average, sum, linear, ties, dare_linear, dare_ties, svd …")
    together.add_argument("--weights", default="", metavar="W,W,…", help="one for each run of a mix; all alike unless said otherwise")
    together.add_argument("--split", choices=("validation", "test"), default="validation", help="the items that a mix is scored on")
    together.add_argument("--items", type=int, default=200, help="of each domain")


def _together(options: argparse.Namespace) -> int:
    question = _question(options)
    spin_briefly(os.environ)
    from lab.engine import Shelf, Workshop
    from lab.engine.answering import several

    result = fold(several(question, options.runs, Shelf(Workshop(options.cache or default_cache()))))
    if result.state != "finished":
        raise LabError(f"{result.reason} {result.advice}".rstrip())
    topic, lines = (MIXED, _mixed) if options.mix else (THROUGHPUT, _timed) if options.time else (TOGETHER, _answered)
    return printed(result.seen(topic), options.json, lambda seen: lines(seen, [str(run) for run in options.runs]))


def _question(options: argparse.Namespace) -> Gathering | Mixture:
    for run in options.runs:
        run_folder(run)
    names = [f"run{number}" for number in range(len(options.runs))]
    if options.mix:
        try:
            weights = [float(each) for each in options.weights.split(",")] if options.weights else [1 / len(names)] * len(names)
        except ValueError:
            raise LabError(f"weights is {options.weights}: give numbers with commas between them, like 0.5,0.5") from None
        return Mixture.parse({"runs": names, "way": options.mix, "weights": weights, "split": options.split, "items": options.items})
    if options.time is not None and options.time < 1:
        raise LabError(f"time is {options.time}: take at least 1 call of each")
    return Gathering.parse({"runs": names, "texts": [options.text if options.text is not None else "."] * len(names), "base": True, "calls": options.time or 0})


def _answered(seen: dict[str, Any], runs: list[str]) -> Iterator[str]:
    for row in seen["rows"]:
        run = runs[int(row["run"].removeprefix("run"))]
        said = row["text"] if "text" in row else ", ".join(f"{label} {chance:.1%}" for label, chance in zip(row["labels"], row["chances"], strict=True))
        yield f"{run}{' (untouched base)' if row['who'] == 'base' else ''}: {said}"
    yield _bytes(seen)


def _timed(seen: dict[str, Any], runs: list[str]) -> Iterator[str]:
    for each in seen["sizes"]:
        mixed, apart = each["mixed"]["median"], each["apart"]["median"]
        yield (f"{each['each']:2} texts of each: one batch {1000 * mixed:.1f} ms, one batch a run {1000 * apart:.1f} ms; {apart / mixed:.2f} times as fast, "
               f"{each['texts'] / mixed:.1f} texts/s")
    yield f"largest difference of the answers: {seen['far']:.1e} of the largest logit"
    yield _bytes(seen)


def _bytes(seen: dict[str, Any]) -> str:
    base, parts = seen["storage"]["base"], seen["storage"]["parts"]
    return f"one base and {len(parts)} parts {(base + sum(parts)) / 1e6:,.1f} MB; {len(parts)} whole copies {len(parts) * base / 1e6:,.1f} MB"


def _mixed(seen: dict[str, Any], runs: list[str]) -> Iterator[str]:
    names = {f"run {place}": run for place, run in enumerate(runs)} | {"own": "each text's own expert", "uniform": "all answers alike", "mix": "the mix"}
    width = max(map(len, names.values()))
    yield f"{'':{width}}  " + "  ".join(f"{each['task']:>15}" for each in (*seen["domains"], {"task": "all"}))
    for row in seen["rows"]:
        cells = (*row["cells"], row["all"])
        yield f"{names[row['who']]:{width}}  " + "  ".join(f"{cell['accuracy']:.3f} ± {cell['error']:.3f}".rjust(15) for cell in cells)
        if "perplexity" in cells[0]:
            yield f"{'perplexity':>{width}}  " + "  ".join(f"{cell['perplexity']:.3g} ± {cell['perplexity_error']:.2g}".rjust(15) for cell in cells)
    verdict = seen["verdict"]
    yield (f"mix against {runs[seen['best']]}, the best single one on validation items: {verdict['only_mix']} to {verdict['only_best']} of {verdict['items']} "
           f"items, {100 * verdict['difference']:+.1f} points ({100 * verdict['low']:+.1f} to {100 * verdict['high']:+.1f}), McNemar p {verdict['p']:.3f}")
