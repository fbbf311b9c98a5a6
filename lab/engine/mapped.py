"""Weights of a base in one file that every process maps, so that several workers of a machine hold them once.

The mapping is private: pages are shared as long as nobody writes to them, and what one process writes no other sees.
"""
from __future__ import annotations

import hashlib
import logging
import mmap
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

LEAST = 2**24  # bytes of weights from which on sharing is worth a file
LINE = 64  # bytes: each piece begins on a cache line


class Piece(NamedTuple):
    """One storage of the model, and its place in the file."""

    storage: torch.UntypedStorage
    start: int


def settle(module: nn.Module, sha256: str, folder: Path) -> bool:
    """Let the weights of a module lie in a file of `folder`, which is made where there is none. Returns whether they do.

    `sha256` names the weights they were made from. Bits and layout stay the same. Where the file cannot be had (a full disk, a system without mapping)
    the weights stay where they are.
    """
    pieces, size = _pieces(module)
    if size < LEAST:
        return False
    path = folder / f"{_name(module, sha256)}.weights"
    with suppress(OSError, ValueError, RuntimeError):
        if not (path.exists() and path.stat().st_size == size):
            _write(pieces, size, path)
        with path.open("rb") as file:
            mapping = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY)
        parts = [torch.frombuffer(mapping, dtype=torch.uint8, count=piece.storage.nbytes(), offset=piece.start) for piece in pieces]
        if all(torch.equal(_bytes(piece.storage), part) for piece, part in zip(pieces, parts, strict=True)):
            _move(module, {piece.storage.data_ptr(): part.untyped_storage() for piece, part in zip(pieces, parts, strict=True)})
            return True
        logging.getLogger(__name__).warning("%s does not hold the weights it is named after: it is made again the next time", path)
        path.unlink()
    return False


def _pieces(module: nn.Module) -> tuple[list[Piece], int]:
    """The storages of all weights, each once and in the order of the model, and the length of the file."""
    found: dict[int, Piece] = {}
    end = 0
    for weight in module.parameters():
        storage = weight.untyped_storage()
        if storage.data_ptr() not in found:
            found[storage.data_ptr()] = Piece(storage, end)
            end += -(-storage.nbytes() // LINE) * LINE
    return list(found.values()), end


def _name(module: nn.Module, sha256: str) -> str:
    """Of these weights in this layout and number format."""
    layout = [(name, str(weight.dtype), tuple(weight.shape), weight.storage_offset(), weight.untyped_storage().nbytes())
              for name, weight in module.named_parameters()]
    return f"{sha256[:16]}-{hashlib.sha256(repr(layout).encode()).hexdigest()[:16]}"


def _write(pieces: list[Piece], size: int, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(path.parent).free < 2 * size:
        raise OSError(f"{path.parent} has less than {2 * size:,} bytes left")
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    try:
        with unfinished.open("wb") as file:
            for piece in pieces:
                file.seek(piece.start)
                file.write(_bytes(piece.storage).numpy())
            file.truncate(size)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _move(module: nn.Module, places: dict[int, torch.UntypedStorage]) -> None:
    """`places`: where each storage, by its address, is to be found from now on. Each stays a storage of its own: memory is counted by them."""
    for weight in module.parameters():
        place = places[weight.untyped_storage().data_ptr()]
        weight.data = torch.empty(0, dtype=weight.dtype).set_(place, weight.storage_offset(), weight.shape, weight.stride())


def _bytes(storage: torch.UntypedStorage) -> torch.Tensor:
    return torch.empty(0, dtype=torch.uint8).set_(storage, 0, (storage.nbytes(),), (1,))
