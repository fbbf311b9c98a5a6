"""A model with a method on it, of any size, whose tensors have sizes and no memory."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from lab.contracts import Base, Method, Shape
from lab.engine import quantized
from lab.engine.workshop import quieten
from lab.spec import RunSpec
from lab.supply.weights import CLASSES

NEUTRAL = {"init": ("random", "zero", "kaiming"), "gradient": ("plain",)}  # starts that need no weights and no words, and take the same memory
UNSAFE = ("auto_map", "quantization_config", "_name_or_path", "name_or_path", "attn_implementation", "dtype", "torch_dtype", "use_cache")
BLOCK, OUTER = 64, 256  # numbers that share a scale in a 4-bit format, and scales that share one with double quantisation


def sized(config: Mapping[str, Any], kind: str, dtype: torch.dtype, attention: str) -> nn.Module:
    """The bare model of a config on the meta device."""
    import transformers
    from transformers import AutoConfig

    quieten()
    sizes = {"pad_token_id": 0} | {key: value for key, value in config.items() if key not in UNSAFE and key != "model_type"}
    settings = AutoConfig.for_model(config["model_type"], **sizes)
    settings.use_cache = False
    made = getattr(transformers, CLASSES[kind]).from_config
    with torch.device("meta"):
        try:
            module = made(settings, dtype=dtype, attn_implementation=attention, trust_remote_code=False)
        except ValueError:  # a family whose attention is written out only
            module = made(settings, dtype=dtype, attn_implementation="eager", trust_remote_code=False)
        if kind == "seq2seq" and config.get("tie_word_embeddings", True) is False:  # made from a config T5 is tied; its files bring a layer of their own
            module.lm_head = nn.Linear(settings.d_model, settings.vocab_size, bias=False, dtype=dtype)
    if getattr(module, "pooler", None) is not None:
        module.pooler = None
    return module.eval().requires_grad_(False)


def attached(spec: RunSpec, module: nn.Module) -> nn.Module:
    """The method put on, as it would be on real weights, with a start that needs none."""
    words = spec.goal.words if spec.task else ()
    return _neutral(spec.method).attach(Base(module, spec.shape, Words(spec.shape.vocabulary), words, max(1, spec.steps), spec.seed))


def _neutral(method: Method) -> Method:
    changes: dict[str, Any] = {}
    for knob, starts in NEUTRAL.items():
        known = getattr(type(method).model_fields[knob].annotation, "__args__", ()) if hasattr(method, knob) else ()
        possible = [start for start in starts if start in known]
        if possible:
            changes[knob] = possible[0]
    if hasattr(method, "parts"):
        changes["parts"] = tuple(_neutral(part) for part in method.parts)
    return method.model_copy(update=changes) if changes else method


class Words:
    """Stands in for a tokenizer where a method looks words up: every text is all words, one after the other."""

    all_special_ids = ()

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary

    def __len__(self) -> int:
        return self.vocabulary

    def __call__(self, text: str, **how: Any) -> dict[str, list[int]]:
        return {"input_ids": list(range(self.vocabulary))}


def quantise(module: nn.Module, shape: Shape, quantization: str, dtype: torch.dtype) -> None:
    """Put bitsandbytes' layers in place of the blocks' linears, with packed weights and scales of the right sizes. T5's `wo` stays as it is, in float32."""
    quieten()
    settings, whole = quantized.FORMATS[quantization], getattr(module, "_keep_in_fp32_modules", None) or ()
    for linear in shape.linears:
        if linear.layer is None:
            continue
        parent, _, name = linear.module.rpartition(".")
        old = module.get_submodule(linear.module)
        if name in whole:
            old.float()
            continue
        new = _four_bits(old, settings, dtype) if "load_in_4bit" in settings else _eight_bits(old)
        setattr(module.get_submodule(parent), name, new)
    module.is_loaded_in_4bit, module.is_loaded_in_8bit = "load_in_4bit" in settings, "load_in_8bit" in settings


