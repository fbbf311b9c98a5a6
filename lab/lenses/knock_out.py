"""Knock-out and shuffle: the loss when one vector of a prompt is made to say nothing, and when all of them change places.

    position i: p_i becomes the mean of all words (0 where the vectors are added to words);  shuffle: the rows of P in a random order
"""
from collections.abc import Generator, Sequence
from typing import Any

from lab.contracts import Support, knob
from lab.lens import Probe, Progress, Scored, Specimen, Table
from lab.lenses import _soft
from lab.seeds import seed_for
from lab.spec import RunSpec


class KnockOut(Probe):
    """Which vectors carry the prompt, and whether their order matters."""

    key = "knock_out"
    title = "Which vectors matter"
    about = ("How much the loss rises when one vector is replaced by the mean of all words, and when all vectors change places. Vectors that can stand in for "
             "one another hide it: each may be dispensable alone though all together are not.")
    source = "single-unit ablation, as in Li et al. 2016, Understanding Neural Networks through Representation Erasure"

    items: int = knob(40, "evaluation items asked each time", low=10, high=1000)
    shuffles: int = knob(10, "random orders tried", low=2, high=100)
    seed: int = knob(0, "start of the random orders", low=0, high=2**31 - 1, advanced=True)

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        return _soft.has_prompt(spec)

    @classmethod
    def cost(cls, spec: RunSpec) -> str:
        usual, n = cls(), _soft.prompt_of(spec).virtual_tokens
        times = 1 + n + (usual.shuffles if n > 1 else 0)
        return f"{times} evaluations of {min(usual.items, spec.eval_items)} items: {n} vectors one by one, and random orders"

    def look(self, specimen: Specimen) -> Generator[Progress, None, Any]:
        """{"positions": [{"position" from 0, "loss" without it, "rise" over the unchanged loss, "standard_error": of the rise over the items, None for
        written answers}], "shuffled": {"mean", "low", "high": of the losses in random orders, "losses": [each]} (None and empty for one vector),
        "loss": unchanged, "items"}"""
        from lab.lenses import _effect, _prompt

        prompt = _prompt.vectors(specimen.module)
        variants = [prompt, *_knocked(prompt, _nothing(specimen, prompt)), *self._orders(prompt)]
        items = min(self.items, specimen.spec.eval_items)
        found = yield from _effect.asked(specimen, variants, items)
        whole, alone, mixed = found[0], found[1:len(prompt) + 1], found[len(prompt) + 1:]
        return {"positions": [_rise(specimen, position, each, whole) for position, each in enumerate(alone)],
                "shuffled": _spread([round(each.loss, 4) for each in mixed]), "loss": round(whole.loss, 4), "items": whole.items}

    def _orders(self, prompt: Any) -> list[Any]:
        import torch

        chance = torch.Generator().manual_seed(seed_for(self.seed, "shuffle"))
        return [prompt[torch.randperm(len(prompt), generator=chance)] for _ in range(self.shuffles)] if len(prompt) > 1 else []

    @classmethod
    def says(cls, value: Any) -> tuple[str, ...]:
        return (_said_of_positions(value), *_said_of_order(value))

    @classmethod
    def table(cls, value: Any) -> Table:
        rows = [("without one", each["position"], each["loss"], each["rise"], each["standard_error"]) for each in value["positions"]]
        rows += [("another order", number, loss, round(loss - value["loss"], 4), None) for number, loss in enumerate(value["shuffled"]["losses"])]
        return Table(("change", "position or order", "loss", "rise", "standard error"), tuple(rows))


def _nothing(specimen: Specimen, prompt: Any) -> Any:
    """(width,) what a position holds that says nothing."""
    from lab.lenses._vocabulary import vocabulary

    if not _soft.has_prompt(specimen.spec, among_words=True).ok:
        return prompt.new_zeros(prompt.shape[1])
    return vocabulary(specimen).mean.to(prompt)


def _knocked(prompt: Any, nothing: Any) -> list[Any]:
    found = []
    for position in range(len(prompt)):
        found.append(prompt.clone())
        found[-1][position] = nothing
    return found


def _rise(specimen: Specimen, position: int, found: Scored, whole: Scored) -> dict[str, Any]:
    from lab.lenses import _effect

    error = _effect.paired_error(specimen, found, whole)
    return {"position": position, "loss": round(found.loss, 4), "rise": round(found.loss - whole.loss, 4),
            "standard_error": None if error is None else round(error, 4)}


def _spread(losses: Sequence[float]) -> dict[str, Any]:
    if not losses:
        return {"mean": None, "low": None, "high": None, "losses": []}
    return {"mean": round(sum(losses) / len(losses), 4), "low": min(losses), "high": max(losses), "losses": list(losses)}


def _said_of_positions(value: Any) -> str:
    seen, most = value["positions"], max(value["positions"], key=lambda each: each["rise"])
    if most["rise"] <= 0:
        return f"No vector is missed: without any one of the {len(seen)} the loss is no higher than {value['loss']:.3g}."
    told = f"The vector at position {most['position'] + 1} is missed most: without it the loss rises from {value['loss']:.3g} to {most['loss']:.3g}."
    if most["standard_error"] is None:
        return f"{told} How sure that is cannot be said, because answers are written."
    clear = sum(each["rise"] > 2 * each["standard_error"] for each in seen)
    return f"{told} {clear or 'None'} of the {len(seen)} rises are more than twice their standard error; one in forty is so by chance."


def _said_of_order(value: Any) -> tuple[str, ...]:
    seen = value["shuffled"]
    if not seen["losses"]:
        return ()
    return (f"In {len(seen['losses'])} random orders the loss is {seen['low']:.3g} to {seen['high']:.3g}, {seen['mean']:.3g} on average: "
            f"{'order matters here' if seen['low'] > value['loss'] else 'some orders do as well as the trained one, so order says little here'}.",)


entry = KnockOut
