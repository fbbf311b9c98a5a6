"""Prefix tuning: every block's attention also looks at n trained keys and values that belong to no word.

    attention(Q, [P_k ; K], [P_v ; V]),  P_k and P_v: (n, width of the keys) in each block, or in half of them
"""
from dataclasses import replace
from typing import Any, Literal

from lab.contracts import Base, Code, Format, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _peft, _prefix_format, _starts

WITHOUT = {"distilbert": "DistilBERT's attention takes no keys and values from outside, so nothing can stand in front of its own; try prompt_tuning"}


class _ByBlocks:
    """peft's own folder for a prefix in every block; it knows no other."""

    def __get__(self, method: "PrefixTuning | None", owner: type) -> Format:
        return _peft.FORMAT if method is None or method.which == "all" else _prefix_format.FORMAT


class PrefixTuning(Method):
    """Give every block a few keys and values of its own to look at, as if it had read words that nobody wrote. The model itself is frozen."""

    key = "prefix_tuning"
    title = "Prefix tuning"
    paper = Paper("Prefix-Tuning: Optimizing Continuous Prompts for Generation", "Li and Liang", 2021, "https://arxiv.org/abs/2101.00190")
    formula = "attention(Q, [P_k ; K], [P_v ; V])"
    family = "additive"
    composition = "input"
    strengths = (
        "Every block has vectors of its own, so it reaches deeper than a prompt at the input; with 0.1 % of the numbers its "
        "paper comes near full fine-tuning on table-to-text.")
    weaknesses = "Takes up positions of the window, depends on where it starts (at random it can ruin the model), and cannot be merged."
    rates = {"encoder": Rate(1e-3, 1e-3, 3e-3), "decoder": Rate(3e-3, 3e-3, 1e-2)}
    format = _ByBlocks()
    quantizable = True
    fixed = {"checkpointing": False}  # recomputing a block would need the keys and values again, and transformers drops them

    virtual_tokens: int = knob(20, "trained keys and values in each block; each uses up one position of the window", low=1, high=200,
                               peft="num_virtual_tokens")
    init: Literal["text", "zero", "random"] = knob(
        "text", "start: the keys and values that the frozen model computes for the words of a text, zeros, or standard normal, which can ruin the model",
        peft="init_weights")
    text: str = knob("Classify the sentiment of the text as positive or negative:", "the words to start from, where init is text")
    which: Literal["all", "lower", "upper"] = knob(
        "all", "the blocks that get a prefix: all, the lower half, or the upper half; in the others its places are hidden. P-tuning v2 compares them",
        advanced=True, later=True)
    projection: bool = knob(False, "train a network that puts the keys and values out, as the paper does, instead of the numbers themselves",
                            peft="prefix_projection", advanced=True)
    hidden: int = knob(128, "width inside that network", low=1, high=4096, peft="encoder_hidden_size", advanced=True)

    def attach(self, base: Base) -> Any:
        from lab.methods import _prompts

        start = _prompts.keys_and_values(base, self.text, self.virtual_tokens, _width(base.shape)) if self.init == "text" else None
        module = _peft.attach(base, self._config(base))
        chosen = self.blocks(base.shape)
        if start is not None:
            own = start.view(self.virtual_tokens, _layers(base.shape), -1)[:, list(chosen)]
            _prompts.begin_prefix(module.prompt_encoder["default"], own.flatten(1))
        if self.which == "all":
            return module
        return _prefix_format.load(module, None, {"blocks": base.shape.blocks, "chosen": list(chosen)})

    def blocks(self, shape: Shape) -> range:
        """Numbers of the blocks that get a prefix; in an encoder-decoder within the writing stack."""
        layers = _layers(shape)
        return {"all": range(layers), "lower": range(layers // 2), "upper": range(layers // 2, layers)}[self.which]

    def code(self, base: Base) -> Code | None:
        if self.which != "all":
            return None  # peft has no such prefix
        if self.init != "text":
            return self._config(base)
        if self.projection:
            return None  # fitting the network to the text is more than a script of 40 lines has room for
        both = base.shape.kind == "seq2seq"
        caches = "from transformers.cache_utils import DynamicCache, EncoderDecoderCache" if both else "from transformers import DynamicCache"
        start = _starts.keys_and_values(base.shape, self.text, self.virtual_tokens)
        return replace(self._config(base), imports=(caches,), before=start, after=_starts.PREFIX)

    def _config(self, base: Base) -> Code:
        return _peft.code(
            base, "PrefixTuningConfig", num_virtual_tokens=self.virtual_tokens, token_dim=_width(base.shape), num_layers=len(self.blocks(base.shape)),
            num_attention_heads=base.shape.kv_heads, encoder_hidden_size=self.hidden, prefix_projection=self.projection or None,
            init_weights="zero" if self.init == "zero" else None)

    def places(self, shape: Shape) -> tuple[Place, ...]:
        n, width = self.virtual_tokens, _width(shape)
        whole = 2 * len(self.blocks(shape)) * width  # keys and values of the blocks, one row for each virtual token
        if not self.projection:
            return (Place("prompt", None, (("P", (n, whole)),)),)
        h = self.hidden
        return (Place("prompt", None, (("E", (n, width)), ("W1", (h, width)), ("W1 bias", (h,)), ("W2", (whole, h)), ("W2 bias", (whole,)))),)

    def supports(self, shape: Shape) -> Support:
        if shape.kind == "vision":
            return Support(False, "a vision model's attention takes no keys and values from outside; try lora")
        if shape.model_type in WITHOUT:
            return Support(False, WITHOUT[shape.model_type])
        if self.which != "all" and shape.kind == "seq2seq":
            return Support(False, f"which is {self.which}: the blocks of a T5 hand one table of places and masks from the first to the last, so nothing can be "
                           "hidden from some of them; choose all")
        if self.which != "all" and self.projection:
            return Support(False, f"which is {self.which} and projection is on: its network puts out keys and values for all blocks; switch it off, or "
                           "choose all")
        if not self.blocks(shape):
            return Support(False, f"which is {self.which}: this model has one block; choose all")
        if self.init == "text" and not self.text.strip():
            return Support(False, "text is empty: type the words to start from, or choose another init")
        return Support(True)

    def starts_as_base(self) -> bool:
        return False

    def virtual_tokens_used(self) -> int:
        return self.virtual_tokens


def _layers(shape: Shape) -> int:
    """In an encoder-decoder the prefix stands in the writing stack's own attention."""
    return shape.layers - shape.encoder_layers


def _width(shape: Shape) -> int:
    """Of all keys of one position together: fewer than the model's width where several query heads share a key head."""
    linear = next(linear for linear in shape.linears if linear.role in ("key", "qkv"))
    return linear.outputs * shape.kv_heads // (shape.heads + 2 * shape.kv_heads) if linear.role == "qkv" else linear.outputs


entry = PrefixTuning
