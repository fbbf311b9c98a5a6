"""Fast paths beside the readable loop: the same numbers in less time. Where one does not apply, the model runs as its library wrote it.

`speed_up` puts them under a model. Each path opens with what it does; its gain is measured by `python -m tests.bench.gains`.
"""
from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn, zeros

from lab.contracts import Shape
from lab.engine.fast.bert import Bert, places
from lab.engine.fast.blocks import Code, Plan, Through
from lab.engine.fast.dropout import quicken, seeds
from lab.engine.fast.linear import lay_side_by_side, side_by_side
from lab.engine.fast.llama import Llama

Codes = dict[tuple[Any, ...], Code]  # by plan, sizes and number formats
Groups = tuple[tuple[tuple[str, int, bool, bool], ...], ...]
READ_TOGETHER = {  # roles of a block that read the same numbers, in the order of the block
    "LlamaDecoderLayer": (("query", "key", "value"), ("output",), ("ffn_gate", "ffn_in"), ("ffn_out",)),
    "BertLayer": (("query", "key", "value"), ("output",), ("ffn_in",), ("ffn_out",)),
}


def speed_up(module: Any, shape: Shape) -> list[Code]:
    """Run each block of the model in which nothing but plain LoRA is trained as one fast function. Returns the code that training uses."""
    base = module.get_base_model() if hasattr(module, "get_base_model") else module
    codes: Codes = {}
    modules, blocks = dict(base.named_modules()), list(base.get_submodule(shape.blocks))
    lowest = _lowest(module, blocks)
    for layer, block in enumerate(blocks):
        linears = {linear.role: modules.get(linear.module) for linear in shape.linears if linear.layer == layer}  # None where a method has wrapped it
        hook = HOOKS.get(type(block).__name__)
        if hook is not None and _plain(block, linears):
            hook(block, linears, codes, block is lowest)
    quicken(base)
    return [code for code in codes.values() if code.trains]


def _lowest(module: nn.Module, blocks: list[nn.Module]) -> nn.Module | None:
    """The block below which no gradient is needed, where there is one: the first that trains anything while nothing outside the blocks does."""
    trained = {id(weight) for weight in module.parameters() if weight.requires_grad}
    of_blocks = [{id(weight) for weight in block.parameters()} & trained for block in blocks]
    return next((block for block, own in zip(blocks, of_blocks, strict=True) if own), None) if trained == set().union(*of_blocks) else None


def _plain(block: nn.Module, linears: dict[str, Any]) -> bool:
    """Whether nothing in the block is trained or changed but by LoRA of peft's simplest kind, all of one scale."""
    parts = list(linears.values())
    adapted = [part for part in parts if _adapters(part)]
    trained = {id(weight) for weight in block.parameters() if weight.requires_grad}
    return (all(_adapters(part) or type(part) is nn.Linear for part in parts)
            and trained == {id(weight) for part in adapted for weight in _adapters(part)}
            and all(weight.is_contiguous() for weight in block.parameters())
            and not any("forward" in vars(part) for part in block.modules())
            and len({part.scaling["default"] for part in adapted}) <= 1)


def _adapters(part: nn.Module) -> tuple[nn.Parameter, ...]:
    """A and B of a plain LoRA layer with one adapter and no dropout; nothing otherwise."""
    from peft.tuners.lora import Linear

    if (type(part) is not Linear or type(part.base_layer) is not nn.Linear or list(part.lora_A) != ["default"] or part.merged
            or part.lora_variant or part.lora_bias["default"] or part.fan_in_fan_out or not isinstance(part.lora_dropout["default"], nn.Identity)):
        return ()
    return part.lora_A["default"].weight, part.lora_B["default"].weight


