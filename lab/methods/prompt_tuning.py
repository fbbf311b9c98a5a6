"""Prompt tuning: n trained vectors stand among the word embeddings, usually in front; the model itself is frozen.

    z = [p_1 … p_n ; E(x_1) … E(x_T)],  P: (n, width)
    with a pull g towards a text t:  loss + (g/n) Σ|p_i - E(t_i)|²

The pull is that of Khashabi et al. 2022 (https://arxiv.org/abs/2112.08348), equation 2.
"""
from dataclasses import replace
from types import MethodType
from typing import Any, Literal

from lab.contracts import Base, Code, Format, LabError, Method, Paper, Place, Rate, Shape, Support, Task, knob
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
    init: Literal["random", "norm_matched", "vocabulary", "text", "labels"] = knob(
        "vocabulary", "start of the vectors: standard normal, at random with the median length of common words, rows of common words, the words of a text, or "
        "the label words", peft="prompt_tuning_init")
    text: str = knob("Classify the sentiment of the text as positive or negative:", "the words to start from, where init is text",
                     peft="prompt_tuning_init_text")
    position: Literal["front", "middle", "end", "added"] = knob(
        "front", "where the vectors stand: in front (peft's only place), between two halves of the text, behind it, or added to the embeddings "
        "of its first tokens, where they start at 0 and take up no position", advanced=True)
    pull: float = knob(0.0, "g, how strongly each vector is pulled towards a word of pull_text while it learns: (g/n) Σ|p_i - e_i|² is added to the loss",
                       low=0, high=1000, advanced=True)
    pull_text: str = knob("", "the text that the vectors are pulled towards, its tokens over and over until each vector has one", advanced=True)

    def attach(self, base: Base) -> Any:
        module = _in_front(self, base) if self.position == "front" else _elsewhere(self, base)
        if self.pull:
            module.pulled_to = _wanted(self, base)
        return module

    def code(self, base: Base) -> Code | None:
        if self.position != "front":
            return None
        stacks = stacks_of(base.shape)
        config = _pulled(self, base.shape, _peft.code(base, "PromptTuningConfig", **_starts.sizes(base.shape, self.virtual_tokens, stacks)))
        if self.init == "random":
            return config
        words = self.text if self.init == "text" else " ".join(word.strip() for word in base.words)
        made = {"vocabulary": _starts.vocabulary, "norm_matched": _starts.norm_matched}.get(self.init)
        start = made(base.shape, self.virtual_tokens, stacks) if made else _starts.words(words, self.virtual_tokens, stacks)
        return replace(config, after=('prompt = model.prompt_encoder["default"]', *start, *config.after[1:]))

    def penalty(self, module: Any) -> Any:
        """Only the vectors that are read: of an encoder-decoder those of the reading stack."""
        if not self.pull:
            return None
        prompt = module.prompt_encoder["default"].embedding if self.position == "front" else module.soft_prompt
        wanted = module.get_input_embeddings().weight[module.pulled_to].detach().float()
        return self.pull / self.virtual_tokens * (prompt.weight[:self.virtual_tokens].float() - wanted).square().sum()

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
        if self.pull and not self.pull_text.strip():
            return Support(False, f"pull is {self.pull:g} and pull_text is empty: type the text to pull towards, or set pull to 0")
        if self.pull and self.position == "added":
            return Support(False, f"pull is {self.pull:g} and position is added, whose vectors lie at no word: choose front, or set pull to 0")
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


def _wanted(method: PromptTuning, base: Base) -> list[int]:
    """Ids of the words that the vectors are pulled towards, one each."""
    words = base.tokenizer(method.pull_text, add_special_tokens=False)["input_ids"]
    if not words:
        raise LabError(f'pull_text is "{method.pull_text}": it has no token, so nothing can be pulled towards it')
    return (words * method.virtual_tokens)[:method.virtual_tokens]


def _pulled(method: PromptTuning, shape: Shape, config: Code) -> Code:
    """With the lines of the script that do what `penalty` does."""
    if not method.pull:
        return config
    n, read = method.virtual_tokens, f"[:{method.virtual_tokens}]" if stacks_of(shape) > 1 else ""
    after = ('prompt = model.prompt_encoder["default"]', *_starts.ids(method.pull_text),
             f"wanted = model.get_input_embeddings().weight[(words * {n})[:{n}]]  # where the prompt is pulled to")
    return replace(config, after=after, loss=(f"loss = loss + {method.pull} / {n} * (prompt.embedding.weight{read} - wanted).square().sum()",))


def _itself(module: Any) -> Any:
    return module


def stacks_of(shape: Shape) -> int:
    """For an encoder-decoder peft makes vectors for each of its two stacks. It puts only the first half anywhere, in front of the encoder's text."""
    return 2 if shape.kind == "seq2seq" else 1


entry = PromptTuning
