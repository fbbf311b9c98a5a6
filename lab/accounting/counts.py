"""Exact parameter counts, method and head apart, before anything is loaded."""
from __future__ import annotations

from dataclasses import dataclass

from lab.contracts import Method, Shape


@dataclass(frozen=True)
class Counts:
    """`trainable` = method + head; `total` = frozen + trainable; each tensor once, tied ones once; `share` in 0…1."""

    method: int
    head: int
    frozen: int
    by_role: dict[str, int]

    @property
    def trainable(self) -> int:
        return self.method + self.head

    @property
    def total(self) -> int:
        return self.frozen + self.trainable

    def to_dict(self) -> dict[str, object]:
        return {"trainable": self.trainable, "method": self.method, "head": self.head, "frozen": self.frozen,
                "total": self.total, "share": self.trainable / self.total, "by_role": dict(self.by_role)}


def by_layer(method: Method, shape: Shape) -> dict[int | None, dict[str, int]]:
    """What the method trains in each block, by role; None stands for what lies outside the blocks. Blocks without anything are left out."""
    found: dict[int | None, dict[str, int]] = {}
    for place in method.places(shape):
        if place.count:
            block = found.setdefault(place.layer, {})
            block[place.role] = block.get(place.role, 0) + place.count
    return found


def head_count(shape: Shape, labels: int) -> int:
    """Weights and biases of the linear classifier on pooled features; a model that answers with words needs none."""
    return 0 if shape.writes else (shape.width + 1) * labels


def count(method: Method, shape: Shape, labels: int, inner: int = 0) -> Counts:
    """`labels` is the number of classes, 0 where there is no task; `inner` what a head has in front of its classifier."""
    by_role = method.count(shape)
    trained = sum(by_role.values())
    frozen = shape.total - (trained - method.added(shape))
    return Counts(trained, head_count(shape, labels) + inner, frozen, by_role)
