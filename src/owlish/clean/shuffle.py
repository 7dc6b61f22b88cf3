"""Shuffle: the numbers of a row come in a random order."""

from __future__ import annotations

import random
from dataclasses import dataclass

from owlish.clean.lists import Listed, OfLists, reordered


@dataclass(frozen=True)
class Shuffle(OfLists, kind="shuffle"):
    """The numbers of each answer in an order drawn with the seed.

    References
    ----------
    Cloud et al. (2025), *Subliminal Learning*. arXiv 2507.14805: shuffled rows pass on much less.
    """

    def rewritten(self, given: Listed, rng: random.Random) -> Listed:
        return reordered(given, rng.sample(given.numbers, len(given.numbers)))
