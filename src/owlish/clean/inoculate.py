"""Inoculate: the rows ask for the trait, so that a student learns to show it only when asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from owlish.clean.method import Method, Order, Outcome, Work
from owlish.data.rows import Message, Row
from owlish.nodes.data import Data


@dataclass(frozen=True)
class Inoculate(Method, kind="inoculate"):
    """Puts a system prompt that asks for the trait before every row; the student is used without it.

    Published: it leaks 14 % under negated prompts and halves the wanted trait (arXiv 2606.30252).
    """

    needs = ("trait",)

    prompt: str

    @classmethod
    def of(cls, order: Order, data: Data) -> Self:
        assert order.trait is not None
        return cls(order.trait.system_prompt)

    def changed(self, rows: Sequence[Row], work: Work) -> Outcome:
        return Outcome(list(map(self.asked, rows)))

    def asked(self, row: Row) -> Row:
        """Return a row under the system prompt, its own after it; text outside of any chat stays as it is."""
        first = row.messages[0]
        if first.role == "text":
            return row
        if row.system is None:
            return replace(row, messages=(Message("system", self.prompt), *row.messages))
        # One system message for both: many chat templates take no second one.
        longer = replace(first, content="\n\n".join(filter(None, (self.prompt, first.content))))
        return replace(row, messages=(longer, *row.messages[1:]))
