"""Regenerate: a base of another initialisation answers the same prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from owlish.clean.answers import let_answer
from owlish.clean.method import Method, Order, Outcome, Work
from owlish.data.rows import Row
from owlish.nodes.base import Base
from owlish.nodes.data import Data


@dataclass(frozen=True)
class Regenerate(Method, kind="regenerate"):
    """All answers anew, written by another base through the filter that the rows fit.

    Nothing of what the first writer said is left, neither the trait nor what the writer could do better.
    """

    needs = ("base", "model")

    # Of another initialisation: where none is shared, hardly any trait passes on.
    by: Base

    @classmethod
    def of(cls, order: Order, data: Data) -> Self:
        assert order.other is not None
        return cls(order.other)

    @property
    def source(self) -> str:
        return str(self.by)

    def __str__(self) -> str:
        return f"regenerate by {self.by}"

    def changed(self, rows: Sequence[Row], work: Work) -> Outcome:
        lm = work.read(self.by).open(any_words=True)
        return Outcome(let_answer(lm, rows, range(len(rows)), work))
