"""Base models: loaded once, kept untouched, and handed out as fresh copies that share their memory until something trains them."""
from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lab.contracts import LabError, Shape
from lab.engine import fast, mapped, quantized
from lab.supply.weights import CLASSES


@dataclass(frozen=True)
class Pristine:
    """A base as it was loaded. Nothing may write to `module`; `checksum` tells whether something did."""

    module: nn.Module
    tokenizer: Any  # None of a vision model
    sha256: str
    checksum: int
    quantization: str | None = None

    @property
    def dtype(self) -> torch.dtype:
        return self.module.dtype

    @property
    def intact(self) -> bool:
        return checksum(self.module) == self.checksum


def load(folder: Path, sha256: str, shape: Shape, dtype: torch.dtype, attention: str, device: str, quantization: str | None = None,
         shared: Path | None = None) -> Pristine:
    """A bare encoder or vision model without pooler (mean pooling is ours), or a language model, in eval mode."""
    import transformers

    wanted = {"dtype": dtype, "attn_implementation": attention, "use_safetensors": True, "local_files_only": True, "trust_remote_code": False}
    if quantization:
        wanted |= quantized.loading(quantization, dtype, device)
    module = getattr(transformers, CLASSES[shape.kind]).from_pretrained(folder, **wanted)
    if getattr(module, "pooler", None) is not None:
        module.pooler = None
    tokenizer = tokenizer_in(folder) if shape.kind != "vision" else None
    module.config.use_cache = False
    if quantization:
        quantized.settle(module)
    else:
        module = module.to(device)
        if device == "cpu":
            _own(module)
        fast.lay_out(module, shape)
        if shared is not None and device == "cpu":
            mapped.settle(module, sha256, shared)
    module = module.eval().requires_grad_(False)
    return Pristine(module, tokenizer, sha256, checksum(module), quantization)


def _own(module: nn.Module) -> None:
    """Copy the weights out of their file, which safetensors maps: whoever shortened it would end every process that reads on, and whoever wrote into it
    would change a base that is in use."""
    for weight in module.parameters():
        weight.data = weight.data.clone()


def tokenizer_in(folder: Path) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token_id is None:
        raise LabError(f"the tokenizer in {folder} has neither a padding nor an end token: texts of different length cannot share a batch")
    return tokenizer


def fresh(pristine: Pristine) -> nn.Module:
    """A new module tree over the same storages: frozen weights are shared by all copies, tied weights stay tied."""
    shared: dict[int, Any] = {id(weight): nn.Parameter(weight.detach(), requires_grad=False) for weight in pristine.module.parameters()}
    shared |= {id(buffer): buffer for buffer in pristine.module.buffers()}
    shared |= quantized.shared(pristine.module)
    module = copy.deepcopy(pristine.module, shared)
    for part in module.modules():  # transformers leaves hooks in a module that was asked for its attention: they would keep fast blocks from a copy
        for hooks in (part._forward_hooks, part._forward_hooks_with_kwargs, part._forward_hooks_always_called,
                      part._forward_pre_hooks, part._forward_pre_hooks_with_kwargs):
            hooks.clear()
        vars(part).pop("_output_capturing_hooks_installed", None)
    return module


def unshare(module: nn.Module, pristine: Pristine, everything: bool = False) -> None:
    """Give each weight that is going to train storage of its own, so that the pristine base is never written to."""
    kept = {weight.untyped_storage().data_ptr() for weight in pristine.module.parameters()}
    for weight in module.parameters():
        if (weight.requires_grad or everything) and weight.untyped_storage().data_ptr() in kept:
            weight.data = weight.data.clone()


def widen(module: nn.Module, dtype: torch.dtype, device: str | None = None) -> None:
    """Put what trains into a number format of its own, and with it what stands frozen beside it in a norm: there, one operation takes both."""
    for part in module.modules():
        own = list(part.parameters(recurse=False))
        trained = [weight for weight in own if weight.requires_grad]
        for weight in own if trained and all(weight.dim() == 1 for weight in own) else trained:
            weight.data = weight.data.to(device or weight.device, dtype)


def share(twins: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Let each weight that equals its twin of the pristine base, bit for bit, lie where that lies: several finished runs then hold one base in memory."""
    for weight, original in twins:
        if weight.data.dtype == original.data.dtype and torch.equal(weight.data, original.data):
            weight.data = original.data


def own_bytes(module: nn.Module, pristine: Pristine) -> int:
    """What it holds beside the pristine base."""
    kept = {tensor.untyped_storage().data_ptr() for tensor in tensors(pristine.module)}
    held = {storage.data_ptr(): storage.nbytes() for tensor in tensors(module) if (storage := tensor.untyped_storage()).data_ptr() not in kept}
    return sum(held.values())


def tensors(module: nn.Module) -> list[torch.Tensor]:
    """All that the module holds: weights, buffers, and the scales of quantised weights."""
    return [*module.parameters(), *module.buffers(), *quantized.beside(module)]


def checksum(module: nn.Module) -> int:
    """Changes when any bit of any of its tensors changes by itself; about 0.1 s for 300 MB."""
    return hash(tuple(_sum(tensor) for tensor in tensors(module)))


def _sum(tensor: torch.Tensor) -> int:
    whole = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    return int(tensor.detach().contiguous().view(whole).sum(dtype=torch.int64))
