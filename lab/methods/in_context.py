"""In-context learning: nothing is trained; k solved examples stand in front of every text.

    y = argmax over labels of p(label | x_1 y_1 … x_k y_k x),  the k examples drawn once for all texts, or for each text x those nearest to it
"""
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from lab.contracts import Base, Item, LabError, Method, Paper, Place, Rate, Shape, Support, Task, knob
from lab.methods import _weights

WHY_NOT = {
    "encoder": "an encoder does not continue a text, so it cannot learn from examples in it; try head",
    "vision": "a vision model reads one image and continues nothing, so there is no place for examples; try head",
    "seq2seq": "an encoder-decoder answers a text instead of continuing it, so solved examples are no text it would go on with; try lora",
}


def nearest(texts, labels, count, order):
    """For a text the places of those among `texts` that share the most words with it: cosine of word sets, weighted by rarity (TF-IDF)."""
    from collections import Counter, defaultdict
    from heapq import nsmallest
    from math import log
    from re import findall

    def words(text):  # sorted, so that sums are the same to the last bit each time
        return sorted(set(findall(r"\w+", text.lower())))

    holders = defaultdict(list)
    for place, text in enumerate(texts):
        for word in words(text):
            holders[word].append(place)
    weight = {word: log(len(texts) / len(places)) ** 2 for word, places in holders.items()}  # a rare word says more than a common one
    length = [sum(weight[word] for word in words(text)) ** 0.5 or 1 for text in texts]

    def choose(text):
        shared = Counter()
        for word in words(text):
            for place in holders.get(word, ()):
                shared[place] += weight[word]
        found = nsmallest(count, range(len(texts)), key=lambda place: (-shared[place] / length[place], place))
        if order == "nearest_last":
            return found[::-1]
        places = sorted(found)  # as they lie in `texts`, which is shuffled
        return places if order == "random" else sorted(places, key=lambda place: labels[place], reverse=order == "by_label_reversed")

    return choose


class InContext(Method):
    """Show the model a few solved examples and let it go on. No weight moves; the examples are read again for every answer."""

    key = "in_context"
    title = "In-context learning"
    paper = Paper("Language Models are Few-Shot Learners", "Brown et al.", 2020, "https://arxiv.org/abs/2005.14165")
    formula = "p(y | x_1 y_1 … x_k y_k x)"
    family = "none"
    composition = "input"
    strengths = "Nothing is trained and nothing stored: a new task is a new text."
    weaknesses = "The examples are read with every answer and use up the window; their order and wording move the score (Zhao et al. 2021)."
    rates = {"decoder": Rate(0.0, 0.0, 0.0), "encoder": Rate(0.0, 0.0, 0.0)}
    format = _weights.FORMAT
    quantizable = True
    fixed = {"steps": 0}

    shots: int = knob(4, "solved examples in front of every text; 0 asks without any", low=0, high=32)
    examples: Literal["random", "nearest"] = knob(
        "random", "which training texts are shown: the same for all, each label as often; or for each text those that share the most words with it, "
        "rare words counting more (Liu et al. 2021 compare meanings instead)")
    order: Literal["random", "by_label", "by_label_reversed", "nearest_last"] = knob(
        "random", "how the examples follow one another: mixed; label after label, so that all that stand last have one answer; or the nearest "
        "next to the text")
    labels: Literal["true", "random"] = knob(
        "true", "the answers shown: the right ones, or any. What examples teach besides the answers stays (Min et al. 2022)")

    wording: int = knob(0, "which hand-written prompt asks, around each example and the text: 0 for the task's usual one, 1, 2 … for its others", low=0, high=9,
                        later=True)

    def attach(self, base: Base) -> Any:
        return _weights.freeze(base.module)

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return ()

    def supports(self, shape: Shape) -> Support:
        reason = WHY_NOT.get(shape.kind, "")
        return Support(not reason, reason)

    def suits(self, task: Task) -> Support:
        if self.wording > len(task.wordings):
            others = f"0 to {len(task.wordings)}" if task.wordings else "0"
            return Support(False, f"wording is {self.wording}: the task {task.key} has {1 + len(task.wordings)}, so choose {others}")
        return Support(True)

    def starts_as_base(self) -> bool:
        return self.shots == 0 and self.wording == 0

    def worded(self, task: Task) -> Task:
        return replace(task, prompt=(task.prompt, *task.wordings)[self.wording])

    def shots_shown(self, train: tuple[Item, ...], seed: int) -> tuple[Item, ...]:
        """k training items, classes in turn (items with written answers are one class); where they are chosen text by text, all of them, shuffled. Order
        and answers have draws of their own, so that neither changes which texts are shown."""
        if not self.shots:
            return ()
        if self.shots > len(train):
            raise LabError(f"shots is {self.shots}: there are {len(train)} training texts; show fewer of them")
        draw = random.Random(f"shots:{seed}")
        shown = draw.sample(train, len(train)) if self.examples == "nearest" else self._drawn(train, draw)
        if self.order.startswith("by_label"):
            shown.sort(key=lambda item: item.label, reverse=self.order == "by_label_reversed")
        return tuple(shown if self.labels == "true" else _answered_at_random(shown, train, random.Random(f"answers:{seed}")))

    def _drawn(self, train: tuple[Item, ...], draw: random.Random) -> list[Item]:
        counts = Counter(item.label for item in train)
        labels = sorted(counts)
        each = min(len(train) // len(labels) // 2, *counts.values())  # of an uploaded set one label may be rarer than the others
        if self.shots > each * len(labels):
            raise LabError(f"shots is {self.shots}: at most {each * len(labels)} are drawn from {len(train)} training texts; show fewer of them, "
                           "or let train_items be more")
        pools = [draw.sample([item for item in train if item.label == label], each) for label in labels]
        chosen = [pools[place % len(labels)][place // len(labels)] for place in range(self.shots)]
        return draw.sample(chosen, len(chosen))

    def choosing(self) -> partial[Callable[[str], list[int]]] | None:
        """Of a task that asks for what was trained on, the nearest may be the text itself: looked up, not learned."""
        if self.examples == "random" and self.order != "nearest_last":
            return None
        return partial(nearest, count=self.shots, order=self.order)


def _answered_at_random(shown: Sequence[Item], train: tuple[Item, ...], draw: random.Random) -> list[Item]:
    """Each with the label, or the written answer, of some training item; labels are drawn evenly, so that about one in their number stays right."""
    if any(item.answers for item in train):
        return [replace(item, answers=draw.choice(train).answers) for item in shown]
    labels = sorted({item.label for item in train})
    return [replace(item, label=draw.choice(labels)) for item in shown]


entry = InContext
