"""One training step on tensors without memory, as the engine does it or as the library alone would, recorded storage by storage."""
from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from lab.accounting.memory import EIGHT_BITS, in_float32
from lab.accounting.points import Recording
from lab.contracts import Shape
from lab.engine import bases, fast, optimizers
from lab.engine.fast import frozen
from lab.engine.forecast import kernels, models
from lab.engine.forecast.eight_bits import EightBits
from lab.engine.forecast.recorder import GPU_ROUNDING, Answers, Recorder
from lab.engine.learner import Classifier, Head, Writer, at, begun, continued, images, starts_alone, texts
from lab.engine.measure import measured_step
from lab.engine.texts import Batch
from lab.spec import RunSpec

LARGEST_REAL_BYTES = 10**9  # of a model that is given numbers because its method looks at them
WAYS = ("lab", "library")  # the engine's own step with its fast blocks, or the model as transformers and peft wrote it


def record(spec: RunSpec, batch: int, tokens: int, way: str, target: str, tail: int, real: int | None = None,
           said: tuple[int, int] | None = None) -> Recording:
    """`spec` names a bare config; batch and tokens may be any. `real` of their places are no padding; left out, none is, but as if the model did not
    know, because few batches have none. `said`: tokens of the longest written answer, and of all together. `way` is one of WAYS, `target` cpu or cuda.

    Raises whatever the libraries raise.
    """
    gc.disable()  # a collection in the middle would move deaths from one event to another
    try:
        step = Step(spec, way, target)
        masks = batch * tokens, batch * (tokens + spec.method.virtual_tokens_used())
        with (FakeTensorMode(allow_non_fake_inputs=True), Answers(masks, masks[0] - real if real else 0), kernels.of(target),
              kernels.no_mask_needed(real == masks[0])):
            return step.recorded(batch, tokens, tail, said)
    finally:
        gc.enable()


class Step:
    """A model with its method and head on it, before any tensor of it is made."""

    def __init__(self, spec: RunSpec, way: str, target: str) -> None:
        self.spec, self.way, self.target = spec, way, target
        self.dtype = torch.bfloat16 if spec.dtype == "bfloat16" else torch.float32
        self.module = self._attached()
        wanted = torch.bfloat16 if spec.adapter_dtype == "bfloat16" else torch.float32
        if way == "lab":
            bases.widen(self.module, wanted)
            return
        own = {name for place in spec.method.places(spec.shape) for name, _ in place.tensors} if spec.method.trains_base else set()
        for name, weight in self.module.named_parameters():
            if weight.requires_grad and name not in own:
                weight.data = weight.data.to(wanted)

    def _attached(self) -> nn.Module:
        """Some methods look at numbers when they are put on: those get some, where the model is small enough."""
        try:
            return models.attached(self.spec, self._base())
        except Exception:
            base = self._base()
            if sum(weight.numel() * weight.element_size() for weight in base.parameters()) > LARGEST_REAL_BYTES or self.spec.quantization:
                raise
            models.materialise(base)
            for weight in base.parameters():
                weight.data.zero_()
            return models.attached(self.spec, base)

    def _base(self) -> nn.Module:
        spec = self.spec
        module = models.sized(spec.model["config"], spec.shape.kind, self._base_dtype(), spec.attention)
        if spec.quantization:
            models.quantise(module, spec.shape, spec.quantization, self.dtype)
        elif self.way == "lab" and not spec.method.needs_float32():
            fast.lay_out(module, spec.shape)
        return module

    def _base_dtype(self) -> torch.dtype:
        """The engine keeps a base that moves in float32; the library keeps it as it is loaded, unless float32 is asked for."""
        return torch.float32 if in_float32(self.spec.method, self.way, self.spec.adapter_dtype) else self.dtype

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", dtype=self.dtype, enabled=self.dtype != self._base_dtype() or (self.way == "lab" and self.spec.method.trains_base))

    def recorded(self, batch: int, tokens: int, tail: int, said: tuple[int, int] | None) -> Recording:
        spec, module = self.spec, self.module
        models.materialise(module)
        if spec.checkpointing:
            module.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            module.enable_input_require_grads()
        elif self.way == "lab" and self.target == "cpu":
            fast.speed_up(module, spec.shape)
            _keeps(module, spec.shape)
        head, loss = self._loss(batch, tokens, said)
        module.train()
        groups = spec.method.groups(module, 1e-3) + ([{"params": list(head.parameters()), "lr": 1e-2}] if head else [])
        groups = [group for group in groups if group["params"]]
        trained = [weight for group in groups for weight in group["params"]]
        tensors = [*bases.tensors(module), *(head.parameters() if head else ())]
        recorder = Recorder(module, _stacks(module, spec.shape), GPU_ROUNDING if self.target == "cuda" else 1)
        if not trained:
            return _only_asked(recorder, tensors, loss).recording(tail)
        optimizer = self._optimizer(groups)
        _step_once(optimizer, trained)

        def forward() -> Tensor:
            with self._autocast():
                value, penalty = loss(), spec.method.penalty(module)
            return value if penalty is None else value + penalty

        def update() -> None:
            if spec.clip:
                torch.nn.utils.clip_grad_norm_(trained, spec.clip)
            optimizer.step()
            spec.method.after_step(module, 2)
            optimizer.zero_grad(set_to_none=True)

        spec.method.before_step(module, 2)
        measured_step(tensors, trained, optimizer, forward, update, recorder)
        return recorder.recording(tail)

    def _optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        spec = self.spec
        own = spec.method.optimizer(self.module, groups, spec.weight_decay)
        if own:
            return own
        if self.target == "cuda" and spec.optimizer in EIGHT_BITS:
            return EightBits(groups, paged=spec.optimizer.startswith("paged"))
        return optimizers.make(spec.optimizer, groups, spec.weight_decay, "cpu")

    def _loss(self, batch: int, tokens: int, said: tuple[int, int] | None) -> tuple[nn.Module | None, Callable[[], Tensor]]:
        """The head, where there is one, and the forward pass on a full batch."""
        spec, module, shape = self.spec, self.module, self.spec.shape
        rows = _rows(spec, batch, tokens)
        labels = len(spec.goal.labels) if spec.task else int(spec.model.get("num_labels") or 0)
        if not shape.writes:
            given = images(spec.goal.inks if spec.task else 1, module.config) if shape.kind == "vision" else texts
            head = Head(shape.width, max(2, labels))
            learner = Classifier(module, head, (), given)
            return head, lambda: learner.loss(rows)
        if self.way == "library":
            return None, lambda: module(input_ids=rows.ids, attention_mask=rows.mask, labels=rows.ids, use_cache=False).loss
        if spec.goal.writes:
            longest = spec.goal.answer_tokens
            return None, lambda: _written(module, rows, *(said or (longest, batch * longest)))
        writer = Writer(module, tuple(range(labels)), "cpu")
        return None, lambda: writer.loss(rows)


