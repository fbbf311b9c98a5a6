"""The runs that are timed: one spec each, trained by the lab's engine and by transformers' Trainer."""
from __future__ import annotations

from lab.spec import RunSpec

SHARED = {"eval_every": 0, "eval_items": 2, "weight_decay": 0.0, "optimizer": "adamw_fused", "seed": 0, "task": "movies"}
ALL_LINEARS = {"name": "lora", "rank": 8, "targets": ["all"]}
SMALL, LARGE = {"model": "minilm-l6", "batch": 16}, {"model": "smollm2-135m", "batch": 4}
CASES = {
    "minilm-lora": {**SMALL, "method": "lora"},
    "minilm-prompt": {**SMALL, "method": "prompt_tuning"},
    "minilm-full": {**SMALL, "method": "full"},
    "smollm2-lora-all": {**LARGE, "method": ALL_LINEARS},
    "smollm2-lora-qv": {**LARGE, "method": "lora"},
    "smollm2-qlora": {**LARGE, "method": ALL_LINEARS, "quantization": "nf4_double"},
    "smollm2-prompt": {**LARGE, "method": "prompt_tuning"},
}

LENGTHS = {case: (50, 58) for case in CASES if case.startswith("smollm2")}  # tokens of the texts, where not all are taken
# Adam's first steps have the size of the learning rate whatever the gradient's is: where that is 0 but for rounding, the sign is chance, and
# at prompt tuning's large rate two equal programs drift apart. Their curves are compared at a smaller one.
CURVE_RATES = {case: 3e-5 for case in CASES if case.endswith("prompt")}


def spec_of(case: str, dtype: str, steps: int, still: bool = False) -> RunSpec:
    rate = {"lr": CURVE_RATES[case]} if still and case in CURVE_RATES else {}
    return RunSpec.parse({**SHARED, **CASES[case], **rate, "dtype": dtype, "steps": steps})
