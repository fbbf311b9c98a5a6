"""The page and the workers beside it; the copy of their data folder."""
from __future__ import annotations

import argparse
import os
import runpy
from pathlib import Path

from lab.backup import copy
from lab.cli.commands import Commands
from lab.cli.printing import printed

LARGEST_PORT = 65_535


def add(commands: Commands) -> None:
    serve = commands.add("serve", _serve, "open the page and start the workers beside it", data=True)
    serve.add_argument("--host", default=None, help="address to listen on (default: this machine only)")
    serve.add_argument("--port", type=_port, default=None, help="port (default: the first free one from 7860)")
    serve.add_argument("--config", type=Path, default=os.environ.get("LAB_CONFIG") or None, metavar="FILE",
                       help="a YAML file with what is offered and allowed, the class and its limits (default: LAB_CONFIG)")
    serve.add_argument("--runner", default="zerogpu" if os.environ.get("SPACES_ZERO_GPU") else "local",
                       help="what runs the training: local (default), zerogpu (default on a ZeroGPU Space), or ray, the machines of a cluster")
    serve.add_argument("--address", default=None, help="of a running Ray cluster, host:port, or auto; left out, ray uses this machine alone")
    serve.add_argument("--workers", type=int, default=None, help="runs at the same time (default: one a GPU, or one for two cores)")
    backup = commands.add("backup", _backup, "copy the data folder, also while the lab runs", data=True)
    backup.add_argument("folder", type=Path, metavar="DIR", help="folder of the copy; equal files in it stay as they are")


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= LARGEST_PORT:
        raise argparse.ArgumentTypeError(f'"{text[:20]}" is no port: must be a whole number, 0 to {LARGEST_PORT:,}; '
                                         "left out, the first free one from 7860 is taken")
    return int(text)


def _serve(options: argparse.Namespace) -> int:
    """The composition stands in app.py, beside this package: it alone knows folders and ports."""
    compose = runpy.run_path(str(Path(__file__).resolve().parents[2] / "app.py"))["serve"]
    return compose(options.host, options.port, options.data, options.runner, options.address, options.config, options.workers)


def _backup(options: argparse.Namespace) -> int:
    done = copy(options.data, options.folder)
    return printed({"folder": str(options.folder), "copied": done.copied, "kept": done.kept, "removed": done.removed}, options.json,
                    lambda told: [f"{told['folder']}: {told['copied']} files copied, {told['kept']} were there, {told['removed']} removed"])
