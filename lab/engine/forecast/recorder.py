"""Every storage's birth and death in a step, section by section, as rows of bytes."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils.weak import WeakIdKeyDictionary

from lab.accounting.points import PARTS, Recording, Section, place_of
from lab.accounting.tracing import Storage, Timeline, Watching

aten = torch.ops.aten
WHERE = torch.ops.prim.device.default  # asked of a tensor on which device it is
OUTSIDE = (-1, -1)
GPU_ROUNDING = 512  # bytes: torch's allocator hands out no smaller pieces


@dataclass
class Traced(Storage):
    """A storage with its number in the order of births, and the module that was at work."""

    number: int = 0
    module: str = ""
    operation: str = ""


class Recorder(Timeline):
    """Keeps the whole course instead of the peaks alone. `blocks` are the stacks' blocks in order."""

    def __init__(self, module: nn.Module, stacks: list[list[nn.Module]], rounding: int) -> None:
        super().__init__()
        self.rounding, self.stacks = rounding, stacks
        self.storages: list[Traced] = []
        self.events: list[int] = []  # +number at a birth, -number at a death; numbers begin at 1
        self.marks: list[tuple[int, str, tuple[int, int]]] = [(0, "forward", OUTSIDE)]  # (event, phase, (stack, block)) from which a section begins
        self.ended = 0  # the event at which the forward pass ended
        self._names = {id(part): name for name, part in module.named_modules()}
        self._at_work: list[str] = []
        self._operation = ""
        self._hooks: list[Any] = []

    # ── what happens ──────────────────────────────────────────────────────────────────────────────────────────────────

    def kept(self, size: int, part: str) -> Traced:
        whole = -(-size // self.rounding) * self.rounding
        module = self._at_work[-1] if self._at_work else ""
        born = Traced(whole, part, len(self.storages) + 1, module, self._operation)
        self.storages.append(born)
        self.events.append(born.number)
        return born

    def freed(self, storage: Storage) -> None:
        self.events.append(-storage.number)

    def keep(self) -> None:
        super().keep()
        self.ended = len(self.events)
        self.section("forward_end", OUTSIDE)

    def enter(self, moment: str) -> None:
        super().enter(moment)
        self.section(moment, OUTSIDE)

    def section(self, phase: str, where: tuple[int, int]) -> None:
        if (phase, where) != self.marks[-1][1:]:
            self.marks.append((len(self.events), phase, where))

    def __torch_dispatch__(self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is WHERE and isinstance(args[0], FakeTensor):  # two of three calls; nothing is born, and the modes below would say the same more slowly
            return args[0].fake_device
        self._operation = function.name().rpartition("::")[2]
        if self._operation == "gemm_4bit" and self.rounding > 1:
            self._passing(args)
        return super().__torch_dispatch__(function, types, args, kwargs)

    def _passing(self, args: tuple[Any, ...]) -> None:
        """On a GPU the kernel turns the 4-bit matrix back into numbers as a whole, inside itself."""
        held = Tensor.new_empty(args[0], tuple(args[2]))
        self._born(held, "temporary")

    # ── where it happens ──────────────────────────────────────────────────────────────────────────────────────────────

    def __enter__(self) -> Recorder:
        self._hooks += [register_module_forward_pre_hook(self._begins), register_module_forward_hook(self._ends, always_call=True)]
        for stack, blocks in enumerate(self.stacks):
            for number, block in enumerate(blocks):
                self._hooks += [block.register_forward_pre_hook(self._into((stack, number))),
                                block.register_forward_hook(self._out_of((stack, number), number == len(blocks) - 1))]
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for hook in self._hooks:
            hook.remove()

    def _begins(self, part: nn.Module, inputs: Any) -> None:
        self._at_work.append(self._names.get(id(part), self._at_work[-1] if self._at_work else ""))

    def _ends(self, part: nn.Module, inputs: Any, output: Any) -> None:
        if self._at_work:
            self._at_work.pop()

    def _into(self, where: tuple[int, int]) -> Callable[..., None]:
        def entered(block: nn.Module, inputs: Any) -> None:
            if self._moment == "forward":
                self.section("forward", where)

        return entered

    def _out_of(self, where: tuple[int, int], last: bool) -> Callable[..., None]:
        """The gradient of a block's output is where the backward pass of that block begins."""
        def left(block: nn.Module, inputs: Any, output: Any) -> None:
            if self._moment != "forward":
                return
            hidden = output if isinstance(output, Tensor) else output[0]
            if hidden.requires_grad:
                hidden.register_hook(lambda grad: self.section("backward", where))
            if last:
                self.section("forward", OUTSIDE)

        return left

    # ── what is told ──────────────────────────────────────────────────────────────────────────────────────────────────

    def recording(self, tail: int) -> Recording:
        """`tail`: how many blocks at the end of each stack stand for themselves."""
        course = self._course()
        ends = [mark[0] for mark in self.marks[1:]] + [len(self.events)]
        sections, outside = [], 0
        for (start, phase, (stack, block)), end in zip(self.marks, ends, strict=True):
            rows, names = self._rows(course, start, 0 if phase == "forward_end" else end)
            outside += stack < 0
            place = place_of(block, len(self.stacks[stack]), tail) if stack >= 0 else str(outside)
            sections.append(Section(phase, stack, place, block, names, rows))
        return Recording(tuple(len(blocks) for blocks in self.stacks), tuple(sections), self._saved())

    def _course(self) -> np.ndarray:
        """(events + 1, parts): bytes alive before the first event and after each."""
        numbers = np.array(self.events)
        sizes = np.array([0, *(each.bytes for each in self.storages)], dtype=np.float64)
        parts = np.array([0, *(PARTS.index(each.part) for each in self.storages)])
        course = np.zeros((len(numbers) + 1, len(PARTS)))
        course[np.arange(1, len(numbers) + 1), parts[abs(numbers)]] = np.sign(numbers) * sizes[abs(numbers)]
        return course.cumsum(0)

    def _rows(self, course: np.ndarray, start: int, end: int) -> tuple[np.ndarray, tuple[str, ...]]:
        """The summits between two events: births that a death follows; the chosen ones depend on the order of events alone, never on sizes."""
        chosen = [event for event in range(start, end) if self.events[event] > 0 and (event + 1 == end or self.events[event + 1] < 0)]
        if not chosen:
            return course[[start]], ("",)
        return course[np.array(chosen) + 1], tuple(self._name(self.storages[self.events[event] - 1]) for event in chosen)

    def _name(self, storage: Traced) -> str:
        return f"{storage.module} {storage.operation}".strip()

    def _saved(self) -> dict[str, int]:
        """Activations alive at the end of the forward pass, by the module that made them."""
        alive: dict[int, Traced] = {}
        for event in self.events[:self.ended]:
            if event > 0:
                alive[event] = self.storages[event - 1]
            else:
                alive.pop(-event, None)
        kept = sorted((each for each in alive.values() if each.part == "activations"), key=lambda each: each.module)
        return {module: sum(each.bytes for each in group) for module, group in groupby(kept, key=lambda each: each.module)}


class Answers(Watching):
    """Numbers that are asked of tensors without memory. All of a mask is set, and it sums to its size without the padding, if it is a mask of `masks`
    places; there is not any infinity; what else is asked for is 1, so that an optimizer takes its step for the first."""

    def __init__(self, masks: tuple[int, ...] = (), padding: int = 0) -> None:
        super().__init__()
        self.masks, self.padding = masks, padding
        self.known = WeakIdKeyDictionary()  # tensors compare number by number, so they are told apart by identity

    def __torch_dispatch__(self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is aten._local_scalar_dense.default:
            kind = bool if args[0].dtype == torch.bool else float if args[0].is_floating_point() else int
            return kind(self.known.get(args[0], 1))
        if function is aten.nonzero.default:
            return args[0].new_empty((args[0].numel(), args[0].dim()), dtype=torch.long)
        result = function(*args, **(kwargs or {}))
        if function.overloadpacket is aten.any:
            self.known[result] = 0
        elif function is aten.sum.default and not args[0].is_floating_point():
            self.known[result] = args[0].numel() - (self.padding if args[0].numel() in self.masks else 0)
        return result
