"""The folder that goes out: the script, the same as a notebook, its batches, what to install, and for a model made from a seed its weights."""
from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lab.contracts import LabError
from lab.export._lines import Script
from lab.export._notebook import notebook
from lab.export._script import SEEDED
from lab.spec import RunSpec

SCRIPT, NOTEBOOK, DATA = "train.py", "train.ipynb", "data.jsonl"


def write(folder: Path, spec: RunSpec, script: Script, batches: Iterable[Mapping[str, Any]], base: Path) -> None:
    """`base` is the folder of the model's weights; it is copied only where nobody else has them. Raises LabError where nothing can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SCRIPT).write_text(script.text, encoding="utf-8")
        (folder / NOTEBOOK).write_text(notebook(spec, script), encoding="utf-8")
        (folder / "requirements.txt").write_text(requirements(spec), encoding="utf-8")
        with (folder / DATA).open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(batch, ensure_ascii=False) + "\n" for batch in batches)
        if spec.base.seeded:
            shutil.copytree(base, folder / SEEDED, dirs_exist_ok=True, ignore=shutil.ignore_patterns("manifest.json"))
    except OSError as error:
        raise LabError(f"cannot write {error.filename or folder}: {error.strerror}; give another folder") from None


def requirements(spec: RunSpec) -> str:
    """What the script imports, in the versions that the lab runs here."""
    names = ["torch", "transformers", "peft", *(("bitsandbytes", "accelerate") if spec.quantization else ())]
    return "".join(f"{name}=={version(name).partition('+')[0]}\n" for name in names)
