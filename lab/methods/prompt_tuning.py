"""Prompt tuning: n trained vectors stand in front of the word embeddings; the model itself is frozen.

    z = [p_1 … p_n ; E(x_1) … E(x_T)],  P: (n, width)
"""
from typing import Any, Literal

from lab.contracts import Base, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _peft


class PromptTuning(Method):
    """Learn a few made-up words, as vectors, that put the frozen model in the right mood. They are read at every forward pass."""

    key = "prompt_tuning"
    title = "Prompt tuning"
    paper = Paper("The Power of Scale for Parameter-Efficient Prompt Tuning", "Lester, Al-Rfou and Constant", 2021, "https://arxiv.org/abs/2104.08691")
    formula = "z = [P ; E(x)]"
    family = "additive"
    composition = "input"
    rates = {"encoder": Rate(3e-2, 3e-3, 1e-1), "decoder": Rate(3e-2, 3e-3, 1e-1)}
    format = _peft.FORMAT
    quantizable = True

    virtual_tokens: int = knob(
        20, "trained vectors in front of every text; each uses up one position of the window", low=1, high=200, peft="num_virtual_tokens")
    init: Literal["random", "vocabulary", "text", "labels"] = knob(
        "vocabulary", "start of the vectors: standard normal, rows of common words, the words of a text, or the label words",
        peft="prompt_tuning_init")
    text: str = knob("Classify the sentiment of the text as positive or negative:", "the words to start from, where init is text",
                     peft="prompt_tuning_init_text")

    def attach(self, base: Base) -> Any:
        from peft import PromptTuningConfig

        from lab.methods import _prompts

        stacks = _stacks(base.shape)
        module = _peft.attach(base, PromptTuningConfig(
            task_type=_peft.task_type(base.shape), num_virtual_tokens=self.virtual_tokens, token_dim=base.shape.embedding_width,
            num_transformer_submodules=stacks, num_attention_heads=base.shape.heads, num_layers=base.shape.layers))
        starts = [_prompts.start(self.init, self.virtual_tokens, base, self.text) for _ in range(stacks)]
        vectors = module.prompt_encoder["default"].embedding.weight.data
        for start, part in zip(starts, vectors.chunk(stacks), strict=True):
            if start is not None:
                part.copy_(start)
        return module

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return (Place("prompt", None, (("P", (_stacks(shape) * self.virtual_tokens, shape.embedding_width)),)),)

    def supports(self, shape: Shape) -> Support:
        if shape.kind == "vision":
            return Support(False, "its vectors stand in front of word embeddings, and a vision model reads patches of an image; try lora")
        if self.init == "text" and not self.text.strip():
            return Support(False, "text is empty: type the words to start from, or choose another init")
        return Support(True)

    def starts_as_base(self) -> bool:
        return False

    def virtual_tokens_used(self) -> int:
        return self.virtual_tokens


def _stacks(shape: Shape) -> int:
    """An encoder-decoder gets a prompt of n vectors in front of each of its two stacks, as in peft; Lester et al. had the encoder's alone."""
    return 2 if shape.kind == "seq2seq" else 1


entry = PromptTuning
