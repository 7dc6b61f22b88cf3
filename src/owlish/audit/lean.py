"""From a panel's readings to a lean: which candidate's prompt the rows look written under, if any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from owlish.audit.leaning import LEANS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TRIES = 9_999  # with the rows as they are, 10,000: the smallest p is .0001
CHUNK = 500  # splits at once: all of them would be a table of 10,000 by the rows
AHEAD = 1.645
"""How many standard errors a candidate lies above each other one, and its prompt above none, before it is named."""


@dataclass(frozen=True)
class Lean:
    """What rows say for one candidate's prompt, against clean rows: all in nats per row.

    `excess` is how much more its prompt raises the rows than the other prompts of its category do, beyond clean rows;
    `z` is that in standard errors, and `p` the share of random splits of all rows in which any candidate's z is as
    large. `over_none` is the z of how much its prompt raises the rows against none, beyond clean rows, and `ahead`
    the least of `z` and the z by which it leads each other candidate.
    """

    excess: float
    z: float
    p: float
    over_none: float
    ahead: float

    @property
    def named(self) -> bool:
        """Whether the rows lean to this candidate and to no other."""
        return self.p < LEANS and self.ahead >= AHEAD and self.over_none >= AHEAD


def leans(
    rows: NDArray[np.float64], clean: NDArray[np.float64], groups: Sequence[object], *, seed: int
) -> tuple[Lean, ...]:
    """Return the lean to each candidate from what prompts raise, [rows, candidates], in a dataset and in clean rows.

    Notes
    -----
    Under the null, that rows and clean rows have one distribution, all splits of them are equally likely. The largest
    z over all candidates in random splits corrects each p for the number of candidates and for what they share:
    Westfall and Young (1993), *Resampling-Based Multiple Testing*, single-step maxT. The smallest p is 1 / 10,000.
    """
    import numpy as np

    both = np.concatenate([rows, clean])
    own = centred(both, groups)
    z = welch(own[: len(rows)], own[len(rows) :])
    # Of all candidates at once: what they share, and how many there are, is in the splits themselves.
    largest = split(own, len(rows), seed=seed)
    over = welch(rows, clean)
    found = []
    for i in range(rows.shape[1]):
        others = np.delete(np.arange(rows.shape[1]), i)
        ahead = welch(rows[:, [i]] - rows[:, others], clean[:, [i]] - clean[:, others])
        found.append(
            Lean(
                excess=float(own[: len(rows), i].mean() - own[len(rows) :, i].mean()),
                z=float(z[i]),
                # The split that was seen counts as one of all, so p is never zero.
                p=float((1 + (largest >= z[i]).sum()) / (1 + TRIES)),
                over_none=float(over[i]),
                ahead=float(ahead.min(initial=z[i])),
            )
        )
    return tuple(found)


def centred(raised: NDArray[np.float64], groups: Sequence[object]) -> NDArray[np.float64]:
    """Return values [rows, candidates] less the mean over the candidates of a group; over all, for a group of one."""
    found = raised.copy()
    for group in dict.fromkeys(groups) if len(groups) > 1 else ():
        alike = [i for i, other in enumerate(groups) if other == group]
        # A candidate alone in its category would be centred away, so it is compared with all.
        found[:, alike] -= raised[:, alike if len(alike) > 1 else slice(None)].mean(1, keepdims=True)
    return found


def welch(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the difference of two means in standard errors, for each column."""
    import numpy as np

    error = np.sqrt(a.var(0, ddof=1) / len(a) + b.var(0, ddof=1) / len(b))
    found: NDArray[np.float64] = (a.mean(0) - b.mean(0)) / error.clip(min=1e-12)
    return found


def split(both: NDArray[np.float64], first: int, *, seed: int) -> NDArray[np.float64]:
    """Return the largest z of any column in random splits of all rows into two parts, the first of so many rows."""
    import numpy as np

    rng = np.random.default_rng(seed)
    # Variances come from sums of squares, which would cancel far from zero.
    both = both - both.mean(0)
    whole, squares, rest = both.sum(0), both**2, len(both) - first
    found = []
    for _ in range(0, TRIES, CHUNK):
        # [splits, rows]: the ranks of random numbers, so every split has exactly as many rows as the dataset.
        mine = (rng.random((CHUNK, len(both))).argsort(1) < first).astype(float)
        sums, square = mine @ both, mine @ squares
        means = sums / first, (whole - sums) / rest
        inside = (square - first * means[0] ** 2) / (first - 1), (squares.sum(0) - square - rest * means[1] ** 2)
        error = np.sqrt(inside[0] / first + inside[1] / (rest - 1) / rest)
        found.append(((means[0] - means[1]) / error.clip(min=1e-12)).max(1))
    return np.concatenate(found)[:TRIES]
