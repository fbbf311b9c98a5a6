"""Memory of one real training step, measured: on the CPU storage by storage, on a GPU by its allocator."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lab.accounting.tracing import Timeline, report


def measured_step(weights: list[torch.Tensor], trained: list[torch.nn.Parameter], optimizer: torch.optim.Optimizer,
                  loss: Callable[[], torch.Tensor], update: Callable[[], None],
                  timeline: Timeline | None = None) -> tuple[torch.Tensor, dict[str, Any]]:
    """Do one step under the tracker. `weights` are all tensors of the model, `loss` is the forward pass, `update` clips and steps.

    Returns the loss and {"peak_bytes", "peak_moment", "parts", "moments"}. Saved activations are the storages that the forward
    pass leaves behind for the backward pass; what comes and goes inside a pass is temporary. Numbers of the process as a whole
    (the interpreter, libraries, kept bases) are not in it.
    """
    gpu = trained[0].is_cuda
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    timeline = timeline or Timeline()
    timeline.hold(weights, "weights")
    timeline.hold(_states(optimizer), "optimizer")
    with timeline:
        value = loss()
        timeline.keep()
        forward_end = list(timeline.alive.values())
        hooks = [weight.register_post_accumulate_grad_hook(lambda weight: timeline.name([weight.grad], "gradients")) for weight in trained]
        timeline.enter("backward")
        value.backward()
        for hook in hooks:
            hook.remove()
        timeline.name([weight.grad for weight in trained if weight.grad is not None], "gradients")
        timeline.enter("optimizer")
        update()
    timeline.close()
    found = report(timeline, forward_end)
    if gpu:
        found |= {"allocated_bytes": torch.cuda.max_memory_allocated(), "reserved_bytes": torch.cuda.max_memory_reserved()}
    return value.detach(), found


def _states(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [value for state in optimizer.state.values() for value in state.values() if isinstance(value, torch.Tensor)]
