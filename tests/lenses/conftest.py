"""What tests of lenses share: a small run that was trained, saved and opened again, as a probe meets it."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.engine.scoring import finished
from lab.engine.specimen import Opened, reopened
from lab.spec import RunSpec

SMALL = {"steps": 4, "batch": 4, "tokens": 24, "eval_items": 12, "eval_every": 0, "dtype": "float32", "lr": 5e-2}


@pytest.fixture(scope="module")
def opened_again(workshop: Any, run: Callable[..., Any], request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Opened]:
    """Made once for each spec; its learning rate is large, so that what was learned is easily seen."""
    found: dict[str, Opened] = {}

    def make(model: str, method: Any, **changes: Any) -> Opened:
        task = "digits" if model == "seed-vit" else "toy"
        spec = RunSpec.parse({"model": model, "task": task, "method": method, **SMALL, **changes})
        if spec.fingerprint not in found:
            folder = tmp_path_factory.mktemp("run")
            used = request.getfixturevalue("kept_workshop") if task == "digits" else workshop  # digits are fetched once
            run(used, out=folder, **spec.to_dict())
            found[spec.fingerprint] = finished(reopened(folder, used))
        return found[spec.fingerprint]

    return make
