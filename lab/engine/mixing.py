"""Several finished runs as one model, and how well it does on the task of each.

Answers can be mixed: p(y|x) = Σ_d w_d(x) p_d(y|x), with one weight for all texts or each text's own domain posterior (domains.py). Trained parts can be mixed:
W_0 + Σ_d w_d ΔW_d, the sum of task vectors (Ilharco et al. 2022, https://arxiv.org/abs/2212.04089), here of LoRA's changes, by peft's `add_weighted_adapter`:

    sum     exact: the A of all runs one below the other, the B side by side, so the rank is the sum of theirs
    linear  Σ √w A and Σ √w B apart; their product has terms A_i B_j of different runs as well, so it is another model than the sum
    ties, dare_…   prune first (TIES: Yadav et al. 2023, DARE: Yu et al. 2023), on A and B apart
    …svd    on the changes themselves, then cut to the largest of the ranks

Or parts of different kinds stand in one pass (`stack`), a soft prompt in front of a LoRA, although each was trained without the other.

The heads of encoders are mixed as the rest is: where they began, plus the weighted sum of how far each went. All are asked with the prompt of the text's
own task.
"""
from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from math import exp, sqrt
from pathlib import Path
from typing import Any

import torch

from lab.contracts import Item, LabError
from lab.engine import domains
from lab.engine.answering import Stopped
from lab.engine.chance import drawn_from
from lab.engine.learner import Head
from lab.engine.sharing import BASE, Own, Row, Shared
from lab.engine.shelf import Shelf
from lab.engine.texts import Encoded, by_length
from lab.events import Event, Observed, Preparing
from lab.methods._lora import layers
from lab.metrics import share_error
from lab.serving import MIXED, PROGRESS, Mixture, mixable
from lab.serving.several import PRUNES

FITTED, KEPT_OUT = 300, 100  # training texts of each domain behind the posterior, and those that set how sure it may be
ROWS, TOKENS_AT_ONCE = 32, 2048
KEPT = 400  # answers to a set of items that stay known
MIX = "mix"  # the name of the summed adapter in peft's model

Work = Generator[Event, None, Any]


@dataclass(frozen=True)
class Domain:
    """Items of one task, as the model reads them."""

    task: str
    own: Own  # of the first run of this task: its prompt is used for all
    items: tuple[Item, ...]
    rows: tuple[tuple[int, ...], ...]

    @property
    def labels(self) -> torch.Tensor:
        return torch.tensor([item.label for item in self.items])


def mix(asked: Mixture, folders: Sequence[Path], shelf: Shelf, cancelled: Callable[[], bool]) -> Iterator[Event]:
    """Every run alone, all with the same weight, and the mix that was asked for, on the items of each one's task."""
    shared = yield from shelf.shared(folders, asked.dtype)
    fits = mixable([own.spec for own in shared.runs], asked.way)
    if not fits.ok:
        raise LabError(fits.reason)
    yield Observed(0, MIXED, (yield from _Mixer(asked, shared, shelf, cancelled).measured()))