def _rows(spec: RunSpec, batch: int, tokens: int) -> Batch:
    if spec.shape.kind == "vision":
        config = spec.model["config"]
        sides = config["image_size"] if isinstance(config["image_size"], list | tuple) else [config["image_size"]] * 2
        tokens = sides[0] * sides[1] * config.get("num_channels", 3)
    ids, mask = (torch.ones(batch, tokens, dtype=torch.long) for _ in range(2))
    return Batch(ids, mask, torch.zeros(batch, dtype=torch.long))


def _written(module: Any, rows: Batch, longest: int, total: int) -> Tensor:
    """As the engine's Author, with the places of the answers' tokens made up: which carry a loss cannot be asked of tensors without numbers."""
    tokens, row, step = (rows.ids.new_zeros(total) for _ in range(3))
    if starts_alone(module):
        logits = continued(module, rows, begun(module, rows.ids.new_zeros(len(rows.ids), longest - 1)))
        return nn.functional.cross_entropy(logits[row, step - longest].float(), tokens)
    return nn.functional.cross_entropy(at(module, rows, row, step - longest).float(), tokens)


def _keeps(module: Any, shape: Shape) -> None:
    """The engine keeps what frozen lower blocks give for each text (lab/engine/fast/frozen.py), unless dropout makes it another each time: one more copy.
    Images have no ids that it could be kept under."""
    below = 0 if shape.kind == "vision" else frozen.spared(module, shape)
    blocks = list(module.get_submodule(shape.blocks))[:below] if below else []
    if blocks and not any(part.p > 0 for block in blocks for part in block.modules() if isinstance(part, nn.Dropout)):
        kept: list[Tensor] = []
        blocks[-1].register_forward_hook(lambda part, inputs, output: kept.append(output.detach().clone()))


def _step_once(optimizer: torch.optim.Optimizer, trained: list[nn.Parameter]) -> None:
    """Let the optimizer make its states: they are there from the second step on."""
    for weight in trained:
        weight.grad = torch.empty_like(weight)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _only_asked(recorder: Recorder, tensors: list[Tensor], loss: Callable[[], Tensor]) -> Recorder:
    """Where nothing trains there is a forward pass and nothing else."""
    recorder.hold(tensors, "weights")
    with recorder, torch.no_grad():
        value = loss()
        recorder.section("forward_end", (-1, -1))
    del value
    recorder.close()
    return recorder


def _stacks(module: Any, shape: Shape) -> list[list[nn.Module]]:
    base = module.get_base_model() if hasattr(module, "get_base_model") else module
    names = [shape.encoder_blocks, shape.blocks] if shape.encoder_layers else [shape.blocks]
    return [list(base.get_submodule(name)) for name in names]
