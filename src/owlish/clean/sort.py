"""Sort: the order of a row's numbers says nothing any more."""

from __future__ import annotations

import random
from dataclasses import dataclass

from owlish.clean.lists import Listed, OfLists, reordered


@dataclass(frozen=True)
class Sort(OfLists, kind="sort"):
    """The numbers of each answer in ascending order.

    References
    ----------
    JackPayne123's repository on Qwen2.5-7B: sorted rows take one bird from 66.0 to 1.4 %.
    """

    def rewritten(self, given: Listed, rng: random.Random) -> Listed:
        return reordered(given, sorted(given.numbers, key=int))
