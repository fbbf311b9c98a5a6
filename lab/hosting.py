"""The lab as a Hugging Face Space: exactly the files to push, with the card, the Python and the requirements that its hardware takes.

A Space starts `app.py` by itself. Tests, checks and what only a developer needs stay behind.
"""
from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lab import catalogue
from lab.classroom.settings import SHORTEST_CODE, SHORTEST_SECRET
from lab.contracts import LabError

FOLDERS = ("lab", "assets", "lessons")
FILES = ("app.py", "LICENSE")
LEFT_OUT = ("__pycache__", ".*", "*.py[co]", "*.partial")
CARD, REQUIREMENTS = "README.md", "requirements.txt"


@dataclass(frozen=True)
class Hardware:
    """What one kind of Space differs in. `torch` replaces the range of requirements.txt, `more` are lines beside it."""

    title: str
    suggested: str  # as the Hub calls it
    python: str
    about: str
    torch: str = ""
    more: tuple[str, ...] = ()


HARDWARE: Mapping[str, Hardware] = MappingProxyType({
    "cpu": Hardware("a CPU Space", "cpu-basic", "3.11", "Training runs in warm worker processes beside the page, one for each two cores."),
    "zero-gpu": Hardware("a ZeroGPU Space", "zero-a10g", "3.12.12",
                         "A training borrows a GPU for the time it is foretold to take, of the visitor's own daily quota; looks and questions run on the CPU.",
                         "torch>=2.8,<2.12", ("spaces>=0.51,<1             # borrows the GPU for one run at a time",)),
    "gpu": Hardware("a GPU Space", "l4x1", "3.11", "Each GPU has a warm worker process of its own; runs go one after the other on it."),
})


def build(root: Path, hardware: str, out: Path) -> tuple[str, ...]:
    """Fill the folder `out` from the lab's own folder `root`; the names of all files. Raises LabError where that is no empty folder."""
    kind = known(hardware)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise LabError(f"out is {out}: must be a folder that is empty or not there yet")
    if out.resolve().is_relative_to(root.resolve() / "lab") or out.resolve().is_relative_to(root.resolve() / "assets"):
        raise LabError(f"out is {out}: must lie outside of what is copied; choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    for name in FOLDERS:
        shutil.copytree(root / name, out / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for name in FILES:
        shutil.copyfile(root / name, out / name)
    (out / REQUIREMENTS).write_text(requirements((root / REQUIREMENTS).read_text(encoding="utf-8"), kind), encoding="utf-8")
    (out / CARD).write_text(card(kind, front(root)), encoding="utf-8")
    return tuple(sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()))


def known(hardware: str) -> Hardware:
    if hardware not in HARDWARE:
        raise LabError(f'unknown hardware "{hardware}": there is {", ".join(HARDWARE)}')
    return HARDWARE[hardware]


def requirements(lines: str, kind: Hardware) -> str:
    """requirements.txt with this hardware's torch. Raises LabError where no line of it is torch's."""
    if not kind.torch:
        return lines
    changed, found = re.subn(r"^torch>=.*$", f"{kind.torch:<27} # tensors and gradients", lines, flags=re.MULTILINE)
    if found != 1:
        raise LabError(f"{REQUIREMENTS} names torch {found} times: must be once, as torch>=…")
    _, _, rest = changed.partition("\n")  # its first line speaks of another Python
    return "\n".join(("# What the lab needs on this Space, one dependency a line with its reason.", *rest.splitlines(), *kind.more)) + "\n"


def front(root: Path) -> dict[str, Any]:
    """The front matter of the lab's own README, which is that of a CPU Space."""
    import yaml

    found = re.match(r"---\n(.*?)\n---\n", (root / CARD).read_text(encoding="utf-8"), re.S)
    if not found:
        raise LabError(f"{root / CARD} has no front matter: build from the lab's own folder")
    return yaml.safe_load(found[1])


def card(kind: Hardware, base: Mapping[str, Any]) -> str:
    """README.md of the Space: what the Hub reads, and what a person does."""
    import yaml

    models, sets = sorted(_models()), sorted(_sets())
    head = {**base, "python_version": kind.python, "suggested_hardware": kind.suggested, "hf_oauth": True,
            "hf_oauth_scopes": ["contribute-repos"], "models": models, "datasets": sets}
    body = BODY.format(title=kind.title, about=kind.about, python=kind.python, code=SHORTEST_CODE, secret=SHORTEST_SECRET)
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n{body}"


BODY = """# The PEFT Lab

Learn parameter-efficient fine-tuning by doing it: choose a small model and a method, train it, look inside. This folder is the lab as {title}.
{about}

On a Space it starts by itself. On a machine of your own, with Python {python}:

```sh
python3 -m venv .venv && .venv/bin/pip install -q -r requirements.txt && .venv/bin/python app.py
```

Settings are variables of the Space (they go along when it is duplicated; secrets do not):

| variable | says |
|---|---|
| `LAB_DATA` | folder of runs and uploaded sets (default `data`); a Space forgets its disk when it restarts |
| `LAB_BACKUP` | folder of a mounted Storage Bucket: the data folder is copied there every ten minutes and at the end, and comes back at a start without data |
| `LAB_CACHE` | folder of fetched weights |
| `LAB_RATE` | requests a minute that one visitor may send (default 1200) |
| `LAB_PROXIES` | how many proxies stand in front (on a Space 1, by itself) |
| `LAB_CLASS_CODE` | what students enter once to join the class: a secret of the Space, at least {code} characters |
| `LAB_INSTRUCTOR_SECRET` | opens the Class tab for whoever teaches: a secret of the Space, at least {secret} characters |
| `LAB_METHODS`, `LAB_LIMITS_STEPS` … | every key of the configuration has a variable; or commit a YAML file and name it in `LAB_CONFIG` |

Apache-2.0. Models and data sets are fetched when a run first needs them, under their own licences.
"""


def _models() -> Iterator[str]:
    yield from (model.hub for model in catalogue.entries("models").values() if model.hub)


def _sets() -> Iterator[str]:
    yield from {task.hub.repository for task in catalogue.entries("tasks").values() if task.hub}
