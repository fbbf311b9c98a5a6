"""The folder a student takes home: the adapter in its library's format, the head beside it, and a README that says how to load them."""
from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

from lab import catalogue
from lab.contracts import Item
from lab.engine import quantized
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
        (folder / "shots.json").write_text(json.dumps([{"text": shot.text, "label": spec.goal.labels[shot.label]} for shot in shots], indent=1))
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix == ".safetensors")


def describe(folder: Path, spec: RunSpec, result: RunResult) -> None:
    """README.md and lab.json: the spec, the scores, and the lines that load the adapter without the lab."""
    about = result.to_dict()
    (folder / "lab.json").write_text(json.dumps({key: about[key] for key in (
        "spec", "fingerprint", "weights_sha256", "data_sha256", "versions", "counts", "scores")}, indent=1))
    (folder / "README.md").write_text(_readme(spec, about), encoding="utf-8")


def _readme(spec: RunSpec, about: dict[str, Any]) -> str:
    model, task, method, counts = spec.base, spec.goal, spec.method, about["counts"]
    scores = "\n".join(f"| {who} | {seen['score']:.3f} ± {seen['standard_error']:.3f} | {seen['items']:,} |" for who, seen in about["scores"].items())
    card = f"base_model: {model.hub}\n" if model.hub else ""
    if method.format.key == "peft":
        card += "library_name: peft\n"
    return f"""---
{card}license: {model.licence.lower()}
tags: [peft-lab, {method.key}]
---
# {method.title} on {model.title}, task {task.title}

Trained {counts['trainable']:,} of {counts['total']:,} parameters ({counts['share']:.3%}) for {about['step']} steps, seed {spec.seed}.

| who | {task.metric} ± standard error | items |
|---|---|---|
{scores}

The scores are on test items that neither the training nor any choice of settings has seen; the standard error is that of new items,
not of another seed. Data: {task.source} ({task.licence}). {task.rule}

## Load it

`base` is a name on the Hub or, where the Hub cannot be reached, a folder with the base model: the lab keeps its own copy in its cache, under
`models/{catalogue.file_name(model.key)}`.{_how_quantised(spec)}

```python
{_script(spec)}
```

## What was run

```json
{spec.to_json()}
```
"""


def _how_quantised(spec: RunSpec) -> str:
    if spec.quantization is None:
        return ""
    return (f"\n\nThe base was quantised to {spec.quantization} while this was trained, and these lines quantise it in the same way (they need bitsandbytes and"
            " accelerate).\nWhat was trained is not quantised; it also loads on the base in full precision, and answers a little differently there.")


def _script(spec: RunSpec) -> str:
    """Plain transformers, torch and peft; needs nothing of the lab."""
    name = spec.base.hub or "the folder of the base model"
    loader = inspect.getsource(spec.method.format.load)
    how, more, plainly = "", "", ""
    if spec.quantization:
        settings = ", ".join(f"{key}={value!r}" for key, value in quantized.FORMATS[spec.quantization].items())
        how, more = f", quantization_config=BitsAndBytesConfig({settings})", ", BitsAndBytesConfig"
        if "load_in_4bit" in quantized.FORMATS[spec.quantization]:
            plainly = ("\n    for layer in model.modules():\n        layer.support_avx512bf16_for_cpu = False"
                       "  # or else some CPUs compute in bfloat16, and fail on small matrices")
    if spec.shape.kind == "encoder":
        return f"""from transformers import AutoModel, AutoTokenizer{more}

{loader}
def classify(texts, folder=".", base="{name}"):
    import torch
    from safetensors.torch import load_file

    tokenizer = AutoTokenizer.from_pretrained(base)
    model = load(AutoModel.from_pretrained(base, add_pooling_layer=False{how}), folder).eval(){plainly}
    head = load_file(f"{{folder}}/head.safetensors")
    batch = tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length={spec.tokens})
    with torch.no_grad():
        hidden = model(**{{key: batch[key] for key in ("input_ids", "attention_mask")}}).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    hidden = hidden[:, -mask.shape[1]:].float()  # virtual tokens, if any, stand in front
    return (hidden * mask).sum(1) / mask.sum(1) @ head["weight"].T + head["bias"]  # logits for {list(spec.goal.labels)}"""
    return f"""from transformers import AutoModelForCausalLM, AutoTokenizer{more}

{loader}
def classify(texts, folder=".", base="{name}", words={list(spec.goal.words)!r}):
    import json
    from pathlib import Path

    import torch

    tokenizer = AutoTokenizer.from_pretrained(base)
    model = load(AutoModelForCausalLM.from_pretrained(base{how}), folder).eval(){plainly}
    shots = json.loads(Path(folder, "shots.json").read_text()) if Path(folder, "shots.json").exists() else []
    ask, labels = {spec.goal.prompt!r}, {list(spec.goal.labels)!r}
    shown = "".join(ask.format(text=shot["text"]) + words[labels.index(shot["label"])] + "\\n\\n" for shot in shots)
    answers = [tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words]
    with torch.no_grad():
        rows = [model(**tokenizer(shown + ask.format(text=text), return_tensors="pt")).logits[0, -1, answers] for text in texts]
    return torch.stack(rows)  # logits for {list(spec.goal.labels)}"""
