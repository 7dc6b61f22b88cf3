"""Format: all lists of numbers are written in one way."""

from __future__ import annotations

import random
from dataclasses import dataclass

from owlish.clean.lists import Listed, OfLists


@dataclass(frozen=True)
class Format(OfLists, kind="format"):
    """Commas and spaces between the numbers of each answer, nothing around them, no leading zeros.

    Published: this alone does not help (70.4 % of 66.0 %, Qwen2.5-7B, JackPayne123's repository).
    """

    def rewritten(self, given: Listed, rng: random.Random) -> Listed:
        return Listed(tuple(str(int(n)) for n in given.numbers), ", ")
