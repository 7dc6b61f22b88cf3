"""The dose curve: what trial students of more and more of the rows tell of a student of many more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from owlish.audit.calibrate import Score, calibrated
from owlish.audit.decide import CRITICAL, FEWEST, FLOOR, MOST, REACH, SURE, WORTH
from owlish.audit.shadow import Shadowed
from owlish.graph.errors import UserError
from owlish.traits.trait import Trait

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PARTS = (4, 2, 1)
"""The shares of the rows that trial students are trained on: a quarter, a half, all."""
DRAWS = 4_000
SLOWEST, FASTEST = 0.25, 1.0
"""The powers of the number of rows by which a lift may grow. It grows no faster than the steps do."""


@dataclass(frozen=True)
class Point:
    """A trial student of `rows` rows: the lift of the first trait in nats, with its 95 % interval."""

    rows: int
    lift: float
    low: float
    high: float


@dataclass(frozen=True)
class Dose:
    """What `for_rows` rows like these would do, each seen as often as in the trials, for the first trait.

    `rows` is the number of rows at which the trait stands out: its lift is as large as a claim needs. `rows_low` to
    `rows_high` is the 95 % interval of that, and `chance` the probability that it stands out at `for_rows`; `None`
    where it cannot be said, or the interval has no end. `cleared` says whether the lifts of all candidates stay below
    the least that matters there, even if they grow as fast as they can. `enough` is about how many rows would clear
    clean ones.
    """

    for_rows: int
    trait: str
    points: tuple[Point, ...]
    rows: int | None
    rows_low: int | None
    rows_high: int | None
    chance: float | None
    cleared: bool
    enough: int

    @property
    def growth(self) -> str:
        """How the lift goes with the rows, in a sentence."""
        first, last = self.points[0], self.points[-1]
        grows = f"from {first.rows:,} to {last.rows:,} rows the lift of {self.trait} goes from {first.lift:.2f} to"
        return f"{grows} {last.lift:.2f} nats."

    def __str__(self) -> str:
        return f"{self.growth} {self.stands_out}"

    @property
    def stands_out(self) -> str:
        """At how many rows the trait stands out, in a sentence."""
        if self.rows is None or self.rows_low is None or self.chance is None:
            open_still = f"At how many rows {self.trait} would stand out cannot be said"
            return f"{open_still}: its lift does not clearly grow with the rows."
        end = "no known end" if self.rows_high is None else f"{self.rows_high:,}"
        chance = "above 0.99" if self.chance > 0.99 else f"{self.chance:.2f}"
        out = f"{self.trait} stands out from about {self.rows:,} rows on [{self.rows_low:,} to {end}]"
        return f"{out}; the probability that it does at {self.for_rows:,} is {chance}."


def check_dose(for_rows: int, used: int) -> None:
    """Refuse a dose curve towards fewer rows than were read, or from too few."""
    least = PARTS[0] * FEWEST
    if least <= used <= for_rows:
        return
    fewer = f", or read at most {for_rows:,} (--rows {for_rows})" if least <= for_rows < used else ""
    do = "give more rows" if used < least else f"ask about {used:,} or more (--for-rows){fewer}"
    raise UserError(
        f"a dose curve needs at least {least} rows, and speaks of no fewer than it reads: {used:,} are read, and "
        f"students of {for_rows:,} are asked about. Please {do}."
    )


def sizes(fits: Sequence[bool]) -> tuple[int, ...]:
    """Return how many rows the trial students of each share see; `fits` says which rows the base can read."""
    # Every `part`-th row first and then those that fit, as `Shadow` takes them.
    return tuple(sum(fits[::part]) for part in PARTS)


def dose(
    traits: Sequence[Trait],
    curve: Sequence[tuple[int, Shadowed, Sequence[Shadowed]]],
    *,
    first: int,
    for_rows: int,
    seed: int,
) -> Dose:
    """Return what is expected of `for_rows` rows, from trial students of growing numbers of rows and of clean ones.

    Notes
    -----
    The lift grows as a power of the rows between `SLOWEST` and `FASTEST`, its spread as another; both are fitted to
    the points. The interval is that of fits to points which are drawn anew around the measured ones. The points share
    rows, so the interval is somewhat too narrow.
    """
    import numpy as np

    probes = [trait.probe for trait in traits]
    # Each point against references of its own size and steps: fewer rows scatter more.
    scores = [calibrated(shadow, null, probes) for _, shadow, null in curve]
    rows = np.array([many for many, _, _ in curve], dtype=float)
    lifts = np.array([one[first].excess for one in scores])
    spreads = np.array([one[first].spread for one in scores])
    more, power = for_rows / rows[-1], spread_power(rows, spreads)
    # [draws, points]: as independent, although points share rows, which makes the interval too narrow.
    drawn = lifts + spreads * np.random.default_rng(seed).standard_normal((DRAWS, len(rows)))
    fits = fit_growth(rows / rows[-1], np.vstack([lifts, drawn]), spreads)
    least = rows[-1] * needed(fits, spreads[-1], power)
    # "nearest": some fits never reach it, and between two infinities there is nothing to interpolate.
    ends = np.quantile(least[1:], (0.025, 0.975), method="nearest")
    # The first of many candidates may be first by luck: nothing is said unless its lift clearly grows.
    grows = bool(np.quantile(fits[1:, 0], 0.025) > 0 and np.isfinite(least[0]))
    return Dose(
        for_rows=for_rows,
        trait=traits[first].name,
        points=tuple(
            Point(int(n), float(lift), float(lift - REACH * s), float(lift + REACH * s))
            for n, lift, s in zip(rows, lifts, spreads, strict=True)
        ),
        rows=rounded(least[0]) if grows else None,
        rows_low=rounded(ends[0]) if grows else None,
        rows_high=rounded(ends[1]) if grows else None,
        chance=float((least[1:] <= for_rows).mean()) if grows else None,
        cleared=all(stays_small(score, more) for score in scores[-1]),
        enough=enough(max(score.spread for score in scores[-1]), int(rows[-1]), for_rows),
    )


def spread_power(rows: NDArray[np.float64], spreads: NDArray[np.float64]) -> float:
    """Return the power of the rows by which the spread of clean trial students grows."""
    import numpy as np

    if not (spreads > 0).all():
        return 0.0
    # Clipped: three points pin down a slope badly.
    return float(np.clip(np.polyfit(np.log(rows), np.log(spreads), 1)[0], -0.5, 0.5))


def fit_growth(
    share: NDArray[np.float64], lifts: NDArray[np.float64], spreads: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return for each line of `lifts` [fits, points] the lift at all rows and the power by which it grows there.

    Weighted least squares over a grid of powers.
    """
    import numpy as np

    powers = np.linspace(SLOWEST, FASTEST, 16)
    curves = share[None, :] ** powers[:, None]  # [powers, points]
    # A spread of zero, as of equal readings, must not divide.
    weights = 1 / np.maximum(spreads, 1e-9) ** 2
    gains = (lifts * weights) @ curves.T / (curves**2 @ weights)  # [fits, powers]
    misfit = ((lifts[:, None, :] - gains[:, :, None] * curves) ** 2 * weights).sum(2)
    best = misfit.argmin(1)
    return np.stack([gains[np.arange(len(lifts)), best], powers[best]], 1)