def lay_out(module: nn.Module, shape: Shape) -> None:
    """Put the weights of a base that are read together one below the other in memory, where they are of one kind: then they are one product."""
    for layer, block in enumerate(module.get_submodule(shape.blocks)):
        if type(block).__name__ in READ_TOGETHER:
            linears = {linear.role: module.get_submodule(linear.module) for linear in shape.linears if linear.layer == layer}
            for roles in READ_TOGETHER[type(block).__name__]:
                parts = [linears[role] for role in roles]
                if len(parts) > 1 and all(type(part) is nn.Linear and part.weight.dtype == parts[0].weight.dtype for part in parts):
                    lay_side_by_side(parts)


def _tensors(linears: dict[str, nn.Module], together: tuple[tuple[str, ...], ...]) -> tuple[Groups, float, list[Tensor]]:
    """The groups of a plan, its scale, and the tensors in their order."""
    groups, scale, tensors = [], 1.0, []
    for roles in together:
        layers = [_layer(linears[role]) for role in roles]
        whole = side_by_side([layer.weight for layer in layers])
        for names in [roles] if whole is not None else [(role,) for role in roles]:
            tensors.append(_layer(linears[names[0]]).weight if len(names) == 1 else whole)
            group = []
            for role in names:
                ab, layer = _adapters(linears[role]), _layer(linears[role])
                if ab:
                    scale = linears[role].scaling["default"]
                group.append((role, layer.out_features, layer.bias is not None, bool(ab)))
                tensors += [*([layer.bias] if layer.bias is not None else []), *ab]
            groups.append(tuple(group))
    return tuple(groups), scale, tensors


def _layer(part: nn.Module) -> nn.Linear:
    return part.base_layer if _adapters(part) else part


def _watch(block: nn.Module, config: Any, linears: dict[str, nn.Module], scale: float) -> Callable[[Any], bool]:
    """Tells at each call whether the fast path still stands for the block: nobody has since switched off, merged, unloaded, replaced or
    scaled an adapter, made another active, unfrozen or moved a weight, hooked into the block's inside, copied it, or chosen another arithmetic."""
    parts = list(linears.values())
    adapted = [part for part in parts if _adapters(part)]
    frozen = [(weight, weight.data_ptr()) for weight in block.parameters() if not weight.requires_grad]
    places = [(home._modules, name, part) for home in block.modules() for name, part in home.named_children() if part in parts]
    hooks = [hooks for part in block.modules() if part is not block
             for hooks in (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks, part._backward_pre_hooks)]

    def stands(self: Any) -> bool:
        return (self is block and not any(hooks) and not any(weight.requires_grad or weight.data_ptr() != place for weight, place in frozen)
                and config._attn_implementation == "eager" and not self.gradient_checkpointing and not torch.is_autocast_enabled("cpu")
                and all(home.get(name) is part for home, name, part in places)
                and all(part.active_adapters == ["default"] and part.scaling["default"] == scale and not part.disable_adapters and not part.merged
                        for part in adapted))

    return stands


def _simple(mask: Tensor | None, tokens: int) -> bool:
    """Whether one mask serves all heads and hides or shows exactly the tokens of this pass."""
    return mask is not None and mask.dim() == 4 and mask.shape[1] == 1 and mask.shape[2] in (1, tokens) and mask.shape[3] == tokens


def _code(plan: Plan, fixed: list[Tensor], codes: Codes, trains: bool = True) -> Code:
    """Blocks share code where everything that is compiled into it is the same."""
    code = Code(plan, fixed, trains)
    return codes.setdefault((plan, code.sizes, code.dtypes), code)


