"""Read a folder of the lab as a catalogue: one file, one `entry`; the file name is its key with `-` and `.` written `_`."""
from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from lab.contracts import LabError

ONE = {"lenses": "lens"}  # of a folder whose name has more than an s at its end


@cache
def entries(folder: str) -> dict[str, Any]:
    """{key: entry} of `lab/<folder>/`, in alphabetical order of the files; files that start with `_` hold shared code."""
    found: dict[str, Any] = {}
    for path in sorted((Path(__file__).parent / folder).glob("[!_]*.py")):
        module = import_module(f"lab.{folder}.{path.stem}")
        entry = module.entry
        if file_name(entry.key) != path.stem:
            raise LabError(f'lab/{folder}/{path.name} declares the key "{entry.key}": call the file {file_name(entry.key)}.py or change the key')
        found[entry.key] = entry
    return found


def file_name(key: str) -> str:
    return key.replace("-", "_").replace(".", "_")


def find(folder: str, key: Any) -> Any:
    """The entry, or a LabError that lists what there is."""
    known = entries(folder)
    if not isinstance(key, str) or key not in known:
        shown = key if isinstance(key, str) and len(key) < 60 else f"{str(key)[:57]}…"
        raise LabError(f'unknown {ONE.get(folder, folder[:-1])} "{shown}": there are {", ".join(known)}')
    return known[key]