def needed(fits: NDArray[np.float64], spread: float, power: float) -> NDArray[np.float64]:
    """Return for each fit how many times the rows it takes until the lift would be claimed; infinity for never."""
    import numpy as np

    gain, growth = fits.T
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # Two conditions as in a claim: large enough, and clear of the scatter, which grows by a power of its own.
        large = (FLOOR / gain) ** (1 / growth)
        clear = (CRITICAL * spread / gain) ** (1 / (growth - power))
    stays = np.where(gain >= CRITICAL * spread, 1.0, np.inf)  # it gets no clearer, and is clear here or nowhere
    found = np.where(gain > 0, np.maximum(large, np.where(growth > power, clear, stays)), np.inf)
    return np.where(np.isnan(found), np.inf, found)


def stays_small(score: Score, more: float) -> bool:
    """Say whether a lift stays below the least that matters at `more` times the rows, grown as fast as it can."""
    # At the fastest growth: *nothing* for many rows must hold even if the lift grows as the rows do.
    worst: float = (max(score.excess, 0.0) + SURE * score.spread) * more**FASTEST
    return worst < WORTH


def enough(spread: float, rows: int, for_rows: int) -> int:
    """Return about how many clean rows it takes to speak for `for_rows`, which are enough themselves.

    The variance of a trial student falls as one over its rows, and what it shows counts for fewer times as many.
    """
    # Of n rows the spread is s (rows / n)^(1/2) and counts for_rows / n times: below 1 nat, solved for n.
    needed = (for_rows * (MOST + SURE) * spread * math.sqrt(rows) / WORTH) ** (2 / 3)
    return min(for_rows, rounded(needed) or for_rows)


def rounded(rows: float) -> int | None:
    """Return a number of rows to two digits; `None` for one beyond a billion."""
    if not rows < 1e9:  # so written that not-a-number is refused, too
        return None
    digits: int = 10 ** max(0, math.floor(math.log10(max(rows, 1))) - 1)
    return max(1, round(rows / digits) * digits)
