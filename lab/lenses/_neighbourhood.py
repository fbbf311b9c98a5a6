"""The neighbours of a trained prompt with what they are worth: four metrics, three nulls, the neighbours before training, the swap test."""
from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import torch

from lab.lens import Progress, Specimen
from lab.lenses import _nulls, _prompt, _started, _swapping
from lab.lenses._vocabulary import METRICS, Neighbour, Vocabulary, round4, vocabulary
from lab.seeds import seed_for

TOP = 5
STAGES = 3  # of progress, one after another: two nulls that are drawn, and the swap
PARTS = 1000  # that each of them is told in


@dataclass(frozen=True)
class Judged:
    """Against one null: (n, k) values in standard deviations of chance, p over all positions, and p of each position alone."""

    z: torch.Tensor
    p: torch.Tensor
    alone: torch.Tensor

    def to_dict(self, position: int) -> dict[str, float]:
        return {"z": round4(float(self.z[position, 0])), "p": round4(float(self.p[position, 0])), "alone": round4(float(self.alone[position, 0]))}


def examined(specimen: Specimen, draws: int, items: int) -> Generator[Progress, None, dict[str, Any]]:
    """The value of `prompt_neighbours`."""
    words = vocabulary(specimen)
    start = _started.started(specimen, specimen.before)
    vectors = _prompt.vectors(specimen.module).to(words.table.device)
    near = words.nearest(vectors, TOP)
    judged = yield from against_nulls(words, vectors, (vectors - start.vectors).norm(dim=1), near["centred"], draws, specimen.spec.seed)
    swap = (yield from _staged(2, _swapping.swapped(specimen, items))) if items else None
    init = words.nearest(start.vectors, TOP, ("centred",))["centred"]
    kept, drift = start.stayed(near["centred"], TOP), start.drift(vectors)
    positions = [
        {"position": place, "neighbours": _neighbours(near, judged["permuted"], place)} | judged["permuted"].to_dict(place)
        | {"nulls": {name: each.to_dict(place) for name, each in judged.items()}, "init": [each.to_dict() for each in init[place]], "kept": kept[place],
           "agreement": agreement(words, near, place), "drift": {name: drift[name][place] for name in ("distance", "natural", "angle")},
           "norm": round4(float(vectors[place].norm())), "norm_percentile": drift["norm_percentile"][place]}
        for place in range(len(vectors))]
    return {
        "vocabulary": words.considered, "banned": len(words.table) - words.considered,
        "left_out": {reason: len(rows) for reason, rows in words.banned.items()},
        "draws": _nulls.drawn(draws, words.width), "top": TOP, "positions": positions,
        "agreement": round4(sum(position["agreement"] for position in positions) / len(positions)),
        "persistence": round4(sum(kept) / len(kept)), "swap": swap,
    }


def against_nulls(words: Vocabulary, vectors: torch.Tensor, drifts: torch.Tensor, near: list[list[Neighbour]], draws: int,
                  seed: int) -> Generator[Progress, None, dict[str, Judged]]:
    """The nearest words of each position by centred cosine, judged by each null."""
    least = min(len(line) for line in near)
    values = torch.tensor([[each.value for each in line[:least]] for line in near], dtype=torch.float32, device=vectors.device)
    chance = torch.Generator().manual_seed(seed_for(seed, "nulls"))
    permuted = yield from _staged(0, _nulls.permuted(words, vectors, draws, chance))
    noise = yield from _staged(1, _nulls.noise(words, drifts, draws, chance))
    kinds = {"permuted": permuted, "direction": _nulls.Direction(words.width, words.considered), "noise": noise}
    return {name: Judged(null.z(values), null.corrected(values), null.p(values)) for name, null in kinds.items()}


def agreement(words: Vocabulary, near: dict[str, list[list[Neighbour]]], place: int) -> float:
    """Words that all metrics list, of those that any lists."""
    lists = [{int(words.words[each.token]) for each in near[metric][place]} for metric in METRICS]
    return round(len(set.intersection(*lists)) / len(set.union(*lists)), 4)


def _neighbours(near: dict[str, list[list[Neighbour]]], judged: Judged, place: int) -> dict[str, list[dict[str, Any]]]:
    found = {metric: [each.to_dict() for each in near[metric][place]] for metric in METRICS}
    for rank, (told, each) in enumerate(zip(found["centred"], near["centred"][place], strict=True)):
        if rank < judged.z.shape[1]:
            told |= {"z": round4(float(judged.z[place, rank])), "p": round4(float(judged.p[place, rank]))}
        told |= {"also": list(each.also)} if each.also else {}
    return found


def _staged(stage: int, working: Generator[Progress, None, Any]) -> Generator[Progress, None, Any]:
    while True:
        try:
            done, of = next(working)
            yield PARTS * stage + PARTS * done // of, PARTS * STAGES
        except StopIteration as end:
            return end.value
