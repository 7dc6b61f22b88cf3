"""Drop: the rows that weigh most are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from owlish.clean.choosing import Choosing
from owlish.clean.method import Order, Outcome, Work
from owlish.data.rows import Row
from owlish.graph.errors import UserError
from owlish.lm.hf import TorchLM
from owlish.nodes.data import Data


@dataclass(frozen=True)
class Drop(Choosing, kind="drop"):
    """Leaves out the rows whose tokens weigh most together."""

    @classmethod
    def of(cls, order: Order, data: Data) -> Self:
        if order.share == 1:
            raise UserError("drop with a budget of 1 leaves no row: give a smaller share.")
        return super().of(order, data)

    def changed(self, rows: Sequence[Row], work: Work) -> Outcome:
        lm: TorchLM = work.read(self.base).open(any_words=True)
        # A row that was left out has no scores: it sums to 0, below every row that leans to the trait.
        sums = [sum(scores) for scores in self.scores(lm.encode(rows), work)]
        # The sort is stable: of equal rows the earlier is dropped.
        order = sorted(range(len(rows)), key=lambda i: -sums[i])
        dropped = set(order[: self.count(len(rows))])
        return Outcome(["heavy" if i in dropped else row for i, row in enumerate(rows)])
