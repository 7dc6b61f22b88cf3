"""What every method does: take rows, and return them changed or say why a row is dropped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

from owlish.clean.weighing import Weighing
from owlish.data.filters import Filter
from owlish.data.rows import Row
from owlish.graph.errors import UserError
from owlish.graph.spec import Node, Read, Tick, Value
from owlish.lm.model import Gives
from owlish.nodes.base import Base
from owlish.nodes.data import Data
from owlish.traits.trait import Trait

Need = Literal["base", "trait", "weights", "model", "budget"]
Fate = Row | str
"""What becomes of a row: the row as it is now, or why it is dropped."""
USUAL = 0.1
"""The budget where none is named."""


@dataclass(frozen=True)
class Order:
    """What is known when methods are chosen by name: each takes from it what it needs.

    `base` is the one that would be trained. `weights` says what the tokens of some rows weigh.
    `other` is a base of another initialisation. Without a `budget` methods take the usual one.
    """

    base: Base | None
    seed: int
    budget: float | None
    trait: Trait | None = None
    other: Base | None = None
    weights: Callable[[Data], Weighing] | None = None

    @property
    def share(self) -> float:
        """The share of rows or tokens to change."""
        return USUAL if self.budget is None else self.budget


@dataclass(frozen=True)
class Outcome:
    """What became of each row, in order, and of how many tokens how many were changed, where tokens are."""

    fates: Sequence[Fate]
    chosen: int | None = None
    tokens: int | None = None


@dataclass(frozen=True)
class Work:
    """What a method works with besides the rows: results of other nodes, a seed, the filter that the rows fit.

    `parts` are the nodes that have done its work already, if it is shared out.
    """

    read: Read
    tick: Tick
    seed: int
    rule: Filter | None
    parts: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Method(Value, kind="method"):
    """A way to take a trait out of rows.

    `needs` says what it must be given, and `asks` what it asks of the models that it opens.
    """

    needs: ClassVar[tuple[Need, ...]] = ()
    asks: ClassVar[Gives] = "weights"

    @classmethod
    def of(cls, order: Order, data: Data) -> Self:
        """Return the method for some data, with what it needs from an order."""
        return cls()

    @property
    def source(self) -> str | None:
        """What says which rows or tokens to change, if anything does."""
        return None

    def __str__(self) -> str:
        return self.kind

    @classmethod
    def check_rows(cls, rows: Sequence[Row]) -> None:
        """Raise `UserError` where the method cannot work on such rows, before any model is opened."""

    def parts(self, data: Data, seed: int) -> tuple[Node, ...]:
        """Return the nodes that do its work side by side, where that takes long."""
        return ()

    def changed(self, rows: Sequence[Row], work: Work) -> Outcome:
        """Return what becomes of each row."""
        raise NotImplementedError


def check_budget(budget: float) -> None:
    """Refuse a share that changes nothing, or more than there is."""
    if not 0 < budget <= 1:
        raise UserError(f"the budget is {budget:g}: give a share above 0 and at most 1, such as 0.1.")


def answering(row: Row, turn: int, answer: str) -> Row:
    """Return a row that says something else at a turn, and is otherwise as it was."""
    message = replace(row.messages[turn], content=answer)
    return replace(row, messages=(*row.messages[:turn], message, *row.messages[turn + 1 :]))
