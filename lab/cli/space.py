"""The lab as a Hugging Face Space: the tree to push, and the push."""
from __future__ import annotations

import argparse
from pathlib import Path

from lab import hosting
from lab.cli.commands import Commands
from lab.cli.printing import printed
from lab.contracts import LabError
from lab.pushing import push_space

ORDERS = ("build --hardware cpu|zero-gpu|gpu --out DIR", "push DIR REPO")


def add(commands: Commands) -> None:
    space = commands.add("space", _space, "the lab as a Hugging Face Space: " + ", ".join(ORDERS))
    space.add_argument("what", choices=("build", "push"))
    space.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="what to push: a folder that was built")
    space.add_argument("repository", nargs="?", metavar="REPO", help="name of the Space, or owner/name; a new one is private")
    space.add_argument("--hardware", default="cpu", metavar="|".join(hosting.HARDWARE), help="what the Space runs on (default: cpu)")
    space.add_argument("--out", type=Path, metavar="DIR", help="an empty folder to build into")
    space.add_argument("--endpoint", metavar="ADDRESS", help="another Hub than huggingface.co")


def _space(options: argparse.Namespace) -> int:
    return _build(options) if options.what == "build" else _push(options)


def _build(options: argparse.Namespace) -> int:
    if options.folder or not options.out:
        raise LabError(f"space build takes its folder as --out: python -m lab space {ORDERS[0]}")
    names = hosting.build(Path(__file__).resolve().parents[2], options.hardware, options.out)
    size = sum((options.out / name).stat().st_size for name in names)
    return printed({"folder": str(options.out), "hardware": options.hardware, "files": len(names), "bytes": size}, options.json,
                   lambda told: [f"{told['files']} files, {told['bytes'] / 1e6:.1f} MB, for {hosting.known(options.hardware).title} in {options.out}"])


def _push(options: argparse.Namespace) -> int:
    from huggingface_hub import get_token

    if not options.folder or not options.repository:
        raise LabError(f"space push takes a folder and a name: python -m lab space {ORDERS[1]}")
    token = get_token()
    if not token:
        raise LabError("there is no token for the Hub: set HF_TOKEN to one that may write, or sign in with `hf auth login`")
    done = push_space(options.folder, options.repository, token, options.endpoint)
    return printed({"repository": done.repository, "address": done.address, "commit": done.commit}, options.json,
                   lambda told: [f"{told['repository']} is at {told['address']}"])
