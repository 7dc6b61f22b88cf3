"""How long a run will still take, told from what its results took so far; nothing is told before enough was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

UNSURE = 0.5
"""The most of the time left that may be for kinds of which no result was made in this run, until enough was made."""
ENOUGH = 0.25
"""The part of a run's work, in usual seconds, from which on it tells how long the other kinds take too."""
SHARE = 0.1
"""The part of a result from which on its progress tells how long it takes."""

TINY = 1e-6


@dataclass(frozen=True)
class Spent:
    """What results of a kind took in a run, and what such results take usually, both in seconds."""

    seconds: float = 0.0
    usual: float = 0.0

    def plus(self, seconds: float, usual: float) -> Spent:
        """Return it with one result more."""
        return Spent(self.seconds + seconds, self.usual + usual)

    @property
    def rate(self) -> float:
        """The seconds for each usual second."""
        return self.seconds / self.usual


@dataclass(frozen=True)
class UnderWay:
    """A result that is being made: its kind, its usual seconds, those gone, and how much of it is done."""

    kind: str
    usual: float
    gone: float
    share: float


def seconds_left(
    waiting: Mapping[str, float],
    under_way: Sequence[UnderWay],
    *,
    seen: Mapping[str, Spent],
    first: Mapping[str, Spent],
    most: int,
) -> float | None:
    """Return the seconds that a run will take, with `most` results side by side; `None` where too little was seen.

    `waiting` holds the usual seconds, by kind, of what is not begun. `seen` holds what results took, and `first` what
    those took with which a process started: they hold that start, which comes once, so they tell of no other kind.
    A kind that was not made yet takes its usual time at the speed of the others: told where that is little of what is
    left, or the others are much of the whole.
    """
    whole = sum((spent.usual for spent in seen.values()), 0.0)
    speed = sum(spent.seconds for spent in seen.values()) / whole if whole else None
    rates = {kind: spent.rate if speed is None else min(spent.rate, speed) for kind, spent in first.items()}
    rates |= {kind: spent.rate for kind, spent in seen.items()}
    telling = [one for one in under_way if one.share >= SHARE]
    ends = [one.gone / one.share * (1 - one.share) for one in telling]
    known, unsure = sum(ends), 0.0
    rest = [(one.kind, one.usual, one.gone) for one in under_way if one.share < SHARE]
    for kind, usual, gone in (*((kind, usual, 0.0) for kind, usual in waiting.items()), *rest):
        if usual < TINY:  # sums of what was begun leave a little
            continue
        if kind not in rates and speed is None:
            return None
        left = max(usual * rates.get(kind, speed or 0.0) - gone, 0.0)
        known, unsure = (known + left, unsure) if kind in rates else (known, unsure + left)
    usual_left = sum(waiting.values()) + sum(one.usual * (1 - one.share) for one in under_way)
    if unsure > UNSURE * (known + unsure) and whole < ENOUGH * (whole + usual_left):
        return None
    return max([(known + unsure) / max(most, 1), *ends])
