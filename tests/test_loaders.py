"""The lines that a README prints load what was saved: plain transformers, torch and peft in one fresh process, no module of the lab."""
from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from _trials import METHODS, TRAINING, optimise, spec_for
from safetensors.torch import save_file

from lab import catalogue
from lab.engine.job import Job, prepare

# one method for each `load`, on models of different kinds
ONCE = list({(METHODS[method].format.load, model): (method, model) for method, model in reversed(TRAINING)
             if model in ("seed-bert", "seed-llama", "seed-gpt2") and "quantization" not in METHODS[method].fixed}.values())

# runs each program that it is told of and says of each what went wrong
DRIVER = """
import json, sys, traceback
found = {}
for path in sys.argv[2:]:
    try:
        exec(compile(open(path).read(), path, "exec"), {"__name__": "__main__"})
        found[path] = ""
    except Exception:
        found[path] = traceback.format_exc()
json.dump(found, open(sys.argv[1], "w"))
"""


def written(job: Job, base: Path, folder: Path) -> Path:
    """Save the method, a batch and what it answers, and the program that loads and compares them."""
    folder.mkdir()
    job.spec.method.format.save(job.module, folder)
    batch = job.batch(job.texts.test[:8])
    job.module.eval()
    output = job.module(input_ids=batch.ids, attention_mask=batch.mask)[0]
    save_file({"ids": batch.ids, "mask": batch.mask, "output": output.detach().contiguous()}, folder / "expected.safetensors")
    opener = "AutoModel.from_pretrained(base, add_pooling_layer=False)" if job.spec.shape.kind == "encoder" else "AutoModelForCausalLM.from_pretrained(base)"
    program = folder / "program.py"
    program.write_text(f"""
import sys, torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForCausalLM
{inspect.getsource(job.spec.method.format.load)}
base, folder = {str(base)!r}, {str(folder)!r}
model = load({opener}, folder).eval()
expected = load_file(f"{{folder}}/expected.safetensors")
output = model(input_ids=expected["ids"], attention_mask=expected["mask"])[0]
real = expected["mask"].bool() if output.shape[1] == expected["mask"].shape[1] else slice(None)
assert torch.allclose(output[real], expected["output"][real], atol=1e-5), (output - expected["output"]).abs().max()
assert not [name for name in sys.modules if name.startswith("lab")]
""")
    return program


@pytest.fixture(scope="module")
def said(workshop: Any, finish: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str]:
    """What the fresh process says of each pair; one for all, since starting it takes longer than everything else."""
    folder, programs, failed = tmp_path_factory.mktemp("loaders"), {}, {}
    for method, model in ONCE:
        try:
            job = finish(prepare(spec_for(method, model), workshop))[1]
            optimise(job)
            base = workshop.supply.cache / "models" / catalogue.file_name(model)
            programs[method, model] = str(written(job, base, folder / f"{method} {model}"))
        except Exception as error:
            failed[method, model] = f"it could not be saved: {error!r}"
    subprocess.run([sys.executable, "-c", DRIVER, str(folder / "found.json"), *programs.values()], cwd=folder, check=True, timeout=120)
    found = json.loads((folder / "found.json").read_text())
    return failed | {pair: found[program] for pair, program in programs.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("method", "model"), ONCE)
def test_the_printed_loader_works_in_a_fresh_process(method: str, model: str, said: dict[tuple[str, str], str]) -> None:
    assert not said[method, model], said[method, model]
