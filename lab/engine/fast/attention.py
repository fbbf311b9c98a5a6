"""Attention over short sequences, forward and backward, in batched products.

    p = softmax(s q kᵀ + mask),   o = p v;   q: (batch, heads, tokens, head), k and v: (batch, kv_heads, tokens, head)

torch's fused attention saves memory on long texts; over 54 tokens its backward is a sixth of a whole step in bfloat16. Queries that
share a key head are put below one another, so keys are never repeated.
"""
from __future__ import annotations

import torch
from torch import Tensor


def forward(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(batch x tokens, heads x head) and the probabilities; `noise` is dropout's on these, 0 or 1 / (1 - p)."""
    scores = torch.bmm(_grouped(q, k), _flat(k).transpose(1, 2)).view(*q.shape[:3], k.shape[2])
    p = torch.softmax(scores * scale + mask, -1, dtype=torch.float32).to(q.dtype)  # torch's bfloat16 softmax takes six times as long
    seen = p if noise is None else p * noise
    return rows(torch.bmm(_grouped(seen, k), _flat(v)).view(q.shape)), p


def backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, p: Tensor, scale: float, noise: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v from that of the output, (batch x tokens, heads x head)."""
    batch, count, tokens, head = q.shape
    grad = _grouped(grad.view(batch, tokens, count, head).transpose(1, 2), k)
    seen = _grouped(p if noise is None else p * noise, k)
    dv = torch.bmm(seen.transpose(1, 2), grad)
    dp = torch.bmm(grad, _flat(v).transpose(1, 2)).view(p.shape)
    dp, p = (dp if noise is None else dp * noise).float(), p.float()
    ds = _grouped((torch._softmax_backward_data(dp, p, -1, p.dtype) * scale).to(q.dtype), k)
    dq = torch.bmm(ds, _flat(k)).view(q.shape)
    dk = torch.bmm(ds.transpose(1, 2), _grouped(q, k))
    return dq, dk.view(k.shape), dv.view(v.shape)


def heads(x: Tensor, like: Tensor, head: int) -> Tensor:
    """(batch x tokens, heads x head) to (batch, heads, tokens, head); `like` is (batch, tokens, …)."""
    return x.view(like.shape[0], like.shape[1], -1, head).transpose(1, 2).contiguous()


def rows(x: Tensor) -> Tensor:
    """(batch, heads, tokens, head) to (batch x tokens, heads x head)."""
    return x.transpose(1, 2).reshape(x.shape[0] * x.shape[2], x.shape[1] * x.shape[3])


def _grouped(x: Tensor, k: Tensor) -> Tensor:
    """(batch x kv_heads, heads of a group x tokens, …)."""
    return x.reshape(x.shape[0] * k.shape[1], x.shape[1] // k.shape[1] * x.shape[2], x.shape[3])


def _flat(x: Tensor) -> Tensor:
    return x.view(x.shape[0] * x.shape[1], x.shape[2], x.shape[3])
