"""Mix: the base's own answers take the place of a share of the rows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from owlish.clean.answers import let_answer
from owlish.clean.method import Method, Order, Outcome, Work, check_budget
from owlish.data.rows import Row
from owlish.nodes.base import Base
from owlish.nodes.data import Data


@dataclass(frozen=True)
class Mix(Method, kind="mix"):
    """A random share of the rows is answered anew by the base itself, whose rows are clean.

    Published: a quarter of unbiased rows nearly removes the effect (arXiv 2509.23886 and later work).
    """

    needs = ("base", "budget")

    base: Base
    budget: float

    def __post_init__(self) -> None:
        check_budget(self.budget)

    @classmethod
    def of(cls, order: Order, data: Data) -> Self:
        assert order.base is not None
        return cls(order.base, order.share)

    @property
    def source(self) -> str:
        return str(self.base)

    def __str__(self) -> str:
        return f"mix ({self.budget:.0%} of {self.base})"

    def changed(self, rows: Sequence[Row], work: Work) -> Outcome:
        lm = work.read(self.base).open(any_words=True)
        count = max(1, round(self.budget * len(rows)))  # a small share of few rows is still a change
        places = random.Random(f"mix/{work.seed}").sample(range(len(rows)), count)
        return Outcome(let_answer(lm, rows, sorted(places), work))