class _Mixer:
    """What was asked of which run is kept: the next mix of the same runs' answers costs nothing."""

    def __init__(self, asked: Mixture, shared: Shared, shelf: Shelf, cancelled: Callable[[], bool]) -> None:
        self.asked, self.shared, self.shelf, self.cancelled = asked, shared, shelf, cancelled
        self.runs, self.tasks = shared.runs, list(dict.fromkeys(str(own.spec.task) for own in shared.runs))
        self.done = self.of = 0

    def measured(self) -> Work:
        asked = self.asked
        here = yield from self.domains(asked.split)
        to_choose = here if asked.split == "validation" else (yield from self.domains("validation"))
        self.of = self.planned({asked.split: here, "validation": to_choose})
        alone = yield from self.alone(here, asked.split)
        chosen = alone if asked.split == "validation" else (yield from self.alone(to_choose, "validation"))
        best = max(range(len(self.runs)), key=lambda run: sum(_accuracy(scores[run], domain) for scores, domain in zip(chosen, to_choose, strict=True)))
        found, told = yield from self.mixed(here, alone)
        models = {f"run {place}": [scores[place] for scores in alone] for place in range(len(self.runs))}
        if len(self.tasks) > 1:
            models["own"] = [scores[self._home(domain.task)] for scores, domain in zip(alone, here, strict=True)]
        models["uniform"] = [domains.mixed(scores, torch.full((len(self.runs),), 1 / len(self.runs))) for scores in alone]
        models["mix"] = found
        rows = [{"who": who, **_told(scores, here, self.shared.writes)} for who, scores in models.items()]
        return {"rows": rows, "domains": [{"task": domain.task, "items": len(domain.items)} for domain in here], "best": best, **told,
                "starts": len({own.spec.seed for own in self.runs}) == 1, "verdict": _verdict(found, models[f"run {best}"], here)}

    def _home(self, task: str) -> int:
        return next(place for place, own in enumerate(self.runs) if own.spec.task == task)

    def domains(self, split: str) -> Work:
        """As many items of each task as the smallest has, so that all count alike."""
        splits = []
        for task in self.tasks:
            splits.append((yield from self.shelf.workshop.data(self.runs[self._home(task)].spec.goal)).splits)
        items = min(self.asked.items, *(len(getattr(each, split)) for each in splits))
        found = []
        for task, each in zip(self.tasks, splits, strict=True):
            own = self.runs[self._home(task)].untouched()
            chosen = getattr(each, split)[:items]
            found.append(Domain(task, own, chosen, tuple(own.read([item.text for item in chosen]))))
        return found

    def planned(self, sets: Mapping[str, Sequence[Domain]]) -> int:
        """Texts that have to be read."""
        asked, known = self.asked, self.shelf.known
        alone = sum(len(domain.rows) for split, here in sets.items() for domain in here for run in asked.runs if self.key(run, domain, split) not in known)
        items = 0 if asked.way == "average" else sum(len(domain.rows) for domain in sets[asked.split])
        return alone + items + (len(self.tasks) * (FITTED + KEPT_OUT) if asked.way == "posterior" and self.fit_key not in known else 0)

    def key(self, run: str, domain: Domain, split: str) -> tuple[Any, ...]:
        return run, self.asked.dtype, domain.task, split, len(domain.items)

    @property
    def fit_key(self) -> tuple[Any, ...]:
        return "domains", self.shared.pristine.sha256, self.asked.dtype, *self.tasks

    def alone(self, here: Sequence[Domain], split: str) -> Work:
        """For each domain (items, labels) log-probabilities of each run."""
        found = []
        for domain in here:
            scores = []
            for run, own in zip(self.asked.runs, self.runs, strict=True):
                scores.append((yield from self.known(self.key(run, domain, split), lambda own=own, domain=domain: self.scores(own, domain))))
            found.append(scores)
        return found

    def known(self, key: tuple[Any, ...], work: Callable[[], Work]) -> Work:
        known = self.shelf.known
        if key not in known:
            while len(known) >= KEPT:
                known.pop(next(iter(known)))
            known[key] = yield from work()
        return known[key]

    def scores(self, own: Own, domain: Domain) -> Work:
        """(items, labels): of a language model the label words' log-probabilities among all words, of an encoder those of its head."""
        speaker = replace(own, reader=domain.own.reader)
        found = yield from self.batches(domain.rows, lambda rows: torch.stack(self.shared.scores([Row(ids, speaker) for ids in rows])))
        return found if self.shared.writes else found.log_softmax(1)

    def batches(self, rows: Sequence[tuple[int, ...]], work: Callable[[list[tuple[int, ...]]], torch.Tensor]) -> Work:
        """Something for every row, batches of similar length, in the rows' own order."""
        found: list[Any] = [None] * len(rows)
        size = max(1, min(ROWS, TOKENS_AT_ONCE // max(map(len, rows))))
        for group in by_length([Encoded(ids, 0) for ids in rows], size):
            if self.cancelled():
                raise Stopped
            for (place, _), line in zip(group, work([row.ids for _, row in group]).float().cpu(), strict=True):
                found[place] = line
            self.done += len(group)
            yield Observed(0, PROGRESS, {"done": self.done, "of": max(self.of, self.done)})
        return torch.stack(found)

    def mixed(self, here: Sequence[Domain], alone: Sequence[Sequence[torch.Tensor]]) -> Work:
        """(items, labels) log-probabilities of the mix for each domain, and what is to be told of how it came about."""
        asked = self.asked
        if asked.way == "average":
            shares = torch.tensor(asked.weights) / sum(asked.weights)
            return [domains.mixed(scores, shares) for scores in alone], {}
        if asked.way == "posterior":
            shares = yield from self.posterior(here)
            believed = [each.mean(0).tolist() for each in shares]
            return [domains.mixed(scores, each) for scores, each in zip(alone, shares, strict=True)], {"posterior": believed}
        with nullcontext(stacked(self.shared)) if asked.way == "stack" else summed(self.shared, asked) as own:
            found = []
            for domain in here:
                found.append((yield from self.scores(own, domain)))
        return found, {} if asked.way == "stack" else {"rank": self.shared_rank}

    @property
    def shared_rank(self) -> int:
        ranks = [own.spec.method.rank for own in self.runs]
        return sum(ranks) if self.asked.way == "sum" else max(ranks)

    def posterior(self, here: Sequence[Domain]) -> Work:
        """For each domain (items, runs); runs of one task divide its share."""
        estimate = yield from self.known(self.fit_key, self.fitted)
        homes = torch.tensor([self.tasks.index(str(own.spec.task)) for own in self.runs])
        found = []
        for domain in here:
            features = yield from self.features([item.text for item in domain.items])
            believed = estimate.posterior(features, self.asked.prior)
            found.append(believed[:, homes] / torch.bincount(homes)[homes])
        return found

    def fitted(self) -> Work:
        """From training texts that no run is scored on; those that set the power are not among those behind means and covariance."""
        features, numbers = [], []
        for number, task in enumerate(self.tasks):
            data = yield from self.shelf.workshop.data(self.runs[self._home(task)].spec.goal)
            texts = [item.text for item in data.splits.train[:FITTED + KEPT_OUT]]
            yield Preparing(f"reading {len(texts)} training texts of {task}, once, to tell domains apart")
            features.append((yield from self.features(texts)))
            numbers.append(torch.full((len(texts),), number))
        cuts = [max(1, len(each) * FITTED // (FITTED + KEPT_OUT)) for each in features]
        early, late = ([torch.cat([part(each, cut) for each, cut in zip(kind, cuts, strict=True)]) for kind in (features, numbers)]
                       for part in (lambda each, cut: each[:cut], lambda each, cut: each[cut:]))
        return domains.fit(*early, *late)

    def features(self, texts: Sequence[str]) -> Work:
        """Of the untouched base, from the texts alone: a task's prompt would give its domain away."""
        own = self.runs[0].untouched()
        rows = own.reader.tokenizer(list(texts), truncation=True, max_length=own.reader.tokens)["input_ids"]
        return (yield from self.batches([tuple(ids) for ids in rows], lambda ids: self.shared.features([Row(each, own) for each in ids])))


def stacked(shared: Shared) -> Own:
    """One pass with the parts of all: the LoRA of one run, the soft prompt of another. They were trained apart, each as if it were alone; the heads' mean."""
    runs = shared.runs
    parts = {name: next((getattr(own, name) for own in runs if getattr(own, name) is not None), None) for name in ("prompt", "prefix")}
    return replace(runs[0], **parts, adapter=next((own.adapter for own in runs if own.adapter != BASE), BASE),
                   position=next((own.position for own in runs if own.prompt is not None), "front"),
                   factors={name: factors for own in runs for name, factors in own.factors.items()},
                   head=_summed_head(runs, [1 / len(runs)] * len(runs)))


@contextmanager
def summed(shared: Shared, asked: Mixture) -> Iterator[Own]:
    """The runs' LoRAs and heads as one, as long as this lasts."""
    model, runs = shared.module, shared.runs
    pruned = {"density": asked.density} if asked.way in PRUNES else {}
    how = "cat" if asked.way == "sum" else asked.way
    try:
        with drawn_from(asked.seed, "dare"):
            model.add_weighted_adapter([own.adapter for own in runs], list(asked.weights), MIX, combination_type=how, svd_full_matrices=False, **pruned)
        for _, layer in layers(model):
            if MIX in layer.scaling:
                layer.scaling[MIX] = 1.0  # peft counts on alpha / r here, and a mix of rsLoRAs would be taken by alpha / √r
        model.eval()
        yield replace(runs[0], adapter=MIX, head=_summed_head(runs, asked.weights))
    finally:
        if MIX in model.peft_config:
            model.delete_adapter(MIX)


def _summed_head(runs: Sequence[Own], weights: Sequence[float]) -> Head | None:
    """Where the heads began, plus the weighted sum of how far each went. Those of other seeds began elsewhere: then it is the mean of their beginnings."""
    if runs[0].head is None:
        return None
    found = Head(runs[0].spec.shape.width, len(runs[0].spec.goal.labels)).to(runs[0].head.linear.weight.device)
    with torch.no_grad():
        for name, into in found.named_parameters():
            starts = [start.get_parameter(name).to(into.device) for start in map(_first_head, runs)]
            begun = sum(abs(weight) * start for weight, start in zip(weights, starts, strict=True)) / sum(map(abs, weights))
            into.copy_(begun + sum(weight * (own.head.get_parameter(name) - start) for weight, own, start in zip(weights, runs, starts, strict=True)))
    return found


def _first_head(own: Own) -> Head:
    """As it was drawn before the run's first step."""
    with drawn_from(own.spec.seed, "head"):
        return Head(own.spec.shape.width, len(own.spec.goal.labels))


def _right(scores: torch.Tensor, domain: Domain) -> list[bool]:
    return (scores.argmax(1) == domain.labels).tolist()


def _accuracy(scores: torch.Tensor, domain: Domain) -> float:
    return sum(_right(scores, domain)) / len(domain.items)


def _told(found: Sequence[torch.Tensor], here: Sequence[Domain], writes: bool) -> dict[str, Any]:
    """Accuracy in each domain and over all, with the standard error of new items; of a language model also the perplexity of the right label word."""
    cells = []
    for scores, domain in zip(found, here, strict=True):
        share = _accuracy(scores, domain)
        cells.append({"accuracy": share, "error": share_error(share, len(domain.items)), **(_perplexity([scores], [domain]) if writes else {})})
    error = sqrt(sum(cell["error"] ** 2 for cell in cells)) / len(cells)
    every = {"accuracy": sum(cell["accuracy"] for cell in cells) / len(cells), "error": error, **(_perplexity(found, here) if writes else {})}
    return {"cells": cells, "all": every}


def _perplexity(found: Sequence[torch.Tensor], here: Sequence[Domain]) -> dict[str, float]:
    """Of the right label word among all words of the vocabulary: exp of the mean surprise, and its standard error over items."""
    surprise = torch.cat([-scores.gather(1, domain.labels.unsqueeze(1)).squeeze(1).double() for scores, domain in zip(found, here, strict=True)])
    value = exp(min(float(surprise.mean()), 700.0))
    return {"perplexity": value, "perplexity_error": value * float(surprise.std()) / sqrt(len(surprise))}


def _verdict(found: Sequence[torch.Tensor], best: Sequence[torch.Tensor], here: Sequence[Domain]) -> dict[str, Any]:
    """The mix against the run that did best on validation items, on all items of all domains: one question, asked once."""
    from lab.compare import paired  # here, for it stands on the engine in its turn

    mine, theirs = ([right for scores, domain in zip(each, here, strict=True) for right in _right(scores, domain)] for each in (found, best))
    seen = paired.mcnemar(mine, theirs)
    return {"items": seen.items, "only_mix": seen.only_a, "only_best": seen.only_b, "difference": seen.difference, "low": seen.low, "high": seen.high,
            "p": seen.p}
