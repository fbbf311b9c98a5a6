"""The command line: lists, counts and runs. `--json` prints one JSON document; errors go to stderr.

Exit codes: 0 done; 1 the run failed; 2 bad input, nothing ran; 130 cancelled.
"""
from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from lab.cli import asking, comparing, costs, data, lessons, lists, serving, space, together, training
from lab.cli.commands import Commands
from lab.contracts import LabError


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if getattr(options, "data", None):
        os.environ["LAB_DATA"] = str(options.data.resolve())  # where uploaded sets lie, for this process and those that it starts
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
    commands = Commands(parser)
    for each in (lists, costs, training, data, comparing, asking, together, lessons, serving, space):
        each.add(commands)
    return parser
