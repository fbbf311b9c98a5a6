"""One timed training in a process of its own: `python -m tests.bench.one SIDE CASE DTYPE STEPS [still]` prints JSON.

SIDE is `lab` (compiled code from the disk), `lab-new` (no compiled code yet), `trainer` (transformers'
Trainer with peft as documented: for bfloat16 `bf16=True` on the weights as they are stored), `trainer-cast` (all weights in bfloat16
instead), `trainer-tuned` (as `trainer`, with torch_compile and few lengths) or `build` (make the compiled code, train nothing).
All read the same files, see the same texts in the same batches in the same order, train the same tensors from the same start with
the same optimizer and schedule, and compute the same loss. `still` switches dropout off: then their curves in float32 must be equal.
"""
from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

BEGAN = time.perf_counter()


class Clock:
    """When each step began and ended."""

    def __init__(self) -> None:
        self.began: list[float] = []
        self.ended: list[float] = []

    def step(self) -> None:
        """The step before has ended, the next begins."""
        now = time.perf_counter()
        if self.began:
            self.ended.append(now)
        self.began.append(now)

    def end(self, at: float) -> None:
        self.ended.append(at)

    @property
    def seconds(self) -> list[float]:
        return [end - begin for begin, end in zip(self.began, self.ended, strict=True)]


def main(side: str, case: str, dtype: str, steps: int, still: bool) -> dict[str, Any]:
    from lab.waiting import spin_briefly

    spin_briefly(os.environ)
    from tests.bench.cases import LENGTHS, spec_of

    spec = spec_of(case, dtype, steps, still)
    with tempfile.TemporaryDirectory() as empty:
        workshop = workshop_with(LENGTHS.get(case), still, Path(empty) if side == "lab-new" else None)
        if side == "build":
            workshop.compiler.build(prepared(spec, workshop).learner.codes)
            return {}
        clock = Clock()
        losses = lab_side(spec, workshop, clock) if side.startswith("lab") else trainer_side(spec, workshop, side, clock)
    return {"losses": losses, "first_loss": clock.ended[0] - BEGAN, "total": clock.ended[-1] - BEGAN, "steps": clock.seconds,
            "peak_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def workshop_with(lengths: tuple[int, int] | None, still: bool, compiled: Path | None) -> Any:
    """The lab's workshop, where asked for with texts of certain lengths only, without dropout, and without compiled code."""
    from lab.engine.fast.compiled import Compiler
    from lab.engine.workshop import Workshop
    from lab.supply import default_cache

    class Prepared(Workshop):
        def encoded(self, key: Any, *what: Any) -> Any:
            rows = super().encoded(key, *what)
            return [row for row in rows if lengths[0] <= len(row.ids) <= lengths[1]] if lengths and key[3] == "train" else rows

        def base(self, *which: Any, **how: Any) -> Any:
            pristine = yield from super().base(*which, **how)
            if still:
                for module in pristine.module.modules():
                    if type(module).__name__ == "Dropout":
                        module.p = 0.0
                for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
                    setattr(pristine.module.config, name, 0.0)
            return pristine

    workshop = Prepared(default_cache())
    if compiled is not None:
        workshop.compiler = Compiler(compiled, builds=True)
    return workshop


def prepared(spec: Any, workshop: Any) -> Any:
    from lab.engine.job import prepare
    from lab.engine.scoring import finished

    return finished(prepare(spec, workshop))


def lab_side(spec: Any, workshop: Any, clock: Clock) -> list[float]:
    from lab.engine import train
    from lab.events import Evaluated, Failed, Stepped

    losses: list[float] = []
    asked = 0

    def told_every_step() -> bool:  # asked once before the run and before each step: the only place where every step's end can be seen from outside
        nonlocal asked
        asked += 1
        if 1 < asked <= spec.steps + 1:
            clock.step()
        return False

    for event in train(spec, workshop, cancelled=told_every_step):
        if isinstance(event, Failed):
            raise SystemExit(event.reason + event.detail)
        if isinstance(event, Stepped):
            losses += [loss for _, loss in event.losses]
            last = time.perf_counter()
        if isinstance(event, Evaluated) and len(losses) == spec.steps:
            break
    clock.end(last)
    return losses


STORED = {"minilm-l6": "float32", "smollm2-135m": "bfloat16"}  # how the published weights are kept


def trainer_side(spec: Any, workshop: Any, side: str, clock: Clock) -> list[float]:
    """transformers.Trainer with a peft model, as its documentation shows it."""
    import torch
    from torch.utils.data import SequentialSampler
    from transformers import Trainer, TrainingArguments

    from lab.engine import fast
    from lab.engine.chance import generator
    from lab.engine.texts import epochs

    fast.speed_up = lambda *_: []  # the model as transformers and peft have it
    tuned, mixed = side == "trainer-tuned", spec.dtype == "bfloat16" and side != "trainer-cast" and not spec.quantization
    # and the attention that transformers chooses by itself
    spec = spec.model_copy(update={"attention": "sdpa", "dtype": STORED[spec.base.key] if mixed else spec.dtype})
    job = prepared(spec, workshop)
    rows = [row for batch in islice(epochs(job.texts.train, spec.batch, generator(spec.seed, "order")), spec.steps) for row in batch]
    decoder = spec.shape.kind == "decoder"
    pad = job.reader.tokenizer.pad_token_id
    answers = job.reader.answers() if decoder else ()
    examples = [{"ids": [*row.ids, answers[row.label]] if decoder else list(row.ids), "label": row.label} for row in rows]

    def collate(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        longest = max(len(row["ids"]) for row in batch)
        if tuned:
            longest = (longest + 15) // 16 * 16  # few shapes, so that compiled code is used again
        ids = torch.tensor([row["ids"] + [pad] * (longest - len(row["ids"])) for row in batch])
        mask = torch.tensor([[1] * len(row["ids"]) + [0] * (longest - len(row["ids"])) for row in batch])
        if not decoder:
            return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([row["label"] for row in batch])}
        labels = torch.full_like(ids, -100)
        for place, row in enumerate(batch):
            labels[place, len(row["ids"]) - 1] = row["ids"][-1]
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}

    class WithHead(torch.nn.Module):
        """The encoder with the lab's mean-pooled head, as one module."""

        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = job.module, job.learner.head

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            logits = self.head(self.body(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state, attention_mask)
            return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

    model = job.module if decoder else WithHead()
    head = list(job.learner.head.parameters()) if job.learner.head is not None else []
    groups = [{"params": job.trained(), "lr": spec.lr}] + ([{"params": head, "lr": spec.method.head_rate(spec.lr)}] if head else [])
    optimizer = torch.optim.AdamW([group for group in groups if group["params"]], weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _factor(step + 1, spec))
    losses: list[float] = []

    class Timed(Trainer):
        def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
            return SequentialSampler(self.train_dataset)

        def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
            clock.step()
            loss = super().training_step(*args, **kwargs)
            losses.append(float(loss))
            return loss

    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=spec.batch, max_steps=spec.steps, max_grad_norm=spec.clip, report_to=[],
        logging_steps=10, save_strategy="no", use_cpu=True, disable_tqdm=True, remove_unused_columns=False, bf16=mixed,
        torch_compile=tuned)
    Timed(model=model, args=arguments, train_dataset=examples, data_collator=collate, optimizers=(optimizer, schedule)).train()
    clock.end(time.perf_counter())
    return losses


def _factor(step: int, spec: Any) -> float:
    from lab.engine.optimizers import factor

    return factor(min(step, spec.steps), spec.steps, spec.warmup)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), "still" in sys.argv)))
