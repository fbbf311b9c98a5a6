"""A block of the BERT type: the whole block as one forward and one backward function.

    y = norm₁(x + drop(O attention(Q x, K x, V x)));   z = norm₂(y + drop(W₂ gelu(W₁ y)))
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import gelu

from lab.engine.fast import attention
from lab.engine.fast.linear import Parts

_layer_norm, _layer_norm_backward = torch.ops.aten.native_layer_norm, torch.ops.aten.native_layer_norm_backward


@dataclass(frozen=True)
class Bert:
    """The fixed numbers of a block; `drops` says whether dropout's noise comes with the extras."""

    head: int  # width of one attention head
    eps: float
    drops: bool
    saved: ClassVar[int] = 13  # tensors that `forward` keeps for `backward`

    def extra_sizes(self, batch: int, tokens: int, width: int) -> list[tuple[int, ...]]:
        """mask; noise on the probabilities, on the output of attention and on that of the feed-forward layers."""
        noise = [(batch, width // self.head, tokens, tokens), (batch * tokens, width), (batch * tokens, width)]
        return [(batch, 1, tokens, tokens), *(noise if self.drops else ())]

    def forward(self, x: Tensor, extras: tuple[Tensor, ...], parts: Parts, norms: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The block's output, (batch, tokens, width), and what its backward pass needs besides x."""
        mask, noise_p, noise_o, noise_f = self._unpacked(extras)
        rows = x.reshape(-1, x.shape[2])
        q, k, v = (attention.heads(t, x, self.head) for t in parts.forward(rows, "query", "key", "value"))
        o, p = attention.forward(q, k, v, mask, self.head ** -0.5, noise_p)
        u = _noised(parts.forward(o, "output")[0], noise_o) + rows
        y, mean1, r1 = _layer_norm(u, [u.shape[1]], norms[0], norms[1], self.eps)
        f, = parts.forward(y, "ffn_in")
        w = _noised(parts.forward(gelu(f), "ffn_out")[0], noise_f) + y
        z, mean2, r2 = _layer_norm(w, [w.shape[1]], norms[2], norms[3], self.eps)
        return z.view(x.shape), (q, k, v, p, o, u, mean1, r1, y, f, w, mean2, r2)

    def backward(self, grad: Tensor, x: Tensor, saved: tuple[Tensor, ...], extras: tuple[Tensor, ...], parts: Parts, norms: tuple[Tensor, ...]) -> Tensor:
        """The gradient of x."""
        _, noise_p, noise_o, noise_f = self._unpacked(extras)
        q, k, v, p, o, u, mean1, r1, y, f, w, mean2, r2 = saved
        rows = x.reshape(u.shape)
        dw = _norm_backward(grad.reshape(w.shape), w, mean2, r2, norms[2], norms[3])
        dg = parts.backward(gelu(f), ffn_out=_noised(dw, noise_f))
        dy = parts.backward(y, ffn_in=torch.ops.aten.gelu_backward(dg, f)) + dw
        du = _norm_backward(dy, u, mean1, r1, norms[0], norms[1])
        do = parts.backward(o, output=_noised(du, noise_o))
        dq, dk, dv = (attention.rows(t) for t in attention.backward(do, q, k, v, p, self.head ** -0.5, noise_p))
        dx = parts.backward(rows, query=dq, key=dk, value=dv)
        return (dx + du).view(x.shape)

    def _unpacked(self, extras: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
        return extras if self.drops else (extras[0], None, None, None)


def _noised(x: Tensor, noise: Tensor | None) -> Tensor:
    return x if noise is None else x * noise


def _norm_backward(grad: Tensor, x: Tensor, mean: Tensor, r: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return _layer_norm_backward(grad, x, [x.shape[1]], mean, r, weight, bias, [True, False, False])[0]
