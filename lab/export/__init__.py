"""A run as a plain script: transformers, peft and torch, at most 40 lines, nothing of the lab. It changes with the knobs.

What it says of a method is `Method.code`, which the method itself is attached from. No torch here: the page shows the script as one chooses.
"""
from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from pathlib import Path

import lab
from lab.contracts import Base, LabError, Method
from lab.export._folder import DATA, NOTEBOOK, SCRIPT, requirements, write
from lab.export._lines import LONGEST, Script
from lab.export._script import compose
from lab.spec import RunSpec

__all__ = ["DATA", "LONGEST", "NOTEBOOK", "SCRIPT", "Script", "Source", "exhibit", "requirements", "script", "sources", "write"]
SHARED = ("_peft", "_targets", "_places", "_weights", "_starts", "_lora", "_tuners")  # what many methods use, and nothing that makes one of them


@dataclass(frozen=True)
class Source:
    """A file of the lab that does what no plain script can."""

    path: str
    text: str

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    @property
    def about(self) -> str:
        """The first line of its docstring."""
        return (ast.get_docstring(ast.parse(self.text)) or "").split("\n")[0]


def script(spec: RunSpec) -> Script:
    """The script of a spec. Raises LabError, with the reason, where 40 plain lines cannot do what the lab does."""
    method = spec.method
    if not spec.steps:
        raise LabError(f"{method.title} trains nothing, so there is no training to write down")
    code = method.code(Base(None, spec.shape, None, spec.goal.words, spec.steps, spec.seed))
    if code is None:
        raise LabError(f"peft has no {_wanted(method)}: {_where(method)}")
    made = compose(spec, code)
    if made.lines > LONGEST:
        raise LabError(f"with these settings a plain script has {made.lines} lines, and more than {LONGEST} are no pleasure to read: {_where(method)}")
    return made


def sources(method: Method) -> list[Source]:
    """The method's own file, and those of the lab that only it and its relatives use."""
    own = Path(inspect.getfile(type(method)))
    names = {alias.name for node in ast.walk(ast.parse(own.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom) and node.module == "lab.methods"
             for alias in node.names}
    files = [own, *(own.with_name(f"{name}.py") for name in sorted(names) if name.startswith("_") and name not in SHARED)]
    return [Source(f"lab/methods/{file.name}", file.read_text(encoding="utf-8")) for file in files]


def exhibit(method: Method) -> Source | None:
    """What lies beside the method in lab/exhibits, if anything."""
    file = Path(lab.__file__).parent / "exhibits" / f"{method.exhibit}.py"
    return Source(f"lab/exhibits/{file.name}", file.read_text(encoding="utf-8")) if method.exhibit else None


def _wanted(method: Method) -> str:
    position = getattr(method, "position", "front")
    if position != "front":
        return f"prompt at position {position}"
    if getattr(method, "which", "all") in ("lower", "upper"):
        return f"prefix in the {method.which} half of the blocks"
    return "start from a text for a projected prefix" if getattr(method, "projection", False) else method.title


def _where(method: Method) -> str:
    files = [f"{source.path} ({source.lines} lines)" for source in sources(method)]
    return f"the lab's own code for it is {files[0]}{' with ' + ' and '.join(files[1:]) if files[1:] else ''}"
