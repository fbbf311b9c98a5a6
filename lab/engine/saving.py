"""The folder a student takes home: the adapter in its library's format, the head beside it, and a README that says how to load them."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lab.contracts import Item
from lab.engine import card
from lab.engine.learner import Head
from lab.events import RunResult
from lab.spec import RunSpec


def save(folder: Path, spec: RunSpec, module: Any, head: Head | None, shots: tuple[Item, ...]) -> int:
    """Write the trained parts; returns their bytes. The README follows with `describe` when the scores are known."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    spec.method.format.save(module, folder)
    if head is not None:
        save_file({name: weight.detach().cpu().contiguous() for name, weight in head.linear.state_dict().items()}, folder / "head.safetensors")
    if shots:
        (folder / "shots.json").write_text(json.dumps([{"text": shot.text, "answer": spec.goal.answer(shot)} for shot in shots], indent=1))
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


def describe(folder: Path, spec: RunSpec, result: RunResult) -> None:
    """README.md and lab.json: the spec, the scores, and the lines that load the adapter without the lab."""
    about = result.to_dict()
    (folder / "lab.json").write_text(json.dumps({key: about[key] for key in (
        "spec", "fingerprint", "weights_sha256", "data_sha256", "versions", "counts", "scores")}, indent=1))
    (folder / "README.md").write_text(card.written(spec, about, (folder / "shots.json").exists()), encoding="utf-8")
