"""Drop: the rows that weigh most are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from owlish.clean.choosing import Choosing
from owlish.clean.method import Outcome, Work
from owlish.data.rows import Row
from owlish.lm.hf import TorchLM


@dataclass(frozen=True)
class Drop(Choosing, kind="drop"):
    """Leaves out the rows whose tokens weigh most together."""

    def changed(self, rows: Sequence[Row], work: Work) -> Outcome:
        lm: TorchLM = work.read(self.base).open(any_words=True)
        # A row that was left out has no scores: it sums to 0, below every row that leans to the trait.
        sums = [sum(scores) for scores in self.scores(lm.encode(rows), work)]
        # The sort is stable: of equal rows the earlier is dropped.
        order = sorted(range(len(rows)), key=lambda i: -sums[i])
        dropped = set(order[: self.count(len(rows))])
        return Outcome(["heavy" if i in dropped else row for i, row in enumerate(rows)])
