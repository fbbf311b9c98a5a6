"""The model card of a trained adapter: what it is, what it scores, under which licences, how to load it, and what it is not good for. Made from its run."""
from __future__ import annotations

from collections.abc import Mapping
from math import hypot
from typing import Any

from lab import catalogue
from lab.engine import loader
from lab.owndata.shelf import is_own
from lab.spec import RunSpec

WHO = {"majority": "always the most frequent label", "base": "the untouched model", "prompt": "the untouched model, best of the hand-written prompts",
       "untrained": "this method before its first step", "tuned": "**this adapter**"}


def written(spec: RunSpec, about: Mapping[str, Any], shots: bool) -> str:
    """README.md of an adapter's folder, which the Hub shows as its card. `about` is the run's result; `shots`: solved examples lie beside it."""
    model, task, method, counts = spec.base, spec.goal, spec.method, about["counts"]
    scores = "\n".join(f"| {WHO.get(who, who)} | {seen['score']:.3f} ± {seen['standard_error']:.3f} | {seen['items']:,} |"
                       for who, seen in about["scores"].items())
    return f"""---
{_front(spec)}---
# {method.title} on {model.title}, task {task.title}

Trained {counts['trainable']:,} of {counts['total']:,} parameters ({counts['share']:.3%}) for {about['step']} steps, seed {spec.seed}.

| who | {task.metric} ± standard error | items |
|---|---|---|
{scores}

The scores are on test items that neither the training nor any choice of settings has seen; the standard error is that of new items,
not of another seed.

| | licence |
|---|---|
| base model: {model.title}{f", `{model.hub}`" if model.hub else ""} | {model.licence} |
| data: {task.title} | {task.licence} |

Data: {task.source} {task.rule}

## Load it

`base` is a name on the Hub or, where the Hub cannot be reached, a folder with the base model: the lab keeps its own copy in its cache, under
`models/{catalogue.file_name(model.key)}`.{_how_quantised(spec)}

```python
{loader.script(spec)}
```
{_shortly(spec)}
## What it is not good for

{_limits(spec, about, shots)}

## What was run

```json
{spec.to_json()}
```

Versions: {', '.join(f'{name} {version}' for name, version in about['versions'].items())}.
SHA-256 of the base's weights `{about['weights_sha256'][:16]}…`, of the data `{about['data_sha256'][:16]}…`; the whole ones are in `lab.json`.
"""


def _front(spec: RunSpec) -> str:
    """What the Hub reads of a card. No licence is claimed for what was trained on data whose licence the lab does not know."""
    lines = [f"base_model: {spec.base.hub}", "base_model_relation: adapter"] if spec.base.hub else []
    lines += ["library_name: peft"] if spec.method.format.key == "peft" else []
    lines += [] if is_own(spec.task) else [f"license: {spec.base.licence.lower()}"]
    return "".join(f"{line}\n" for line in [*lines, f"tags: [peft-lab, {spec.method.key}]"])


def _shortly(spec: RunSpec) -> str:
    lines = loader.short(spec)
    return f"\nOr, with peft's own loader:\n\n```python\n{lines}\n```\n" if lines else ""


def _limits(spec: RunSpec, about: Mapping[str, Any], shots: bool) -> str:
    tuned, base = (about["scores"].get(who) for who in ("tuned", "base"))
    said = [f"It was made to learn from, in {about['step']} steps on one seed; another seed gives another score, and how much another was not measured here.",
            "It was tested on texts of the kind that it was trained on. Other subjects, languages, lengths and wordings were not.",
            f"Of a text it reads {spec.tokens} tokens at most; what is longer is cut."]
    if tuned and base and abs(tuned["score"] - base["score"]) <= 2 * hypot(tuned["standard_error"], base["standard_error"]):
        said.append("Its score cannot be told from that of the untouched model: the difference is within two standard errors.")
    if spec.shuffle_labels:
        said.append("Its labels were drawn at random, as a control: it must have learned nothing.")
    if spec.mistake == "other_wording":
        said.append("Its score is that of a mistake made on purpose: it was tested in another wording than it learned with.")
    if spec.mistake == "fresh_adapter":
        said.append("In the lab it is loaded wrongly on purpose, as a fresh adapter. What lies in this folder is what was trained.")
    if is_own(spec.task):
        said.append("Its data were uploaded by who trained it and are not published. Whether they may be used, and what they hold, the lab does not know; "
                    "an adapter may remember some of them.")
    if shots:
        said.append("`shots.json` holds the solved examples that are shown to the model: texts of the training data as they are.")
    return "\n".join(f"- {line}" for line in said)


def _how_quantised(spec: RunSpec) -> str:
    if spec.quantization is None:
        return ""
    return (f"\n\nThe base was quantised to {spec.quantization} while this was trained, and these lines quantise it in the same way (they need bitsandbytes and"
            " accelerate).\nWhat was trained is not quantised; it also loads on the base in full precision, and answers a little differently there.")

