"""How a command is added: its function, its help, and what several share: options, the folder of a run, being asked to stop."""
from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Callable
from pathlib import Path

from lab.contracts import LabError


def run_folder(folder: Path) -> Path:
    """Raises LabError where there is none."""
    if not folder.is_dir():
        raise LabError(f"there is no folder {folder}: give one that `python -m lab train SPEC.json --out FOLDER` has filled")
    return folder


def stop_signals() -> list[int]:
    """Filled as soon as somebody asks this process to stop, by Ctrl-C or SIGTERM."""
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: stopped.append(number))
    return stopped


class Commands:
    """The commands of one parser; the options of a command know its `name` and the function that is to `act`."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._commands = parser.add_subparsers(required=True, metavar="command")

    def add(self, name: str, act: Callable[[argparse.Namespace], int], help: str, *, data: bool = False, cache: bool = False) -> argparse.ArgumentParser:
        added = self._commands.add_parser(name, help=help, description=help)
        added.set_defaults(act=act, name=name)
        added.add_argument("--json", action="store_true", help="print one JSON document")
        if data:
            added.add_argument("--data", type=Path, default=Path(os.environ.get("LAB_DATA", "data")), help="folder of the lab's runs (default: data)")
        if cache:
            added.add_argument("--cache", type=Path, default=None, help="folder of fetched weights and data")
        return added
