"""What the traces of a soft prompt share: where its vectors stood before the first step, and the words around."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch

from lab.lens import Specimen
from lab.lenses import _prompt
from lab.lenses._places import Places, places
from lab.lenses._vocabulary import Neighbour, Vocabulary, round4, vocabulary

TOP = 10  # nearest words that are found for all traces


@dataclass(frozen=True)
class Around:
    """Of each position: the nearest words by centred cosine and by distance, and the rank of the token it started nearest to among all rows."""

    centred: list[list[Neighbour]]
    by_distance: list[list[Neighbour]]
    ranks: list[int]


class Start:
    """Of one run: its vectors (n, width) before the first step, among the words of its model."""

    def __init__(self, words: Vocabulary, around: Places, vectors: torch.Tensor) -> None:
        self.words, self.places, self.vectors = words, around, vectors
        near = words.nearest(vectors, 1, ("centred", "l2"))
        self.tokens = [line[0].token for line in near["centred"]]
        self.cells = torch.tensor([line[0].token for line in near["l2"]], device=vectors.device)
        self._seen: tuple[torch.Tensor, Around] | None = None

    def around(self, vectors: torch.Tensor) -> Around:
        """Traces that look at the same moment share it: the table is gone through once."""
        if self._seen is None or not torch.equal(self._seen[0], vectors):
            found, ranks = self.words.nearest_and_ranks(vectors, TOP, ("centred", "l2"), self.tokens)
            self._seen = vectors, Around(found["centred"], found["l2"], ranks)
        return self._seen[1]

    def stayed(self, near: list[list[Neighbour]], top: int) -> list[bool]:
        """Whether the first nearest word of each position is still among its `top` nearest."""
        word = self.words.words
        return [any(word[each.token] == word[token] for each in line[:top]) for token, line in zip(self.tokens, near, strict=True)]

    def drift(self, vectors: torch.Tensor) -> dict[str, list[float]]:
        """What `prompt_drift` sees, a number for each position."""
        distance, unit = (vectors - self.vectors).norm(dim=1), self.places.spacing or 1.0
        near = self.around(vectors).by_distance
        found = {
            "distance": distance,
            "natural": distance / unit,
            "angle": angles(vectors, self.vectors),
            "norm_percentile": self.places.norm_percentile(vectors),
            "mahalanobis_percentile": self.places.mahalanobis_percentile(vectors),
            "nearest": torch.tensor([line[0].value for line in near]) / unit,
            "margin": self.places.margins(vectors, self.cells, near) / unit,
        }
        return {name: [round4(number) for number in numbers.tolist()] for name, numbers in found.items()}

    def points(self, vectors: torch.Tensor) -> list[list[float]]:
        return [[round4(x), round4(y)] for x, y in self.places.on_map(vectors).tolist()]

    def legend(self) -> dict[str, Any]:
        """The words of the map."""
        common = self.places.common()
        where = self.points(self.words.rows(common))
        return {"words": [[*point, self.words.shown(token)] for point, token in zip(where, common, strict=True)], "explained": self.places.explained}


def angles(vectors: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """(n,) degrees between pairs; by the tangent of the half angle, which is exact for small ones, where the cosine is not."""
    one, other = (torch.nn.functional.normalize(each.double(), dim=1) for each in (vectors, others))
    return torch.rad2deg(2 * torch.atan2((one - other).norm(dim=1), (one + other).norm(dim=1)))


STARTED: WeakKeyDictionary[Specimen, Start] = WeakKeyDictionary()


def begun(specimen: Specimen) -> Start:
    """Before the first step, where what the module holds is where it starts; the same for all traces of a run."""
    if specimen not in STARTED:
        STARTED[specimen] = started(specimen, specimen.module)
    return STARTED[specimen]


def started(specimen: Specimen, module: Any) -> Start:
    """With the vectors of this module as the start."""
    words = vocabulary(specimen)
    return Start(words, places(specimen), _prompt.vectors(module).to(words.table.device))
