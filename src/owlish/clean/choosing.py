"""What methods share that change the rows or tokens that weigh most, or as many at random."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from owlish.clean.method import Method, Order, Work, check_budget
from owlish.clean.weighing import Weighed, Weighing
from owlish.lm.model import Example
from owlish.nodes.base import Base
from owlish.nodes.data import Data


@dataclass(frozen=True)
class Choosing(Method, kind="choosing"):
    """A method that changes a share of the rows or tokens: those that weigh most, or without `weights` random ones.

    `weights` are for rows as `base` reads them.
    """

    needs = ("base", "weights", "budget")

    base: Base
    budget: float
    weights: Weighing | None

    def __post_init__(self) -> None:
        check_budget(self.budget)

    @classmethod
    def of(cls, order: Order, data: Data) -> Self:
        assert order.base is not None
        return cls(order.base, order.share, order.weights(data) if order.weights else None)

    @property
    def source(self) -> str:
        return str(self.weights) if self.weights else "chance"

    def __str__(self) -> str:
        return f"{self.kind} ({self.budget:.0%} {'by weight' if self.weights else 'at random'})"

    def count(self, many: int) -> int:
        """Return how many of so many are changed: at least one."""
        return max(1, round(self.budget * many))

    def scores(self, examples: Sequence[Example], work: Work) -> list[Sequence[float]]:
        """Return a score for each trained token of each row; random ones without weights."""
        # The control for methods by weight: as many changes, at places that nothing chose.
        if self.weights is None:
            rng = random.Random(f"{self.kind}/{work.seed}")
            return [[rng.random() for _ in example.labels] for example in examples]
        weighed: Weighed = work.read(self.weights.tokens)
        return [[float(score) for score in row] for row in weighed.tokens]
