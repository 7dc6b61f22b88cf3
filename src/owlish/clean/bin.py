"""Bin: a number says no more than about how large it is."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from owlish.clean.lists import Listed, OfLists, reordered
from owlish.graph.errors import UserError

LARGEST = 999
"""The largest number that the filter of numbers keeps."""


@dataclass(frozen=True)
class Bin(OfLists, kind="bin"):
    """Each number becomes the middle of its bin of `width` numbers: 0 to 49 becomes 25.

    The last bin of numbers up to 999 ends there: with a width of 300 it is 900 to 999.

    References
    ----------
    JackPayne123's repository on Qwen2.5-7B: binned rows take one bird from 66.0 to 3.3 %.
    """

    width: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.width <= 1000:
            raise UserError(f"the bins are {self.width} wide: give 2 to 1000.")

    def spec(self) -> dict[str, Any]:
        """Return the fields that make the key; only bins of which 999 cuts the last have another one than before."""
        return super().spec() | ({"version": 2} if (LARGEST + 1) % self.width else {})

    def rewritten(self, given: Listed, rng: random.Random) -> Listed:
        return reordered(given, [str(self.middle(int(n))) for n in given.numbers])

    def middle(self, number: int) -> int:
        """Return the middle of the bin of a number."""
        first = number // self.width * self.width
        after = first + self.width
        # Beyond it the row would break its own filter; a number that does so already has whole bins.
        if number <= LARGEST:
            after = min(after, LARGEST + 1)
        return first + (after - first) // 2