def _llama(block: Any, linears: dict[str, nn.Module], codes: Codes, _: bool) -> None:
    attention = block.self_attn
    if attention.attention_dropout or attention.config._attn_implementation != "eager" or attention.config.hidden_act != "silu":
        return
    norms = (block.input_layernorm, block.post_attention_layernorm)
    groups, scale, tensors = _tensors(linears, READ_TOGETHER[type(block).__name__])
    fixed = [*(norm.weight for norm in norms), *tensors]
    code = _code(Plan(Llama(attention.head_dim, norms[0].variance_epsilon), extras=3, norms=2, groups=groups, scale=scale), fixed, codes)
    stands, plain = _watch(block, attention.config, linears, scale), type(block).forward

    def forward(self: Any, hidden_states: Tensor, attention_mask: Any = None, position_ids: Any = None, past_key_values: Any = None,
                use_cache: Any = False, position_embeddings: Any = None, **others: Any) -> Any:
        batch, tokens, _ = hidden_states.shape
        if past_key_values is not None or not _simple(attention_mask, tokens) or position_embeddings[0].shape[0] != 1 or not stands(self):
            return plain(self, hidden_states, attention_mask, position_ids, past_key_values, use_cache, position_embeddings, **others)
        mask = attention_mask.to(hidden_states.dtype).expand(batch, 1, tokens, tokens).contiguous()
        return Through.apply(code, hidden_states.contiguous(), *position_embeddings, mask, *fixed)

    block.forward = MethodType(forward, block)


def _bert(block: Any, linears: dict[str, nn.Module], codes: Codes, lowest: bool) -> None:
    attention, config = block.attention.self, block.attention.self.config
    if config._attn_implementation != "eager" or config.hidden_act != "gelu" or block.is_decoder or block.chunk_size_feed_forward:
        return
    norms = (block.attention.output.LayerNorm, block.output.LayerNorm)
    groups, scale, tensors = _tensors(linears, READ_TOGETHER[type(block).__name__])
    fixed = [*(weight for norm in norms for weight in (norm.weight, norm.bias)), *tensors]
    chances = attention.dropout.p, block.attention.output.dropout.p, block.output.dropout.p
    codes_of = {}
    for trains in (False, True):  # the lowest block, a sixth of MiniLM, has code of its own; of many blocks it is not worth a minute of compiling
        kind = Bert(attention.attention_head_size, norms[0].eps, chances if trains and any(chances) else (), packed=trains)
        plan = Plan(kind, 1 + 3 * trains + bool(kind.chances), 4, groups, scale, leaf=lowest)
        codes_of[trains] = _code(plan, fixed, codes, trains)
    stands, plain = _watch(block, config, linears, scale), type(block).forward

    def forward(self: Any, hidden_states: Tensor, attention_mask: Any = None, encoder_hidden_states: Any = None,
                encoder_attention_mask: Any = None, past_key_values: Any = None, **others: Any) -> Any:
        tokens = hidden_states.shape[1]
        mask = attention_mask if attention_mask is not None else zeros(1, 1, 1, tokens)
        if (past_key_values is not None or encoder_hidden_states is not None or (lowest and hidden_states.requires_grad)
                or not _simple(mask, tokens) or not stands(self)):
            return plain(self, hidden_states, attention_mask, encoder_hidden_states, encoder_attention_mask, past_key_values, **others)
        extras = _of_mask(mask, hidden_states, self.training)
        if self.training and any(chances):
            extras = (*extras, seeds(len(chances)))
        return Through.apply(codes_of[self.training], hidden_states.contiguous(), *extras, *fixed)

    block.forward = MethodType(forward, block)


def _of_mask(mask: Tensor, x: Tensor, packed: bool) -> tuple[Tensor, ...]:
    """The mask for every head and token, and where the tokens are. All blocks of a pass are given the same mask, so it carries what was worked out."""
    batch, tokens, _ = x.shape
    known = vars(mask).get("lab_extras")
    if known is None or (len(known) > 1) != packed:
        known = (mask.to(x.dtype).expand(batch, 1, tokens, tokens).contiguous(),)
        if packed:  # padding is what no token sees
            known += places((mask.amax(2) < 0).expand(batch, 1, tokens).squeeze(1), x.dtype)
        mask.lab_extras = known
    return known


HOOKS = {"LlamaDecoderLayer": _llama, "BertLayer": _bert}
