"""Methods on both real models, a spread or with LAB_WHOLE all of them, a few steps each: parts, memory as foretold, and saved adapters in a fresh process."""
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lab import catalogue
from lab.accounting.shapes import shape_of
from lab.engine.job import prepare
from lab.spec import RunSpec
from tests._breadth import spread
from tests._memory import error_of_forecast

pytestmark = pytest.mark.slow
QUICK = {"minilm-l6": {"steps": 4, "eval_items": 40, "eval_every": 0}, "smollm2-135m": {"steps": 2, "eval_items": 4, "eval_every": 0, "batch": 4}}


METHODS = catalogue.entries("methods")
PAIRS = spread((method, model) for model in QUICK for method in METHODS)


@pytest.mark.parametrize(("method", "model"), PAIRS)
def test_every_method_runs_on_both_real_models_where_it_can(method: str, model: str, real_workshop: Any, run: Any, tmp_path: Path) -> None:
    kind = METHODS[method]
    if not kind().supports(shape_of(catalogue.entries("models")[model].config)).ok:
        return
    changes = {key: value for key, value in QUICK[model].items() if key not in kind.fixed}
    result = run(real_workshop, out=tmp_path, model=model, method=method, **changes)
    assert result.state == "finished" and (tmp_path / "adapter" / "README.md").exists()
    trained = sum(weight for weight in result.started.counts["by_role"].values())
    assert trained == result.started.counts["method"]
    if kind.fixed.get("steps") != 0:
        assert abs(error_of_forecast(result)) <= 0.01, "its memory, foretold"


@pytest.mark.parametrize(("model", "method"), [("minilm-l6", "lora"), ("minilm-l6", "prompt_tuning"), ("minilm-l6", "houlsby"),
                                               ("smollm2-135m", "lora")])
def test_a_saved_adapter_answers_the_same_in_a_fresh_process(model: str, method: str, real_workshop: Any, run: Any, finish: Any, tmp_path: Path) -> None:
    """The README in the adapter's folder, executed without the lab, against the scores of the run."""
    result = run(real_workshop, out=tmp_path, model=model, method=method, dtype="float32", steps=4, eval_items=40, eval_every=0,
                 batch=4 if model.startswith("smol") else 16)
    job = finish(prepare(RunSpec.parse(result.started.spec), real_workshop))[1]
    items = job.data.splits.test[:40]
    code = (tmp_path / "adapter" / "README.md").read_text().split("```python\n")[1].split("```")[0]
    (tmp_path / "texts.json").write_text(json.dumps([item.text for item in items]))
    program = f"{code}\nimport json, sys\nfound = classify(json.load(open('texts.json')), 'adapter', sys.argv[1])\nprint(json.dumps(found.tolist()))"
    base = real_workshop.supply.cache / "models" / catalogue.file_name(model)
    done = subprocess.run([sys.executable, "-c", program, str(base)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    logits = torch.tensor(json.loads(done.stdout.splitlines()[-1]))
    letters = "".join(str(label) for label in logits.argmax(1).tolist())
    assert sum(a != b for a, b in zip(letters, result.seen("answers")["tuned"], strict=True)) <= 1  # a tie may fall either way
