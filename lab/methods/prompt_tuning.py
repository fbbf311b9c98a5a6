"""Prompt tuning: n trained vectors stand among the word embeddings, usually in front; the model itself is frozen.

    z = [p_1 … p_n ; E(x_1) … E(x_T)],  P: (n, width)
"""
from dataclasses import replace
from types import MethodType
from typing import Any, Literal

from lab.contracts import Base, Code, Format, Method, Paper, Place, Rate, Shape, Support, Task, knob
from lab.methods import _peft, _prompt_format, _starts


class _ByPosition:
    """peft's own folder for vectors in front; it knows no other position."""

    def __get__(self, method: "PromptTuning | None", owner: type) -> Format:
        return _peft.FORMAT if method is None or method.position == "front" else _prompt_format.FORMAT


class PromptTuning(Method):
    """Learn a few made-up words, as vectors, that steer the frozen model. They are read again with every text."""

    key = "prompt_tuning"
    title = "Prompt tuning"
    paper = Paper("The Power of Scale for Parameter-Efficient Prompt Tuning", "Lester, Al-Rfou and Constant", 2021, "https://arxiv.org/abs/2104.08691")
    formula = "z = [P ; E(x)]"
    family = "additive"
    composition = "input"
    strengths = (
        "A few vectors a task that lie outside the model, so one frozen model serves many tasks; its paper sees the gap to full "
        "fine-tuning close at 11 billion parameters.")
    weaknesses = "Takes up positions of the window and the time to read them; wants a large learning rate and many steps, and lags behind on small models."
    rates = {"encoder": Rate(3e-2, 3e-3, 1e-1), "decoder": Rate(3e-2, 3e-3, 1e-1)}
    format = _ByPosition()
    exhibit = "prompt_tuning"
    quantizable = True

    virtual_tokens: int = knob(
        20, "trained vectors beside every text; each uses up one position of the window", low=1, high=200, peft="num_virtual_tokens")
    init: Literal["random", "vocabulary", "text", "labels"] = knob(
        "vocabulary", "start of the vectors: standard normal, rows of common words, the words of a text, or the label words",
        peft="prompt_tuning_init")
    text: str = knob("Classify the sentiment of the text as positive or negative:", "the words to start from, where init is text",
                     peft="prompt_tuning_init_text")
    position: Literal["front", "middle", "end", "added"] = knob(
        "front", "where the vectors stand: in front (peft's only place), between two halves of the text, behind it, or added to the embeddings "
        "of its first tokens, where they start at 0 and take up no position", advanced=True)

    def attach(self, base: Base) -> Any:
        if self.position == "front":
            return _in_front(self, base)
        return _elsewhere(self, base)

    def code(self, base: Base) -> Code | None:
        if self.position != "front":
            return None
        stacks = stacks_of(base.shape)
        config = _peft.code(base, "PromptTuningConfig", **_starts.sizes(base.shape, self.virtual_tokens, stacks))
        if self.init == "random":
            return config
        words = self.text if self.init == "text" else " ".join(word.strip() for word in base.words)
        start = _starts.vocabulary(base.shape, self.virtual_tokens, stacks) if self.init == "vocabulary" else _starts.words(words, self.virtual_tokens, stacks)
        return replace(config, after=('prompt = model.prompt_encoder["default"]', *start))

    def places(self, shape: Shape) -> tuple[Place, ...]:
        stacks = stacks_of(shape) if self.position == "front" else 1
        return (Place("prompt", None, (("P", (stacks * self.virtual_tokens, shape.embedding_width)),)),)

    def supports(self, shape: Shape) -> Support:
        if shape.kind == "vision":
            return Support(False, "its vectors stand in front of word embeddings, and a vision model reads patches of an image; try lora")
        if self.init == "text" and not self.text.strip():
            return Support(False, "text is empty: type the words to start from, or choose another init")
        if shape.kind == "seq2seq" and self.position in ("middle", "end"):
            return Support(False, f"position is {self.position}: in an encoder-decoder the writing stack looks up the text by its places, which must not move; "
                           "choose front or added")
        return Support(True)

    def suits(self, task: Task) -> Support:
        if task.writes and self.position in ("middle", "end"):
            return Support(False, f"position is {self.position}: while an answer is being written nobody can say where the text's {self.position} is, "
                           "so tasks with written answers need position front or added")
        return Support(True)

    def starts_as_base(self) -> bool:
        return self.position == "added"

    def virtual_tokens_used(self) -> int:
        return 0 if self.position == "added" else self.virtual_tokens


def _in_front(method: PromptTuning, base: Base) -> Any:
    from lab.methods import _prompts

    stacks = stacks_of(base.shape)
    module = _peft.attach(base, method.code(base))
    starts = [_prompts.start(method.init, method.virtual_tokens, base, method.text) for _ in range(stacks)]
    vectors = module.prompt_encoder["default"].embedding.weight.data
    for start, part in zip(starts, vectors.chunk(stacks), strict=True):
        if start is not None:
            part.copy_(start)
    return module


def _elsewhere(method: PromptTuning, base: Base) -> Any:
    import torch

    from lab.methods import _prompts

    sizes = method.virtual_tokens, base.shape.embedding_width
    if method.position == "added":
        vectors = torch.zeros(sizes)
    else:
        start = _prompts.start(method.init, method.virtual_tokens, base, method.text)
        vectors = torch.randn(sizes) if start is None else start
    module = _prompt_format.load(base.module.requires_grad_(False), None, vectors, method.position)
    module.get_base_model = MethodType(_itself, module)  # as peft's models have it, so that the engine sees: nothing below this can be kept
    return module


def _itself(module: Any) -> Any:
    return module


def stacks_of(shape: Shape) -> int:
    """For an encoder-decoder peft makes vectors for each of its two stacks. It puts only the first half anywhere, in front of the encoder's text."""
    return 2 if shape.kind == "seq2seq" else 1


entry = PromptTuning
