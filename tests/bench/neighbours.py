"""Exact nearest words of many vectors in a large table: `python -m tests.bench.neighbours [--rows N --width N --vectors N]`.

Against the naive way in the same run: a copy of the whole table in float32, centred and normalised, and one product. Both find the same words.
Printed: seconds of each (the best of three), their ratio, and how far each raised the process's memory above the table itself.
"""
from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import torch

from lab.lenses._vocabulary import Vocabulary

BAR_SECONDS = 1.0


def naive(table: torch.Tensor, vectors: torch.Tensor, top: int) -> torch.Tensor:
    """(vectors, top) ids by centred cosine."""
    rows = table.float()
    mean = rows.mean(0)
    rows = torch.nn.functional.normalize(rows - mean, dim=1)
    return (torch.nn.functional.normalize(vectors - mean, dim=1) @ rows.T).topk(top, dim=1).indices


def timed(work: Callable[[], Any], rounds: int = 3) -> tuple[float, Any]:
    seconds, found = [], None
    for _ in range(rounds):
        began = time.perf_counter()
        found = work()
        seconds.append(time.perf_counter() - began)
    return min(seconds), found


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(rows: int, width: int, vectors: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    table = torch.empty(rows, width, dtype=dtype)
    for first in range(0, rows, 4096):
        part = table[first:first + 4096]
        part.copy_(torch.randn(part.shape) + 0.5)
    asked = table[torch.randint(rows, (vectors,))].float() + 2 * torch.randn(vectors, width)
    size, before = table.numel() * table.element_size(), peak_bytes()
    opening, words = timed(lambda: Vocabulary(table, [f"word {row}" for row in range(rows)], {}), 1)
    _ = words.words
    one, near = timed(lambda: words.nearest(asked, 5, ("centred",)))
    four, _ = timed(lambda: words.nearest(asked, 5))
    ours = peak_bytes() - before
    plain, ids = timed(lambda: naive(table, asked, 5))
    theirs = peak_bytes() - before
    assert [[each.token for each in line] for line in near["centred"]] == ids.tolist()
    print(f"{vectors} vectors among {rows:,} x {width:,} ({dtype}, {size / 1e6:,.0f} MB), {torch.get_num_threads()} threads")
    print(f"  opened once     {opening:6.2f} s   means and norms of the rows")
    print(f"  centred cosine  {one:6.2f} s   (bar: {BAR_SECONDS} s)   {ours / 1e6:,.0f} MB more at the peak")
    print(f"  four metrics    {four:6.2f} s")
    print(f"  naive, centred  {plain:6.2f} s   {plain / one:.1f} times as long   {theirs / 1e6:,.0f} MB more at the peak")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("rows", 152_000), ("width", 1536), ("vectors", 100)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    options = parser.parse_args()
    main(options.rows, options.width, options.vectors, getattr(torch, options.dtype))
