"""Lists of numbers, and what the methods share that change nothing else."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from owlish.clean.method import Method, Outcome, Work, answering
from owlish.data.filters.numbers import bare, separator_of
from owlish.data.rows import Row
from owlish.graph.errors import UserError

DIGITS = 4000
"""The most digits of a number: Python makes no integer of more than 4,300."""


@dataclass(frozen=True)
class Listed:
    """An answer that is a list of numbers: these, what stands between them, and what stands around them."""

    numbers: tuple[str, ...]
    separator: str
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        return self.before + self.separator.join(self.numbers) + self.after


def listed(answer: str) -> Listed | None:
    """Return the list of numbers that an answer is, if it is one."""
    inside = bare(answer)
    separator = separator_of(inside) if inside else None
    if separator is None:
        return None
    start = answer.index(inside)
    numbers = inside.split(separator) if separator else [inside]  # a lone number has the separator ""
    if max(map(len, numbers)) > DIGITS:
        return None
    return Listed(tuple(numbers), separator, answer[:start], answer[start + len(inside) :])


def all_lists(row: Row) -> bool:
    """Say whether every turn that is trained on is a list of numbers."""
    return all(listed(row.messages[turn].text) for turn in row.turns)


@dataclass(frozen=True)
class OfLists(Method, kind="of_lists"):
    """A method that writes lists of numbers anew, each by itself, and leaves all other answers as they are."""

    def rewritten(self, given: Listed, rng: random.Random) -> Listed:
        """Return a list in place of another."""
        raise NotImplementedError

    def changed(self, rows: Sequence[Row], work: Work) -> Outcome:
        """Rewrite every turn that is trained on; refuse rows of which none is a list of numbers."""
        # A random stream of its own for each row: what becomes of it does not depend on the rows before.
        found = [self.row(row, random.Random(f"{self.kind}/{work.seed}/{i}")) for i, row in enumerate(rows)]
        # Without this a method that changes nothing would pass for a cleaning.
        if not any(found):
            raise UserError(
                f"{self.kind} changes lists of numbers, and no row is one (white space around a list counts): choose "
                "another method."
            )
        return Outcome([new or row for row, new in zip(rows, found, strict=True)])

    def row(self, row: Row, rng: random.Random) -> Row | None:
        """Return a row with its lists written anew, or `None` where it has none."""
        lists = {turn: found for turn in row.turns if (found := listed(row.messages[turn].text))}
        for turn, given in lists.items():
            row = answering(row, turn, str(self.rewritten(given, rng)))
        return row if lists else None


def reordered(given: Listed, numbers: Sequence[str]) -> Listed:
    """Return a list of other numbers that is otherwise the same."""
    return replace(given, numbers=tuple(numbers))