def _four_bits(old: Any, settings: Mapping[str, Any], dtype: torch.dtype) -> nn.Module:
    from bitsandbytes.functional import QuantState
    from bitsandbytes.nn import Linear4bit, Params4bit

    out, inputs = (old.weight.shape[1], old.weight.shape[0]) if not isinstance(old, nn.Linear) else old.weight.shape
    kind, double = settings["bnb_4bit_quant_type"], settings.get("bnb_4bit_use_double_quant", False)
    with torch.device("meta"):
        new = Linear4bit(inputs, out, old.bias is not None, compute_dtype=dtype, compress_statistics=double, quant_type=kind)
        blocks = -(-inputs * out // BLOCK)
        outer = QuantState(absmax=torch.empty(-(-blocks // OUTER)), blocksize=OUTER, code=torch.empty(256), dtype=torch.float32) if double else None
        state = QuantState(absmax=torch.empty(blocks, dtype=torch.uint8 if double else torch.float32), shape=torch.Size((out, inputs)), code=torch.empty(16),
                           blocksize=BLOCK, quant_type=kind, dtype=dtype, offset=torch.empty(()) if double else None, state2=outer)
        packed = torch.empty((out * inputs + 1) // 2, 1, dtype=torch.uint8)
    new.weight = Params4bit(packed, requires_grad=False, quant_state=state, blocksize=BLOCK, compress_statistics=double, quant_type=kind, module=new,
                            bnb_quantized=True)
    new.quant_state, new.bias = state, old.bias
    new.support_avx512bf16_for_cpu = False
    return new


def _eight_bits(old: Any) -> nn.Module:
    from bitsandbytes.nn import Int8Params, Linear8bitLt

    out, inputs = (old.weight.shape[1], old.weight.shape[0]) if not isinstance(old, nn.Linear) else old.weight.shape
    with torch.device("meta"):
        new = Linear8bitLt(inputs, out, old.bias is not None, has_fp16_weights=False, threshold=6.0)
        new.weight = Int8Params(torch.empty(out, inputs, dtype=torch.int8), requires_grad=False, has_fp16_weights=False)
        new.weight.CB, new.weight.SCB = new.weight.data, torch.empty(out)
    new.bias = old.bias
    new.init_8bit_state()
    return new


def materialise(module: nn.Module) -> None:
    """Every tensor of the module, wherever it lies now, gives way to one of the present mode; tied ones stay tied. Call it inside the fake mode."""
    made: dict[Any, Any] = {}
    kept = list(module.parameters())  # so that no new tensor gets the id of an old one
    for part in module.modules():
        for name, weight in list(part._parameters.items()):
            if weight is not None:
                part._parameters[name] = _again(weight, made)
        for name, buffer in list(part._buffers.items()):
            if buffer is not None:
                part._buffers[name] = made.setdefault(id(buffer), _empty(buffer, made))
        _renew_beside(part, made)
    if hasattr(module, "stacked"):  # a combination has written down which weights are whose
        module.stacked = [(part, whole, [made[id(weight)] for weight in weights], kind) for part, whole, weights, kind in module.stacked]
    del kept


def _again(weight: nn.Parameter, made: dict[Any, Any]) -> Any:
    """bitsandbytes' own kinds of parameter carry their scales with them as attributes."""
    if id(weight) not in made:
        made[id(weight)] = nn.Parameter(_empty(weight, made), requires_grad=weight.requires_grad)
        if type(weight) is not nn.Parameter:
            vars(made[id(weight)]).update(vars(weight))
    return made[id(weight)]


def _empty(tensor: torch.Tensor, made: dict[Any, Any]) -> torch.Tensor:
    """Tensors that lie in one piece of memory do so again."""
    storage = tensor.untyped_storage()
    if storage.nbytes() <= tensor.numel() * tensor.element_size():
        return torch.empty(tensor.shape, dtype=tensor.dtype)
    key = ("storage", storage._cdata)
    if key not in made:
        made[key] = torch.empty(storage.nbytes() // tensor.element_size(), dtype=tensor.dtype)
    return made[key].as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())


def _renew_beside(part: nn.Module, made: dict[Any, Any]) -> None:
    """Scales of quantised weights are neither parameters nor buffers."""
    weight = part._parameters.get("weight")
    state = getattr(weight, "quant_state", None)
    while state is not None and id(state) not in made:
        made[id(state)] = state
        for name, value in list(vars(state).items()):
            if isinstance(value, torch.Tensor):
                setattr(state, name, made.setdefault(id(value), _empty(value, made)))
        state = state.state2
    if getattr(weight, "SCB", None) is not None:
        weight.CB, weight.SCB = weight.data, _empty(weight.SCB, made)
    if getattr(getattr(part, "state", None), "SCB", None) is not None:
        part.state.CB, part.state.SCB = weight.data, _empty(part.state.SCB, made)
