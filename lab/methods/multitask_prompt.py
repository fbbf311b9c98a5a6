"""Multitask prompt tuning: one prompt is shared by all tasks, and each task multiplies it, number by number, with a matrix of low rank of its own.

    P_k = P * (U_k V_k),  P: (n, width), U_k: (n, r), V_k: (r, width);   z = [P_k ; E(x)]
"""
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from lab.contracts import Base, Code, Format, Method, Paper, Place, Rate, Shape, Support, knob
from lab.methods import _peft, _starts


def load(model, folder):
    import torch
    from peft import PeftModel

    model = PeftModel.from_pretrained(model, str(folder))

    def first_task(encoder, inputs):  # peft wants to be told the task of each row; a run of the lab has one task, number 0
        return inputs[0], torch.zeros(len(inputs[0]), dtype=torch.long, device=inputs[0].device)

    model.prompt_encoder["default"].register_forward_pre_hook(first_task)
    return model


def save(module: Any, folder: Path) -> None:
    _peft.save(module, folder)


class MultitaskPrompt(Method):
    """Learn one prompt for all tasks, and for each task a thin correction that multiplies it. A run has one task and shows the parts; a further task would
    add only its two thin matrices."""

    key = "multitask_prompt"
    title = "Multitask prompt tuning"
    paper = Paper("Multitask Prompt Tuning Enables Parameter-Efficient Transfer Learning", "Wang et al.", 2023, "https://arxiv.org/abs/2303.02861")
    formula = "z = [P * U_k V_k ; E(x)]"
    family = "additive"
    composition = "input"
    strengths = "Once a prompt is shared, a further task adds only two thin matrices: made for many related tasks."
    weaknesses = "With one task, as here, it is prompt tuning with a few numbers more; its paper's gains come from tasks learned before."
    rates = {"encoder": Rate(1e-2, 3e-3, 1e-2), "decoder": Rate(3e-2, 1e-2, 3e-2)}
    format = Format(key="multitask_prompt", save=save, load=load)
    quantizable = True

    virtual_tokens: int = knob(20, "trained vectors in front of every text; each uses up one position of the window", low=1, high=200,
                               peft="num_virtual_tokens")
    rank: int = knob(1, "width of the two thin matrices of the task", low=1, high=64, peft="num_ranks")
    init: Literal["vocabulary", "random"] = knob(
        "vocabulary", "start of the shared prompt: rows of common words, with U V = 1; or peft's, where U V is nearly 0 and the prompt with it",
        peft="prompt_tuning_init")

    def attach(self, base: Base) -> Any:
        import torch

        from lab.methods import _prompts

        module = _peft.attach(base, self.code(base))
        parts = module.prompt_encoder["default"]
        if self.init == "vocabulary":
            parts.embedding.weight.data.copy_(_prompts.start("vocabulary", self.virtual_tokens, base, ""))
            parts.prefix_task_cols.data += 1  # peft's own start, N(0, 0.02²), stays on top: of several columns no two are alike
            parts.prefix_task_rows.data += 1 / self.rank

        def first_task(encoder: Any, inputs: Any) -> Any:
            return inputs[0], torch.zeros(len(inputs[0]), dtype=torch.long, device=inputs[0].device)

        parts.register_forward_pre_hook(first_task)
        return module

    def code(self, base: Base) -> Code:
        config = _peft.code(base, "MultitaskPromptTuningConfig", num_ranks=self.rank, **_starts.sizes(base.shape, self.virtual_tokens))
        lines = ['prompt = model.prompt_encoder["default"]']
        if self.init == "vocabulary":
            lines += [*_starts.vocabulary(base.shape, self.virtual_tokens), "prompt.prefix_task_cols.data += 1  # U V begins near 1, and the prompt with it",
                      f"prompt.prefix_task_rows.data += 1 / {self.rank}"]
        lines.append("prompt.register_forward_pre_hook(lambda part, given: (given[0], torch.zeros(len(given[0]), dtype=int)))  # task 0")
        return replace(config, after=tuple(lines))

    def places(self, shape: Shape) -> tuple[Place, ...]:
        n, d, r = self.virtual_tokens, shape.embedding_width, self.rank
        return (Place("prompt", None, (("P", (n, d)), ("U", (1, n, r)), ("V", (1, r, d)))),)

    def supports(self, shape: Shape) -> Support:
        if shape.kind == "vision":
            return Support(False, "its vectors stand in front of word embeddings, and a vision model reads patches of an image; try lora")
        if shape.kind == "seq2seq":
            return Support(False, "the library peft puts these vectors in front of the answer being written too, and drops that answer; try prompt_tuning")
        return Support(True)

    def starts_as_base(self) -> bool:
        return False

    def virtual_tokens_used(self) -> int:
        return self.virtual_tokens


entry = MultitaskPrompt
