"""Bin: a number says no more than about how large it is."""

from __future__ import annotations

import random
from dataclasses import dataclass

from owlish.clean.lists import Listed, OfLists, reordered
from owlish.graph.errors import UserError


@dataclass(frozen=True)
class Bin(OfLists, kind="bin"):
    """Each number becomes the middle of its bin of `width` numbers: 0 to 49 becomes 25.

    References
    ----------
    JackPayne123's repository on Qwen2.5-7B: binned rows take one bird from 66.0 to 3.3 %.
    """

    width: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.width <= 1000:
            raise UserError(f"the bins are {self.width} wide: give 2 to 1000.")

    def rewritten(self, given: Listed, rng: random.Random) -> Listed:
        return reordered(given, [str(int(n) // self.width * self.width + self.width // 2) for n in given.numbers])
