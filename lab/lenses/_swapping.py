"""Other vectors in place of a trained prompt: which ones, what the model then scores, and how much of the gain is left."""
from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional

from lab.contracts import Task
from lab.lens import Progress, Scored, Specimen
from lab.lenses import _prompt
from lab.lenses._vocabulary import Vocabulary, round4, vocabulary
from lab.seeds import seed_for

RESAMPLED = 2000  # draws of the items, behind the interval of what is kept
INSTRUCTION = 3  # words in front of the text that make a wording an instruction


@contextmanager
def without(module: Any) -> Iterator[Any]:
    """The model as it answers when no vectors stand beside the text; other parts of a combination stay."""
    reads = module.get_encoder() if getattr(module.config, "is_encoder_decoder", False) else module
    if getattr(reads, "soft_prompt", None) is None:
        yield module.get_base_model()
        return
    kept = [(hooks, hooks.copy()) for hooks in (reads._forward_pre_hooks, module._forward_hooks)]  # the lab's own vectors are put in by these
    try:
        for hooks, _ in kept:
            hooks.clear()
        yield module
    finally:
        for hooks, own in kept:
            hooks.update(own)


def instruction(task: Task) -> str:
    """What a person would write in front of the text: the beginning of a hand-written wording, else the task in the words of its card."""
    starts = (wording.split("{text}")[0].strip() for wording in task.wordings)
    asked = next((start for start in starts if len(start.split()) >= INSTRUCTION), "")
    if asked:
        return asked
    return f"Is the text {', '.join(task.labels[:-1])} or {task.labels[-1]}?" if task.labels else task.about.split(". ")[0].split(": ")[0] + "."


class Swap:
    """The vectors that stand in for a prompt, each (n, width). `nearest` are the nearest words by centred cosine."""

    def __init__(self, specimen: Specimen, words: Vocabulary, vectors: torch.Tensor) -> None:
        self.specimen, self.words, self.n = specimen, words, len(vectors)
        near = [line[0] for line in words.nearest(vectors, 1, ("centred",))["centred"]]
        self.texts = [each.text for each in near]
        self.ids = {
            "nearest": [each.token for each in near],
            "random": self._random(),
            "written": self._of(instruction(specimen.spec.goal)),
            "labels": self._of("".join(specimen.spec.goal.words)),
        }

    @property
    def arms(self) -> dict[str, torch.Tensor]:
        rows = {name: self.words.rows(ids) for name, ids in self.ids.items() if ids}
        before = _prompt.vectors(self.specimen.before).to(self.words.table.device)
        return {"nearest": rows.pop("nearest"), "before": before, **rows}

    def text(self, name: str) -> str:
        return self.specimen.tokenizer.decode(self.ids[name])

    def _of(self, text: str) -> list[int]:
        """The tokens of a text, over and over until there are n."""
        ids = self.specimen.tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
        return (ids * -(-self.n // len(ids)))[:self.n] if ids else []

    def _random(self) -> list[int]:
        chance = torch.Generator().manual_seed(seed_for(self.specimen.spec.seed, "swap"))
        known = self.words.ids
        return known[torch.randint(len(known), (self.n,), generator=chance).to(known.device)].tolist()


def swapped(specimen: Specimen, items: int) -> Generator[Progress, None, dict[str, Any]]:
    """The value of `swap_test`."""
    words = vocabulary(specimen)
    swap = Swap(specimen, words, _prompt.vectors(specimen.module).to(words.table.device))
    arms = swap.arms
    asked = len(specimen.texts(items))
    scores: dict[str, Scored] = {}
    total = (len(arms) + 2) * asked
    with without(specimen.module) as bare:
        scores["none"] = yield from _counted(specimen.scored(bare, asked), 0, total)
    scores["prompt"] = yield from _counted(specimen.scored(None, asked), asked, total)
    for name, vectors in arms.items():
        with _prompt.replaced(specimen.module, vectors):
            scores[name] = yield from _counted(specimen.scored(None, asked), len(scores) * asked, total)
    return told(scores, [row.label for row in specimen.texts(items)]) | {
        "words": swap.texts, "written_text": swap.text("written"), "random_words": [words.shown(token) for token in swap.ids["random"]]}


def _counted(asking: Generator[int, None, Scored], before: int, total: int) -> Generator[Progress, None, Scored]:
    while True:
        try:
            yield before + next(asking), total
        except StopIteration as end:
            return end.value


def told(scores: Mapping[str, Scored], labels: Sequence[int]) -> dict[str, Any]:
    """Scores, and of each that stands in for the prompt the share of the gain that is left, its 95 % interval and the KL divergence of its answers."""
    arms = [name for name in scores if name not in ("none", "prompt")]
    none, prompt = scores["none"], scores["prompt"]
    gain = prompt.score - none.score
    found: dict[str, Any] = {"scores": {name: each.to_dict() for name, each in scores.items()}}
    found["kept"] = {name: round4((scores[name].score - none.score) / gain) if abs(gain) > 1e-9 else None for name in arms}
    if prompt.logits is None:  # written answers: only their sums are known
        error = (none.standard_error ** 2 + prompt.standard_error ** 2) ** 0.5
        return found | {"gain": {"score": round4(gain), "standard_error": round4(error)}, "between": {}, "kl": {}}
    right = {name: (each.logits.argmax(1).cpu() == torch.tensor(labels)).double() for name, each in scores.items()}
    error = float((right["prompt"] - right["none"]).std()) / len(labels) ** 0.5 if len(labels) > 1 else 0.0
    return found | {
        "gain": {"score": round4(gain), "standard_error": round4(error)},
        "between": {name: _between(right[name], right["none"], right["prompt"]) for name in arms},
        "kl": {name: round4(_divergence(prompt.logits, scores[name].logits)) for name in arms},
    }


def _between(arm: torch.Tensor, none: torch.Tensor, prompt: torch.Tensor) -> list[float] | None:
    """2.5 % and 97.5 % of the share that is kept, over items drawn again; None where the gain itself is not sure to be one."""
    chance = torch.Generator().manual_seed(0)
    weights = torch.zeros(RESAMPLED, len(arm), dtype=torch.float64)
    drawn = torch.randint(len(arm), (RESAMPLED, len(arm)), generator=chance)
    weights.scatter_add_(1, drawn, torch.ones_like(weights))
    gain = weights @ (prompt - none)
    if (gain <= 0).double().mean() > 0.025:
        return None
    kept = (weights @ (arm - none))[gain > 0] / gain[gain > 0]
    return [round4(float(kept.quantile(share))) for share in (0.025, 0.975)]


def _divergence(trained: torch.Tensor, other: torch.Tensor) -> float:
    """Nats, the mean over items: how much is lost when `other` stands for the trained answers."""
    log_trained, log_other = (functional.log_softmax(logits.double(), dim=1) for logits in (trained, other))
    return float((log_trained.exp() * (log_trained - log_other)).sum(1).mean().clamp(min=0))
