"""A block of the BERT type: the whole block as one forward and one backward function.

    y = norm₁(x + drop(O attention(Q x, K x, V x)));   z = norm₂(y + drop(W₂ gelu(W₁ y)))

In training the padding, a ninth of MiniLM's positions in batches of similar length, goes through attention only: everywhere else the texts'
tokens stand one after the other.
"""
from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import gelu

from lab.engine.fast import attention
from lab.engine.fast.dropout import noise, seeds
from lab.engine.fast.linear import Parts

ROWS = 32  # their number is a multiple of this
_layer_norm, _layer_norm_backward = torch.ops.aten.native_layer_norm, torch.ops.aten.native_layer_norm_backward
_gelu_backward = torch.ops.aten.gelu_backward
# Abramowitz and Stegun, 7.1.26: 1 - erf(z) = (a₁ t + … + a₅ t⁵) exp(-z²) with t = 1 / (1 + P z), within 1.5e-7 for z ≥ 0; torch's vectors use it too
P, TAIL = 0.3275911, (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)


@dataclass(frozen=True)
class Bert:
    """The fixed numbers of a block."""

    head: int  # width of one attention head
    eps: float
    chances: tuple[float, ...] = ()  # of dropout on the probabilities, on the output of attention and on that of the feed-forward layers
    packed: bool = False  # padding is left out of the rows, and comes out as 0

    @property
    def saved(self) -> int:
        """How many tensors `forward` keeps for `backward`."""
        return 14 + len(self.chances)

    def extras(self, batch: int, tokens: int, dtype: torch.dtype) -> list[Tensor]:
        """Examples of mask, places of rows and seeds of the noise."""
        mask, padding = torch.ones(batch, 1, tokens, tokens, dtype=dtype), torch.zeros(batch, tokens, dtype=torch.bool)
        padding.view(-1)[-ROWS:] = True
        return [mask, *(places(padding, dtype) if self.packed else ()), *([seeds(len(self.chances))] if self.chances else [])]

    def forward(self, x: Tensor, extras: tuple[Tensor, ...], parts: Parts, norms: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The block's output, (batch, tokens, width), and what its backward pass needs besides x."""
        mask, pack = extras[0], self._pack(extras)
        rows = pack.rows(x.reshape(-1, x.shape[2]))
        drawn = self._drawn(x, rows, extras[-1])
        noise_p, noise_o, noise_f = drawn or (None, None, None)
        q, k, v = (attention.heads(pack.all(t), x, self.head) for t in parts.forward(rows, "query", "key", "value"))
        o, p = attention.forward(q, k, v, mask, self.head ** -0.5, noise_p)
        o = pack.rows(o)
        u = _noised(parts.forward(o, "output")[0], noise_o) + rows
        y, mean1, r1 = _layer_norm(u, [u.shape[1]], norms[0], norms[1], self.eps)
        f, = parts.forward(y, "ffn_in")
        g, slope = _gelu(f)
        w = _noised(parts.forward(g, "ffn_out")[0], noise_f) + y
        z, mean2, r2 = _layer_norm(w, [w.shape[1]], norms[2], norms[3], self.eps)
        return pack.all(z, zero=True).view(x.shape), (q, k, v, p, o, u, mean1, r1, y, g, slope, w, mean2, r2, *drawn)

    def backward(self, grad: Tensor, x: Tensor, saved: tuple[Tensor, ...], extras: tuple[Tensor, ...], parts: Parts, norms: tuple[Tensor, ...]) -> Tensor:
        """The gradient of x."""
        q, k, v, p, o, u, mean1, r1, y, g, slope, w, mean2, r2, *drawn = saved
        noise_p, noise_o, noise_f = drawn or (None, None, None)
        pack = self._pack(extras)
        rows = pack.rows(x.reshape(-1, x.shape[2]))
        dw = _norm_backward(pack.rows(grad.reshape(-1, x.shape[2])), w, mean2, r2, norms[2], norms[3])
        dg = parts.backward(g, ffn_out=_noised(dw, noise_f))
        dy = parts.backward(y, ffn_in=dg * slope) + dw
        du = _norm_backward(dy, u, mean1, r1, norms[0], norms[1])
        do = pack.all(parts.backward(o, output=_noised(du, noise_o)), zero=True)
        dq, dk, dv = (pack.rows(attention.rows(t)) for t in attention.backward(do, q, k, v, p, self.head ** -0.5, noise_p))
        dx = parts.backward(rows, query=dq, key=dk, value=dv)
        return pack.all(dx + du, zero=True).view(x.shape)

    def _pack(self, extras: tuple[Tensor, ...]) -> Pack:
        return Pack(*extras[1:4]) if self.packed else Pack()

    def _drawn(self, x: Tensor, rows: Tensor, given: Tensor) -> tuple[Tensor, ...]:
        """Noise on the probabilities, on the output of attention and on that of the feed-forward layers."""
        if not self.chances:
            return ()
        batch, tokens, width = x.shape
        sizes = (batch, width // self.head, tokens, tokens), rows.shape, rows.shape
        return tuple(noise(seed, tuple(size), chance, x.dtype) for seed, size, chance in zip(given, sizes, self.chances, strict=True))


class Pack(NamedTuple):
    """From all positions of a batch to those with a token, and back; without places nothing is left out."""

    index: Tensor | None = None  # (rows,): the position of each row
    back: Tensor | None = None  # (batch x tokens,): the row of each position, 0 for those left out
    kept: Tensor | None = None  # (batch x tokens, 1): 0 for those left out, 1 for the others

    def rows(self, x: Tensor) -> Tensor:
        """(batch x tokens, width) to (rows, width)."""
        return x if self.index is None else x.index_select(0, self.index)

    def all(self, x: Tensor, zero: bool = False) -> Tensor:
        """(rows, width) to (batch x tokens, width). What was left out is 0, or any number where `zero` is not asked for."""
        if self.back is None:
            return x
        found = x.index_select(0, self.back)
        return found * self.kept if zero else found


def places(padding: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """What `Pack` holds, from (batch, tokens), True at padding. Some padding stays, so that few numbers of rows occur: for each that is new the
    products' library writes code."""
    padding = padding.reshape(-1)
    rows = min(-(-int((~padding).sum()) // ROWS) * ROWS, len(padding))
    index = padding.to(torch.uint8).argsort(stable=True)[:rows]
    back, kept = torch.zeros_like(padding, dtype=torch.int64), torch.zeros_like(padding, dtype=dtype)
    back[index], kept[index] = torch.arange(rows), 1
    return index, back, kept.unsqueeze(1)


def _gelu(x: Tensor) -> tuple[Tensor, Tensor]:
    """x Φ(x) and its slope, Φ(x) + x φ(x)."""
    if not torch.compiler.is_exporting():
        return gelu(x), _gelu_backward(torch.ones_like(x), x)
    exact = x.float()
    bell = torch.exp(exact * exact * -0.5)  # one exponential for both: torch takes one for the error function in Φ and another for φ
    t = 1 / (1 + P / sqrt(2) * exact.abs())
    tail = t * (TAIL[0] + t * (TAIL[1] + t * (TAIL[2] + t * (TAIL[3] + t * TAIL[4])))) * bell * 0.5  # Φ(-|x|)
    phi = torch.where(exact < 0, tail, 1 - tail)
    return (exact * phi).to(x.dtype), (phi + exact * bell * (1 / sqrt(2 * pi))).to(x.dtype)


def _noised(x: Tensor, noise: Tensor | None) -> Tensor:
    return x if noise is None else x * noise


def _norm_backward(grad: Tensor, x: Tensor, mean: Tensor, r: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return _layer_norm_backward(grad, x, [x.shape[1]], mean, r, weight, bias, [True, False, False])[0]
