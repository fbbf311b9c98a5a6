"""What a GPU keeps where a CPU keeps something else: attention as one kernel, and dropout's mask as bytes."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


@contextmanager
def of(target: str) -> Iterator[None]:
    """For cuda, put the GPU's way of remembering into a step on the CPU: fake tensors of a GPU themselves abort the process on a CPU build of torch.

    The functions are replaced where models look them up; a mode would not reach what checkpointing computes again on the way back.
    """
    if target != "cuda":
        yield
        return
    kept = functional.dropout, functional.scaled_dot_product_attention
    functional.dropout, functional.scaled_dot_product_attention = _dropout, _attention
    try:
        yield
    finally:
        functional.dropout, functional.scaled_dot_product_attention = kept


@contextmanager
def no_mask_needed(so: bool) -> Iterator[None]:
    """Where a batch has no padding transformers makes no mask. For tensors without numbers it makes one always, unless it is told that they are real."""
    from transformers import masking_utils

    kept = masking_utils.is_tracing
    if so:
        masking_utils.is_tracing = lambda tensor=None: False
    try:
        yield
    finally:
        masking_utils.is_tracing = kept


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    return torch.native_dropout(input, p, True)[0] if training and 0 < p < 1 else input


def _attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0, is_causal: bool = False,
               scale: float | None = None, enable_gqa: bool = False) -> Tensor:
    bias = attn_mask
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        bias = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill_(attn_mask.logical_not(), float("-inf"))
    return Attention.apply(query, key, value, bias)


class Attention(torch.autograd.Function):
    """Flash or memory-efficient attention: no scores are kept; query, key, value, the mask as numbers, the output and one number a row are."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        batch, heads, tokens, _ = query.shape
        out = query.new_empty(batch, tokens, heads, value.shape[-1]).transpose(1, 2)  # as the kernels lay it out
        rows = query.new_empty(batch, heads, tokens, dtype=torch.float32)
        ctx.save_for_backward(query, key, value, bias, out, rows)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, bias, _, rows = ctx.saved_tensors
        sums = torch.empty_like(rows)  # of grad x output, beside the gradients for as long as the kernel runs
        grads = torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
        whole = query.new_empty(*query.shape[:3], key.shape[-2]) if ctx.needs_input_grad[3] else None  # T5's positions train: a number for each score
        del sums
        return *grads, whole if whole is None else whole.sum_to_size(bias.shape)
