"""Batches that memory does not hold: they are halved, and the result says so."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

from owlish.graph.errors import UserError
from owlish.graph.facts import note
from owlish.graph.memory import is_spent

Found = TypeVar("Found")


def in_halves(rows: int, attempt: Callable[[int], Found], *, doing: str) -> tuple[Found, int]:
    """Return what an attempt with batches of `rows` gives, or of half as many until memory holds one; and how many.

    `UserError` is raised where memory does not hold a single row.
    """
    while True:
        try:
            return attempt(rows), rows
        except (RuntimeError, MemoryError) as error:
            check_full(error, rows, doing)
        rows //= 2  # out of the clause above, which keeps what the attempt had in memory
        say_halved(rows, doing)


def check_full(error: Exception, rows: int, doing: str) -> None:
    """Raise an error again, unless it says that memory is full and there are rows to do without."""
    if not is_spent(error):
        raise error
    if rows == 1:
        raise UserError(
            f"memory does not hold a single row in {doing}: shorten the rows, or take a smaller base."
        ) from error


def say_halved(rows: int, doing: str) -> None:
    """Free what can be freed, and note that batches are smaller than they were to be."""
    import torch

    # First, since the allocator frees no block that a cycle of tensors still holds.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    note(batches=f"{doing} in batches of {rows}: memory held no more")
